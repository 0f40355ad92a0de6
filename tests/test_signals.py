"""The signals: when each is sent, and with exactly which arguments."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from blinker import NamedSignal
from conftest import ADA, BOB, START, Api, Customers, Ear, wrong
from flask import Flask, current_app

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.testing import Outbox

NAMES = {
    "otp_generated",
    "pre_register_otp_generated",
    "otp_suppressed",
    "otp_verified",
    "otp_rejected",
    "actor_authenticated",
    "rate_limited",
    "delivery_failed",
    "token_revoked",
    "breaker_opened",
}
EXPIRY = datetime.fromtimestamp(START.timestamp() + 300, UTC)


def test_there_are_ten() -> None:
    found = {name for name, value in vars(signals).items() if isinstance(value, NamedSignal)}
    assert found == NAMES


class TestArguments:
    """Each step of a sign-up and of a sign-in, as handlers see it."""

    def test_a_login_code(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        api.generate(ADA)
        assert ear.heard == [
            (
                "otp_generated",
                {
                    "actor_type": "customer",
                    "identifier": ADA,
                    "otp": outbox.last.otp,
                    "actor_id": "1",
                    "expires_at": EXPIRY,
                },
            )
        ]

    def test_a_registration_code(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        api.pre_register(BOB)
        assert ear.heard == [
            (
                "pre_register_otp_generated",
                {
                    "actor_type": "customer",
                    "identifier": BOB,
                    "otp": outbox.last.otp,
                    "expires_at": EXPIRY,
                },
            )
        ]

    def test_a_sign_in(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        api.generate(ADA)
        ear.heard.clear()
        api.verify(outbox.last.otp, ADA)
        assert ear.heard == [
            ("otp_verified", {"actor_type": "customer", "identifier": ADA, "purpose": "login"}),
            ("actor_authenticated", {"actor_type": "customer", "actor_id": "1", "method": "otp"}),
        ]

    def test_a_registration(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        api.pre_register(BOB)
        ear.heard.clear()
        api.register(outbox.last.otp, BOB)
        assert ear.heard == [
            (
                "otp_verified",
                {"actor_type": "customer", "identifier": BOB, "purpose": "registration"},
            )
        ]

    def test_a_grace(self, api: Api, outbox: Outbox, ear: Ear, customers: Customers) -> None:
        api.pre_register(BOB)
        api.register(outbox.last.otp, BOB)
        ear.heard.clear()
        api.authenticate(outbox.last.otp, BOB)
        assert ear.heard == []  # the actor isn't there yet
        customers.add(BOB)
        api.authenticate(outbox.last.otp, BOB)
        assert ear.heard == [
            ("otp_verified", {"actor_type": "customer", "identifier": BOB, "purpose": "login"}),
            (
                "actor_authenticated",
                {"actor_type": "customer", "actor_id": "2", "method": "grace"},
            ),
        ]

    def test_a_refresh_and_a_revocation(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        api.generate(ADA)
        token = api.verify(outbox.last.otp, ADA).get_json()["token"]
        ear.heard.clear()
        api.refresh(token)
        api.revoke(token)
        api.refresh(token)
        assert ear.heard == [
            (
                "actor_authenticated",
                {"actor_type": "customer", "actor_id": "1", "method": "refresh"},
            ),
            ("token_revoked", {"actor_type": "customer", "actor_id": "1"}),
        ]

    @pytest.mark.parametrize(
        ("route", "endpoint"),
        [
            ("generate", "otp_auth.generate"),
            ("pre_register", "otp_auth.pre_register"),
            ("verify", "otp_auth.verify"),
            ("register", "otp_auth.register"),
            ("authenticate", "otp_auth.authenticate"),
        ],
    )
    def test_an_address_over_its_limit(
        self, make_app: Callable[..., Flask], route: str, endpoint: str
    ) -> None:
        app = make_app(OTP_AUTH_IP_GENERATE_LIMITS="1/hour", OTP_AUTH_IP_VERIFY_LIMITS="1/hour")
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = "2001:db8::7"
        for _ in range(2):
            ear = Ear(app)
            if route in ("generate", "pre_register"):
                answer = getattr(Api(client), route)("nobody@example.com")
            else:
                answer = getattr(Api(client), route)("123456")
        assert answer.status_code == 429
        assert ear.heard == [("rate_limited", {"endpoint": endpoint, "address": "2001:db8::7"})]

    def test_failures_all_over(self, make_app: Callable[..., Flask]) -> None:
        app = make_app(OTP_AUTH_GLOBAL_FAILURE_LIMIT="1/hour")
        api = Api(app.test_client())
        ear = Ear(app)
        with Outbox(app) as outbox:
            api.generate(ADA)
        for _ in range(3):
            api.verify(wrong(outbox.last.otp), ADA)
        assert ear.of("breaker_opened") == [{"limit": "1 per 1 hour"}]


class TestReasonsOfSuppression:
    """Why no code was sent."""

    @pytest.fixture
    def app(self, make_app: Callable[..., Flask]) -> Flask:
        return make_app(OTP_AUTH_SEND_LIMITS="1/hour")

    def suppressed(self, identifier: str, purpose: str, reason: str) -> dict[str, str]:
        return {
            "actor_type": "customer",
            "identifier": identifier,
            "purpose": purpose,
            "reason": reason,
        }

    def test_of_a_login_code(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        api.generate(BOB)
        api.generate(ADA)
        api.generate(ADA)
        clock.shift(60)
        api.generate(ADA)
        assert ear.of("otp_suppressed") == [
            self.suppressed(BOB, "login", "unknown_actor"),
            self.suppressed(ADA, "login", "cooldown"),
            self.suppressed(ADA, "login", "send_limit"),
        ]

    def test_of_a_registration_code(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        api.pre_register(ADA)
        api.pre_register(BOB)
        api.pre_register(BOB)
        clock.shift(60)
        api.pre_register(BOB)
        assert ear.of("otp_suppressed") == [
            self.suppressed(ADA, "registration", "already_registered"),
            self.suppressed(BOB, "registration", "cooldown"),
            self.suppressed(BOB, "registration", "send_limit"),
        ]


class TestReasonsOfRejection:
    """Why a code was refused; callers are never told."""

    @pytest.fixture
    def app(self, make_app: Callable[..., Flask]) -> Flask:
        return make_app(OTP_AUTH_VERIFY_LIMITS="3/day", OTP_AUTH_MAX_ATTEMPTS=2)

    def rejected(self, purpose: str, *reasons: str, identifier: str) -> list[dict[str, str]]:
        return [
            {
                "actor_type": "customer",
                "identifier": identifier,
                "purpose": purpose,
                "reason": reason,
            }
            for reason in reasons
        ]

    @pytest.mark.parametrize("purpose", ["login", "registration"])
    def test_are_five(
        self,
        clock: time_machine.Traveller,
        api: Api,
        outbox: Outbox,
        ear: Ear,
        purpose: str,
    ) -> None:
        ask, redeem, who = {
            "login": (api.generate, api.verify, ADA),
            "registration": (api.pre_register, api.register, BOB),
        }[purpose]
        redeem("123456", who)
        ask(who)
        for _ in range(3):
            redeem(wrong(outbox.last.otp), who)
        clock.shift(60)
        ask(who)
        for _ in range(2):
            redeem(wrong(outbox.last.otp), who)
        clock.shift(300)
        redeem(outbox.last.otp, who)
        assert ear.of("otp_rejected") == self.rejected(
            purpose,
            "unknown",
            "wrong",
            "wrong",
            "exhausted",
            "wrong",
            "budget",
            "expired",
            identifier=who,
        )

    def test_of_authenticate_are_those_of_a_login_code(
        self, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        api.authenticate("123456", ADA)
        api.generate(ADA)
        for _ in range(3):
            api.authenticate(wrong(outbox.last.otp), ADA)
        assert ear.of("otp_rejected") == self.rejected(
            "login", "unknown", "wrong", "wrong", "exhausted", identifier=ADA
        )


def test_only_the_first_two_carry_a_code(
    clock: time_machine.Traveller,
    api: Api,
    outbox: Outbox,
    ear: Ear,
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
    carrying = {
        name
        for name, arguments in ear.heard
        if {login, registration} & set(map(str, arguments.values()))
    }
    assert carrying == {"otp_generated", "pre_register_otp_generated"}
    assert {name for name, _ in ear.heard} == NAMES - {
        "rate_limited",
        "delivery_failed",
        "breaker_opened",
    }


class TestSenders:
    """The sender is the app object."""

    def test_is_the_app_itself_not_a_proxy(self, app: Flask, api: Api) -> None:
        senders: list[object] = []

        def receive(sender: Flask, **arguments: Any) -> None:
            senders.append(sender)

        with signals.otp_generated.connected_to(receive):
            api.generate(ADA)
        assert len(senders) == 1
        assert senders[0] is app

    def test_is_the_app_that_was_asked(
        self, make_app: Callable[..., Flask], customers: Customers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        one, other = make_app(otp_auth), make_app(otp_auth)
        with Outbox(one) as inbox, Outbox(other) as empty:
            Api(one.test_client()).generate(ADA)
        assert (len(inbox), len(empty)) == (1, 0)


class TestHandlers:
    """What handlers may rely on, and what they may break."""

    def test_are_called_when_the_code_is_already_good(
        self, make_app: Callable[..., Flask], customers: Customers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        app = make_app(otp_auth)
        tokens: list[str] = []

        def use(sender: Flask, identifier: str, otp: str, **arguments: Any) -> None:
            tokens.append(otp_auth.verify("customer", identifier, otp))

        with signals.otp_generated.connected_to(use, app):
            Api(app.test_client()).generate(ADA)
        assert len(tokens) == 1

    def test_of_the_codes_have_an_app_context(self, app: Flask, api: Api) -> None:
        names: list[str] = []

        def note(sender: Flask, **arguments: Any) -> None:
            names.append(current_app.name)

        with signals.otp_generated.connected_to(note, app):
            api.generate(ADA)
        assert names == ["shop"]

    @pytest.mark.parametrize("route", ["generate", "pre_register"])
    def test_that_raise_change_no_answer_and_stop_no_other(
        self, app: Flask, api: Api, outbox: Outbox, ear: Ear, route: str
    ) -> None:
        error = RuntimeError("the mail server is down")

        def fail(sender: Flask, **arguments: Any) -> None:
            raise error

        who = {"generate": ADA, "pre_register": BOB}[route]
        signal = {
            "generate": signals.otp_generated,
            "pre_register": signals.pre_register_otp_generated,
        }[route]
        with signal.connected_to(fail, app):
            answer = getattr(api, route)(who)
        assert answer.status_code == 200
        assert len(outbox) == 1
        assert ear.of("delivery_failed") == [
            {
                "actor_type": "customer",
                "identifier": who,
                "purpose": {"generate": "login", "pre_register": "registration"}[route],
                "error": error,
            }
        ]

    def test_of_a_suppressed_code_that_raise_are_told_of_as_well(
        self, app: Flask, api: Api, ear: Ear
    ) -> None:
        def fail(sender: Flask, **arguments: Any) -> None:
            raise RuntimeError

        with signals.otp_suppressed.connected_to(fail, app):
            assert api.pre_register(ADA).status_code == 200
        (failure,) = ear.of("delivery_failed")
        assert isinstance(failure.pop("error"), RuntimeError)
        assert failure == {
            "actor_type": "customer",
            "identifier": ADA,
            "purpose": "registration",
        }

    @pytest.mark.parametrize(
        "name", ["otp_verified", "actor_authenticated", "otp_rejected", "token_revoked"]
    )
    def test_of_any_signal_may_raise(
        self,
        app: Flask,
        api: Api,
        outbox: Outbox,
        caplog: pytest.LogCaptureFixture,
        name: str,
    ) -> None:
        def fail(sender: Flask, **arguments: Any) -> None:
            raise RuntimeError

        with getattr(signals, name).connected_to(fail, app):
            api.generate(ADA)
            assert api.verify(wrong(outbox.last.otp), ADA).status_code == 400
            token = api.verify(outbox.last.otp, ADA).get_json()["token"]
            assert api.revoke(token).status_code == 200
        assert "raised RuntimeError on signal" in caplog.text

    def test_of_the_limit_of_an_address_may_raise(self, make_app: Callable[..., Flask]) -> None:
        def fail(sender: Flask, **arguments: Any) -> None:
            raise RuntimeError

        app = make_app(OTP_AUTH_IP_GENERATE_LIMITS="1/hour")
        api = Api(app.test_client())
        with signals.rate_limited.connected_to(fail, app):
            assert [api.generate(ADA).status_code for _ in range(2)] == [200, 429]

    @pytest.mark.parametrize(
        ("route", "signal"),
        [("generate", "otp_generated"), ("pre_register", "pre_register_otp_generated")],
    )
    def test_that_nobody_connected_are_missed_in_the_log(
        self, api: Api, caplog: pytest.LogCaptureFixture, route: str, signal: str
    ) -> None:
        who = {"generate": ADA, "pre_register": BOB}[route]
        assert getattr(api, route)(who).status_code == 200
        errors = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert len(errors) == 1
        assert f"flask_otp_auth.signals.{signal}.connect(" in errors[0].getMessage()
