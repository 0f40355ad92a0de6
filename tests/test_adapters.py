"""The four verbs on real servers: Redis, Redis behind a Sentinel, a Redis Cluster, Memcached."""

import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymemcache
import pytest
import redis
import time_machine
import valkey
from cachelib import MemcachedCache, RedisCache, ValkeyCache
from limits import parse_many
from pymemcache.serde import pickle_serde
from redis.cluster import RedisCluster
from servers import PATIENCE, at_once, until
from stores import KINDS, Memcached, Redis, Storages

from flask_otp_auth import ConfigError, Unavailable
from flask_otp_auth.backends import backend_for
from flask_otp_auth.keys import Keys
from flask_otp_auth.limits import Limits, strategy_for
from flask_otp_auth.store import Store, probe, store_for


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, storages: Storages) -> Store:
    """The four verbs on a server of each kind."""
    return open_store(storages[request.param].uri)


def open_store(uri: str) -> Store:
    return backend_for(uri, "").open_store()


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own: the servers are shared."""
    return f"otp_auth:{{{time.time_ns()}}}:key"


@pytest.fixture
def redis_server(storages: Storages) -> Redis:
    server = storages["redis"]
    assert isinstance(server, Redis)
    return server


@pytest.fixture
def memcached_server(storages: Storages) -> Memcached:
    server = storages["memcached"]
    assert isinstance(server, Memcached)
    return server


@pytest.fixture
def pool(memcached_server: Memcached) -> Iterator[Callable[..., Any]]:
    """Make clients that an app might have, and close them."""
    clients = []

    def make(kind: Any = pymemcache.PooledClient, **options: Any) -> Any:
        address = ("127.0.0.1", memcached_server.port)
        client = kind([address] if kind is pymemcache.HashClient else address, **options)
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


class TestVerbs:
    def test_what_was_put_is_there(self, store: Store, key: str) -> None:
        store.put({key: "1", f"{key}:two": "2"}, 60)
        assert store.peek(f"{key}:two", f"{key}:none", key) == ["2", None, "1"]

    def test_keys_of_several_owners_are_peeked_at_together(self, store: Store, key: str) -> None:
        keys = [f"otp_auth:{{{key}{number}}}" for number in range(20)]
        for number, one in enumerate(keys):
            store.put({one: str(number)}, 60)
        assert store.peek(*keys) == [str(number) for number in range(20)]

    def test_a_key_is_taken_once_for_each_time_that_it_was_put(
        self, store: Store, key: str
    ) -> None:
        for _ in range(2):
            store.put({key: "1"}, 60)
            assert [store.take(key), store.take(key)] == [True, False]
        assert store.peek(key) == [None]

    def test_one_of_many_callers_takes_it(self, store: Store, key: str) -> None:
        for _ in range(10):
            store.put({key: "1"}, 60)
            assert at_once(*[lambda: store.take(key)] * 8).count(True) == 1

    def test_one_of_many_callers_opens_a_window(self, store: Store, key: str) -> None:
        for number in range(10):
            name = f"{key}:{number}"
            assert at_once(*[lambda name=name: store.mark(name, 60)] * 8).count(True) == 1

    def test_a_window_lasts_its_time_and_hardly_longer(self, store: Store, key: str) -> None:
        start = time.monotonic()
        assert store.mark(key, 1)
        until(lambda: store.mark(key, 60), "the end of the window")
        assert 0.99 <= time.monotonic() - start < 1.5
        assert not store.mark(key, 60)

    def test_what_was_put_ends(self, store: Store, key: str) -> None:
        store.put({key: "1"}, 1)
        assert store.peek(key) == ["1"]
        until(lambda: store.peek(key) == [None], "the end of the key")

    def test_what_was_put_stays_for_months_if_it_has_to(self, store: Store, key: str) -> None:
        store.put({key: "1"}, 400 * 86_400)
        assert store.peek(key) == ["1"]

    def test_it_passes_the_probe_and_may_be_probed_again(self, store: Store) -> None:
        assert [probe(store), probe(store)] == [None, None]


@pytest.mark.parametrize("kind", KINDS)
def test_two_apps_of_one_uri_share_codes(storages: Storages, kind: str, key: str) -> None:
    one, other = (open_store(storages[kind].uri) for _ in range(2))
    one.put({key: "1"}, 60)
    assert [other.take(key), one.take(key)] == [True, False]


class TestRedis:
    """What Redis alone promises, and what it would break without our care."""

    @pytest.fixture
    def kept(self, tmp_path: Path) -> Iterator[Redis]:
        """A server that keeps a snapshot on disk when it is told to."""
        with Redis(tmp_path / "kept") as server:
            yield server

    def test_a_restart_from_an_older_snapshot_gives_back_no_right(
        self, kept: Redis, key: str
    ) -> None:
        store = open_store(kept.uri)
        store.put({key: "1"}, 60)
        kept.ask("SAVE")
        assert store.take(key)
        kept.kill()
        kept.start()
        assert store.peek(key) == ["1"]  # it is back
        assert not store.take(key)  # but is no right any more
        assert store.peek(key) == [None]

    def test_a_clean_restart_keeps_what_is_only_looked_at(self, kept: Redis, key: str) -> None:
        """Revocations are put and looked at: they must stand."""
        store = open_store(kept.uri)
        store.put({key: "revoked"}, 60)
        kept.ask("SAVE")
        kept.stop()
        kept.start()
        assert store.peek(key) == ["revoked"]

    def test_values_are_texts_and_no_pickles(self, redis_server: Redis, key: str) -> None:
        store = open_store(redis_server.uri)
        store.put({key: "text"}, 60)
        assert redis_server.ask("GET", key).endswith("text")
        history = redis_server.ask("INFO", "replication")["master_replid"]
        redis_server.ask("SET", key, history + "text")
        assert store.peek(key) == ["text"]

    def test_nothing_that_the_server_sends_is_unpickled(
        self, redis_server: Redis, key: str
    ) -> None:
        with redis.Redis(port=redis_server.port) as client:
            client.set(key, b"!" + pickle.dumps(Bomb()))
        store = open_store(redis_server.uri)
        assert len(store.peek(key)) == 1
        assert store.take(key) is False

    def test_keys_end_at_the_millisecond(self, redis_server: Redis, key: str) -> None:
        store = open_store(redis_server.uri)
        store.put({key: "1"}, 60)
        store.mark(f"{key}:mark", 60)
        for name in (key, f"{key}:mark"):
            assert 59_000 < redis_server.ask("PTTL", name) <= 60_000

    def test_a_put_writes_all_or_nothing(self, tmp_path: Path, key: str) -> None:
        """Also where keys that no slot holds together would be cut apart by a pipeline."""
        with Redis(
            tmp_path / "full", "--maxmemory", "1", "--maxmemory-policy", "noeviction"
        ) as full:
            store = open_store(full.uri)
            with pytest.raises(Unavailable):
                store.put({key: "1", f"{key}:2": "2"}, 60)
            assert store.peek(key, f"{key}:2") == [None, None]

    @pytest.mark.parametrize("prefix", ["shop:", "{shop}:", lambda: "shop:", "", None])
    def test_the_prefix_of_a_cache_of_the_apps_own_stands_before_each_key(
        self, redis_server: Redis, key: str, prefix: Any
    ) -> None:
        with redis.Redis(port=redis_server.port) as client:
            store = store_for(RedisCache(client, key_prefix=prefix))
            store.put({key: "1"}, 60)
            assert store.mark(f"{key}:mark", 60)
            written = prefix() if callable(prefix) else prefix or ""
            assert redis_server.ask("EXISTS", written + key, f"{written}{key}:mark") == 2
            assert store.peek(key) == ["1"]
            assert store.take(key)

    def test_a_valkey_cache_is_as_good(self, redis_server: Redis, key: str) -> None:
        with valkey.Valkey(port=redis_server.port) as client:
            store = store_for(ValkeyCache(client))
            assert probe(store) is None
        nobody = valkey.Valkey(port=1, retry_on_timeout=False)
        with pytest.raises(Unavailable):
            store_for(ValkeyCache(nobody)).peek(key)

    def test_a_cache_of_the_apps_own_may_stand_on_a_cluster(
        self, storages: Storages, key: str
    ) -> None:
        port = storages["cluster"].nodes[0].port
        with RedisCluster("127.0.0.1", port) as client:
            store = store_for(RedisCache(client))
            store.put({f"{key}:{number}": str(number) for number in range(7)}, 60)
            assert store.peek(f"{key}:6") == ["6"]
            assert store.take(f"{key}:6")

    @pytest.mark.parametrize("cluster", [False, True])
    def test_a_client_that_decodes_is_refused(self, storages: Storages, cluster: bool) -> None:
        client: Any
        if cluster:
            port = storages["cluster"].nodes[0].port
            client = RedisCluster("127.0.0.1", port, decode_responses=True)
        else:
            client = redis.Redis(decode_responses=True)
        with client, pytest.raises(ConfigError, match="leave decode_responses out"):
            store_for(RedisCache(client))

    def test_a_server_without_a_history_is_out_of_reach(self, tmp_path: Path, key: str) -> None:
        """Better no codes than codes that a restart could bring back."""
        with Redis(tmp_path / "strange", "--rename-command", "INFO", "") as strange:
            store = open_store(strange.uri)
            with pytest.raises(Unavailable):
                store.put({key: "1"}, 60)
            with pytest.raises(Unavailable):
                store.take(key)


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a value was unpickled",)


class TestMemcached:
    """What Memcached alone promises, and what it would break without our care."""

    def test_the_next_window_is_opened_by_one_of_many(
        self, memcached_server: Memcached, key: str
    ) -> None:
        store = open_store(memcached_server.uri)
        with time_machine.travel(time.time(), tick=False) as clock:
            for number in range(10):
                name = f"{key}:{number}"
                assert store.mark(name, 60)
                clock.shift(59.99)
                assert not store.mark(name, 60)
                clock.shift(0.01)  # over by our clock; the server's key is still there
                assert at_once(*[lambda name=name: store.mark(name, 60)] * 8).count(True) == 1

    @pytest.mark.parametrize("moment", ["gets", "cas"])
    def test_a_window_that_runs_out_while_one_looks_at_it_is_opened_by_one(
        self, pool: Callable[..., Any], key: str, moment: str
    ) -> None:
        class Slow(pymemcache.PooledClient):
            """Lets a key run out just before a command comes."""

        def slow(self: Any, name: str, *args: Any) -> Any:
            pymemcache.PooledClient.delete(self, name)
            return getattr(pymemcache.PooledClient, moment)(self, name, *args)

        setattr(Slow, moment, slow)
        store = store_for(MemcachedCache(pool(Slow, default_noreply=False)))
        with time_machine.travel(time.time(), tick=False) as clock:
            assert store.mark(key, 60)
            clock.shift(60)
            assert store.mark(key, 60)

    def test_who_loses_the_next_window_to_somebody_else_does_not_open_it(
        self, pool: Callable[..., Any], key: str
    ) -> None:
        class Late(pymemcache.PooledClient):
            """Is always a little late."""

            def cas(self, name: str, *args: Any) -> Any:
                self.set(name, "somebody else's")
                return super().cas(name, *args)

        store = store_for(MemcachedCache(pool(Late, default_noreply=False)))
        with time_machine.travel(time.time(), tick=False) as clock:
            assert store.mark(key, 60)
            clock.shift(60)
            assert not store.mark(key, 60)

    def test_a_mark_that_no_one_here_made_opens_nothing(
        self, pool: Callable[..., Any], memcached_server: Memcached, key: str
    ) -> None:
        pool(default_noreply=False).set(key, b"\xff", 60)
        assert not open_store(memcached_server.uri).mark(key, 60)

    def test_a_put_that_the_server_refuses_in_part_raises(
        self, pool: Callable[..., Any], key: str
    ) -> None:
        class HalfFull(pymemcache.PooledClient):
            def set_multi(self, values: Any, *args: Any) -> list[Any]:
                return super().set_multi(values, *args) or list(values)[:1]

        store = store_for(MemcachedCache(pool(HalfFull, default_noreply=False)))
        with pytest.raises(Unavailable):
            store.put({key: "1"}, 60)

    def test_a_cache_of_the_apps_own_keeps_its_prefix(
        self, pool: Callable[..., Any], key: str
    ) -> None:
        client = pool(default_noreply=False)
        store = store_for(MemcachedCache(client, key_prefix="shop:"))
        store.put({key: "1"}, 60)
        assert store.mark(f"{key}:mark", 60)
        assert [client.get(f"shop:{key}"), client.get(key)] == [b"1", None]
        assert [store.peek(key), store.take(key), store.take(key)] == [["1"], True, False]

    def test_a_client_that_waits_for_no_reply_is_found_out(self, pool: Callable[..., Any]) -> None:
        with pytest.raises(ConfigError, match=r"set default_noreply=False"):
            probe(store_for(MemcachedCache(pool())))

    @pytest.mark.parametrize("kind", [pymemcache.Client, pymemcache.HashClient, object])
    def test_a_client_that_mixes_up_threads_or_hides_an_outage_is_refused(
        self, pool: Callable[..., Any], kind: Any
    ) -> None:
        client = object() if kind is object else pool(kind, default_noreply=False)
        with pytest.raises(ConfigError, match=r"must have a pymemcache\.PooledClient"):
            store_for(MemcachedCache(client))

    @pytest.mark.parametrize("options", [{"ignore_exc": True}, {"serde": pickle_serde}])
    def test_a_client_that_hides_outages_or_unpickles_is_refused(
        self, pool: Callable[..., Any], options: dict[str, Any]
    ) -> None:
        with pytest.raises(ConfigError, match=r"without ignore_exc.* without a serde"):
            store_for(MemcachedCache(pool(default_noreply=False, **options)))


class TestFork:
    """A server that loads the app and then forks: on one socket, replies would get mixed up."""

    pytestmark = pytest.mark.filterwarnings(
        # Python >= 3.12 warns of forks in a process with threads. That these work is tested here.
        "ignore:This process .* is multi-threaded:DeprecationWarning"
    )

    def test_each_process_gets_its_own_replies(self, store: Store, key: str) -> None:
        assert busy(store, key)
        assert all(forked(4, lambda number: busy(store, f"{key}:{number}")))

    def test_so_it_does_from_a_client_of_the_apps_own(
        self, pool: Callable[..., Any], key: str
    ) -> None:
        store = store_for(MemcachedCache(pool(default_noreply=False)))
        assert busy(store, key)
        assert all(forked(4, lambda number: busy(store, f"{key}:{number}", threads=2)))
        assert busy(store, key)

    def test_threads_of_a_new_process_leave_its_parents_connections_once(
        self, pool: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, key: str
    ) -> None:
        """Or a second thread would close what the first has opened since."""
        closed: list[int] = []

        class Slow(pymemcache.PooledClient):
            def close(self) -> None:
                closed.append(1)
                if len(closed) == 1:
                    other.start()
                    other.join(0.1)
                super().close()

        store = store_for(MemcachedCache(pool(Slow, default_noreply=False)))
        other = threading.Thread(target=store.peek, args=[key])
        monkeypatch.setattr(os, "getpid", lambda: 1)  # as in a child
        store.peek(key)
        other.join(PATIENCE)
        assert closed == [1]

    @pytest.mark.parametrize("kind", KINDS)
    def test_limits_are_one_budget_for_all(self, storages: Storages, kind: str, key: str) -> None:
        limits = Limits(
            lambda: strategy_for(backend_for(storages[kind].uri, "").open_limits()),
            Keys.derive([key.encode()]),
        )
        budget = tuple(parse_many("10/hour"))
        assert limits.hit(budget, "ada")
        hits = forked(4, lambda number: sum(limits.hit(budget, "ada") for _ in range(10)))
        assert sum(hits) == 9


def busy(store: Store, key: str, threads: int = 1) -> bool:
    """Use a store a lot, and tell whether it always answered what it should."""

    def work(thread: int) -> bool:
        for number in range(100):
            name = f"{key}:{thread}:{number}"
            store.put({name: name}, 60)
            if store.peek(name) != [name] or not store.take(name) or store.take(name):
                return False
        return True

    return all(at_once(*[lambda thread=thread: work(thread) for thread in range(threads)]))


def forked(processes: int, work: Callable[[int], Any]) -> list[Any]:
    """Fork some times, and return what the work comes to in each child."""
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    children = [
        fork.Process(target=lambda number=number: results.put(work(number)))
        for number in range(processes)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join(PATIENCE)
    assert [child.exitcode for child in children] == [0] * processes
    return [results.get() for _ in children]
