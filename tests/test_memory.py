"""Codes and limits in memory: room for all, exact, and tidy without a thread of its own."""

import time

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from limits import parse
from limits.strategies import MovingWindowRateLimiter

from flask_otp_auth.memory import MemoryCache, MemoryLimitStorage
from flask_otp_auth.store import store_for

LIMIT = parse("3/minute")


@pytest.fixture
def strategy() -> MovingWindowRateLimiter:
    """Limits in memory."""
    return MovingWindowRateLimiter(MemoryLimitStorage())


def test_the_cache_is_one_that_the_store_accepts() -> None:
    store = store_for(MemoryCache())
    store.put({"one": "1", "two": "2"}, 60)
    assert store.peek("one", "two") == ["1", "2"]


def test_texts_are_kept_until_their_time_is_over(clock: time_machine.Traveller) -> None:
    cache = MemoryCache()
    assert cache.set_many({"one": "1", "two": "2"}, timeout=60) == ["one", "two"]
    clock.shift(59)
    assert cache.get_many("one", "two") == ["1", "2"]
    clock.shift(2)
    assert cache.get_many("one", "two") == [None, None]


def test_a_limit_lets_so_many_through_in_each_window(
    strategy: MovingWindowRateLimiter, clock: time_machine.Traveller
) -> None:
    for _ in range(3):
        assert strategy.hit(LIMIT, "ada")
        clock.shift(10)
    assert not strategy.hit(LIMIT, "ada")
    assert strategy.hit(LIMIT, "bob")
    clock.shift(30.001)  # the first hit leaves the window
    assert strategy.hit(LIMIT, "ada")
    assert not strategy.hit(LIMIT, "ada")


def test_a_refused_hit_takes_nothing(
    strategy: MovingWindowRateLimiter, clock: time_machine.Traveller
) -> None:
    assert [strategy.hit(LIMIT, "ada", cost=2) for _ in range(3)] == [True, False, False]
    assert strategy.hit(LIMIT, "ada")


def test_looking_takes_nothing(strategy: MovingWindowRateLimiter) -> None:
    assert all(strategy.test(LIMIT, "ada") for _ in range(5))
    assert strategy.get_window_stats(LIMIT, "ada").remaining == 3


def test_a_window_tells_when_its_oldest_hit_leaves_it(
    strategy: MovingWindowRateLimiter, clock: time_machine.Traveller
) -> None:
    clock.move_to(1_000_000)
    strategy.hit(LIMIT, "ada")
    clock.shift(20)
    strategy.hit(LIMIT, "ada")
    assert strategy.get_window_stats(LIMIT, "ada") == (1_000_060, 1)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.5, 15.0, 60.0, 90.0]))))
def test_a_hit_is_let_through_exactly_if_its_window_has_room(
    steps: list[tuple[str, float]],
) -> None:
    strategy = MovingWindowRateLimiter(MemoryLimitStorage())
    taken: list[tuple[str, float]] = []
    with time_machine.travel(1_000_000, tick=False) as clock:
        for name, pause in steps:
            clock.shift(pause)
            now = time.time()
            room = 3 - sum(who == name and now - 60 <= when for who, when in taken)
            assert strategy.get_window_stats(LIMIT, name).remaining == room
            assert strategy.hit(LIMIT, name) is (room > 0)
            taken += [(name, now)] * (room > 0)
