"""The outbox, which an app's own tests read codes from."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cachelib import SimpleCache
from fakes import ADA, BOB, SECRET, START, Api, Customers, MakeApp
from flask import Flask, current_app
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from time_machine import Traveller

from flask_otp_auth import ConfigError, OTPAuth, SQLiteCache, signals
from flask_otp_auth.testing import Outbox, reset

EXPIRY = datetime.fromtimestamp(START.timestamp() + 300, UTC)


class TestMessages:
    def test_a_login_code(self, clock: Traveller, app: Flask, api: Api) -> None:
        with Outbox(app) as outbox:
            challenge = api.generate(ADA).get_json()["challenge"]
        (message,) = outbox.messages
        assert (message.purpose, message.actor_type, message.identifier) == (
            "login",
            "customer",
            ADA,
        )
        assert (message.actor_id, message.expires_at) == ("1", EXPIRY)
        assert message.challenge == challenge
        assert message.context is not None
        assert message.context.address == "127.0.0.1"
        assert (message.link, message.subject, message.binds) == (None, None, None)

    def test_a_registration_code(self, clock: Traveller, app: Flask, api: Api) -> None:
        with Outbox(app) as outbox:
            api.pre_register(BOB)
        (message,) = outbox.messages
        assert (message.purpose, message.identifier) == ("registration", BOB)
        assert (message.actor_id, message.expires_at) == (None, EXPIRY)

    def test_a_code_of_a_purpose_of_the_apps_own(self, app: Flask) -> None:
        with Outbox(app) as outbox:
            signals.confirmation_otp_generated.send(
                app, purpose="transfer", identifier=ADA, otp="123456", subject="1",
                binds={"amount": 7}, expires_at=EXPIRY, challenge="c", context=None,
            )  # fmt: skip
        message = outbox.last
        assert (message.purpose, message.actor_type, message.subject, message.binds) == (
            "transfer",
            None,
            "1",
            {"amount": 7},
        )

    def test_a_code_that_was_not_sent(self, app: Flask, api: Api) -> None:
        with Outbox(app) as outbox:
            api.generate(BOB)
            api.pre_register(ADA)
        assert len(outbox) == 0
        assert [(s.purpose, s.actor_type, s.identifier, s.reason) for s in outbox.suppressed] == [
            ("login", "customer", BOB, "unknown_actor"),
            ("registration", "customer", ADA, "already_registered"),
        ]

    def test_a_repr_holds_no_code(self, clock: Traveller, app: Flask, api: Api) -> None:
        with Outbox(app) as outbox:
            challenge = api.generate(ADA).get_json()["challenge"]
        assert outbox.last.otp not in repr(outbox.last)
        assert challenge not in repr(outbox.last)


class TestContents:
    def test_are_in_order(self, app: Flask, api: Api) -> None:
        with Outbox(app) as outbox:
            api.pre_register(BOB)
            api.generate(ADA)
        assert [message.purpose for message in outbox] == ["registration", "login"]
        assert len(outbox) == 2
        assert outbox.last is outbox.messages[-1]

    def test_are_found_by_the_address_that_they_went_to(self, app: Flask, api: Api) -> None:
        with Outbox(app) as outbox:
            api.pre_register(BOB)
            api.generate(ADA)
        assert outbox.codes_to(ADA) == [outbox.last.otp]
        assert outbox.codes_to("nobody@example.com") == []

    def test_can_be_cleared(self, app: Flask, api: Api) -> None:
        with Outbox(app) as outbox:
            api.pre_register(BOB)
            api.generate(BOB)
            outbox.clear()
            assert (outbox.messages, outbox.suppressed) == ([], [])
            api.generate(ADA)
        assert len(outbox) == 1

    def test_of_an_empty_one_have_no_last_message_but_reasons(self, app: Flask, api: Api) -> None:
        with Outbox(app) as outbox:
            with pytest.raises(IndexError, match=r"no code was sent .* suppressed: none"):
                outbox.last  # noqa: B018 - the access is what is tested
            api.generate(BOB)
            with pytest.raises(IndexError, match="suppressed: unknown_actor"):
                outbox.last  # noqa: B018

    def test_are_of_its_block_only(self, app: Flask, api: Api) -> None:
        outbox = Outbox(app)
        api.generate(ADA)
        with outbox:
            pass
        api.pre_register(BOB)
        assert len(outbox) == 0

    def test_are_those_of_the_app_that_a_proxy_stands_for(self, app: Flask, api: Api) -> None:
        with app.app_context(), Outbox(current_app) as outbox:
            api.generate(ADA)
        assert len(outbox) == 1

    def test_are_of_its_own_app_only(self, make_app: MakeApp) -> None:
        app, other = make_app(), make_app()
        with Outbox(app) as outbox:
            Api(other.test_client()).generate(ADA)
        assert len(outbox) == 0


class TestTheAppsOwnHandlers:
    """A test that reads codes sends no mail."""

    @pytest.fixture
    def sent(self, app: Flask) -> list[str]:
        """The codes that the app's own handler has mailed."""
        sent: list[str] = []

        def mail(sender: Flask, otp: str, **_: Any) -> None:
            sent.append(otp)

        signals.otp_generated.connect(mail, app, weak=False)
        signals.pre_register_otp_generated.connect(mail, app, weak=False)
        return sent

    def test_are_held_back_while_it_runs(self, app: Flask, api: Api, sent: list[str]) -> None:
        with Outbox(app) as outbox:
            api.generate(ADA)
        assert (len(outbox), sent) == (1, [])
        api.pre_register(BOB)
        assert len(sent) == 1

    def test_are_called_beside_it_if_a_test_says_so(
        self, app: Flask, api: Api, sent: list[str]
    ) -> None:
        with Outbox(app, alone=False) as outbox:
            api.generate(ADA)
        assert outbox.codes_to(ADA) == sent

    def test_are_called_if_they_are_connected_within_it(self, app: Flask, api: Api) -> None:
        heard = []
        with Outbox(app) as outbox:

            @signals.otp_generated.connect_via(app)
            def mail(sender: Flask, otp: str, **_: Any) -> None:
                heard.append(otp)

            api.generate(ADA)
        assert heard == outbox.codes_to(ADA)

    def test_are_called_again_after_an_error(self, app: Flask, api: Api, sent: list[str]) -> None:
        with pytest.raises(ZeroDivisionError), Outbox(app):
            1 / 0  # noqa: B018 - it raises
        api.generate(ADA)
        assert len(sent) == 1

    def test_of_another_app_are_called(
        self, app: Flask, make_app: MakeApp, sent: list[str]
    ) -> None:
        with Outbox(make_app()):
            Api(app.test_client()).generate(ADA)
        assert len(sent) == 1

    def test_are_held_back_until_the_last_of_two_has_ended(
        self, app: Flask, api: Api, sent: list[str]
    ) -> None:
        with Outbox(app) as outer:
            with Outbox(app) as inner:
                api.generate(ADA)
            api.pre_register(BOB)
        assert (len(outer), len(inner), sent) == (2, 1, [])


class TestReset:
    def test_makes_an_app_forget_what_was_asked_and_who_signed_in(self, make_app: MakeApp) -> None:
        app = make_app(OTP_AUTH_IP_GENERATE_LIMITS="1/hour")
        api = Api(app.test_client())
        with Outbox(app) as outbox:
            api.generate(ADA)
            token = api.verify(outbox.last.otp, ADA).get_json()["token"]
            assert api.generate(ADA).status_code == 429
            reset(app)
            assert api.refresh(token).status_code == 401
            assert api.generate(ADA).status_code == 200
            assert len(outbox) == 2
            new = outbox.last.otp
            reset(app)
            assert api.verify(new, ADA).status_code == 400

    def test_is_for_storages_in_memory(self, make_app: MakeApp, tmp_path: Any) -> None:
        with pytest.raises(ConfigError, match="memory"):
            reset(make_app(OTP_AUTH_STORAGE_URI=f"sqlite:///{tmp_path}/otp.sqlite3"))

    def test_is_for_caches_in_memory(
        self, make_app: MakeApp, customers: Customers, tmp_path: Any
    ) -> None:
        otp_auth = OTPAuth(cache=SQLiteCache(str(tmp_path / "otp.sqlite3")))
        otp_auth.add_actor_type("customer", customers)
        with pytest.raises(ConfigError, match="memory"):
            reset(make_app(otp_auth))

    def test_is_for_sign_ins_and_limits_in_memory(
        self, make_app: MakeApp, customers: Customers, tmp_path: Any
    ) -> None:
        file = f"sqlite:///{tmp_path}/sign_ins.sqlite3"
        with pytest.raises(ConfigError, match=r"kept in memory.*OTP_AUTH_SIGN_INS_URI"):
            reset(make_app(OTP_AUTH_SIGN_INS_URI=file))
        server = "redis://127.0.0.1:1/0"
        limiter = Limiter(get_remote_address, app=Flask("limits"), storage_uri=server)
        otp_auth = OTPAuth(limiter=limiter)
        otp_auth.add_actor_type("customer", customers)
        with pytest.raises(ConfigError, match=r"kept in memory.*limiter="):
            reset(make_app(otp_auth))

    def test_has_nothing_to_do_with_a_limiter_that_is_switched_off(
        self, make_app: MakeApp, limiter_off: Limiter, customers: Customers
    ) -> None:
        otp_auth = OTPAuth(limiter=limiter_off)
        otp_auth.add_actor_type("customer", customers)
        app = make_app(otp_auth)
        api = Api(app.test_client())
        with Outbox(app) as outbox:
            api.generate(ADA)
            reset(app)
            assert api.verify(outbox.last.otp, ADA).status_code == 400

    @pytest.mark.parametrize("parts", ["cache", "limiter", "sign-ins"])
    def test_reaches_each_part_that_is_kept_apart(
        self, make_app: MakeApp, customers: Customers, parts: str
    ) -> None:
        limiter = Limiter(get_remote_address, app=Flask("limits"), storage_uri="memory://")
        otp_auth = OTPAuth(
            cache=SimpleCache(threshold=50_000) if parts == "cache" else None,
            limiter=limiter if parts == "limiter" else None,
        )
        otp_auth.add_actor_type("customer", customers)
        config = {"OTP_AUTH_SIGN_INS_URI": "memory://"} if parts == "sign-ins" else {}
        app = make_app(otp_auth, OTP_AUTH_IP_GENERATE_LIMITS="1/hour", **config)
        api = Api(app.test_client())
        with Outbox(app) as outbox:
            api.generate(ADA)
            token = api.verify(outbox.last.otp, ADA).get_json()["token"]
            assert (api.generate(ADA).status_code, api.refresh(token).status_code) == (429, 200)
            reset(app)
            assert (api.generate(ADA).status_code, api.refresh(token).status_code) == (200, 401)

    def test_needs_an_app_that_has_an_otp_auth(self) -> None:
        with pytest.raises(ConfigError, match="init_app"):
            reset(Flask("bare"))


def test_an_outbox_may_be_made_before_its_app_is_initialised(customers: Customers) -> None:
    app = Flask("late")
    outbox = Outbox(app)
    assert len(outbox) == 0
    app.config.update(TESTING=True, SECRET_KEY=SECRET)
    otp_auth = OTPAuth(app)
    otp_auth.add_actor_type("customer", customers)
    with outbox:
        Api(app.test_client()).generate(ADA)
    assert len(outbox) == 1
