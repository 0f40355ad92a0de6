"""Memcached: what it alone promises, and what it would break without our care."""

import gc
import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymemcache
import pytest
import time_machine
from cachelib import MemcachedCache
from limits import parse
from pymemcache.serde import pickle_serde
from storage_kit import open_store
from stores import PATIENCE, Memcached, at_once, until

from flask_otp_auth.errors import ConfigError, Unavailable
from flask_otp_auth.storage.backends import backend_for
from flask_otp_auth.storage.base import probe
from flask_otp_auth.storage.caches import store_for

TWICE = parse("2/hour")


Pool = Callable[..., Any]


@pytest.fixture
def pool(memcached_server: Memcached) -> Iterator[Pool]:
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


class TestMark:
    def test_the_next_mark_is_made_by_one_of_many(
        self, memcached_server: Memcached, key: str
    ) -> None:
        store = open_store(memcached_server.uri)
        with time_machine.travel(time.time(), tick=False) as clock:
            for number in range(10):
                name = f"{key}:{number}"
                assert store.mark(name, 60)
                clock.shift(60)  # over by our clock; the server's key is still there
                assert at_once(*[lambda name=name: store.mark(name, 60)] * 8).count(True) == 1

    @pytest.mark.parametrize("moment", ["gets", "cas"])
    def test_a_mark_that_is_dropped_while_one_looks_at_it_is_made_anew(
        self, pool: Pool, key: str, moment: str
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

    def test_whoever_loses_the_next_mark_to_somebody_else_does_not_make_it(
        self, pool: Pool, key: str
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
            store.put({f"{key}:2": "1"}, 60)
            assert store.take(f"{key}:2", value="1") == [False]


@pytest.mark.parametrize("garbage", [b"\xff", b"", b"9e99", b"nan 1", pickle.dumps([])])
def test_garbage_in_the_store_counts_as_absent(
    pool: Pool, memcached_server: Memcached, key: str, garbage: bytes
) -> None:
    store, client = open_store(memcached_server.uri), pool(default_noreply=False)
    client.set(key, garbage)
    assert store.peek(key) == [None]
    assert store.take(key, value="1") == [False]
    assert store.take(key) == [False]
    client.set(key, garbage)
    assert store.mark(key, 60)
    assert store.peek(key) == ["1"]


class TestOutage:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Memcached]:
        """A server of the test's own."""
        with Memcached(tmp_path / "own") as server:
            yield server

    def test_a_server_that_is_down_is_out_of_reach_until_it_is_back(
        self, server: Memcached, key: str
    ) -> None:
        store = open_store(server.uri)
        store.put({key: "1"}, 60)
        server.stop()
        for use in (lambda: store.peek(key), lambda: store.mark(key, 60)):
            with pytest.raises(Unavailable):
                use()
        server.start()
        until(lambda: works(lambda: store.put({key: "1"}, 60)), "the server")
        assert store.take(key) == [True]

    def test_a_frozen_server_is_not_waited_for_for_ever(self, server: Memcached, key: str) -> None:
        store = open_store(server.uri)
        probe(store)
        server.freeze()
        start = time.monotonic()
        with pytest.raises(Unavailable):
            store.peek(key)
        assert 1.9 < time.monotonic() - start < 20

    def test_connections_are_used_again_and_closed_in_the_end(self, server: Memcached) -> None:
        def connections() -> tuple[int, int]:
            client = pymemcache.Client(("127.0.0.1", server.port))
            stats = client.stats()
            client.close()
            return stats[b"curr_connections"], stats[b"total_connections"]

        store = open_store(server.uri)
        for number in range(10):
            store.put({f"key{number}": "1"}, 60)
        before, total = connections()
        assert total < 5
        del store
        gc.collect()
        until(lambda: connections()[0] < before, "the connection to be closed")

    def test_a_put_that_the_server_refuses_in_part_raises(self, pool: Pool, key: str) -> None:
        class HalfFull(pymemcache.PooledClient):
            def set_many(self, values: Any, *args: Any) -> list[Any]:
                return super().set_many(values, *args) or list(values)[:1]

        store = store_for(MemcachedCache(pool(HalfFull, default_noreply=False)))
        with pytest.raises(Unavailable):
            store.put({key: "1"}, 60)


def works(use: Callable[[], object]) -> bool:
    try:
        use()
    except Unavailable:
        return False
    return True


class TestURI:
    @pytest.mark.parametrize(
        ("uri", "told"),
        [
            ("memcached://", "must list its servers: memcached://host:port"),
            ("memcached://one:port", "must list its servers"),
            ("memcached://one:1,two:2", "must name one server"),
            ("memcached://user:secret@one", "without user, path or options"),
            ("memcached://one/0", "without user, path or options"),
            ("memcached://one?timeout=9", "without user, path or options"),
            ("memcached://one: 1", "must not contain a space"),
        ],
    )
    def test_what_can_not_work_is_told_at_the_start(self, uri: str, told: str) -> None:
        with pytest.raises(ConfigError, match=f"OTP_AUTH_STORAGE_URI .*{told}") as caught:
            backend_for(uri, "")
        assert "secret" not in str(caught.value)

    def test_it_forgets_and_is_asked_at_the_start(self) -> None:
        backend = backend_for("memcached://one", "")
        assert backend.contact_at_start is True


class TestOwnClient:
    """A client of the app's own, inside cachelib's MemcachedCache."""

    def test_its_prefix_stands_before_each_key(self, pool: Pool, key: str) -> None:
        client = pool(default_noreply=False)
        store = store_for(MemcachedCache(client, key_prefix="shop:"))
        probe(store)
        store.put({key: "1"}, 60)
        assert client.get(f"shop:{key}").endswith(b" 1")
        assert client.get(key) is None

    def test_one_that_waits_for_no_reply_is_found_out(self, pool: Pool) -> None:
        with pytest.raises(ConfigError, match=r"set default_noreply=False"):
            probe(store_for(MemcachedCache(pool())))

    @pytest.mark.parametrize("kind", [pymemcache.Client, pymemcache.HashClient, object])
    def test_one_that_mixes_up_threads_or_hides_an_outage_is_refused(
        self, pool: Pool, kind: Any
    ) -> None:
        client = object() if kind is object else pool(kind, default_noreply=False)
        with pytest.raises(ConfigError, match=r"must have a pymemcache\.PooledClient"):
            store_for(MemcachedCache(client))

    @pytest.mark.parametrize("options", [{"ignore_exc": True}, {"serde": pickle_serde}])
    def test_one_that_hides_outages_or_unpickles_is_refused(
        self, pool: Pool, options: dict[str, Any]
    ) -> None:
        with pytest.raises(ConfigError, match=r"without ignore_exc.* without a serde"):
            store_for(MemcachedCache(pool(default_noreply=False, **options)))

    def test_threads_of_a_new_process_leave_its_parents_connections_once(
        self, pool: Pool, monkeypatch: pytest.MonkeyPatch, key: str
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
