"""The signals: when each is sent, and with exactly which arguments."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from blinker import NamedSignal
from fakes import ADA, BOB, START, Api, Customers, MakeApp, SignalRecorder, wrong
from flask import Flask
from flask.testing import FlaskClient
from time_machine import Traveller
from werkzeug.test import TestResponse

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.core.context import Context
from flask_otp_auth.testing import Outbox

NAMES = {
    "otp_generated",
    "pre_register_otp_generated",
    "confirmation_otp_generated",
    "otp_suppressed",
    "otp_verified",
    "otp_rejected",
    "actor_authenticated",
    "rate_limited",
    "identifier_attacked",
    "delivery_failed",
    "token_revoked",
    "breaker_opened",
    "test_identity_used",
}
#: What a sign-in and two registrations send, one of them of a member.
ALWAYS_SENT = [
    "otp_generated",
    "pre_register_otp_generated",
    "otp_suppressed",
    "otp_verified",
    "otp_rejected",
    "actor_authenticated",
    "token_revoked",
]
EXPIRY = datetime.fromtimestamp(START.timestamp() + 300, UTC)
CONTEXT = Context("de", START, "Firefox", "Linux", "127.0.0.1")

LOGIN = {"actor_type": "customer", "identifier": ADA, "purpose": "login"}
REGISTRATION = {"actor_type": "customer", "identifier": BOB, "purpose": "registration"}


@pytest.fixture
def client(clock: Traveller, app: Flask) -> FlaskClient:
    """A German on Firefox, while the clock stands still."""
    client = app.test_client()
    client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0"
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "de"
    return client


def test_there_are_thirteen() -> None:
    found = {name for name, value in vars(signals).items() if isinstance(value, NamedSignal)}
    assert found == NAMES


class TestArguments:
    """Each step of a sign-up and of a sign-in, as handlers see it."""

    @pytest.mark.parametrize(
        ("ask", "identifier", "signal", "more"),
        [
            (Api.generate, ADA, "otp_generated", {"actor_id": "1"}),
            (Api.pre_register, BOB, "pre_register_otp_generated", {}),
        ],
        ids=["login", "registration"],
    )
    def test_a_code(
        self,
        api: Api,
        outbox: Outbox,
        recorder: SignalRecorder,
        ask: Callable[[Api], TestResponse],
        identifier: str,
        signal: str,
        more: dict[str, str],
    ) -> None:
        challenge = ask(api).get_json()["challenge"]
        said = {
            "actor_type": "customer",
            "identifier": identifier,
            "otp": outbox.last.otp,
            "expires_at": EXPIRY,
            "challenge": challenge,
            "context": CONTEXT,
            "link": None,
            **more,
        }
        assert recorder.heard == [(signal, said)]

    @pytest.mark.parametrize(
        ("identifier", "signal"), [(ADA, "otp_generated"), (BOB, "pre_register_otp_generated")]
    )
    def test_the_one_door_sends_the_code_that_fits(
        self, api: Api, recorder: SignalRecorder, identifier: str, signal: str
    ) -> None:
        api.start(identifier)
        assert recorder.names == [signal]

    def test_a_flow_without_a_request_has_no_context(
        self, make_app: MakeApp, customers: Customers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        app = make_app(otp_auth)
        recorder = SignalRecorder(app)
        with app.app_context():
            otp_auth.generate("customer", ADA)
            otp_auth.generate("customer", BOB)
        assert [said["context"] for _, said in recorder.heard] == [None, None]

    def test_a_sign_in(self, api: Api, outbox: Outbox, recorder: SignalRecorder) -> None:
        api.generate(ADA)
        recorder.heard.clear()
        api.verify(outbox.last.otp, ADA)
        assert recorder.heard == [
            ("otp_verified", LOGIN),
            (
                "actor_authenticated",
                {
                    "actor_type": "customer",
                    "actor_id": "1",
                    "identifier": ADA,
                    "method": "otp",
                    "new_device": True,
                    "context": CONTEXT,
                },
            ),
        ]

    def test_a_registration(self, api: Api, outbox: Outbox, recorder: SignalRecorder) -> None:
        api.pre_register(BOB)
        recorder.heard.clear()
        api.register(outbox.last.otp, BOB)
        assert recorder.heard == [("otp_verified", REGISTRATION)]

    def test_a_grace(
        self, api: Api, outbox: Outbox, recorder: SignalRecorder, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        api.register(outbox.last.otp, BOB)
        customers.add(BOB)
        recorder.heard.clear()
        api.authenticate(outbox.last.otp, BOB)
        assert recorder.names == ["otp_verified", "actor_authenticated"]
        (said,) = recorder.of("actor_authenticated")
        assert (said["actor_id"], said["identifier"], said["method"]) == ("2", BOB, "grace")

    def test_a_refresh_and_a_revocation(
        self, api: Api, outbox: Outbox, recorder: SignalRecorder
    ) -> None:
        api.generate(ADA)
        token = api.verify(outbox.last.otp, ADA).get_json()["token"]
        recorder.heard.clear()
        api.refresh(token)
        api.revoke(token)
        api.refresh(token)
        (said,) = recorder.of("actor_authenticated")
        assert (said["actor_id"], said["identifier"], said["method"]) == ("1", None, "refresh")
        assert recorder.heard[1:] == [
            ("token_revoked", {"actor_type": "customer", "actor_id": "1"})
        ]

    @pytest.mark.parametrize(
        "route", ["generate", "pre_register", "start", "verify", "register", "authenticate"]
    )
    def test_an_address_over_its_limit(self, make_app: MakeApp, route: str) -> None:
        app = make_app(OTP_AUTH_IP_GENERATE_LIMITS="1/hour", OTP_AUTH_IP_VERIFY_LIMITS="1/hour")
        api = Api(app.test_client(), address="2001:db8::7")
        arguments = () if route in ("generate", "pre_register", "start") else ("123456",)
        getattr(api, route)(*arguments)
        recorder = SignalRecorder(app)
        assert getattr(api, route)(*arguments).status_code == 429
        assert recorder.heard == [
            ("rate_limited", {"endpoint": f"otp_auth.{route}", "address": "2001:db8::7"})
        ]


class TestCodes:
    def test_only_signals_that_deliver_one_carry_it(
        self,
        clock: Traveller,
        api: Api,
        outbox: Outbox,
        recorder: SignalRecorder,
        customers: Customers,
    ) -> None:
        api.generate(ADA)
        login = outbox.last.otp
        api.verify(wrong(login), ADA)
        token = api.verify(login, ADA).get_json()["token"]
        api.verify(login, ADA)
        api.pre_register(BOB)
        registration = outbox.last.otp
        api.pre_register(BOB)
        api.register(registration, BOB)
        customers.add(BOB)
        api.authenticate(registration, BOB)
        api.revoke(token)
        codes = {login, registration}
        carrying = {name for name, said in recorder.heard if codes & set(map(str, said.values()))}
        assert carrying == {"otp_generated", "pre_register_otp_generated"}
        assert set(recorder.names) == set(ALWAYS_SENT)


class TestSenders:
    """The sender is the app object."""

    def test_is_the_app_itself_not_a_proxy(self, app: Flask, api: Api) -> None:
        senders: list[object] = []

        def receive(sender: Flask, **_: Any) -> None:
            senders.append(sender)

        with signals.otp_generated.connected_to(receive):
            api.generate(ADA)
        assert len(senders) == 1
        assert senders[0] is app


class TestHandlers:
    """What handlers may rely on, and what they may break."""

    def test_are_called_when_the_code_is_already_good(
        self, make_app: MakeApp, customers: Customers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        app = make_app(otp_auth)
        tokens: list[str] = []

        def use(sender: Flask, identifier: str, otp: str, **_: Any) -> None:
            tokens.append(otp_auth.verify("customer", identifier, otp))

        with signals.otp_generated.connected_to(use, app):
            Api(app.test_client()).generate(ADA)
        assert len(tokens) == 1

    def test_that_failed_for_good_leave_room_for_another_code(
        self, app: Flask, api: Api, outbox: Outbox
    ) -> None:
        def fail(sender: Flask, **_: Any) -> None:
            raise ConnectionRefusedError

        with signals.otp_generated.connected_to(fail, app):
            api.generate(ADA)
        api.generate(ADA)
        assert len(outbox) == 2

    @pytest.mark.parametrize("name", ALWAYS_SENT)
    def test_of_any_signal_may_raise(
        self, app: Flask, api: Api, outbox: Outbox, caplog: pytest.LogCaptureFixture, name: str
    ) -> None:
        """That changes no answer; of a message that fails, ``test_delivery`` says who is told."""

        def fail(sender: Flask, **_: Any) -> None:
            raise RuntimeError("the mail server is down")

        with getattr(signals, name).connected_to(fail, app):
            asked = [api.generate(ADA), api.pre_register(ADA), api.pre_register(BOB)]
            assert [answer.status_code for answer in asked] == [200, 200, 200]
            assert asked[0].get_json().keys() == asked[1].get_json().keys()
            otp = outbox.codes_to(ADA)[0]
            assert api.verify(wrong(otp), ADA).status_code == 400
            token = api.verify(otp, ADA).get_json()["token"]
            assert api.revoke(token).status_code == 200
        assert f"raised RuntimeError on signal {name.replace('_', '-')}" in caplog.text


class TestRoom:
    """Room for the delivery is taken before anything that tells who has an account."""

    @pytest.mark.parametrize("identifier", [ADA, BOB])
    def test_where_there_is_none_the_answer_is_503(
        self, make_app: MakeApp, customers: Customers, identifier: str
    ) -> None:
        app = make_app(TESTING=False, OTP_AUTH_STORAGE_URI="memory://")
        delivery = app.extensions["otp_auth"].delivery
        for _ in range(1000):
            delivery.reserve()
        answer = Api(app.test_client()).generate(identifier)
        for _ in range(1000):
            delivery.release()
        assert answer.status_code == 503
        assert customers.calls == []
        assert delivery.pending == 0
