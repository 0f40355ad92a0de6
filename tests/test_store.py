"""The store: four verbs whose promises hold on every cache that is let in."""

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import time_machine
from cachelib import (
    BaseCache,
    FileSystemCache,
    MemcachedCache,
    NullCache,
    RedisCache,
    SimpleCache,
)
from hypothesis import given
from hypothesis import strategies as st
from pymemcache import PooledClient
from redis.backoff import NoBackoff
from redis.retry import Retry

from flask_otp_auth.database import Database
from flask_otp_auth.errors import ConfigError, Unavailable
from flask_otp_auth.sqlite import SQLiteCache
from flask_otp_auth.store import MIN_THRESHOLD, CacheStore, SQLiteStore, Store, probe, store_for


@pytest.fixture(params=["SimpleCache", "SQLiteCache"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> BaseCache:
    """A cache of each kind that the four verbs stand on."""
    if request.param == "SimpleCache":
        return SimpleCache(threshold=MIN_THRESHOLD)
    return SQLiteCache(tmp_path / "codes.sqlite3")


@pytest.fixture
def store(cache: BaseCache) -> Store:
    """The four verbs on that cache."""
    return store_for(cache)


def winners(contest: Callable[[], bool], callers: int = 8) -> int:
    """Let many callers try at once and return how many were told that they won."""
    start = threading.Barrier(callers)
    told: list[bool] = []

    def call() -> None:
        start.wait()
        told.append(contest())

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told.count(True)


class TestTurn:
    def test_all_verbs_work_in_a_turn(self, store: Store) -> None:
        with store.turn():
            probe(store)

    def test_in_a_file_with_its_limits_others_wait(self, tmp_path: Path) -> None:
        database = Database(tmp_path / "codes.sqlite3", timeout=0.05)
        store = SQLiteStore(SQLiteCache(database))
        probe(store)
        with ThreadPoolExecutor(1) as elsewhere, store.turn():
            probe(store)
            with pytest.raises(Unavailable):
                elsewhere.submit(store.take, "key").result(60)

    def test_a_file_out_of_reach_is_unavailable(self, tmp_path: Path) -> None:
        (tmp_path / "folder").touch()
        store = SQLiteStore(SQLiteCache(tmp_path / "folder" / "codes.sqlite3"))
        with pytest.raises(Unavailable), store.turn():
            raise AssertionError("the turn began")


class TestPutAndPeek:
    def test_what_was_put_is_there(self, store: Store) -> None:
        store.put({"one": "1", "two": "2"}, 60)
        assert store.peek("two", "none", "one") == ["2", None, "1"]

    def test_peeking_takes_nothing(self, store: Store) -> None:
        store.put({"one": "1"}, 60)
        assert [store.peek("one"), store.peek("one")] == [["1"], ["1"]]

    def test_it_is_there_for_all_its_time_though_a_cache_may_round_down(
        self, store: Store, clock: time_machine.Traveller
    ) -> None:
        store.put({"one": "1"}, 60)
        clock.shift(59.999)
        assert store.peek("one") == ["1"]

    def test_it_is_gone_soon_after(self, store: Store, clock: time_machine.Traveller) -> None:
        store.put({"one": "1"}, 60)
        clock.shift(62)
        assert store.peek("one") == [None]

    @pytest.mark.parametrize(
        ("written", "read"),
        [("text", "text"), (b"text", "text"), (b"\xff", "\N{REPLACEMENT CHARACTER}"),
         (7, None), (["text"], None), (None, None)],
    )  # fmt: skip
    def test_texts_come_back_and_what_no_one_put_here_counts_as_absent(
        self, written: object, read: str | None
    ) -> None:
        cache = SimpleCache(threshold=MIN_THRESHOLD)
        cache.set("key", written, timeout=60)
        assert store_for(cache).peek("key") == [read]

    @pytest.mark.parametrize("written", [[], ["one"]])
    def test_a_put_that_wrote_only_a_part_raises(self, written: list[str]) -> None:
        class HalfFull(SimpleCache):
            def set_many(self, *args: Any, **kwargs: Any) -> list[str]:
                return written

        with pytest.raises(Unavailable):
            CacheStore(HalfFull()).put({"one": "1", "two": "2"}, 60)


class TestTake:
    def test_a_key_is_taken_once_for_each_time_that_it_was_put(self, store: Store) -> None:
        for _ in range(2):
            store.put({"right": "1"}, 60)
            assert [store.take("right"), store.take("right")] == [True, False]

    def test_what_was_never_put_can_not_be_taken(self, store: Store) -> None:
        assert store.take("right") is False

    def test_one_of_many_callers_takes_it(self, store: Store) -> None:
        for _ in range(20):
            store.put({"right": "1"}, 60)
            assert winners(lambda: store.take("right")) == 1


class TestMark:
    def test_a_window_opens_once_while_it_is_open(self, store: Store) -> None:
        assert [store.mark("window", 60), store.mark("window", 60)] == [True, False]

    def test_windows_do_not_meet(self, store: Store) -> None:
        assert [store.mark("one", 60), store.mark("two", 60)] == [True, True]

    @pytest.mark.parametrize("fraction", [0.0, 0.001, 0.5, 0.999])
    @pytest.mark.parametrize("seconds", [1, 2, 60, 3600, 86_400])
    def test_a_window_lasts_its_time_to_the_instant_on_caches_that_round_too(
        self, store: Store, clock: time_machine.Traveller, seconds: int, fraction: float
    ) -> None:
        start = 1_700_000_000 + fraction
        clock.move_to(start)
        assert store.mark("window", seconds)
        for end in (start + seconds, start + 2 * seconds):
            clock.move_to(end - 0.001)
            assert not store.mark("window", seconds)
            clock.move_to(end)
            assert store.mark("window", seconds)
            assert not store.mark("window", seconds)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([0, 0.3, 1, 2, 59.9, 60, 61.1, 600, 7300]), st.integers(1, 60)
            ),
            min_size=1,
        )
    )
    def test_a_new_window_opens_exactly_when_there_is_none(
        self, calls: list[tuple[float, int]]
    ) -> None:
        store = store_for(SimpleCache(threshold=MIN_THRESHOLD))
        with time_machine.travel(1_700_000_000.7, tick=False) as clock:
            end = 0.0
            for pause, seconds in calls:
                clock.shift(pause)
                opens = end <= time.time()
                assert store.mark("window", seconds) is opens
                end = time.time() + seconds if opens else end

    def test_one_of_many_callers_opens_the_first_window(self, store: Store) -> None:
        for number in range(20):
            assert winners(lambda key=f"window {number}": store.mark(key, 60)) == 1

    @pytest.mark.parametrize("later", [60, 60.5, 61, 61.5, 62, 63, 3659, 3663])
    def test_one_of_many_callers_opens_the_next_window(
        self, store: Store, clock: time_machine.Traveller, later: float
    ) -> None:
        for number in range(5):
            key = f"window {number}"
            assert store.mark(key, 60)
            clock.shift(later)
            assert winners(lambda key=key: store.mark(key, 60)) == 1

    @pytest.mark.parametrize("later", [60, 60.05])
    def test_who_is_slow_to_see_the_end_of_a_window_opens_no_second_one(
        self, clock: time_machine.Traveller, later: float
    ) -> None:
        opened: list[bool] = []
        other = threading.Thread(target=lambda: opened.append(store.mark("window", 60)))

        class Slow(SimpleCache):
            """Lets a window run out, and somebody else come, while one looks at it."""

            def get(self, key: str) -> Any:
                value = super().get(key)
                if not other.ident:
                    clock.shift(1.5)
                    other.start()
                    other.join(0.1)
                return value

        store = store_for(Slow(threshold=MIN_THRESHOLD))
        assert store.mark("window", 60)
        clock.shift(later)
        opened.append(store.mark("window", 60))
        other.join()
        assert sorted(opened) == [False, True]

    @pytest.mark.parametrize("garbage", ["", "soon", "nan 1", "inf 1", b"\xff", 7, ["0", "1"]])
    def test_a_mark_that_no_one_here_made_opens_nothing(self, garbage: object) -> None:
        cache = SimpleCache(threshold=MIN_THRESHOLD)
        cache.set("window", garbage, timeout=60)
        assert store_for(cache).mark("window", 60) is False


class TestOutage:
    VERBS = pytest.mark.parametrize(
        "use",
        [
            lambda store: store.put({"key": "1"}, 60),
            lambda store: store.peek("key"),
            lambda store: store.take("key"),
            lambda store: store.mark("key", 60),
        ],
        ids=["put", "peek", "take", "mark"],
    )

    @VERBS
    def test_each_verb_says_that_the_storage_is_out_of_reach(
        self, use: Callable[[Store], object], tmp_path: Path
    ) -> None:
        store = store_for(SQLiteCache(tmp_path))  # a folder is no file
        with pytest.raises(Unavailable) as caught:
            use(store)
        assert caught.value.__cause__ is not None

    @VERBS
    def test_an_error_that_is_no_outage_is_not_taken_for_one(
        self, use: Callable[[Store], object]
    ) -> None:
        class Broken(SimpleCache):
            def set_many(self, *args: Any, **kwargs: Any) -> list[Any]:
                raise ZeroDivisionError

            get_many = add = delete = set_many

        with pytest.raises(ZeroDivisionError):
            use(CacheStore(Broken(), (OSError,)))


def named(name: str, base: type[BaseCache] = BaseCache) -> BaseCache:
    """Return a cache whose class has that name; its database need not be installed."""
    return type(name, (base,), {})()


class TestChoice:
    @pytest.mark.parametrize("name", ["NullCache", "FileSystemCache", "MongoDbCache",
                                      "DynamoDbCache"])  # fmt: skip
    def test_a_cache_that_lies_is_refused_with_the_reason(self, name: str) -> None:
        with pytest.raises(ConfigError, match=f"cache={name} can't be used: it") as caught:
            store_for(named(name))
        assert "not known" not in str(caught.value)

    def test_these_are_the_names_of_cachelib(self, tmp_path: Path) -> None:
        for cache in (NullCache(), FileSystemCache(str(tmp_path))):
            with pytest.raises(ConfigError, match=r"add and delete|keeps nothing"):
                store_for(cache)

    @pytest.mark.parametrize("cache", [named("MyCache"), None, {}], ids=["own", "none", "dict"])
    def test_what_is_not_known_is_refused_with_what_could_be_used(self, cache: Any) -> None:
        with pytest.raises(ConfigError, match=r"not known .*; use SimpleCache, SQLiteCache"):
            store_for(cache)

    def test_a_simple_cache_that_would_evict_live_codes_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"threshold=500\) would evict"):
            store_for(SimpleCache())
        with pytest.raises(ConfigError):
            store_for(SimpleCache(threshold=MIN_THRESHOLD - 1))

    def test_a_server_is_not_asked_before_the_first_use(self) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = nobody.getsockname()
            caches = [
                RedisCache(*address, retry=Retry(NoBackoff(), 0)),
                MemcachedCache(PooledClient(address, default_noreply=False)),
            ]
            for store in map(store_for, caches):
                with pytest.raises(Unavailable):
                    probe(store)

    def test_a_store_of_the_apps_own_is_taken_as_it_is(self) -> None:
        own = OwnStore()
        assert store_for(own) is own
        probe(own)
        assert own.verbs == ["put", "peek", "take", "take", "mark", "mark"]


class OwnStore(Store):
    """A store that an app might write."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        self.verbs: list[str] = []

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        self.verbs.append("put")
        self.items.update(items)

    def peek(self, *keys: str) -> Sequence[str | None]:
        self.verbs.append("peek")
        return [self.items.get(key) for key in keys]

    def take(self, key: str) -> bool:
        self.verbs.append("take")
        return self.items.pop(key, None) is not None

    def mark(self, key: str, ttl: int) -> bool:
        self.verbs.append("mark")
        return self.items.setdefault(key, key + str(len(self.verbs))) == key + str(len(self.verbs))


class Lying(SimpleCache):
    """A cache that says what a test tells it to."""

    def __init__(self, **lies: Any) -> None:
        super().__init__(threshold=MIN_THRESHOLD)
        for verb, lie in lies.items():
            setattr(self, verb, lambda *args, answer=lie, **kwargs: answer)


class TestProbe:
    def test_a_cache_that_tells_the_truth_passes_and_may_be_probed_again(
        self, store: Store
    ) -> None:
        assert [probe(store), probe(store)] == [None, None]

    @pytest.mark.parametrize(
        "lies",
        [
            {"delete": True},
            {"delete": False},
            {"delete": None},
            {"add": True},
            {"add": False, "get": None},
            {"get_many": [None]},
            {"get_many": ["another's"]},
            {"get_many": [b"\xff"]},
            {"set_many": ["key"]},
        ],
        ids=lambda lies: str(lies).replace("\\", ""),  # mutmut can't pass a backslash on
    )
    def test_a_cache_that_lies_is_refused(self, lies: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match="doesn't tell the truth") as caught:
            probe(CacheStore(Lying(**lies)))
        assert "default_noreply=False" in str(caught.value)

    def test_a_cache_that_keeps_nothing_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="doesn't tell the truth"):
            probe(CacheStore(NullCache()))

    def test_a_cache_that_writes_nothing_is_out_of_reach(self) -> None:
        with pytest.raises(Unavailable):
            probe(CacheStore(Lying(set_many=[])))

    def test_a_storage_out_of_reach_is_no_liar(self, tmp_path: Path) -> None:
        with pytest.raises(Unavailable):
            probe(store_for(SQLiteCache(tmp_path)))
