"""Answering with a code: once, in time, for the one that it was sent to."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import time_machine
from blinker import NamedSignal
from conftest import ADA, BOB, Api, Customers, Ear, Watched, WatchedStore, bearer, wrong
from flask import Flask
from werkzeug.test import TestResponse

from flask_otp_auth import (
    ActorNotCreated,
    DuplicateError,
    InvalidData,
    InvalidIdentifier,
    InvalidOTP,
    NotFound,
    OTPAuth,
    signals,
)
from flask_otp_auth.testing import Outbox


def ok(answer: TestResponse) -> bool:
    """Tell whether an answer is a token."""
    if answer.status_code == 200:
        return list(answer.get_json()) == ["token"]
    assert answer.get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}
    return False


class TestVerify:
    """A login code lets in once."""

    def test_lets_in(self, api: Api, outbox: Outbox) -> None:
        api.generate(ADA)
        assert ok(api.verify(outbox.last.otp, ADA))

    def test_lets_in_once(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        api.generate(ADA)
        assert ok(api.verify(outbox.last.otp, ADA))
        assert not ok(api.verify(outbox.last.otp, ADA))
        assert not ok(api.authenticate(outbox.last.otp, ADA))

    def test_takes_any_spelling_of_the_identifier(self, api: Api, outbox: Outbox) -> None:
        api.generate("Ada@EXAMPLE.com")
        assert ok(api.verify(outbox.last.otp, "ADA@example.COM"))

    def test_takes_a_code_to_its_last_second(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox
    ) -> None:
        api.generate(ADA)
        clock.shift(299.9)
        assert ok(api.verify(outbox.last.otp, ADA))

    def test_takes_no_code_after_its_time(
        self, clock: time_machine.Traveller, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        api.generate(ADA)
        clock.shift(300)
        assert not ok(api.verify(outbox.last.otp, ADA))
        assert ear.reasons() == ["expired"]
        clock.shift(86_400)
        assert not ok(api.verify(outbox.last.otp, ADA))
        assert ear.reasons() == ["expired", "unknown"]

    def test_allows_five_guesses(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        api.generate(ADA)
        for _ in range(4):
            assert not ok(api.verify(wrong(outbox.last.otp), ADA))
        assert ok(api.verify(outbox.last.otp, ADA))

    def test_allows_not_one_more(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        api.generate(ADA)
        for _ in range(5):
            assert not ok(api.verify(wrong(outbox.last.otp), ADA))
        assert not ok(api.verify(outbox.last.otp, ADA))
        assert ear.reasons() == ["wrong"] * 5 + ["exhausted"]

    def test_counts_guesses_with_and_without_the_challenge_together(
        self, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        challenge = api.generate(ADA).get_json()["challenge"]
        for otp in ("000", wrong(outbox.last.otp), wrong(outbox.last.otp)):
            assert not ok(api.verify(otp, ADA))
            assert not ok(api.verify(otp, ADA, challenge=challenge))
        assert not ok(api.authenticate(wrong(outbox.last.otp), ADA))
        assert not ok(api.verify(outbox.last.otp, ADA))
        assert ear.reasons() == ["wrong"] * 7 + ["exhausted"]

    def test_charges_nothing_for_what_can_be_no_code(
        self, api: Api, outbox: Outbox, ear: Ear
    ) -> None:
        api.generate(ADA)
        for otp in ("", "hello", "12345", "1234567", "12345²", "ABCDEF", "12345_", "\0"):
            assert not ok(api.verify(otp, ADA))
        assert ear.reasons() == ["wrong"] * 8
        assert ok(api.verify(outbox.last.otp, ADA))

    def test_does_not_let_in_an_actor_that_has_left(
        self, api: Api, outbox: Outbox, ear: Ear, customers: Customers
    ) -> None:
        api.generate(ADA)
        customers.accounts[0].is_active = False
        assert not ok(api.verify(outbox.last.otp, ADA))
        assert ear.reasons() == ["unknown"]
        assert ear.of("otp_verified") == []
        customers.accounts[0].is_active = True
        assert not ok(api.verify(outbox.last.otp, ADA))


PASTED = {
    "as it is": "123456",
    "full width": "１２３４５６",
    "spaced": " 123 456\n",
    "no-break space": "123\u00a0456",
    "thin space": "123\u2009456",
    "ideographic space": "１２３\u3000456",
    "dash": "123-456",
    "en dash": "123–456",
    "minus sign": "123−456",
    "non-breaking hyphen": "123\u2011456",
    "bidi marks": "\u200e123456\u200f",
    "bidi isolates": "\u2068123456\u2069",
    "bidi overrides": "\u202d123456\u202c",
    "zero-width space": "123\u200b456",
    "byte-order mark": "\ufeff123456",
    "soft hyphen": "123\u00ad456",
    "Arabic-Indic": "١٢٣٤٥٦",
    "Persian": "۱۲۳۴۵۶",
    "Devanagari": "१२३४५६",
    "Bengali and ASCII": "১২৩456",
    "mathematical": "𝟏𝟐𝟑𝟜𝟝𝟞",
}


class TestPastedCodes:
    """People paste white space, dashes, bidi marks and digits of their own script."""

    def translate(self, pasted: str, otp: str) -> str:
        """Put the digits of ``otp`` in the places of 1 to 6."""
        zero = {ord(character): ord(character) - int(character) for character in pasted
                if character.isdecimal()}  # fmt: skip
        return "".join(
            chr(zero[ord(character)] + int(otp[int(character) - 1]))
            if character.isdecimal()
            else character
            for character in pasted
        )

    @pytest.mark.parametrize("pasted", PASTED.values(), ids=PASTED.keys())
    def test_are_forgiven(self, api: Api, outbox: Outbox, pasted: str) -> None:
        api.generate(ADA)
        assert ok(api.verify(self.translate(pasted, outbox.last.otp), ADA))

    def test_are_forgiven_in_a_sign_up_too(
        self, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        pasted = self.translate("１２３–٤٥٦", outbox.last.otp)
        assert ok(api.register(pasted, BOB))
        customers.add(BOB)
        assert ok(api.authenticate(pasted, BOB))

    @pytest.mark.parametrize("character", "²₂②½Ⅻ一lO_.,+/*'\"")
    def test_are_not_forgiven_anything_else(self, api: Api, outbox: Outbox, character: str) -> None:
        api.generate(ADA)
        otp = outbox.last.otp
        assert not ok(api.verify(otp[:5] + character, ADA))
        assert not ok(api.verify(otp + character, ADA))
        assert ok(api.verify(otp, ADA))


class TestChallenges:
    """With ``challenge`` that one is meant and no other; without, the newest."""

    @pytest.fixture
    def two(self, clock: time_machine.Traveller, api: Api, outbox: Outbox) -> list[tuple[str, str]]:
        """Two codes of Ada's with their challenges, the older first."""
        held = []
        for _ in range(2):
            challenge = api.generate(ADA).get_json()["challenge"]
            held.append((outbox.last.otp, challenge))
            clock.shift(60)
        return held

    def test_the_newest_is_meant_if_none_is_sent(
        self, api: Api, ear: Ear, two: list[tuple[str, str]]
    ) -> None:
        assert ok(api.verify(two[1][0], ADA))

    def test_an_older_one_is_not_meant_if_none_is_sent(
        self, api: Api, ear: Ear, two: list[tuple[str, str]]
    ) -> None:
        assert not ok(api.verify(two[0][0], ADA))
        assert ear.reasons() == ["wrong"]

    def test_an_older_one_still_works_when_it_is_sent(
        self, api: Api, two: list[tuple[str, str]]
    ) -> None:
        assert ok(api.verify(two[0][0], ADA, challenge=two[0][1]))
        assert ok(api.verify(two[1][0], ADA, challenge=two[1][1]))

    def test_a_code_answers_its_own_one_only(
        self, api: Api, ear: Ear, two: list[tuple[str, str]]
    ) -> None:
        assert not ok(api.verify(two[0][0], ADA, challenge=two[1][1]))
        assert not ok(api.verify(two[1][0], ADA, challenge=two[0][1]))
        assert ear.reasons() == ["wrong", "wrong"]

    def test_each_has_guesses_of_its_own(
        self, api: Api, ear: Ear, two: list[tuple[str, str]]
    ) -> None:
        for _ in range(6):
            assert not ok(api.verify(wrong(two[1][0]), ADA))
        assert not ok(api.verify(two[1][0], ADA))
        assert ok(api.verify(two[0][0], ADA, challenge=two[0][1]))

    def test_one_that_nobody_issued_is_unknown(
        self, api: Api, ear: Ear, two: list[tuple[str, str]]
    ) -> None:
        assert not ok(api.verify(two[1][0], ADA, challenge="0" * 32))
        assert not ok(api.verify(two[1][0], ADA, challenge=""))
        assert ear.reasons() == ["unknown", "unknown"]

    def test_one_of_somebody_else_is_unknown(
        self,
        api: Api,
        outbox: Outbox,
        ear: Ear,
        customers: Customers,
        two: list[tuple[str, str]],
    ) -> None:
        customers.add(BOB)
        api.generate(BOB)
        assert not ok(api.verify(outbox.last.otp, BOB, challenge=two[1][1]))
        assert not ok(api.verify(two[1][0], BOB, challenge=two[1][1]))
        assert ear.reasons() == ["unknown", "unknown"]

    def test_the_newest_being_used_up_does_not_bring_back_an_older_one(
        self, api: Api, ear: Ear, two: list[tuple[str, str]]
    ) -> None:
        assert ok(api.verify(two[1][0], ADA))
        assert not ok(api.verify(two[0][0], ADA))
        assert ok(api.verify(two[0][0], ADA, challenge=two[0][1]))


class TestRequiredChallenges:
    """``OTP_AUTH_REQUIRE_CHALLENGE``: an answer must name what it answers."""

    @pytest.fixture
    def app(self, make_app: Callable[..., Flask]) -> Flask:
        return make_app(OTP_AUTH_REQUIRE_CHALLENGE=True)

    @pytest.mark.parametrize("route", ["verify", "register", "authenticate"])
    def test_an_answer_without_one_is_refused(self, api: Api, ear: Ear, route: str) -> None:
        answer = getattr(api, route)("123456", ADA)
        assert answer.status_code == 400
        assert answer.get_json() == {
            "type": "invalid_data",
            "message": "challenge must be a text of at most 64 characters.",
        }
        assert ear.heard == []

    def test_an_answer_with_one_lets_in(
        self, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        challenge = api.generate(ADA).get_json()["challenge"]
        assert ok(api.verify(outbox.last.otp, ADA, challenge=challenge))
        challenge = api.pre_register(BOB).get_json()["challenge"]
        assert ok(api.register(outbox.last.otp, BOB, challenge=challenge))
        customers.add(BOB)
        assert ok(api.authenticate(outbox.last.otp, BOB, challenge=challenge))

    def test_asking_for_a_code_needs_none(self, api: Api) -> None:
        assert api.generate(ADA).status_code == 200
        assert api.pre_register(BOB).status_code == 200


class TestNothingCrossesOver:
    """A code of one purpose, actor type or identifier never works for another."""

    @pytest.fixture
    def app(self, make_app: Callable[..., Flask], customers: Customers) -> Flask:
        """A shop whose staff are kept with its customers, under the same addresses."""
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.add_actor_type("user", customers)
        return make_app(otp_auth)

    @pytest.fixture
    def staff(self, api: Api) -> Api:
        """The same routes for the other actor type."""
        return Api(api.client, actor_type="user")

    def test_a_login_code_registers_nobody(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        challenge = api.generate(ADA).get_json()["challenge"]
        assert not ok(api.register(outbox.last.otp, ADA))
        assert not ok(api.register(outbox.last.otp, ADA, challenge=challenge))
        assert ear.reasons() == ["unknown", "unknown"]
        assert ok(api.verify(outbox.last.otp, ADA))

    def test_a_registration_code_signs_nobody_in(
        self, api: Api, outbox: Outbox, ear: Ear, customers: Customers
    ) -> None:
        challenge = api.pre_register(BOB).get_json()["challenge"]
        customers.add(BOB)
        for redeem in (api.verify, api.authenticate):
            assert not ok(redeem(outbox.last.otp, BOB))
            assert not ok(redeem(outbox.last.otp, BOB, challenge=challenge))
        assert ear.reasons() == ["unknown"] * 4

    def test_a_code_in_its_grace_is_no_login_code(
        self, api: Api, outbox: Outbox, ear: Ear, customers: Customers
    ) -> None:
        challenge = api.pre_register(BOB).get_json()["challenge"]
        assert ok(api.register(outbox.last.otp, BOB))
        customers.add(BOB)
        assert not ok(api.verify(outbox.last.otp, BOB, challenge=challenge))
        assert not ok(api.register(outbox.last.otp, BOB, challenge=challenge))
        assert ear.reasons() == ["unknown", "unknown"]

    def test_a_code_of_one_actor_type_is_none_of_another(
        self, api: Api, staff: Api, outbox: Outbox, ear: Ear
    ) -> None:
        challenge = api.generate(ADA).get_json()["challenge"]
        assert not ok(staff.verify(outbox.last.otp, ADA))
        assert not ok(staff.verify(outbox.last.otp, ADA, challenge=challenge))
        assert ear.reasons() == ["unknown", "unknown"]
        assert ok(api.verify(outbox.last.otp, ADA))

    def test_a_grace_of_one_actor_type_is_none_of_another(
        self, api: Api, staff: Api, outbox: Outbox, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        assert ok(api.register(outbox.last.otp, BOB))
        customers.add(BOB)
        assert not ok(staff.authenticate(outbox.last.otp, BOB))
        assert ok(api.authenticate(outbox.last.otp, BOB))

    def test_a_code_of_one_identifier_is_none_of_another(
        self, api: Api, outbox: Outbox, ear: Ear, customers: Customers
    ) -> None:
        customers.add(BOB)
        challenge = api.generate(ADA).get_json()["challenge"]
        assert not ok(api.verify(outbox.last.otp, BOB))
        assert not ok(api.verify(outbox.last.otp, BOB, challenge=challenge))
        assert ear.reasons() == ["unknown", "unknown"]

    def test_windows_and_budgets_of_actor_types_are_apart(
        self, api: Api, staff: Api, outbox: Outbox, ear: Ear
    ) -> None:
        api.generate(ADA)
        staff.generate(ADA)
        assert [message.actor_type for message in outbox.messages] == ["customer", "user"]
        for _ in range(6):
            assert not ok(api.verify(wrong(outbox.messages[0].otp), ADA))
        assert ok(staff.verify(outbox.last.otp, ADA))


class TestRegister:
    """A registration code gives a registration token, once."""

    def test_gives_a_token(self, api: Api, outbox: Outbox) -> None:
        api.pre_register(BOB)
        assert ok(api.register(outbox.last.otp, BOB))

    def test_gives_it_once(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        api.pre_register(BOB)
        assert ok(api.register(outbox.last.otp, BOB))
        assert not ok(api.register(outbox.last.otp, BOB))

    def test_allows_five_guesses(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        api.pre_register(BOB)
        for _ in range(5):
            assert not ok(api.register(wrong(outbox.last.otp), BOB))
        assert not ok(api.register(outbox.last.otp, BOB))
        assert ear.reasons() == ["wrong"] * 5 + ["exhausted"]

    def test_tells_of_a_duplicate_only_whoever_has_the_code(
        self, api: Api, outbox: Outbox, ear: Ear, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        customers.add(BOB)
        assert not ok(api.register(wrong(outbox.last.otp), BOB))
        assert api.register(outbox.last.otp, BOB).get_json()["type"] == "duplicate_error"
        assert [arguments["purpose"] for arguments in ear.of("otp_verified")] == ["registration"]

    def test_tells_of_a_duplicate_once(
        self, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        customers.add(BOB)
        assert api.register(outbox.last.otp, BOB).status_code == 409
        assert not ok(api.register(outbox.last.otp, BOB))

    def test_gives_no_grace_to_a_duplicate(
        self, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        customers.add(BOB)
        assert api.register(outbox.last.otp, BOB).status_code == 409
        assert not ok(api.authenticate(outbox.last.otp, BOB))


class TestGrace:
    """After a registration the same code signs in once more: 60 s, three guesses, once."""

    @pytest.fixture
    def otp(self, clock: time_machine.Traveller, api: Api, outbox: Outbox) -> str:
        """Bob's code, just registered."""
        api.pre_register(BOB)
        assert ok(api.register(outbox.last.otp, BOB))
        return outbox.last.otp

    def test_lets_in(self, api: Api, customers: Customers, ear: Ear, otp: str) -> None:
        customers.add(BOB)
        assert ok(api.authenticate(otp, BOB))
        assert ear.of("actor_authenticated")[0]["method"] == "grace"

    def test_lets_in_once(self, api: Api, customers: Customers, otp: str) -> None:
        customers.add(BOB)
        assert ok(api.authenticate(otp, BOB))
        assert not ok(api.authenticate(otp, BOB))

    def test_lets_in_by_the_challenge_of_the_registration(
        self, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        challenge = api.pre_register(BOB).get_json()["challenge"]
        assert ok(api.register(outbox.last.otp, BOB, challenge=challenge))
        customers.add(BOB)
        assert not ok(api.authenticate(outbox.last.otp, BOB, challenge="0" * 32))
        assert ok(api.authenticate(outbox.last.otp, BOB, challenge=challenge))

    def test_lasts_sixty_seconds(
        self, clock: time_machine.Traveller, api: Api, customers: Customers, otp: str
    ) -> None:
        customers.add(BOB)
        clock.shift(59.9)
        assert ok(api.authenticate(otp, BOB))

    def test_lasts_no_longer(
        self, clock: time_machine.Traveller, api: Api, customers: Customers, otp: str
    ) -> None:
        customers.add(BOB)
        clock.shift(60)
        assert not ok(api.authenticate(otp, BOB))

    def test_lasts_as_long_as_the_app_wants(
        self,
        clock: time_machine.Traveller,
        make_app: Callable[..., Flask],
        customers: Customers,
    ) -> None:
        app = make_app(OTP_AUTH_GRACE_TTL=120)
        api = Api(app.test_client())
        with Outbox(app) as outbox:
            api.pre_register(BOB)
        assert ok(api.register(outbox.last.otp, BOB))
        customers.add(BOB)
        clock.shift(119)
        assert ok(api.authenticate(outbox.last.otp, BOB))

    def test_allows_three_guesses(self, api: Api, customers: Customers, ear: Ear, otp: str) -> None:
        customers.add(BOB)
        for _ in range(2):
            assert not ok(api.authenticate(wrong(otp), BOB))
        assert ok(api.authenticate(otp, BOB))

    def test_allows_not_one_more(self, api: Api, customers: Customers, ear: Ear, otp: str) -> None:
        customers.add(BOB)
        for _ in range(3):
            assert not ok(api.authenticate(wrong(otp), BOB))
        assert not ok(api.authenticate(otp, BOB))

    def test_is_kept_while_the_app_has_not_created_the_actor(
        self, api: Api, customers: Customers, otp: str
    ) -> None:
        for _ in range(2):
            assert api.authenticate(otp, BOB).get_json()["type"] == "actor_not_created"
        customers.add(BOB)
        assert ok(api.authenticate(otp, BOB))

    def test_pays_for_that_answer_with_a_guess(
        self, api: Api, customers: Customers, otp: str
    ) -> None:
        for _ in range(3):
            assert api.authenticate(otp, BOB).status_code == 409
        customers.add(BOB)
        assert not ok(api.authenticate(otp, BOB))

    def test_tells_nobody_else_that_there_is_no_actor_yet(self, api: Api, otp: str) -> None:
        assert not ok(api.authenticate(wrong(otp), BOB))
        assert not ok(api.authenticate(otp, ADA))

    def test_does_not_let_in_an_actor_that_is_not_active(
        self, api: Api, customers: Customers, otp: str
    ) -> None:
        customers.add(BOB).is_active = False
        assert api.authenticate(otp, BOB).status_code == 409

    def test_takes_its_guesses_from_the_days_budget(
        self, make_app: Callable[..., Flask], customers: Customers
    ) -> None:
        app = make_app(OTP_AUTH_VERIFY_LIMITS="1/day")
        api = Api(app.test_client())
        ear = Ear(app)
        with Outbox(app) as outbox:
            api.pre_register(BOB)
        assert ok(api.register(outbox.last.otp, BOB))
        customers.add(BOB)
        assert not ok(api.authenticate(outbox.last.otp, BOB))
        assert len(ear.reasons()) == 1

    def test_stands_beside_a_login_code(
        self, api: Api, outbox: Outbox, customers: Customers, otp: str
    ) -> None:
        customers.add(BOB)
        api.generate(BOB)
        assert ok(api.authenticate(outbox.last.otp, BOB))
        assert ok(api.authenticate(otp, BOB))
        assert not ok(api.authenticate(outbox.last.otp, BOB))

    def test_of_an_older_registration_is_reached_by_its_challenge(
        self,
        clock: time_machine.Traveller,
        make_app: Callable[..., Flask],
        customers: Customers,
    ) -> None:
        app = make_app(OTP_AUTH_RESEND_INTERVAL=0)
        api = Api(app.test_client())
        held = []
        with Outbox(app) as outbox:
            for _ in range(2):
                challenge = api.pre_register(BOB).get_json()["challenge"]
                assert ok(api.register(outbox.last.otp, BOB, challenge=challenge))
                held.append((outbox.last.otp, challenge))
        customers.add(BOB)
        for otp, challenge in held:
            assert ok(api.authenticate(otp, BOB, challenge=challenge))


class TestAuthenticate:
    """Without a grace it is the same as verify."""

    def test_takes_a_login_code(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        api.generate(ADA)
        assert ok(api.authenticate(outbox.last.otp, ADA))
        assert ear.of("actor_authenticated")[0]["method"] == "otp"

    def test_allows_five_guesses(self, api: Api, outbox: Outbox, ear: Ear) -> None:
        api.generate(ADA)
        for _ in range(5):
            assert not ok(api.authenticate(wrong(outbox.last.otp), ADA))
        assert not ok(api.authenticate(outbox.last.otp, ADA))
        assert ear.reasons() == ["wrong"] * 5 + ["exhausted"]


class Overtaken(WatchedStore):
    """A store where somebody else is faster, once: after a caller's look, before its first take."""

    rival: Callable[[], TestResponse] | None = None
    answer: TestResponse | None = None

    def take(self, key: str) -> bool:
        if self.rival is not None:
            rival, self.rival = self.rival, None
            self.answer = rival()
        return super().take(key)


class TestRaces:
    """Of two callers with the right code one wins, however they interleave."""

    @pytest.fixture
    def store(self) -> Overtaken:
        return Overtaken()

    @pytest.fixture
    def app(self, store: Overtaken, make_app: Callable[..., Flask], customers: Customers) -> Flask:
        otp_auth = OTPAuth(cache=store)
        otp_auth.add_actor_type("customer", customers)
        return make_app(otp_auth)

    def has_one_winner(
        self, redeem: Callable[..., TestResponse], store: Overtaken, ear: Ear, otp: str, who: str
    ) -> bool:
        ear.heard.clear()
        store.rival = lambda: redeem(otp, who)
        loser = redeem(otp, who)
        assert store.answer is not None
        assert ear.reasons() == ["unknown"]
        assert len(ear.of("otp_verified")) == 1
        return ok(store.answer) and not ok(loser)

    def test_for_a_login_code(self, api: Api, outbox: Outbox, ear: Ear, store: Overtaken) -> None:
        api.generate(ADA)
        assert self.has_one_winner(api.verify, store, ear, outbox.last.otp, ADA)

    def test_for_a_registration_code(
        self, api: Api, outbox: Outbox, ear: Ear, store: Overtaken
    ) -> None:
        api.pre_register(BOB)
        assert self.has_one_winner(api.register, store, ear, outbox.last.otp, BOB)

    def test_for_a_grace(
        self, api: Api, outbox: Outbox, ear: Ear, store: Overtaken, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        assert ok(api.register(outbox.last.otp, BOB))
        customers.add(BOB)
        assert self.has_one_winner(api.authenticate, store, ear, outbox.last.otp, BOB)

    def test_for_the_refresh_of_a_registration_token(
        self, api: Api, outbox: Outbox, store: Overtaken, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        token = api.register(outbox.last.otp, BOB).get_json()["token"]
        customers.add(BOB)
        store.rival = lambda: api.refresh(token)
        assert api.refresh(token).status_code == 401
        assert store.answer is not None
        assert store.answer.status_code == 200


class TestWithoutHTTP:
    """An app's own views, scripts and tests call the flows; only an app context is needed."""

    @pytest.fixture
    def shop(self, make_watched: Callable[..., Watched]) -> Iterator[Watched]:
        watched = make_watched(
            OTP_AUTH_IP_GENERATE_LIMITS="1/day", OTP_AUTH_IP_VERIFY_LIMITS="1/day"
        )
        with watched.app.app_context():
            yield watched

    @pytest.fixture
    def otp_auth(self, shop: Watched) -> OTPAuth:
        return shop.otp_auth

    @pytest.fixture
    def outbox(self, shop: Watched) -> Iterator[Outbox]:
        with Outbox(shop.app) as outbox:
            yield outbox

    def test_a_sign_in(self, otp_auth: OTPAuth, outbox: Outbox) -> None:
        issued = otp_auth.generate("customer", ADA)
        assert (len(issued.challenge), issued.expires_in, issued.resend_after) == (32, 300, 60)
        token = otp_auth.verify("customer", ADA, outbox.last.otp, challenge=issued.challenge)
        assert isinstance(token, str)

    def test_a_sign_up(self, otp_auth: OTPAuth, outbox: Outbox, customers: Customers) -> None:
        issued = otp_auth.pre_register("customer", BOB)
        otp = outbox.last.otp
        registration = otp_auth.register("customer", BOB, otp, challenge=issued.challenge)
        with pytest.raises(ActorNotCreated):
            otp_auth.refresh(registration)
        with pytest.raises(ActorNotCreated):
            otp_auth.authenticate("customer", BOB, otp, challenge=issued.challenge)
        customers.add(BOB)
        token = otp_auth.authenticate("customer", BOB, otp, challenge=issued.challenge)
        assert otp_auth.refresh(token) != token
        assert otp_auth.refresh(registration)
        otp_auth.revoke(token)

    def test_a_challenge_that_is_held_comes_back(self, otp_auth: OTPAuth, outbox: Outbox) -> None:
        held = otp_auth.generate("customer", ADA).challenge
        assert otp_auth.generate("customer", ADA, held).challenge == held
        assert otp_auth.pre_register("customer", BOB, held).challenge != held
        assert otp_auth.pre_register("customer", BOB, challenge=held).challenge == held

    def test_a_duplicate(self, otp_auth: OTPAuth, outbox: Outbox, customers: Customers) -> None:
        otp_auth.pre_register("customer", BOB)
        customers.add(BOB)
        with pytest.raises(DuplicateError):
            otp_auth.register("customer", BOB, outbox.last.otp)

    def test_the_resend_window_holds(self, otp_auth: OTPAuth, outbox: Outbox) -> None:
        for _ in range(3):
            otp_auth.generate("customer", ADA)
        assert len(outbox) == 1

    def test_the_send_limits_hold(
        self, clock: time_machine.Traveller, otp_auth: OTPAuth, outbox: Outbox
    ) -> None:
        for _ in range(8):
            otp_auth.generate("customer", ADA)
            clock.shift(60)
        assert len(outbox) == 5

    def test_the_guesses_are_counted(self, otp_auth: OTPAuth, outbox: Outbox) -> None:
        otp_auth.generate("customer", ADA)
        for _ in range(5):
            with pytest.raises(InvalidOTP):
                otp_auth.verify("customer", ADA, wrong(outbox.last.otp))
        with pytest.raises(InvalidOTP):
            otp_auth.verify("customer", ADA, outbox.last.otp)

    def test_the_days_budget_holds(
        self, clock: time_machine.Traveller, otp_auth: OTPAuth, outbox: Outbox
    ) -> None:
        for _ in range(4):
            otp_auth.generate("customer", ADA)
            for _ in range(5):
                with pytest.raises(InvalidOTP):
                    otp_auth.verify("customer", ADA, wrong(outbox.last.otp))
            clock.shift(60)
        otp_auth.generate("customer", ADA)
        assert len(outbox.last.otp) == 13

    @pytest.mark.parametrize("flow", ["generate", "pre_register"])
    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            (("robot", ADA), NotFound),
            (("customer", "ada"), InvalidIdentifier),
            (("customer", None), InvalidData),
            (("customer", ADA.encode()), InvalidData),
            (("customer", ADA, "c" * 65), InvalidData),
            (("customer", ADA, 7), InvalidData),
        ],
    )
    def test_bad_arguments_to_ask_for_a_code(
        self,
        shop: Watched,
        flow: str,
        arguments: tuple[object, ...],
        error: type[Exception],
    ) -> None:
        with pytest.raises(error):
            getattr(shop.otp_auth, flow)(*arguments)
        assert (shop.store.calls, shop.limits.calls) == ([], [])

    @pytest.mark.parametrize("flow", ["verify", "register", "authenticate"])
    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            (("robot", ADA, "123456"), NotFound),
            (("customer", "ada", "123456"), InvalidIdentifier),
            (("customer", None, "123456"), InvalidData),
            (("customer", ADA, 123456), InvalidData),
            (("customer", ADA, None), InvalidData),
            (("customer", ADA, "1" * 129), InvalidData),
            (("customer", ADA, "123456", "c" * 65), InvalidData),
            (("customer", ADA, "123456", b"c"), InvalidData),
            (("customer", ADA, "¹23456"), InvalidOTP),
        ],
    )
    def test_bad_arguments_to_answer_with_a_code(
        self,
        shop: Watched,
        flow: str,
        arguments: tuple[object, ...],
        error: type[Exception],
    ) -> None:
        with pytest.raises(error):
            getattr(shop.otp_auth, flow)(*arguments)
        assert (shop.store.calls, shop.limits.calls) == ([], [])

    def test_an_app_context_is_needed(self, app: Flask) -> None:
        with pytest.raises(RuntimeError, match="application context"):
            OTPAuth().generate("customer", ADA)


def test_a_token_of_a_flow_is_good_over_http(
    make_watched: Callable[..., Watched],
) -> None:
    shop = make_watched()
    with shop.app.app_context(), Outbox(shop.app) as outbox:
        shop.otp_auth.generate("customer", ADA)
        token = shop.otp_auth.verify("customer", ADA, outbox.last.otp)
    answer = shop.app.test_client().post("/auth/token/refresh", headers=bearer(token))
    assert answer.status_code == 200


def test_nothing_of_the_app_runs_while_others_wait_for_their_turn(
    make_watched: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lookup or a handler may take its time; in a turn it would hold up every request."""
    shop = make_watched(OTP_AUTH_RESEND_INTERVAL=0, OTP_AUTH_IP_VERIFY_LIMITS="9/hour")
    actor_store = type(shop.customers)
    called: dict[str, list[bool]] = {}

    def note(name: str) -> None:
        called.setdefault(name, []).append(shop.store.in_turn)

    def noting(name: str) -> Callable[..., Any]:
        method = getattr(actor_store, name)
        return lambda *arguments: (note(name), method(*arguments))[1]

    for name in ("find_by_identifier", "find_by_id"):
        monkeypatch.setattr(actor_store, name, noting(name))
    receivers = {
        name: lambda _, name=name, **arguments: note(name)
        for name, signal in vars(signals).items()
        if isinstance(signal, NamedSignal) and name not in ("breaker_opened", "delivery_failed")
    }
    for name, receiver in receivers.items():
        getattr(signals, name).connect(receiver, shop.app)
    shop.otp_auth.claims_loader(lambda actor_type, actor: note("claims_loader") or {})
    api = Api(shop.app.test_client())
    with Outbox(shop.app) as outbox:
        api.pre_register(ADA)
        api.generate(BOB)
        api.generate(ADA)
        for otp in (wrong(outbox.last.otp), outbox.last.otp, outbox.last.otp):
            api.verify(otp, ADA)
        api.pre_register(BOB)
        for otp in (wrong(outbox.last.otp), outbox.last.otp):
            api.register(otp, BOB)
        shop.customers.add(BOB)
        for otp in (wrong(outbox.last.otp), outbox.last.otp, outbox.last.otp):
            token = api.authenticate(otp, BOB).get_json().get("token", "")
            api.refresh(token)
            api.revoke(token)
        for _ in range(2):
            api.verify("123456", ADA)
    assert called.keys() == {"find_by_identifier", "find_by_id", "claims_loader", *receivers}
    assert not any(in_turn for turns in called.values() for in_turn in turns)


@pytest.mark.parametrize("asks_for_a_code", [True, False])
def test_the_breaker_tells_nobody_while_others_wait_for_their_turn(
    make_watched: Callable[..., Watched], asks_for_a_code: bool
) -> None:
    """An alert may be a mail, and would hold up every request just when there are many."""
    shop = make_watched(OTP_AUTH_GLOBAL_FAILURE_LIMIT="1/hour")
    in_turn = []
    hear = signals.breaker_opened.connect_via(shop.app)
    hear(lambda _, **said: in_turn.append(shop.store.in_turn))
    api = Api(shop.app.test_client())
    with Outbox(shop.app) as outbox:
        api.generate(ADA)
        api.verify(wrong(outbox.last.otp), ADA)
        if asks_for_a_code:
            with time_machine.travel(time.time() + 2, tick=False):  # the reading is no longer good
                api.generate(BOB)
        else:
            api.verify(wrong(outbox.last.otp), ADA)
    assert in_turn == [False]
