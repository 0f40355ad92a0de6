"""The store: four verbs over a cachelib cache.

Everything that must happen exactly once rests on them. A right is a key that somebody takes,
never a mark that somebody adds, so a store that forgets can only refuse.
"""

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from cachelib import BaseCache, MemcachedCache, RedisCache, SimpleCache, ValkeyCache

from .adapters import MemcachedStore, RedisStore
from .clients import driver_errors
from .errors import ConfigError, Unavailable
from .sqlite import SQLiteCache
from .verbs import Outages, Store, has_ended, text_of

__all__ = ["MIN_THRESHOLD", "CacheStore", "Store", "probe", "store_for"]

#: What a file of SQLite raises when it can't do its work.
SQLITE_ERRORS = (sqlite3.Error, OSError)

#: Seconds that a key outlives its own deadline, as some caches round down to whole seconds.
ROUNDING = 1


class CacheStore(Store):
    """The four verbs on a cachelib cache whose ``add`` and ``delete`` are atomic.

    A time to live must end to the instant in the eyes of ``add``.

    :param cache: the cache.
    :param errors: what its backend raises when it can't do its work.
    """

    def __init__(self, cache: BaseCache, errors: tuple[type[Exception], ...] = ()) -> None:
        self._cache = cache
        self._outages = Outages(errors)

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items or raise."""
        with self._outages:
            written = self._cache.set_many(dict(items), timeout=ttl + ROUNDING)
        if len(written) != len(items):
            raise Unavailable

    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key."""
        with self._outages:
            return [text_of(value) for value in self._cache.get_many(*keys)]

    def take(self, key: str) -> bool:
        """Delete the key and tell whether it was there."""
        with self._outages:
            return bool(self._cache.delete(key))

    def mark(self, key: str, ttl: int) -> bool:
        """Add the key for the time of the window."""
        with self._outages:
            return bool(self._cache.add(key, "1", timeout=ttl))


class SQLiteStore(CacheStore):
    """The four verbs on a SQLiteCache in whose file the limits are, too."""

    def __init__(self, cache: SQLiteCache) -> None:
        super().__init__(cache, SQLITE_ERRORS)
        self._database = cache.database

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep other threads out of the file: each switch between threads costs a statement.

        They wait meanwhile, so this must not be held while some other storage is waited for.
        """
        with self._outages, self._database.turn():
            yield


class SimpleStore(CacheStore):
    """The four verbs on a SimpleCache, which ends a time to live up to a second early."""

    def mark(self, key: str, ttl: int) -> bool:
        """Add the key, with the window's end as its value.

        That end decides. To look at it and to open the next window are two steps, and the key
        may run out between them, so threads take turns.
        """
        end = str(time.time() + ttl)
        with _TURNS:
            if self._cache.add(key, end, timeout=ttl + ROUNDING):
                return True
            if not has_ended(text_of(self._cache.get(key))):
                return False
            return bool(self._cache.set(key, end, timeout=ttl + ROUNDING))


#: Shared by all stores, as two of them may stand on one SimpleCache.
_TURNS = threading.Lock()

#: Why these caches can't be used, by the name of their class.
_REFUSED = {
    "NullCache": "it keeps nothing",
    "FileSystemCache": "its add and delete let several callers win",
    "MongoDbCache": "its add and delete let several callers win",
    "DynamoDbCache": "its add and delete let several callers win",
}

#: Keys that a SimpleCache must be able to hold, so that it doesn't evict live ones.
MIN_THRESHOLD = 50_000


def store_for(cache: BaseCache | Store) -> Store:
    """Return the four verbs on a cache.

    :raises ConfigError: if the cache can't keep their promises.
    """
    if isinstance(cache, Store):
        return cache
    if isinstance(cache, SQLiteCache):
        return CacheStore(cache, SQLITE_ERRORS)
    if isinstance(cache, SimpleCache):
        return SimpleStore(_roomy(cache))
    if isinstance(cache, RedisCache | ValkeyCache):
        return RedisStore(cache._write_client, cache.key_prefix, driver_errors())
    if isinstance(cache, MemcachedCache):
        return MemcachedStore(cache._client, cache.key_prefix, driver_errors())
    name = type(cache).__name__
    why = _REFUSED.get(name, "it is not known to keep the promises of a store")
    raise ConfigError(
        f"cache={name} can't be used: {why}; use SimpleCache, SQLiteCache, RedisCache, "
        "MemcachedCache or a flask_otp_auth.store.Store of your own"
    )


def _roomy(cache: SimpleCache) -> SimpleCache:
    threshold = cache._threshold  # cachelib has no public name for it
    if threshold < MIN_THRESHOLD:
        raise ConfigError(
            f"cache=SimpleCache(threshold={threshold}) would evict live codes; "
            f"use SimpleCache(threshold={MIN_THRESHOLD}) or more"
        )
    return cache


def probe(store: Store) -> None:
    """Put, take and mark twice, and refuse a storage that says yes to both.

    :raises ConfigError: if the storage doesn't keep the promises of the four verbs.
    :raises Unavailable: if it can't be reached.
    """
    key = f"otp_auth:probe:{secrets.token_hex(16)}"
    store.put({key: "probe"}, 10)
    seen = (
        store.peek(key)[0] == "probe",
        store.take(key),
        not store.take(key),
        store.mark(f"{key}:mark", 10),
        not store.mark(f"{key}:mark", 10),
    )
    if not all(seen):
        raise ConfigError(
            "the cache doesn't tell the truth: put, peek, take twice and mark twice gave "
            f"{seen}, all of which must be true. With pymemcache, set default_noreply=False"
        )
