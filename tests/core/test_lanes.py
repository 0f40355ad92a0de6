"""Lanes: one short code in a window, long ones under attack; always a live code or room for one."""

import pytest
from engine import LOGIN, REGISTRATION, Engine, MakeEngine
from fakes import FakeStore
from time_machine import Traveller

from flask_otp_auth.core.lanes import Turn
from flask_otp_auth.core.scopes import Scope

SHORT, LONG = Turn(long=False), Turn(long=True)
BEGINS = Turn(long=True, attacked="sends")

TRANSFER = Scope("", "transfer", "ada@example.com", "10 to Bob")
OTHER_TRANSFER = Scope("", "transfer", "ada@example.com", "20 to Cy")


def use(engine: Engine, scope: Scope = LOGIN) -> None:
    """Let somebody use a code that was sent."""
    engine.put("123456", scope)
    assert engine.redeem("123456", scope) == scope.purpose


class TestTheResendWindow:
    def test_one_short_code_is_due_in_it(self, engine: Engine, clock: Traveller) -> None:
        assert engine.ask() == SHORT
        clock.shift(59)
        assert engine.ask() == "cooldown"
        clock.shift(1)
        assert engine.ask() == SHORT

    def test_each_lane_has_its_own(self, engine: Engine) -> None:
        scopes = [
            LOGIN,
            REGISTRATION,
            Scope("user", "login", "ada@example.com"),
            Scope("customer", "login", "bob@example.com"),
            TRANSFER,
            OTHER_TRANSFER,
        ]
        assert [engine.ask(scope) for scope in scopes] == [SHORT] * 6
        assert [engine.ask(scope) for scope in scopes] == ["cooldown"] * 6

    def test_it_may_be_switched_off(self, make_engine: MakeEngine) -> None:
        engine = make_engine(resend_interval=0)
        assert [engine.ask() for _ in range(3)] == [SHORT] * 3

    def test_it_opens_for_whoever_used_a_code(self, engine: Engine) -> None:
        engine.ask()
        use(engine)
        assert engine.ask() == SHORT

    def test_what_is_left_of_it_can_be_asked(self, engine: Engine, clock: Traveller) -> None:
        assert engine.lanes.seconds_until_turn(LOGIN) == 1
        engine.ask()
        assert engine.lanes.seconds_until_turn(LOGIN) == 60
        clock.shift(20.5)
        assert engine.lanes.seconds_until_turn(LOGIN) == 40
        engine.lanes.mark_attacked_by_guesses(LOGIN, engine.settings)
        engine.ask()
        assert engine.lanes.seconds_until_turn(LOGIN) == 420


class TestSendLimits:
    @pytest.fixture
    def engine(self, make_engine: MakeEngine, clock: Traveller) -> Engine:
        """Two short codes an hour."""
        return make_engine(send_limits="2/hour", resend_interval=0)

    def test_used_up_the_lane_is_attacked_for_their_hour(
        self, engine: Engine, clock: Traveller
    ) -> None:
        assert [engine.ask() for _ in range(4)] == [SHORT, SHORT, BEGINS, "cooldown"]
        clock.shift(420)
        assert engine.ask() == LONG
        clock.shift(3179)
        assert engine.ask() == LONG
        clock.shift(2)
        assert engine.ask() == SHORT

    def test_they_are_counted_whatever_codes_of_an_own_purpose_are_bound_to(
        self, engine: Engine
    ) -> None:
        assert [engine.ask(TRANSFER), engine.ask(OTHER_TRANSFER)] == [SHORT, SHORT]
        assert engine.ask(TRANSFER) == BEGINS

    def test_a_used_code_leaves_room_for_one_more(self, engine: Engine) -> None:
        engine.ask()
        use(engine)
        assert [engine.ask() for _ in range(3)] == [SHORT, SHORT, BEGINS]

    def test_that_room_is_taken_once_by_whoever_comes_first(
        self, engine: Engine, store: FakeStore
    ) -> None:
        use(engine)
        for _ in range(2):
            engine.ask()
        answers = []

        def overtake() -> None:
            store.before_take = lambda: None
            answers.append(engine.ask())

        store.before_take = overtake
        answers.append(engine.ask())
        assert answers == [SHORT, BEGINS]

    def test_the_room_is_kept_for_the_hour(self, engine: Engine, clock: Traveller) -> None:
        use(engine)
        clock.shift(1800)
        assert [engine.ask() for _ in range(2)] == [SHORT, SHORT]
        clock.shift(1800)
        assert engine.ask() == BEGINS


class TestGuessesUsedUp:
    def test_codes_of_every_purpose_are_long_for_the_day(
        self, engine: Engine, clock: Traveller
    ) -> None:
        assert engine.lanes.mark_attacked_by_guesses(LOGIN, engine.settings)
        for scope in (LOGIN, REGISTRATION, Scope("customer", "door", LOGIN.identifier)):
            assert engine.ask(scope) == LONG
        clock.shift(86_399)
        assert engine.ask() == LONG
        clock.shift(1)
        assert engine.ask() == SHORT

    def test_those_of_others_stay_short(self, engine: Engine) -> None:
        engine.lanes.mark_attacked_by_guesses(LOGIN, engine.settings)
        assert engine.ask(Scope("user", "login", LOGIN.identifier)) == SHORT
        assert engine.ask(Scope("customer", "login", "bob@example.com")) == SHORT
        assert engine.ask(TRANSFER) == SHORT

    def test_it_opens_the_windows_of_long_codes_once(
        self, make_engine: MakeEngine, clock: Traveller
    ) -> None:
        engine = make_engine(send_limits="1/hour", resend_interval=0)
        for scope in (LOGIN, REGISTRATION):
            assert [engine.ask(scope) for _ in range(3)] == [SHORT, BEGINS, "cooldown"]
        assert engine.lanes.mark_attacked_by_guesses(LOGIN, engine.settings)
        assert [engine.ask(LOGIN), engine.ask(REGISTRATION)] == [LONG, LONG]
        assert not engine.lanes.mark_attacked_by_guesses(LOGIN, engine.settings)
        assert engine.ask() == "cooldown"

    def test_a_purpose_of_the_apps_own_is_attacked_by_itself(self, engine: Engine) -> None:
        engine.lanes.mark_attacked_by_guesses(TRANSFER, engine.settings)
        assert engine.ask(TRANSFER) == LONG
        # Long codes have one window for all that is bound, or each amount would be a message more.
        assert engine.ask(OTHER_TRANSFER) == "cooldown"
        assert engine.ask(LOGIN) == SHORT


class TestTheStore:
    def test_all_keys_of_one_owner_share_a_tag_and_none_tells_whose_they_are(
        self, make_engine: MakeEngine, store: FakeStore
    ) -> None:
        engine = make_engine(send_limits="1/hour", resend_interval=30)
        for scope in (LOGIN, REGISTRATION):
            engine.ask(scope)
            use(engine, scope)
            engine.ask(scope)
            engine.put("123456", scope)
        engine.lanes.mark_attacked_by_guesses(LOGIN, engine.settings)
        assert len({key.partition("}")[0] for key in store.items}) == 1
        for key in store.items:
            prefix, tag, name = key.replace("{", "").replace("}", "").split(":")
            assert (prefix, len(bytes.fromhex(tag)), len(bytes.fromhex(name))) == (
                "otp_auth", 16, 16
            )  # fmt: skip

    @pytest.mark.parametrize("garbage", ["", "1", "[9e9].forged", "é"])
    def test_garbage_in_place_of_a_mark_counts_as_absent(
        self, make_engine: MakeEngine, store: FakeStore, garbage: str
    ) -> None:
        engine = make_engine(send_limits="1/hour")
        engine.ask()
        engine.lanes.mark_attacked_by_guesses(LOGIN, engine.settings)
        assert engine.ask() == LONG
        store.items.update(dict.fromkeys(store.items, (garbage, 9e9)))
        assert engine.ask() == BEGINS
        assert engine.lanes.mark_attacked_by_guesses(LOGIN, engine.settings)
        assert engine.ask() == LONG
