"""The job: who is looked up, who gets a code, and that a code exists if and only if it was sent."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from blinker import NamedSignal
from fakes import ADA, BOB, Api, Customers, MakeApp
from routes import DOOR_IN, LOGIN, REGISTRATION, Route, Shop, all_routes, configured
from time_machine import Traveller

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.testing import Outbox

#: Somebody whose account is switched off.
CY = "cy@example.com"


@pytest.fixture
def cy(shop: Shop) -> None:
    shop.customers.add(CY).is_active = False


class TestWhoGetsWhat:
    @pytest.mark.parametrize(
        ("ask_by", "identifier", "signal"),
        [
            ("generate", ADA, "otp_generated"),
            ("pre_register", BOB, "pre_register_otp_generated"),
            ("start", ADA, "otp_generated"),
            ("start", BOB, "pre_register_otp_generated"),
        ],
    )
    def test_a_code_goes_by_the_signal_that_fits(
        self, shop: Shop, ask_by: str, identifier: str, signal: str
    ) -> None:
        challenge = getattr(shop.api, ask_by)(identifier).get_json()["challenge"]
        ((name, arguments),) = shop.recorder.heard
        assert name == signal
        assert re.fullmatch("[0-9]{6}", arguments.pop("otp"))
        assert arguments.pop("context").address == "127.0.0.1"
        if identifier == ADA:
            assert arguments.pop("actor_id") == "1"
        assert arguments == {
            "actor_type": "customer",
            "identifier": identifier,
            "challenge": challenge,
            "link": None,
            "expires_at": datetime.fromtimestamp(time.time() + 300, UTC),
        }

    @pytest.mark.usefixtures("cy")
    @pytest.mark.parametrize(
        ("ask_by", "identifier", "reason"),
        [
            ("generate", BOB, "unknown_actor"),
            ("generate", CY, "unknown_actor"),
            ("pre_register", ADA, "already_registered"),
            ("pre_register", CY, "already_registered"),
            ("start", CY, "unknown_actor"),
        ],
    )
    def test_who_gets_none_is_told_to_the_app_alone(
        self, shop: Shop, ask_by: str, identifier: str, reason: str
    ) -> None:
        assert getattr(shop.api, ask_by)(identifier).status_code == 200
        ((name, arguments),) = shop.recorder.heard
        assert (name, arguments["reason"]) == ("otp_suppressed", reason)
        assert arguments.keys() == {"actor_type", "identifier", "purpose", "reason", "context"}
        assert "put" not in shop.store.verbs

    @pytest.mark.parametrize("invited", [True, False])
    @pytest.mark.parametrize("ask_by", ["pre_register", "start"])
    def test_the_app_may_say_who_joins(self, shop: Shop, ask_by: str, invited: bool) -> None:
        asked = []
        shop.otp_auth.add_actor_type(
            "staff", shop.customers, sign_up=lambda who: bool(asked.append(who)) or invited
        )
        shop.api.actor_type = "staff"
        getattr(shop.api, ask_by)(BOB)
        getattr(shop.api, ask_by)(ADA)
        assert asked == [BOB]
        assert (BOB in [message.identifier for message in shop.outbox.messages]) is invited
        assert ("not_invited" in [each.reason for each in shop.outbox.suppressed]) is not invited

    @pytest.mark.parametrize(
        ("number", "given", "reason"),
        [
            ("+2348021234567", {"phone_countries": ("DE",)}, "country_not_allowed"),
            ("+493012345678", {}, "line_not_allowed"),
            ("+4915123456789", {}, None),
        ],
    )
    def test_some_phones_get_none_member_or_not(
        self, shop: Shop, number: str, given: dict[str, Any], reason: str | None
    ) -> None:
        shop.otp_auth.add_actor_type("driver", shop.customers, identifier="phone", **given)
        shop.api.actor_type = "driver"
        shop.api.pre_register(number)
        shop.customers.add(number)
        shop.api.generate(number)
        assert [each.reason for each in shop.outbox.suppressed] == ([reason] * 2 if reason else [])
        assert len(shop.outbox) == (0 if reason else 2)

    @all_routes
    def test_one_look_up_tells(self, shop: Shop, route: Route) -> None:
        route.ask(shop)
        assert shop.customers.calls == [("find_by_identifier", route.wanted)]


class TestKindsOfCodes:
    @configured(digits=8, ttl=240)
    def test_a_short_one_is_as_the_app_wants_it(self, shop: Shop) -> None:
        LOGIN.ask(shop)
        assert re.fullmatch("[0-9]{8}", shop.otp)
        assert shop.outbox.last.expires_at.timestamp() == time.time() + 240

    @all_routes
    @configured(send_limits="1/hour", resend_interval=0)
    def test_past_the_send_limits_they_are_long_and_a_signal_says_so_once(
        self, shop: Shop, route: Route
    ) -> None:
        for _ in range(2):
            route.ask(shop)
        for _ in range(2):
            shop.clock.shift(420)
            route.ask(shop)
        assert [len(message.otp) for message in shop.outbox.messages] == [6, 20, 20, 20]
        assert shop.outbox.last.expires_at.timestamp() == time.time() + 600
        assert shop.recorder.of("identifier_attacked") == [
            {
                "actor_type": "customer",
                "identifier": route.wanted,
                "purpose": route.purpose,
                "limit": "sends",
            }
        ]


class TestACodeExistsIfAndOnlyIfItWasSent:
    def test_a_delivery_that_fails_lets_another_one_be_asked_for(self, shop: Shop) -> None:
        def fail(sender: object, **_: object) -> None:
            raise ConnectionError

        with signals.otp_generated.connected_to(fail, shop.app):
            for _ in range(2):
                LOGIN.ask(shop)
        assert len(shop.recorder.of("delivery_failed")) == 2
        LOGIN.ask(shop)
        assert len(shop.recorder.of("otp_generated")) == 3

    @pytest.mark.parametrize(
        ("meanwhile", "sent"),
        [(0, [6, 6, 20]), (60, [6, 6, 6])],
        ids=["opens its windows", "opens none of a newer request"],
    )
    def test_one_that_no_executor_takes_as_an_attack_begins(
        self, make_app: MakeApp, customers: Customers, clock: Traveller, meanwhile: int,
        sent: list[int],
    ) -> None:  # fmt: skip
        """Only the job would have marked the lane, so both of its windows are shut."""
        fails = [False, False, True, False, False]

        def submit(function: Callable[..., None], *arguments: Any) -> None:
            if not fails.pop(0):
                function(*arguments)
                return
            if meanwhile:  # until it says that it takes no job
                clock.shift(meanwhile)
                api.generate(ADA)
            raise ConnectionError

        otp_auth = OTPAuth(executor=SimpleNamespace(submit=submit))
        otp_auth.add_actor_type("customer", customers)
        limits = {"OTP_AUTH_SEND_LIMITS": "2/minute", "OTP_AUTH_RESEND_INTERVAL": 20}
        app = make_app(otp_auth, OTP_AUTH_DELIVERY="background", **limits)
        api = Api(app.test_client())
        with Outbox(app) as outbox:
            for pause in (20, 20, 0, 0):
                api.generate(ADA)
                clock.shift(pause)
            assert [len(each.otp) for each in outbox] == sent

    def test_deliveries_that_fail_open_no_more_windows_than_there_may_be_sends(
        self, shop: Shop
    ) -> None:
        """The mail server may have accepted each message, and a stranger may go on asking."""

        def fail(sender: object, **_: object) -> None:
            raise TimeoutError

        with signals.otp_generated.connected_to(fail, shop.app):
            for _ in range(20):
                LOGIN.ask(shop)
            sent = [len(each["otp"]) for each in shop.recorder.of("otp_generated")]
            assert sent == [6] * 5 + [20] * 6
            shop.clock.shift(420)
            LOGIN.ask(shop)
        assert len(shop.recorder.of("otp_generated")) == 12

    @pytest.mark.parametrize(
        ("ask_by", "signal", "count"),
        [("generate", signals.otp_generated, 11), ("pre_register", signals.otp_suppressed, 20)],
    )
    def test_nor_do_app_contexts_that_fail_when_the_message_is_out(
        self, shop: Shop, ask_by: str, signal: NamedSignal, count: int
    ) -> None:
        """A notice is a message, too, and opens none."""
        is_out: list[bool] = []

        def send(sender: object, **_: object) -> None:
            is_out.append(True)

        @shop.app.teardown_appcontext
        def fail(error: BaseException | None) -> None:
            if is_out:
                is_out.clear()
                raise OSError

        with signal.connected_to(send, shop.app):
            for _ in range(20):
                getattr(shop.api, ask_by)(ADA)
        assert len(shop.recorder.of(signal.name.replace("-", "_"))) == count
        reasons = [each.reason for each in shop.outbox.suppressed]
        assert set(reasons[1:]) == {"cooldown"}

    def test_one_that_fails_late_leaves_a_newer_requests_window_shut(self, shop: Shop) -> None:
        def hang_and_fail(sender: object, **_: object) -> None:
            shop.clock.shift(61)
            signals.otp_generated.disconnect(hang_and_fail, shop.app)
            LOGIN.ask(shop)
            raise ConnectionError

        signals.otp_generated.connect(hang_and_fail, shop.app)
        LOGIN.ask(shop)
        assert len(shop.recorder.of("delivery_failed")) == 1
        LOGIN.ask(shop)
        assert shop.outbox.suppressed[-1].reason == "cooldown"


class TestTheFlood:
    """Limits that hold for receivers who have no account, and for nobody else."""

    def newcomers(self, shop: Shop, count: int, start: int = 0) -> None:
        for number in range(start, start + count):
            REGISTRATION.ask(shop, f"{number}@example.org")

    @configured(global_send_limit="3/hour")
    def test_no_more_codes_go_to_newcomers_than_the_global_limit(self, shop: Shop) -> None:
        self.newcomers(shop, 5)
        assert len(shop.outbox) == 3
        assert [each.reason for each in shop.outbox.suppressed] == ["global_limit"] * 2
        assert shop.recorder.of("breaker_opened") == [{"limit": "global_send_limit"}]
        shop.clock.shift(3601)
        self.newcomers(shop, 1, start=9)
        assert len(shop.outbox) == 4

    @configured(global_send_limit="3/hour")
    def test_members_do_not_wait_for_it(self, shop: Shop) -> None:
        self.newcomers(shop, 4)
        for route in (LOGIN, DOOR_IN):
            route.ask(shop)
        assert [message.identifier for message in shop.outbox.messages[3:]] == [ADA, ADA]
        assert len(shop.outbox.messages[3].otp) == 6

    @configured(global_send_limit="2/hour")
    def test_so_nobody_can_tell_from_it_who_is_one(self, shop: Shop) -> None:
        """Notices to members count, and codes of the door; sign-ins don't."""
        LOGIN.ask(shop)
        DOOR_IN.ask(shop)
        REGISTRATION.ask(shop, ADA)
        REGISTRATION.ask(shop, BOB)
        assert [each.reason for each in shop.outbox.suppressed] == [
            "already_registered",
            "global_limit",
        ]

    @configured(global_send_limit="2/hour")
    def test_notices_to_strangers_have_a_counter_of_their_own(self, shop: Shop) -> None:
        """In that of codes one could count whether a stranger's request was for a member."""
        for number in range(3):
            LOGIN.ask(shop, f"{number}@example.net")
        self.newcomers(shop, 2)
        assert [each.reason for each in shop.outbox.suppressed] == [
            "unknown_actor",
            "unknown_actor",
            "global_limit",
        ]
        assert len(shop.outbox) == 2

    def test_one_mailbox_gets_forty_messages_a_day_however_it_is_spelt(self, shop: Shop) -> None:
        for number in range(41):
            REGISTRATION.ask(shop, f"eve+{number}@example.org")
        REGISTRATION.ask(shop, "eve@example.org")
        REGISTRATION.ask(shop, "adam@example.org")
        assert len(shop.outbox) == 41
        assert [each.reason for each in shop.outbox.suppressed] == ["destination_limit"] * 2
        shop.clock.shift(86_401)
        REGISTRATION.ask(shop, "eve+again@example.org")
        assert len(shop.outbox) == 42

    @configured(resend_interval=0, send_limits="99/hour", verify_limits="9/day")
    def test_that_of_a_member_gets_as_many_as_are_due(self, shop: Shop) -> None:
        for _ in range(45):
            LOGIN.ask(shop)
        assert len(shop.outbox) == 45
