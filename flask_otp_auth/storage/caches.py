"""An app's own ``cache=``: which caches can be used, and how.

This is the only module that reads private members of other libraries: cachelib has no public name
for the client of a cache, or for the size of one.
"""

import inspect
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from cachelib import BaseCache, MemcachedCache, RedisCache, SimpleCache, ValkeyCache
from limits.storage import MemcachedStorage, RedisStorage, Storage

from ..errors import ConfigError
from .base import CacheStore, Store, before_end, unavailable_on, with_end
from .drivers import driver_errors
from .findings import Finding
from .memory import MemoryCache, MemoryLimitStorage

#: Keys that a SimpleCache must be able to hold, so that it doesn't evict live ones.
MIN_THRESHOLD = 50_000

#: Why these caches can't be used, by the name of their class.
_REFUSED = {
    "NullCache": "it keeps nothing",
    "FileSystemCache": "its add and delete let several callers win",
    "MongoDbCache": "its add and delete let several callers win",
    "DynamoDbCache": "its add and delete let several callers win",
}


def store_for(cache: BaseCache | Store) -> Store:
    """Return the four verbs on a cache; nothing is opened.

    :raises ConfigError: if the cache can't keep their promises.
    """
    if isinstance(cache, Store):
        _refuse_async(cache.put, cache.peek, cache.take, cache.mark)
        return cache
    if isinstance(cache, MemoryCache):
        return CacheStore(cache)
    if isinstance(cache, SimpleCache):
        return SimpleStore(_roomy(cache))
    if isinstance(cache, RedisCache | ValkeyCache):
        from .redis import RedisStore

        client = cache._write_client
        _refuse_async(client.execute_command)
        return RedisStore(cache, client)
    if isinstance(cache, MemcachedCache):
        from .memcached import MemcachedStore

        return MemcachedStore(cache, _fork_safe(cache))
    return _sqlite_store(cache)


def limits_for(cache: BaseCache | Store) -> Storage | None:
    """Return a storage of limits where the cache is; ``None`` if there can't be one.

    Nothing is opened.
    """
    if isinstance(cache, MemoryCache | SimpleCache):
        return MemoryLimitStorage()
    if isinstance(cache, RedisCache | ValkeyCache):
        return _redis_limits(cache._write_client)
    if isinstance(cache, MemcachedCache):
        from .memcached import MemcachedLimitStorage

        return MemcachedLimitStorage(_fork_safe(cache))
    from .sqlite import SQLiteCache, SQLiteLimitStorage

    return SQLiteLimitStorage(cache.database) if isinstance(cache, SQLiteCache) else None


def findings_of_limits(storage: Storage) -> Sequence[Finding]:
    """Look whether a server forgets the limits that are counted on it.

    :raises Unavailable: if it doesn't answer.
    """
    if isinstance(storage, MemcachedStorage):
        from .memcached import FORGETS

        return [FORGETS]
    if isinstance(storage, RedisStorage):
        from .redis import RedisLimitStorage
        from .redis_findings import limit_findings

        with unavailable_on(driver_errors()):
            return limit_findings(storage.storage, ours=isinstance(storage, RedisLimitStorage))
    return []


def file_of(cache: BaseCache | Store) -> str | None:
    """Return the file that a cache is kept in, if it is one."""
    from .sqlite import SQLiteCache

    return cache.database.path if isinstance(cache, SQLiteCache) else None


def _sqlite_store(cache: BaseCache) -> Store:
    from .sqlite import SQLiteCache, SQLiteStore

    if isinstance(cache, SQLiteCache):
        return SQLiteStore(cache)
    name = type(cache).__name__
    why = _REFUSED.get(name, "it is not known to keep the promises of a store")
    raise ConfigError(
        f"cache={name} can't be used: {why}; use SQLiteCache, RedisCache, ValkeyCache, "
        "MemcachedCache, SimpleCache or a flask_otp_auth.Store of your own"
    )


def _refuse_async(*methods: Any) -> None:
    for method in methods:
        if inspect.iscoroutinefunction(method):
            name = f"{method.__qualname__}()"
            raise ConfigError(f"cache= must not be async, and {name} is: use the plain one")


def _redis_limits(client: Any) -> Storage | None:
    from .redis import RedisLimitStorage

    # A Cluster's client has a pool for each node, and limits takes only one.
    return RedisLimitStorage(client) if hasattr(client, "connection_pool") else None


def _fork_safe(cache: MemcachedCache) -> Any:
    from .memcached import ForkSafeClient, check_client

    client = cache._client
    check_client(client)
    return ForkSafeClient(client)


def _roomy(cache: SimpleCache) -> SimpleCache:
    threshold = cache._threshold
    if threshold < MIN_THRESHOLD:
        raise ConfigError(
            f"cache=SimpleCache(threshold={threshold}) would evict live codes; "
            f"use SimpleCache(threshold={MIN_THRESHOLD}) or more"
        )
    return cache


class SimpleStore(Store):
    """The four verbs on a cachelib SimpleCache.

    It ends a time to live up to a second early, so the end stands in the value, and each verb is
    several steps, so threads take turns.
    """

    def __init__(self, cache: SimpleCache) -> None:
        self.cache = cache

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items or raise."""
        with _TURNS:
            for key, value in items.items():
                self.cache.set(key, with_end(value, ttl), timeout=ttl + 1)

    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key."""
        with _TURNS:
            return [before_end(value) for value in self.cache.get_many(*keys)]

    def take(self, *keys: str, value: str | None = None) -> Sequence[bool]:
        """Remove keys and tell of each whether it was there."""
        with _TURNS:
            return [self._take(key, value) for key in keys]

    def mark(self, key: str, ttl: int, value: str = "1") -> bool:
        """Write a key unless it is there."""
        with _TURNS:
            if before_end(self.cache.get(key)) is not None:
                return False
            return bool(self.cache.set(key, with_end(value, ttl), timeout=ttl + 1))

    def _take(self, key: str, value: str | None) -> bool:
        found = before_end(self.cache.get(key))
        if found is None or value not in (None, found):
            return False
        return self.cache.delete(key)


#: Shared by all stores, as two of them may stand on one SimpleCache.
_TURNS = threading.Lock()
