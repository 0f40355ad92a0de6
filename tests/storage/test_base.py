"""What all stores stand on: four verbs on a cache, ends to the instant, outages, a self-test."""

import logging
import math
import re
from collections.abc import Sequence
from datetime import timedelta

import pytest
import time_machine
from fakes import FakeStore

from flask_otp_auth.errors import ConfigError, Unavailable
from flask_otp_auth.storage.base import (
    CacheStore,
    before_end,
    probe,
    text_of,
    unavailable_on,
    with_end,
)
from flask_otp_auth.storage.memory import MemoryCache

NOW = 1_700_000_000


@pytest.fixture(autouse=True)
def now(clock: time_machine.Traveller) -> time_machine.Traveller:
    """The clock, at a whole second."""
    clock.move_to(NOW)
    return clock


class TestACache:
    def test_has_four_verbs_as_a_store(self, now: time_machine.Traveller) -> None:
        store = CacheStore(MemoryCache())
        store.put({"one": "1", "two": "2"}, 60)
        assert store.peek("two", "none", "one") == ["2", None, "1"]
        assert store.take("one", value="2") == [False]
        assert store.take("one", "one") == [True, False]
        assert [store.mark("mark", 10, "mine"), store.mark("mark", 10, "again")] == [True, False]
        assert store.peek("mark") == ["mine"]
        assert store.mark("plain", 10)
        assert store.peek("plain") == ["1"]
        now.shift(10)
        assert store.peek("mark", "two") == [None, "2"]
        now.shift(50)
        assert store.peek("two") == [None]

    def test_has_nothing_to_say_of_its_set_up(self) -> None:
        assert CacheStore(MemoryCache()).findings() == ()

    @pytest.mark.parametrize("verb", ["put", "peek", "take", "mark"])
    def test_that_fails_is_unavailable(self, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise ConnectionRefusedError

        cache = MemoryCache()
        for name in ("set_many", "get_many", "take", "add"):
            monkeypatch.setattr(cache, name, fail)
        store = CacheStore(cache, (ConnectionRefusedError,))
        use = {
            "put": lambda: store.put({"key": "1"}, 60),
            "peek": lambda: store.peek("key"),
            "take": lambda: store.take("key"),
            "mark": lambda: store.mark("key", 60),
        }
        with pytest.raises(Unavailable) as caught:
            use[verb]()
        assert isinstance(caught.value.__cause__, ConnectionRefusedError)

    @pytest.mark.parametrize(
        ("timeout", "deadline"),
        [
            (5, NOW + 5),
            (timedelta(minutes=1), NOW + 60),
            (None, NOW + 300),
            (0, math.inf),
            (timedelta(0), math.inf),
        ],
    )
    def test_counts_ends_as_cachelib_does(
        self, timeout: int | timedelta | None, deadline: float
    ) -> None:
        assert MemoryCache().deadline(timeout) == deadline


class TestOutages:
    def test_the_log_tells_the_class_of_an_error_and_not_its_text(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(Unavailable), unavailable_on((OSError,)):
            raise ConnectionRefusedError("of a key")
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("flask_otp_auth", logging.WARNING)
        assert record.getMessage() == "the storage is unavailable: ConnectionRefusedError"

    def test_any_other_error_is_let_through(self, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(KeyError), unavailable_on((OSError,)):
            raise KeyError
        assert caplog.records == []


class TestValues:
    @pytest.mark.parametrize(
        ("value", "text"),
        [("1", "1"), (b"1", "1"), (b"\xff", "\ufffd"), (None, None), (1, None), (["1"], None)],
    )
    def test_what_we_do_not_write_counts_as_absent(self, value: object, text: str | None) -> None:
        assert text_of(value) == text

    def test_one_that_has_its_end_inside_is_there_until_then(
        self, now: time_machine.Traveller
    ) -> None:
        stored = with_end("two words", 60)
        now.shift(59.9)
        assert before_end(stored) == before_end(stored.encode()) == "two words"
        now.shift(0.1)
        assert before_end(stored) is None

    def test_an_upgrade_still_reads_those_from_before(self) -> None:
        assert with_end("value", 60) == "1700000060.0 value"
        assert before_end("1700000060.0 value") == "value"

    @pytest.mark.parametrize("garbage", [None, "", "value", "9e9", "9e9value", "nan value", 7, b""])
    def test_what_has_none_is_absent(self, garbage: object) -> None:
        assert before_end(garbage) is None


class Faulty(FakeStore):
    """A store that gets one answer wrong.

    :ivar wrong: the number of that call, from 0.
    """

    def __init__(self, wrong: int) -> None:
        super().__init__()
        self.wrong = wrong

    @property
    def _is_wrong(self) -> bool:
        return len(self.calls) - 1 == self.wrong

    def peek(self, *keys: str) -> Sequence[str | None]:
        found = super().peek(*keys)
        return ["another"] if self._is_wrong else found

    def take(self, *keys: str, value: str | None = None) -> Sequence[bool]:
        taken = super().take(*keys, value=value)
        return [not each for each in taken] if self._is_wrong else taken

    def mark(self, key: str, ttl: int, value: str = "1") -> bool:
        marked = super().mark(key, ttl, value)
        return not marked if self._is_wrong else marked


class TestTheSelfTest:
    def test_leaves_nothing_and_uses_other_keys_each_time(self) -> None:
        store = FakeStore()
        for _ in range(2):
            probe(store)
        assert store.items == {}
        keys = {key for _, keys in store.calls for key in keys}
        assert len(keys) == 4
        assert all(
            re.fullmatch(r"otp_auth:\{probe[0-9a-f]{16}\}:[0-9a-f]{32}(:mark)?", key)
            for key in keys
        )

    def test_lasts_ten_seconds_at_most(self, now: time_machine.Traveller) -> None:
        store = Faulty(2)  # so that its keys stay
        with pytest.raises(ConfigError):
            probe(store)
        assert {deadline for _, deadline in store.items.values()} <= {NOW + 10}

    @pytest.mark.parametrize("number", range(7))
    def test_tells_which_promise_is_broken(self, number: int) -> None:
        seen = tuple(each != number for each in range(7))
        with pytest.raises(ConfigError) as caught:
            probe(Faulty(number + 1))
        assert caught.value.faults == (
            "the cache failed the self-test (put and peek, take, second take, mark, second mark, "
            f"take of another value, take of its value): {seen}, every entry must be True. With "
            "pymemcache, set default_noreply=False",
        )
