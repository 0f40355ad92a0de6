"""An app's own ``cache=``: which are taken, and where its limits go."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymemcache
import pytest
import redis.asyncio
import valkey.asyncio
from cachelib import (
    DynamoDbCache,
    FileSystemCache,
    MemcachedCache,
    MongoDbCache,
    NullCache,
    RedisCache,
    SimpleCache,
    ValkeyCache,
)
from limits.storage import Storage, storage_from_string
from stores import Memcached, Redis, Storages

from flask_otp_auth.errors import ConfigError, Unavailable
from flask_otp_auth.storage.base import CacheStore, Store, probe
from flask_otp_auth.storage.caches import (
    MIN_THRESHOLD,
    findings_of_limits,
    limits_for,
    store_for,
)
from flask_otp_auth.storage.memory import MemoryCache
from flask_otp_auth.storage.sqlite import SQLiteCache


@pytest.fixture
def redis_client(redis_server: Redis) -> Any:
    """A client that an app might have."""
    with redis.Redis(port=redis_server.port) as client:
        yield client


class Awaited(CacheStore):
    """A store of an app on asyncio."""

    async def put(self, items: Any, ttl: int) -> None: ...  # type: ignore[override] # that is it


class TestTaken:
    """Codes work on these, and limits are exact where they are."""

    @pytest.fixture(params=["memory", "simple", "sqlite", "redis", "valkey", "memcached"])
    def cache(
        self,
        request: pytest.FixtureRequest,
        tmp_path: Path,
        redis_server: Redis,
        memcached_server: Memcached,
    ) -> Any:
        made: dict[str, Callable[[], Any]] = {
            "memory": MemoryCache,
            "simple": lambda: SimpleCache(threshold=MIN_THRESHOLD),
            "sqlite": lambda: SQLiteCache(tmp_path / "codes.sqlite3"),
            "redis": lambda: RedisCache(redis.Redis(port=redis_server.port)),
            "valkey": lambda: ValkeyCache(valkey.Valkey(port=redis_server.port)),
            "memcached": lambda: MemcachedCache(
                pymemcache.PooledClient(("127.0.0.1", memcached_server.port), default_noreply=False)
            ),
        }
        cache = made[request.param]()
        yield cache
        if request.param == "memcached":
            cache._client.close()

    def test_codes_and_limits_work_on_it(self, cache: Any, key: str) -> None:
        probe(store_for(cache))
        limits: Any = limits_for(cache)
        if hasattr(limits, "acquire_many"):
            assert limits.acquire_many([(key, 2, 60)]) == [True]
        assert limits.incr(f"{key}:fixed", 60) == 1

    def test_two_apps_may_share_it(self, cache: Any, key: str) -> None:
        one, other = store_for(cache), store_for(cache)
        one.put({key: "1"}, 60)
        assert [other.take(key), one.take(key)] == [[True], [False]]


class TestRefused:
    @pytest.mark.parametrize(
        ("kind", "why"),
        [
            (NullCache, "it keeps nothing"),
            (FileSystemCache, "let several callers win"),
            (MongoDbCache, "let several callers win"),
            (DynamoDbCache, "let several callers win"),
            (type("HomeMade", (NullCache,), {}), "not known to keep the promises"),
        ],
    )
    def test_what_can_not_keep_the_promises(self, kind: Any, why: str) -> None:
        with pytest.raises(ConfigError, match=rf"cache={kind.__name__} .*{why}"):
            store_for(kind.__new__(kind))

    @pytest.mark.parametrize(
        "cache",
        [
            RedisCache(redis.asyncio.Redis()),
            ValkeyCache(valkey.asyncio.Valkey()),
            Awaited(MemoryCache()),
        ],
        ids=lambda cache: type(cache).__name__,
    )
    def test_what_has_to_be_awaited(self, cache: Any) -> None:
        with pytest.raises(ConfigError, match=r"must not be async, and \w+\.\w+\(\) is"):
            store_for(cache)

    def test_a_simple_cache_without_room(self) -> None:
        with pytest.raises(ConfigError, match="would evict live codes"):
            store_for(SimpleCache())

    @pytest.mark.parametrize("cluster", [False, True])
    def test_a_client_that_decodes(self, storages: Storages, cluster: bool) -> None:
        client: Any = redis.Redis(decode_responses=True)
        if cluster:
            storage: Any = storages["cluster"]
            port = storage.nodes[0].port
            client = redis.RedisCluster("127.0.0.1", port, decode_responses=True)
        with client, pytest.raises(ConfigError, match="leave decode_responses out"):
            store_for(RedisCache(client))


class TestRedis:
    @pytest.mark.parametrize("prefix", ["shop:", "{shop}:", lambda: "shop:", "", None])
    def test_the_prefix_stands_before_each_key(
        self, redis_client: Any, redis_server: Redis, key: str, prefix: Any
    ) -> None:
        store = store_for(RedisCache(redis_client, key_prefix=prefix))
        store.put({key: "1"}, 60)
        assert store.mark(f"{key}:mark", 60)
        written = prefix() if callable(prefix) else prefix or ""
        assert redis_server.ask("EXISTS", written + key, f"{written}{key}:mark") == 2
        probe(store)

    def test_a_cluster_takes_codes_but_no_limits(self, storages: Storages) -> None:
        storage: Any = storages["cluster"]
        with redis.RedisCluster("127.0.0.1", storage.nodes[0].port) as client:
            probe(store_for(RedisCache(client)))
            assert limits_for(RedisCache(client)) is None

    def test_nobody_there(self, key: str) -> None:
        for cache in (RedisCache(port=1, retry=None), ValkeyCache(port=1)):
            with pytest.raises(Unavailable):
                store_for(cache).peek(key)


class TestLimits:
    """What a limiter of the app's own counts on."""

    def test_that_memcached_forgets_them_is_told(self) -> None:
        limits = storage_from_string("memcached://127.0.0.1:1")
        assert isinstance(limits, Storage)
        (finding,) = findings_of_limits(limits)
        assert finding.id == "storage-evicts"

    def test_a_redis_that_is_not_there_is_an_outage(self) -> None:
        limits = storage_from_string("redis://127.0.0.1:1")
        assert isinstance(limits, Storage)
        with pytest.raises(Unavailable):
            findings_of_limits(limits)


def test_a_store_of_the_apps_own_is_used_as_it_is() -> None:
    store: Store = CacheStore(MemoryCache())
    assert store_for(store) is store
    assert limits_for(store) is None
