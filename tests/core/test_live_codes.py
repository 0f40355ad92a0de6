"""Live codes: two newest are good, each once; whatever the storage forgets or holds instead."""

import itertools

import pytest
from engine import GRACE, LOGIN, NEW, OLD, REGISTRATION, SCOPES, Engine, MakeEngine
from fakes import FakeStore
from time_machine import Traveller

from flask_otp_auth.core import codes
from flask_otp_auth.core.lanes import Turn
from flask_otp_auth.core.live_codes import NothingLive, Rejected

A, B, C, WRONG = "111111", "222222", "333333", "999999"
LONG_A, LONG_B = "1" * 20, "2" * 20


class TestUsing:
    def test_of_two_callers_who_were_right_one_wins(self, engine: Engine) -> None:
        engine.put(A)
        one, other = (engine.live_codes.match([LOGIN], A, long=False) for _ in range(2))
        used = [engine.live_codes.use(each, engine.settings) for each in (one, other)]
        assert used == [True, False]

    def test_a_used_code_ends_the_others_of_its_lane(self, engine: Engine) -> None:
        for used, other in itertools.permutations((A, B)):
            engine.put(A)
            engine.put(B)
            assert engine.redeem(used) == "login"
            assert engine.redeem(other) == "unknown"

    def test_also_for_somebody_who_had_compared_another_one_before(self, engine: Engine) -> None:
        engine.put(A)
        engine.put(B)
        older = engine.live_codes.match([LOGIN], A, long=False)
        assert engine.redeem(B) == "login"
        assert not engine.live_codes.use(older, engine.settings)

    def test_codes_of_other_lanes_stay(self, engine: Engine) -> None:
        engine.put(A)
        engine.put(LONG_A, long=True)
        engine.put(B, REGISTRATION)
        assert engine.redeem(A) == "login"
        assert engine.redeem(B, REGISTRATION) == "registration"
        assert engine.redeem(LONG_A, long=True) == "login"

    def test_after_it_nothing_is_live(self, engine: Engine) -> None:
        """So guesses after a sign-in are none that the breaker counts."""
        engine.put(A)
        engine.redeem(A)
        with pytest.raises(NothingLive, match="unknown"):
            engine.live_codes.match([LOGIN], WRONG, long=False)

    def test_a_grace_leaves_no_room_for_another_code(self, make_engine: MakeEngine) -> None:
        engine = make_engine(send_limits="1/hour", resend_interval=0)
        engine.put(A, GRACE)
        assert engine.redeem(A, GRACE, LOGIN) == "grace"
        assert engine.ask() == Turn(long=False)
        assert engine.ask() == Turn(long=True, attacked="sends")


class TestTheNewest:
    def test_two_are_good_and_a_third_is_not(self, engine: Engine) -> None:
        """A first mail that comes late still works."""
        for good, code in zip((False, True, True), (A, B, C), strict=True):
            for each in (A, B, C):
                engine.put(each)
            assert (engine.redeem(code) == "login") is good

    @pytest.mark.parametrize("long", [False, True])
    def test_short_and_long_ones_are_counted_apart(self, engine: Engine, long: bool) -> None:
        for code in (A, B):
            engine.put(code)
        for code in (LONG_A, LONG_B):
            engine.put(code, long=True)
        assert engine.redeem(LONG_A if long else A, long=long) == "login"

    def test_one_guess_is_compared_with_two_codes_however_many_scopes_there_are(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine.put(A, GRACE)
        for code in (B, C):
            engine.put(code)
        compared: list[object] = []
        monkeypatch.setattr(codes, "matches", lambda *_: bool(compared.append(1)))
        assert engine.redeem(WRONG, GRACE, LOGIN) == "wrong"
        assert engine.redeem(WRONG, REGISTRATION) == "unknown"
        assert len(compared) == 4  # where nothing is live, a constant is compared

    def test_the_first_scope_goes_before_the_others(self, engine: Engine) -> None:
        engine.put(A, GRACE)
        engine.put(A)
        assert [engine.redeem(A, GRACE, LOGIN) for _ in range(3)] == ["grace", "login", "unknown"]


class TestTime:
    def test_a_code_is_good_to_the_instant_of_its_deadline(
        self, engine: Engine, clock: Traveller
    ) -> None:
        deadline = engine.put(A)
        clock.move_to(deadline - 0.001)
        assert engine.redeem(WRONG) == "wrong"
        clock.move_to(deadline)
        with pytest.raises(NothingLive, match="expired"):
            engine.live_codes.match([LOGIN], A, long=False)
        clock.shift(61)
        assert engine.redeem(A) == "unknown"

    def test_one_from_before_an_upgrade_is_good_after_it(
        self, engine: Engine, store: FakeStore, clock: Traveller
    ) -> None:
        clock.move_to(1_700_000_000)
        tag = "otp_auth:{5716002c011454e9836ab660a25ae2b6}:"
        right = tag + "f80d37941c89ad7c45caf34e6b4d328b"
        digest = "7ba9a1044930f6c419294f52722b9187fc0ab1ce8da71606adb4e663848499b0"
        seal = "h3VaxVulTnFDkysH5UbjHRiIY3h_lrx9DzYkULlVIMI"
        sealed = f'[1700000360.0, ["{right}", "{digest}", 1700000300.0]].{seal}'
        store.put({right: "1", tag + "59864bf797e2026852d97c9ad8102836": sealed}, 360)
        assert engine.redeem(A) == "login"

    def test_the_newest_is_the_one_that_ends_last(self, engine: Engine, clock: Traveller) -> None:
        for code in (A, B, C):
            engine.put(code)
            clock.shift(60)
        assert [engine.redeem(A), engine.redeem(C)] == ["wrong", "login"]


class TestWhatACodeIsFor:
    def test_it_is_good_for_nothing_else(self, engine: Engine) -> None:
        for scope in SCOPES:
            engine.put(A, scope)
            for other in SCOPES:
                expected = scope.purpose if other == scope else "unknown"
                if other != scope:
                    assert engine.redeem(A, other) == expected
            assert engine.redeem(A, scope) == scope.purpose


def pointer(store: FakeStore, number: int) -> str:
    """Return the key of the pointer that was written as the ``number``-th."""
    puts = [keys for verb, keys in store.calls if verb == "put"]
    return puts[number][-1]


class TestTheStore:
    def test_a_code_is_put_in_one_write_its_pointer_last(
        self, engine: Engine, store: FakeStore, clock: Traveller
    ) -> None:
        clock.move_to(1_700_000_000)
        engine.put(A)
        assert store.verbs == ["peek", "put"]
        right, last = store.calls[-1][1]
        assert right.partition("}")[0] == last.partition("}")[0]  # one slot of a Redis Cluster
        assert store.items[right][0] == "1"
        assert store.items[last][0] != "1"
        # A minute longer than the code is good, and rounded up.
        assert {ends for _, ends in store.items.values()} == {1_700_000_361}

    def test_an_older_pointer_brings_no_used_code_back(
        self, engine: Engine, store: FakeStore
    ) -> None:
        engine.put(A)
        key = pointer(store, 0)
        former = store.items[key]
        assert engine.redeem(A) == "login"
        store.items[key] = former
        assert engine.redeem(A) == "lost"


class TestRotation:
    """``SECRET_KEY`` changes, the former one is in ``SECRET_KEY_FALLBACKS``."""

    @pytest.fixture
    def old(self, make_engine: MakeEngine) -> Engine:
        return make_engine(OLD)

    @pytest.fixture
    def rotated(self, make_engine: MakeEngine) -> Engine:
        return make_engine(OLD, NEW)

    def test_codes_under_both_are_one_lane(
        self, old: Engine, rotated: Engine, clock: Traveller
    ) -> None:
        for engine, code in ((old, A), (old, B), (rotated, C)):
            engine.put(code)
            clock.shift(60)
        assert rotated.redeem(A) == "wrong"
        assert rotated.redeem(B) == "login"
        assert rotated.redeem(C) == "unknown"


def test_a_refusal_says_why_and_nothing_prints_a_digest(engine: Engine) -> None:
    assert (Rejected("wrong").reason, str(Rejected("wrong"))) == ("wrong", "wrong")
    engine.put(A)
    match = engine.live_codes.match([LOGIN], A, long=False)
    assert match.code.digest not in repr(match) + repr(match.code) + str(vars(match))
