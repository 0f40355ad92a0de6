"""Asking for a code: when one is sent, when none is, and that nobody can tell which."""

import logging
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from conftest import ADA, BOB, START, Api, Customers, Ear, Watched, wrong
from flask import Flask

from flask_otp_auth import DuplicateError, NotFound, OTPAuth, RateLimited, codes
from flask_otp_auth.testing import Outbox

LONG = re.compile("[A-Z2-7]{13}")
GENERATE = "generate"
PRE_REGISTER = "pre_register"

both = pytest.mark.parametrize("route", [GENERATE, PRE_REGISTER])
#: An identifier that gets a code, and one that gets none.
WANTED = {GENERATE: ADA, PRE_REGISTER: BOB}
UNWANTED = {GENERATE: BOB, PRE_REGISTER: ADA}
WHY = {GENERATE: "unknown_actor", PRE_REGISTER: "already_registered"}
PURPOSE = {GENERATE: "login", PRE_REGISTER: "registration"}


def out_of_reach(*_: object) -> None:
    """Be a storage that can't be reached."""
    raise ConnectionRefusedError


def ask(api: Api, route: str, identifier: str, **fields: object) -> dict[str, Any]:
    """Ask for a code and return the answer's body; it is always a success."""
    answer = getattr(api, route)(identifier, **fields)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.get_json()
    return body


class TestCodes:
    """What is sent."""

    def test_a_code_has_six_digits(self, api: Api, outbox: Outbox) -> None:
        api.generate(ADA)
        assert re.fullmatch("[0-9]{6}", outbox.last.otp)

    def test_the_app_may_want_more(self, make_app: Callable[..., Flask]) -> None:
        app = make_app(OTP_AUTH_DIGITS=8)
        with Outbox(app) as outbox:
            Api(app.test_client()).generate(ADA)
        assert re.fullmatch("[0-9]{8}", outbox.last.otp)

    def test_codes_and_challenges_differ_each_time(self, make_app: Callable[..., Flask]) -> None:
        app = make_app(OTP_AUTH_RESEND_INTERVAL=0, OTP_AUTH_SEND_LIMITS="100/hour")
        api = Api(app.test_client())
        with Outbox(app) as outbox:
            challenges = {ask(api, GENERATE, ADA)["challenge"] for _ in range(20)}
        assert len(challenges) == 20
        assert len({message.otp for message in outbox.messages}) > 15

    @pytest.mark.parametrize("long", [False, True])
    def test_what_a_code_is_drawn_from_is_in_no_challenge(
        self, make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, long: bool
    ) -> None:
        """They are drawn at once, and everybody may know the challenge."""
        app = make_app(OTP_AUTH_VERIFY_LIMITS="1/day", OTP_AUTH_RESEND_INTERVAL=0)
        api = Api(app.test_client())
        with Outbox(app) as outbox:
            if long:
                api.generate(ADA)
                api.verify(wrong(outbox.last.otp), ADA)
            monkeypatch.setattr("secrets.token_bytes", lambda count: bytes(range(count)))
            challenge = ask(api, GENERATE, ADA)["challenge"]
        own, rest = bytes(range(16)), bytes(range(16, 32))
        assert outbox.last.otp == (codes.generate_long(own) if long else codes.generate(6, own))
        assert challenge == rest.hex()

    def test_a_code_goes_to_the_canonical_identifier(self, api: Api, outbox: Outbox) -> None:
        api.generate(" ADA@Example.COM ")
        assert outbox.last.identifier == ADA

    def test_the_handler_learns_when_it_expires(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox
    ) -> None:
        api.generate(ADA)
        assert outbox.last.expires_at == datetime.fromtimestamp(START.timestamp() + 300, UTC)

    def test_the_store_never_sees_a_code_or_an_identifier(
        self, make_watched: Callable[..., Watched]
    ) -> None:
        shop = make_watched()
        with Outbox(shop.app) as outbox:
            Api(shop.app.test_client()).generate(ADA)
        stored = repr(shop.store.written)
        assert shop.store.written
        assert f'"{outbox.last.otp}"' not in stored
        assert "ada@" not in stored
        assert "example" not in stored

    def test_codes_go_by_no_logger(
        self, api: Api, outbox: Outbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        api.generate(ADA)
        api.generate(ADA)
        api.generate(BOB)
        api.verify(wrong(outbox.last.otp), ADA)
        assert caplog.records
        assert outbox.last.otp not in caplog.text
        assert ADA not in caplog.text


@both
class TestTheResendWindow:
    """One code for each identifier and purpose in ``OTP_AUTH_RESEND_INTERVAL``."""

    def test_lets_no_second_code_out(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, ear: Ear, route: str
    ) -> None:
        ask(api, route, WANTED[route])
        clock.shift(59)
        ask(api, route, WANTED[route])
        assert len(outbox) == 1
        assert ear.of("otp_suppressed") == [
            {
                "actor_type": "customer",
                "identifier": WANTED[route],
                "purpose": PURPOSE[route],
                "reason": "cooldown",
            }
        ]

    def test_ends(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, route: str
    ) -> None:
        ask(api, route, WANTED[route])
        clock.shift(60)
        ask(api, route, WANTED[route])
        assert len(outbox) == 2

    def test_is_not_made_longer_by_asking_again(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, route: str
    ) -> None:
        for _ in range(7):
            ask(api, route, WANTED[route])
            clock.shift(10)
        assert len(outbox) == 2

    def test_leaves_the_code_as_it_is(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, route: str
    ) -> None:
        held = ask(api, route, WANTED[route])["challenge"]
        ask(api, route, WANTED[route])
        redeem = api.verify if route == GENERATE else api.register
        assert redeem(outbox.last.otp, WANTED[route], challenge=held).status_code == 200

    def test_is_one_for_each_identifier(
        self, api: Api, outbox: Outbox, customers: Customers, route: str
    ) -> None:
        other = "carol@example.com"
        if route == GENERATE:
            customers.add(other)
        ask(api, route, WANTED[route])
        ask(api, route, other)
        assert len(outbox) == 2

    def test_may_be_switched_off(self, make_app: Callable[..., Flask], route: str) -> None:
        app = make_app(OTP_AUTH_RESEND_INTERVAL=0)
        with Outbox(app) as outbox:
            bodies = [ask(Api(app.test_client()), route, WANTED[route]) for _ in range(3)]
        assert len(outbox) == 3
        assert bodies[0]["resend_after"] == 0

    def test_never_counts_down(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, route: str
    ) -> None:
        first = ask(api, route, WANTED[route])
        clock.shift(30)
        second = ask(api, route, WANTED[route])
        assert (first["expires_in"], first["resend_after"]) == (300, 60)
        assert (second["expires_in"], second["resend_after"]) == (300, 60)


def test_each_purpose_has_its_own_resend_window(
    clock: time_machine.Traveller, api: Api, outbox: Outbox, customers: Customers
) -> None:
    ask(api, PRE_REGISTER, BOB)
    customers.add(BOB)
    ask(api, GENERATE, BOB)
    assert [message.purpose for message in outbox.messages] == ["registration", "login"]


@both
class TestTheChallengeInAnAnswer:
    """A client that asks again sends the one it holds."""

    def test_comes_back_unchanged_while_the_window_is_open(
        self, api: Api, outbox: Outbox, route: str
    ) -> None:
        held = ask(api, route, WANTED[route])["challenge"]
        assert ask(api, route, WANTED[route], challenge=held)["challenge"] == held

    @pytest.mark.parametrize("held", ["", "made up", "ü" * 64, "\0", '"{}"'], ids=ascii)
    def test_is_neither_looked_up_nor_adopted(
        self, api: Api, outbox: Outbox, route: str, held: str
    ) -> None:
        real = ask(api, route, WANTED[route])["challenge"]
        assert ask(api, route, WANTED[route], challenge=held)["challenge"] == held
        redeem = api.verify if route == GENERATE else api.register
        assert redeem(outbox.last.otp, WANTED[route], challenge=held).status_code == 400
        assert redeem(outbox.last.otp, WANTED[route], challenge=real).status_code == 200

    def test_is_a_fresh_decoy_if_none_was_sent(self, api: Api, outbox: Outbox, route: str) -> None:
        challenges = [ask(api, route, WANTED[route])["challenge"] for _ in range(3)]
        assert len(set(challenges)) == 3
        assert {len(challenge) for challenge in challenges} == {32}
        redeem = api.verify if route == GENERATE else api.register
        answer = redeem(outbox.last.otp, WANTED[route], challenge=challenges[1])
        assert answer.status_code == 400

    def test_is_new_when_a_new_code_is_sent(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, route: str
    ) -> None:
        held = ask(api, route, WANTED[route])["challenge"]
        clock.shift(60)
        fresh = ask(api, route, WANTED[route], challenge=held)["challenge"]
        assert fresh != held
        redeem = api.verify if route == GENERATE else api.register
        assert redeem(outbox.last.otp, WANTED[route], challenge=fresh).status_code == 200

    def test_is_never_the_one_that_a_first_request_sends(
        self, api: Api, outbox: Outbox, route: str
    ) -> None:
        assert ask(api, route, WANTED[route], challenge="mine")["challenge"] != "mine"

    def test_follows_the_same_rules_for_a_decoy(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, route: str
    ) -> None:
        first = ask(api, route, UNWANTED[route], challenge="mine")["challenge"]
        assert first != "mine"
        assert ask(api, route, UNWANTED[route], challenge=first)["challenge"] == first
        assert ask(api, route, UNWANTED[route])["challenge"] != first
        clock.shift(60)
        assert ask(api, route, UNWANTED[route], challenge=first)["challenge"] != first


class TestSendLimits:
    """``OTP_AUTH_SEND_LIMITS`` codes for each identifier; beyond that, silence."""

    @pytest.fixture
    def api(self, make_app: Callable[..., Flask]) -> Api:
        """A shop that sends two codes an hour to one identifier."""
        app = make_app(OTP_AUTH_SEND_LIMITS="2/hour", OTP_AUTH_RESEND_INTERVAL=0)
        return Api(app.test_client())

    @pytest.fixture
    def outbox(self, api: Api) -> Iterator[Outbox]:
        with Outbox(api.client.application) as outbox:
            yield outbox

    @pytest.fixture
    def ear(self, api: Api) -> Ear:
        return Ear(api.client.application)

    @both
    def test_are_silent(
        self,
        clock: time_machine.Traveller,
        api: Api,
        outbox: Outbox,
        ear: Ear,
        route: str,
    ) -> None:
        bodies = [ask(api, route, WANTED[route]) for _ in range(4)]
        assert len(outbox) == 2
        assert ear.reasons("otp_suppressed") == ["send_limit", "send_limit"]
        assert [body.keys() for body in bodies] == [bodies[0].keys()] * 4
        assert len({body["challenge"] for body in bodies}) == 4
        clock.shift(3601)
        ask(api, route, WANTED[route])
        assert len(outbox) == 3

    def test_echo_the_challenge_as_the_window_does(self, api: Api, outbox: Outbox) -> None:
        ask(api, GENERATE, ADA)
        held = ask(api, GENERATE, ADA)["challenge"]
        assert ask(api, GENERATE, ADA, challenge=held)["challenge"] == held

    def test_leave_the_last_code_working(self, api: Api, outbox: Outbox) -> None:
        for _ in range(5):
            ask(api, GENERATE, ADA)
        assert api.verify(outbox.last.otp, ADA).status_code == 200

    def test_are_one_budget_for_both_purposes(
        self, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        ask(api, PRE_REGISTER, BOB)
        customers.add(BOB)
        ask(api, GENERATE, BOB)
        ask(api, GENERATE, BOB)
        assert len(outbox) == 2

    def test_count_only_codes_that_were_really_sent(
        self, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        for _ in range(5):
            ask(api, GENERATE, BOB)
        customers.add(BOB)
        ask(api, GENERATE, BOB)
        assert len(outbox) == 1

    @both
    def test_fall_silent_for_a_decoy_at_the_same_time(
        self, api: Api, outbox: Outbox, ear: Ear, route: str
    ) -> None:
        echoed = {}
        for identifier in (WANTED[route], UNWANTED[route]):
            bodies = [ask(api, route, identifier, challenge="mine") for _ in range(4)]
            echoed[identifier] = [body["challenge"] == "mine" for body in bodies]
        assert echoed[WANTED[route]] == [False, False, True, True]
        assert echoed[UNWANTED[route]] == echoed[WANTED[route]]

    def test_may_have_several_windows(
        self, clock: time_machine.Traveller, make_app: Callable[..., Flask]
    ) -> None:
        app = make_app(OTP_AUTH_SEND_LIMITS="1/minute;2/hour", OTP_AUTH_RESEND_INTERVAL=0)
        with Outbox(app) as outbox:
            for _ in range(6):
                ask(Api(app.test_client()), GENERATE, ADA)
                clock.shift(40)
        assert len(outbox) == 2


@both
class TestUnwanted:
    """A sign-in of a stranger, a sign-up of a customer: no code, and nobody can tell."""

    def test_sends_nothing(self, api: Api, outbox: Outbox, ear: Ear, route: str) -> None:
        ask(api, route, UNWANTED[route])
        assert len(outbox) == 0
        assert ear.heard == [
            (
                "otp_suppressed",
                {
                    "actor_type": "customer",
                    "identifier": UNWANTED[route],
                    "purpose": PURPOSE[route],
                    "reason": WHY[route],
                },
            )
        ]

    def test_gets_the_same_answer(self, api: Api, outbox: Outbox, route: str) -> None:
        known = getattr(api, route)(WANTED[route])
        unknown = getattr(api, route)(UNWANTED[route])
        one, other = known.get_json(), unknown.get_json()
        assert len(one.pop("challenge")) == len(other.pop("challenge"))
        assert one == other
        assert known.status == unknown.status
        assert known.headers == unknown.headers

    def test_does_the_same_work(
        self,
        clock: time_machine.Traveller,
        make_watched: Callable[..., Watched],
        route: str,
    ) -> None:
        work = {}
        for identifier in (WANTED[route], UNWANTED[route]):
            shop = make_watched(OTP_AUTH_SEND_LIMITS="2/hour")
            api = Api(shop.app.test_client())
            with Outbox(shop.app):
                for _ in range(3):
                    body = ask(api, route, identifier)
                    ask(api, route, identifier, challenge=body["challenge"])
                    clock.shift(60)
                redeem = api.verify if route == GENERATE else api.register
                answers = [redeem("123456", identifier) for _ in range(6)]
            sizes = sorted((len(key), len(value)) for key, value in shop.store.written.items())
            work[identifier] = shop.store.calls, shop.limits.calls, sizes
            assert {answer.status_code for answer in answers} == {400}
            assert len(shop.store.calls) > 20
        assert work[WANTED[route]] == work[UNWANTED[route]]

    def test_asks_the_actor_store_once(
        self, make_app: Callable[..., Flask], customers: Customers, route: str
    ) -> None:
        asked = []

        class Counting:
            def find_by_identifier(self, identifier: str) -> object:
                asked.append(identifier)
                return customers.find_by_identifier(identifier)

            def find_by_id(self, actor_id: str) -> object:
                return customers.find_by_id(actor_id)

        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", Counting())
        api = Api(make_app(otp_auth).test_client())
        for identifier in (WANTED[route], UNWANTED[route]):
            ask(api, route, identifier)
            ask(api, route, identifier)
        assert asked == [WANTED[route]] * 2 + [UNWANTED[route]] * 2

    def test_has_its_own_resend_window(
        self, clock: time_machine.Traveller, api: Api, ear: Ear, route: str
    ) -> None:
        ask(api, route, UNWANTED[route])
        ask(api, route, UNWANTED[route])
        clock.shift(60)
        ask(api, route, UNWANTED[route])
        assert ear.reasons("otp_suppressed") == [WHY[route], "cooldown", WHY[route]]

    def test_gives_a_challenge_that_no_code_answers(
        self, make_watched: Callable[..., Watched], route: str
    ) -> None:
        shop = make_watched(
            OTP_AUTH_MAX_ATTEMPTS=100,
            OTP_AUTH_VERIFY_LIMITS="100/day",
            OTP_AUTH_GLOBAL_FAILURE_LIMIT="1000/day",
        )
        api = Api(shop.app.test_client())
        ear = Ear(shop.app)
        challenge = ask(api, route, UNWANTED[route])["challenge"]
        redeem = api.verify if route == GENERATE else api.register
        for otp in range(100):
            answer = redeem(f"{otp:06}", UNWANTED[route], challenge=challenge)
            assert answer.status_code == 400
        assert ear.reasons() == ["wrong"] * 100

    def test_is_unwanted_no_more_once_that_has_changed(
        self,
        clock: time_machine.Traveller,
        api: Api,
        outbox: Outbox,
        customers: Customers,
        route: str,
    ) -> None:
        ask(api, route, UNWANTED[route])
        if route == GENERATE:
            customers.add(BOB)
        else:
            customers.accounts.clear()
        clock.shift(60)
        ask(api, route, UNWANTED[route])
        assert len(outbox) == 1


def test_an_actor_that_is_not_active_counts_as_unknown(
    api: Api, outbox: Outbox, ear: Ear, customers: Customers
) -> None:
    customers.accounts[0].is_active = False
    ask(api, GENERATE, ADA)
    assert len(outbox) == 0
    assert ear.reasons("otp_suppressed") == ["unknown_actor"]


def test_an_actor_that_is_not_active_cannot_come_back_by_registering(
    api: Api, outbox: Outbox, ear: Ear, customers: Customers
) -> None:
    customers.accounts[0].is_active = False
    ask(api, PRE_REGISTER, ADA)
    assert len(outbox) == 0
    assert ear.reasons("otp_suppressed") == ["already_registered"]


class TestEscalation:
    """Guessers meet longer codes, never a locked door."""

    @pytest.fixture
    def shop(self, make_watched: Callable[..., Watched]) -> Watched:
        """A shop where three guesses a day at short codes are left to each identifier."""
        return make_watched(OTP_AUTH_VERIFY_LIMITS="3/day")

    @pytest.fixture
    def api(self, shop: Watched) -> Api:
        return Api(shop.app.test_client())

    @pytest.fixture
    def outbox(self, shop: Watched) -> Iterator[Outbox]:
        with Outbox(shop.app) as outbox:
            yield outbox

    @pytest.fixture
    def ear(self, shop: Watched) -> Ear:
        return Ear(shop.app)

    def attack(self, api: Api, outbox: Outbox, clock: time_machine.Traveller) -> None:
        """Use up all guesses at Ada's short codes."""
        ask(api, GENERATE, ADA)
        for _ in range(3):
            assert api.verify(wrong(outbox.last.otp), ADA).status_code == 400
        clock.shift(60)

    def test_the_next_code_is_of_65_bits(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox
    ) -> None:
        self.attack(api, outbox, clock)
        ask(api, GENERATE, ADA)
        assert LONG.fullmatch(outbox.last.otp)

    def test_the_owner_gets_in_with_it(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox
    ) -> None:
        self.attack(api, outbox, clock)
        challenge = ask(api, GENERATE, ADA)["challenge"]
        assert api.verify(outbox.last.otp, ADA, challenge=challenge).status_code == 200

    def test_it_is_forgiven_what_people_type(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox
    ) -> None:
        self.attack(api, outbox, clock)
        ask(api, GENERATE, ADA)
        otp = outbox.last.otp.lower()
        assert api.verify(f"{otp[:4]} {otp[4:8]}-{otp[8:]}", ADA).status_code == 200

    def test_it_works_once(self, clock: time_machine.Traveller, api: Api, outbox: Outbox) -> None:
        self.attack(api, outbox, clock)
        ask(api, GENERATE, ADA)
        answers = [api.verify(outbox.last.otp, ADA).status_code for _ in range(2)]
        assert answers == [200, 400]

    def test_guesses_at_it_cost_nothing_and_end_nothing(
        self, clock: time_machine.Traveller, shop: Watched, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        self.attack(api, outbox, clock)
        ask(api, GENERATE, ADA)
        shop.forget()
        ear.heard.clear()
        for _ in range(50):
            assert api.verify(wrong(outbox.last.otp), ADA).status_code == 400
        assert ear.reasons() == ["wrong"] * 50
        assert shop.store.calls == ["peek"] * 50
        assert shop.limits.calls == ["hit"] * 50  # the address's
        assert api.verify(outbox.last.otp, ADA).status_code == 200

    def test_a_short_code_against_it_costs_nothing(
        self, clock: time_machine.Traveller, shop: Watched, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        self.attack(api, outbox, clock)
        ask(api, GENERATE, ADA)
        shop.forget()
        ear.heard.clear()
        assert api.verify("123456", ADA).status_code == 400
        assert ear.reasons() == ["wrong"]
        assert shop.store.calls == ["peek"]
        assert shop.limits.calls == ["hit"]  # the address's

    def test_a_long_code_against_a_short_one_costs_nothing(
        self, shop: Watched, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        ask(api, GENERATE, ADA)
        shop.forget()
        assert api.verify("ABCDEFGH23456", ADA).status_code == 400
        assert ear.reasons() == ["wrong"]
        assert shop.store.calls == ["peek"]
        assert shop.limits.calls == ["hit"]  # the address's

    def test_short_codes_do_not_verify_any_more_not_even_the_right_one(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        challenge = ask(api, GENERATE, ADA)["challenge"]
        short = outbox.last.otp
        for _ in range(3):
            api.verify(wrong(short), ADA)
        assert api.verify(short, ADA, challenge=challenge).status_code == 400
        assert ear.reasons() == ["wrong"] * 3 + ["budget"]

    def test_the_budget_spans_codes(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        for _ in range(2):
            ask(api, GENERATE, ADA)
            for _ in range(2):
                api.verify(wrong(outbox.last.otp), ADA)
            clock.shift(60)
        assert ear.reasons() == ["wrong"] * 3 + ["budget"]

    def test_the_budget_is_one_for_both_purposes(
        self,
        clock: time_machine.Traveller,
        api: Api,
        outbox: Outbox,
        customers: Customers,
    ) -> None:
        ask(api, PRE_REGISTER, BOB)
        for _ in range(3):
            api.register(wrong(outbox.last.otp), BOB)
        customers.add(BOB)
        ask(api, GENERATE, BOB)
        assert LONG.fullmatch(outbox.last.otp)

    def test_others_are_left_alone(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        customers.add("carol@example.com")
        self.attack(api, outbox, clock)
        ask(api, GENERATE, "carol@example.com")
        assert outbox.last.otp.isdigit()
        assert api.verify(outbox.last.otp, "carol@example.com").status_code == 200

    def test_the_next_day_codes_are_short_again(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox
    ) -> None:
        self.attack(api, outbox, clock)
        ask(api, GENERATE, ADA)
        assert LONG.fullmatch(outbox.last.otp)
        clock.shift(86_401)
        ask(api, GENERATE, ADA)
        assert outbox.last.otp.isdigit()
        assert api.verify(outbox.last.otp, ADA).status_code == 200

    def test_success_also_takes_from_the_budget(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox
    ) -> None:
        for _ in range(3):
            ask(api, GENERATE, ADA)
            assert api.verify(outbox.last.otp, ADA).status_code == 200
            clock.shift(60)
        ask(api, GENERATE, ADA)
        assert LONG.fullmatch(outbox.last.otp)

    def test_a_stranger_sees_the_same(
        self, clock: time_machine.Traveller, shop: Watched, api: Api, ear: Ear
    ) -> None:
        ask(api, GENERATE, BOB)
        for _ in range(4):
            api.verify("123456", BOB)
        clock.shift(60)
        ask(api, GENERATE, BOB)
        shop.forget()
        assert api.verify("ABCDEFGH23456", BOB).status_code == 400
        assert ear.reasons() == ["wrong"] * 3 + ["budget", "wrong"]
        assert shop.store.calls == ["peek"]

    def test_a_sign_up_under_attack_goes_all_the_way(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        ask(api, PRE_REGISTER, BOB)
        for _ in range(3):
            api.register(wrong(outbox.last.otp), BOB)
        clock.shift(60)
        ask(api, PRE_REGISTER, BOB)
        assert LONG.fullmatch(outbox.last.otp)
        assert api.register(outbox.last.otp, BOB).status_code == 200
        for _ in range(10):
            assert api.authenticate(wrong(outbox.last.otp), BOB).status_code == 400
        customers.add(BOB)
        assert api.authenticate(outbox.last.otp, BOB).status_code == 200


class TestPlainAnswers:
    """``OTP_AUTH_ALWAYS_RETURN_SUCCESS = False``, for back offices."""

    @pytest.fixture
    def app(self, make_app: Callable[..., Flask]) -> Flask:
        return make_app(OTP_AUTH_ALWAYS_RETURN_SUCCESS=False, OTP_AUTH_SEND_LIMITS="2/hour")

    def test_generate_tells_that_there_is_no_such_actor(
        self, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        answer = api.generate(BOB)
        assert answer.status_code == 404
        assert answer.get_json() == {"type": "not_found", "message": "Not found"}
        assert ear.reasons("otp_suppressed") == ["unknown_actor"]

    def test_pre_register_tells_that_there_is_one(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        answer = api.pre_register(ADA)
        assert answer.status_code == 409
        assert answer.get_json()["type"] == "duplicate_error"
        assert ear.reasons("otp_suppressed") == ["already_registered"]

    @both
    def test_the_window_is_told(
        self,
        clock: time_machine.Traveller,
        api: Api,
        outbox: Outbox,
        ear: Ear,
        route: str,
    ) -> None:
        ask(api, route, WANTED[route])
        answer = getattr(api, route)(WANTED[route])
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "60"
        assert answer.get_json() == {
            "type": "rate_limited",
            "message": "Too many requests",
            "retry_after": 60,
        }
        assert ear.reasons("otp_suppressed") == ["cooldown"]
        assert ear.of("rate_limited") == []

    @both
    def test_the_send_limit_is_told(
        self,
        clock: time_machine.Traveller,
        api: Api,
        outbox: Outbox,
        ear: Ear,
        route: str,
    ) -> None:
        for _ in range(2):
            ask(api, route, WANTED[route])
            clock.shift(60)
        answer = getattr(api, route)(WANTED[route])
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "3480"
        assert answer.get_json()["retry_after"] == 3480
        assert ear.reasons("otp_suppressed") == ["send_limit"]

    def test_an_outage_of_the_send_limit_leaves_no_window_open(
        self, make_watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else the next answer would tell the wrong time to wait."""
        shop = make_watched(OTP_AUTH_ALWAYS_RETURN_SUCCESS=False, OTP_AUTH_SEND_LIMITS="1/hour")
        api = Api(shop.app.test_client())
        with time_machine.travel(START, tick=False) as clock, Outbox(shop.app):
            assert api.generate(ADA).status_code == 200
            clock.shift(60)
            with monkeypatch.context() as patch:
                patch.setattr(shop.limits, "get_moving_window", out_of_reach)
                assert api.generate(ADA).status_code == 503
            assert api.generate(ADA).get_json()["retry_after"] == 3540

    def test_a_bad_code_is_told_as_always(self, api: Api, outbox: Outbox) -> None:
        ask(api, GENERATE, ADA)
        assert api.verify(wrong(outbox.last.otp), ADA).status_code == 400

    def test_without_http_the_same_are_exceptions(
        self, make_watched: Callable[..., Watched]
    ) -> None:
        shop = make_watched(OTP_AUTH_ALWAYS_RETURN_SUCCESS=False)
        with shop.app.app_context():
            with pytest.raises(NotFound):
                shop.otp_auth.generate("customer", BOB)
            with pytest.raises(DuplicateError):
                shop.otp_auth.pre_register("customer", ADA)
            shop.otp_auth.generate("customer", ADA)
            with pytest.raises(RateLimited) as caught:
                shop.otp_auth.generate("customer", ADA)
        assert caught.value.retry_after == 60


class TestWarnings:
    """``OTP_AUTH_WARN_ON_ERROR`` logs each code that was not sent."""

    def warnings(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        return [
            record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
        ]

    def suppress(self, app: Flask) -> None:
        """Cause one of each kind of suppressed code."""
        api = Api(app.test_client())
        with Outbox(app):
            ask(api, GENERATE, BOB)
            ask(api, GENERATE, BOB)
            ask(api, PRE_REGISTER, ADA)
            ask(api, GENERATE, ADA)

    def test_are_logged(
        self, make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
    ) -> None:
        app = make_app()
        self.suppress(app)
        assert self.warnings(caplog) == [
            "no login code sent for actor type customer: unknown_actor",
            "no login code sent for actor type customer: cooldown",
            "no registration code sent for actor type customer: already_registered",
        ]

    def test_name_nobody(
        self, make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
    ) -> None:
        self.suppress(make_app())
        assert self.warnings(caplog)
        assert "example.com" not in caplog.text

    def test_may_be_switched_off(
        self, make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
    ) -> None:
        self.suppress(make_app(OTP_AUTH_WARN_ON_ERROR=False))
        assert self.warnings(caplog) == []
