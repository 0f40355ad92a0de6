"""Our own caches: what cachelib promises, and what becomes of memory when it is full."""

import itertools
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from stores import at_once
from time_machine import Traveller

from flask_otp_auth.storage.base import TextCache
from flask_otp_auth.storage.memory import ROOM, SWEEP, MemoryCache
from flask_otp_auth.storage.sqlite import SQLiteCache


@pytest.fixture(params=["memory", "sqlite"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> TextCache:
    """An own cache, with a default time-out of 30 s."""
    if request.param == "memory":
        return MemoryCache(default_timeout=30)
    return SQLiteCache(tmp_path / "codes.sqlite3", default_timeout=timedelta(seconds=30))


class TestOwnCaches:
    """What cachelib promises of a cache, kept in memory and in SQLite."""

    def test_nothing_is_there_at_first(self, cache: TextCache) -> None:
        assert cache.get("a") is None
        assert cache.get_dict("a") == {"a": None}
        assert cache.get_many() == cache.take() == cache.set_many({}) == []

    def test_set_replaces_and_add_does_not(self, cache: TextCache) -> None:
        assert cache.set("a", "1")
        assert cache.set("a", "2")
        assert not cache.add("a", "3")
        assert cache.get("a") == "2"

    def test_delete_tells_whether_it_was_there(self, cache: TextCache) -> None:
        cache.set_many({"a": "1", "b": "2"})
        assert [cache.delete("a"), cache.delete("a")] == [True, False]
        assert cache.get_many("a", "b") == [None, "2"]

    @pytest.mark.parametrize(
        "write",
        [
            lambda cache, timeout: cache.set("a", "1", timeout),
            lambda cache, timeout: cache.add("a", "1", timeout),
            lambda cache, timeout: cache.set_many({"a": "1"}, timeout),
        ],
        ids=["set", "add", "set_many"],
    )
    @pytest.mark.parametrize(
        ("timeout", "seconds"),
        [(10, 10), (timedelta(seconds=10), 10), (None, 30), (0, 1e9), (timedelta(), 1e9)],
        ids=str,
    )
    def test_values_expire_to_the_instant(
        self,
        cache: TextCache,
        clock: Traveller,
        write: Callable[[TextCache, object], object],
        timeout: object,
        seconds: float,
    ) -> None:
        write(cache, timeout)
        clock.shift(seconds - 0.01)
        assert cache.get("a") == "1"
        clock.shift(0.01 if seconds < 1e9 else 0)
        assert (cache.get("a") is None) == (seconds < 1e9)

    def test_set_renews_and_a_lost_add_does_not(self, cache: TextCache, clock: Traveller) -> None:
        cache.set("a", "1", timeout=10)
        clock.shift(8)
        assert not cache.add("a", "2", timeout=60)
        cache.set("b", "1", timeout=10)
        cache.set("b", "1", timeout=60)
        clock.shift(8)
        assert cache.get_many("a", "b") == [None, "1"]
        assert not cache.delete("a")


@pytest.fixture
def small() -> MemoryCache:
    """A cache that has room for three keys."""
    return MemoryCache(room=3)


def test_the_oldest_goes_where_there_is_no_room(small: MemoryCache) -> None:
    for number, ttl in enumerate((3600, 60, 0, 60, 3600)):
        small.set(str(number), "1", ttl)
    assert small.get_many(*"01234") == [None, None, "1", "1", "1"]


def test_a_key_that_is_written_again_is_the_newest(small: MemoryCache) -> None:
    for key in "aba":
        small.set(key, "1")
    for key in "cd":
        small.set(key, "1")
    assert small.get_many(*"abcd") == ["1", None, "1", "1"]


def test_what_has_expired_goes_before_what_is_live(small: MemoryCache, clock: Traveller) -> None:
    small.set("old", "1", 3600)
    small.set("expired", "1", 10)
    small.set("live", "1", 3600)
    clock.shift(11)
    small.set("new", "1", 3600)
    assert small.get_many("old", "expired", "live", "new") == ["1", None, "1", "1"]


def test_a_put_larger_than_the_room_keeps_its_last_keys(small: MemoryCache) -> None:
    small.set_many(dict.fromkeys("abcd", "1"))
    assert small.get_many(*"abcd") == [None, "1", "1", "1"]


def test_what_has_expired_is_dropped_on_the_way(clock: Traveller) -> None:
    """Else a million codes that nobody takes would stay until there is no more room."""
    small = MemoryCache(room=10 + SWEEP)
    small.set("session", "1", 86_400)
    for number in range(100):
        small.set(str(number), "1", 10)
        clock.shift(1)
    assert small.get("session") == "1"


def test_clear_forgets_all(small: MemoryCache) -> None:
    small.set("a", "1")
    assert small.clear()
    assert small.get("a") is None
    assert small.add("a", "1")


def test_a_full_cache_takes_no_longer_for_the_next_codes() -> None:
    def seconds_of(cache: MemoryCache) -> float:
        start = time.process_time()
        for number in range(2000):
            cache.set(f"new{number}", "1")
        return time.process_time() - start

    assert ROOM == 500_000
    full = MemoryCache(room=50_000)
    full.set("first", "1")
    full.set_many({str(number): "1" for number in range(50_000 - 1)})
    assert full.get("first") == "1"
    assert seconds_of(full) < 10 * seconds_of(MemoryCache())
    assert full.get_many("first", "1998", "1999", "new1999") == [None, None, "1", "1"]


def test_no_reader_sees_a_part_of_what_is_set_at_once() -> None:
    cache = MemoryCache()
    numbers = itertools.count()

    def write() -> None:
        for _ in range(500):
            cache.set_many(dict.fromkeys("abc", str(next(numbers))))

    def read() -> int:
        return max(len(set(cache.get_many(*"abc"))) for _ in range(500))

    assert at_once(read, write, read)[::2] == [1, 1]
