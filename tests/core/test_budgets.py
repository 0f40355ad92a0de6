"""Budgets: counted before anything is done, on any storage of the limits library."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from fakes import FakeLimits
from limits.storage import MemoryStorage
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)
from time_machine import Traveller

from flask_otp_auth.core.budgets import Budget, Budgets, address_budgets, longest_window
from flask_otp_auth.core.crypto import KeyHasher
from flask_otp_auth.core.validators import limit
from flask_otp_auth.errors import ConfigError, Unavailable

HASHER = KeyHasher([b"k" * 32])


class TakesManyLimits(FakeLimits):
    """Limits that take from several windows in one round trip."""

    def acquire_many(self, windows: Sequence[tuple[str, int, int]]) -> list[bool]:
        room = []
        for key, amount, seconds in windows:
            if not MemoryStorage.acquire_entry(self, key, amount, seconds):
                break
            _, taken = MemoryStorage.get_moving_window(self, key, amount, seconds)
            room.append(taken < amount)
        self._note("many")
        return room


@pytest.fixture(
    params=[
        (FakeLimits, MovingWindowRateLimiter),
        (FakeLimits, FixedWindowRateLimiter),
        (FakeLimits, SlidingWindowCounterRateLimiter),
        (TakesManyLimits, MovingWindowRateLimiter),
        (TakesManyLimits, FixedWindowRateLimiter),
    ],
    ids=lambda param: f"{param[0].__name__}-{param[1].__name__}",
)
def budgets(request: pytest.FixtureRequest, clock: Traveller) -> Budgets:
    """Budgets on each kind of storage and of windows."""
    storage, strategy = request.param
    return Budgets(lambda: strategy(storage()), HASHER)


def budget(amount: str, *parts: str) -> Budget:
    return Budget(limit(amount), parts or ("something",))


class TestTaking:
    def test_who_takes_the_last_one_is_told_and_who_finds_none_too(self, budgets: Budgets) -> None:
        two = budget("2/hour")
        taken = [budgets.take(two) for _ in range(3)]
        assert [each.used_up for each in taken] == [False, True, True]
        assert [each.refused for each in taken] == [None, None, two]

    def test_several_are_taken_in_order_up_to_the_first_that_has_none(
        self, budgets: Budgets
    ) -> None:
        first, second, third = budget("9/hour", "1"), budget("1/hour", "2"), budget("1/hour", "3")
        budgets.take(second)
        taken = budgets.take(first, second, third)
        assert (taken.refused, taken.used_up) == (second, False)
        assert budgets.take(third).refused is None

    def test_whether_the_last_one_is_used_up_is_told_of_it_alone(self, budgets: Budgets) -> None:
        full, roomy = budget("1/hour", "full"), budget("9/hour", "roomy")
        assert budgets.take(full, roomy).used_up is False
        assert budgets.take(roomy, budget("1/hour", "full too")).used_up is True

    def test_a_limit_may_have_several_windows(self, budgets: Budgets, clock: Traveller) -> None:
        both = budget("2/minute;3/hour")
        assert [budgets.take(both).used_up for _ in range(2)] == [False, True]
        assert budgets.take(both).refused is both
        clock.shift(120)
        assert budgets.take(both).used_up
        assert budgets.take(both).refused is both

    def test_how_long_that_takes_can_be_asked(self, budgets: Budgets, clock: Traveller) -> None:
        one = budget("1/minute;9/hour")
        assert budgets.retry_after(one) == 1
        budgets.take(one)
        assert 1 <= budgets.retry_after(one) <= 60


class TestStorages:
    def test_one_that_takes_many_is_asked_once(self) -> None:
        storage = TakesManyLimits()
        budgets = Budgets(lambda: MovingWindowRateLimiter(storage), HASHER)
        budgets.take(budget("1/minute;9/hour", "1"), budget("9/hour", "2"))
        assert storage.calls == ["many"]

    def test_any_other_is_asked_the_same_whether_there_is_one_left_or_not(self) -> None:
        storage = FakeLimits()
        budgets = Budgets(lambda: MovingWindowRateLimiter(storage), HASHER)
        for _ in range(3):
            budgets.take(budget("5/hour", "1"), budget("1/hour", "2"))
        assert storage.calls == ["hit", "hit", "look"] * 3

    def test_keys_are_hashes_in_a_namespace(self) -> None:
        storage = FakeLimits()
        budgets = Budgets(lambda: MovingWindowRateLimiter(storage), HASHER)
        budgets.take(budget("5/hour", "ada@example.com"), budget("5/hour", ""))
        assert len(storage.events) == 2
        for key in storage.events:
            assert "ada" not in key
            assert "otp_auth" in key
            assert HASHER.digest("") in key or HASHER.digest("ada@example.com") in key

    def test_one_in_memory_is_used_by_one_thread_at_a_time(self) -> None:
        """It starts its timer unguarded."""

        guard, came_in = threading.Lock(), threading.Barrier(2)
        alone = []

        class Slow(FakeLimits):
            def acquire_entry(self, *arguments: object, **named: object) -> bool:
                alone.append(guard.acquire(blocking=False))
                with suppress(threading.BrokenBarrierError):
                    came_in.wait(0.05)  # for another one, in vain
                guard.release()
                return True

        storage = Slow()
        budgets = Budgets(lambda: MovingWindowRateLimiter(storage), HASHER)
        threads = [threading.Thread(target=budgets.take, args=[budget("5/hour")]) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert alone == [True, True]


class TestOutages:
    def test_no_storage_no_answer(self, limits: FakeLimits) -> None:
        budgets = Budgets(lambda: MovingWindowRateLimiter(limits), HASHER)
        budgets.take(budget("5/hour"))
        limits.reachable = False
        for use in (budgets.take, budgets.retry_after):
            with pytest.raises(Unavailable):
                use(budget("5/hour"))
        limits.reachable = True
        assert budgets.take(budget("5/hour")).refused is None

    def test_contact_is_tried_again_until_it_succeeds(self, limits: FakeLimits) -> None:
        found: list[RateLimiter] = []
        connects = []

        def connect() -> RateLimiter:
            connects.append(1)
            if not found:
                raise ConnectionRefusedError
            return found[0]

        budgets = Budgets(connect, HASHER)
        for _ in range(2):
            with pytest.raises(Unavailable):
                budgets.take(budget("5/hour"))
        found.append(MovingWindowRateLimiter(limits))
        for _ in range(2):
            budgets.take(budget("5/hour"))
        assert len(connects) == 3

    def test_a_fault_of_the_configuration_that_is_found_late_is_told_and_no_crash(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def connect() -> RateLimiter:
            raise ConfigError("limiter= is switched off")

        with pytest.raises(Unavailable):
            Budgets(connect, HASHER).take(budget("5/hour"))
        assert caplog.messages == [str(ConfigError("limiter= is switched off"))]

    def test_it_is_made_anew_when_all_is_to_be_forgotten(self) -> None:
        budgets = Budgets(lambda: MovingWindowRateLimiter(FakeLimits()), HASHER)
        for _ in range(2):
            assert budgets.take(budget("1/hour")).refused is None
            budgets.forget()

    @pytest.mark.parametrize("known", [KeyError, (KeyError, IndexError)])
    def test_what_the_storage_and_its_driver_raise_is_known_from_them(
        self, monkeypatch: pytest.MonkeyPatch, known: object
    ) -> None:
        monkeypatch.setattr(FakeLimits, "base_exceptions", known)
        storage = FakeLimits()
        budgets = Budgets(
            lambda: MovingWindowRateLimiter(storage), HASHER, errors=lambda: (ZeroDivisionError,)
        )
        for error in (KeyError, ZeroDivisionError):
            monkeypatch.setattr(storage, "_note", raising(error))
            with pytest.raises(Unavailable):
                budgets.take(budget("5/hour"))
        monkeypatch.setattr(storage, "_note", raising(RecursionError))
        with pytest.raises(RecursionError):
            budgets.take(budget("5/hour"))


def raising(error: type[Exception]) -> Callable[[str], None]:
    def note(verb: str) -> None:
        raise error

    return note


class TestAddresses:
    def test_the_narrowest_bucket_has_the_limit_and_wider_ones_ten_times_that(self) -> None:
        narrow, wide = address_budgets(limit("5/minute;7/hour"), "generate", ("a/64", "a/48"))
        assert narrow.limit == limit("5/minute;7/hour")
        assert wide.limit == limit("50/minute;70/hour")
        assert narrow.parts != wide.parts

    def test_asking_and_guessing_are_counted_apart(self) -> None:
        one, other = (
            address_budgets(limit("5/hour"), what, ("a",)) for what in ("generate", "verify")
        )
        assert one[0].parts != other[0].parts

    def test_without_an_address_there_is_nothing_to_count(self) -> None:
        assert address_budgets(limit("5/hour"), "generate", ()) == []

    def test_a_limit_is_forgotten_after_its_longest_window(self) -> None:
        assert longest_window(limit("5/minute;1/2 hours;9/hour")) == 7200
