"""The store: four verbs over a cachelib cache.

Everything that must happen exactly once rests on them. A right is a key that somebody takes,
never a mark that somebody adds, so a store that forgets can only refuse.
"""

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

from cachelib import BaseCache, MemcachedCache, RedisCache, SimpleCache, ValkeyCache

from .adapters import MemcachedStore, RedisStore
from .clients import driver_errors
from .errors import ConfigError, Unavailable
from .sqlite import SQLiteCache
from .verbs import Store, has_ended, text_of

__all__ = ["MIN_THRESHOLD", "CacheStore", "ExactStore", "Store", "probe", "store_for"]

#: Seconds that a key outlives its own deadline, as some caches round down to whole seconds.
ROUNDING = 1

#: Seconds that the trace of a past window is kept; see :meth:`CacheStore.mark`.
TRACE = 3600


class CacheStore(Store):
    """The four verbs on a cachelib cache whose ``add`` and ``delete`` are atomic.

    :param cache: the cache.
    :param errors: what its backend raises when it can't do its work.
    :param turns: held while a window is opened, where that takes more than one step.
    """

    def __init__(
        self,
        cache: BaseCache,
        errors: tuple[type[Exception], ...] = (),
        turns: AbstractContextManager[object] | None = None,
    ) -> None:
        self._cache = cache
        self._errors = errors
        self._turns = turns or nullcontext()

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise Unavailable from error

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items or raise."""
        with self._reachable():
            written = self._cache.set_many(dict(items), timeout=ttl + ROUNDING)
        if len(written) != len(items):
            raise Unavailable

    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key."""
        with self._reachable():
            return [text_of(value) for value in self._cache.get_many(*keys)]

    def take(self, key: str) -> bool:
        """Delete the key and tell whether it was there."""
        with self._reachable():
            return bool(self._cache.delete(key))

    def mark(self, key: str, ttl: int) -> bool:
        """Add the key, with the window's end and a nonce as its value.

        Caches end a time to live up to a second early or late, so the end in the value
        decides: who finds a window that is over must win a second ``add`` to open the next
        one, on a key that names the old window by its nonce.
        """
        value = f"{time.time() + ttl} {secrets.token_hex(8)}"
        with self._reachable(), self._turns:
            if self._cache.add(key, value, timeout=ttl + 2 * ROUNDING):
                return True
            end, _, nonce = (text_of(self._cache.get(key)) or "").partition(" ")
            if not has_ended(end) or not self._cache.add(f"{key}:{nonce}", "1", timeout=TRACE):
                return False
            return bool(self._cache.set(key, value, timeout=ttl + 2 * ROUNDING))


class ExactStore(CacheStore):
    """The same on a cache that ends a time to live to the instant, in the eyes of ``add``."""

    def mark(self, key: str, ttl: int) -> bool:
        """Add the key for the time of the window."""
        with self._reachable():
            return bool(self._cache.add(key, "1", timeout=ttl))


#: Why these caches can't be used, by the name of their class.
_REFUSED = {
    "NullCache": "it keeps nothing",
    "FileSystemCache": "its add and delete let several callers win",
    "MongoDbCache": "its add and delete let several callers win",
    "DynamoDbCache": "its add and delete let several callers win",
}

#: Shared by all stores: two of them may stand on one SimpleCache.
_TURNS = threading.Lock()

#: Keys that a SimpleCache must be able to hold, so that it doesn't evict live ones.
MIN_THRESHOLD = 50_000


def store_for(cache: BaseCache | Store) -> Store:
    """Return the four verbs on a cache.

    :raises ConfigError: if the cache can't keep their promises.
    """
    if isinstance(cache, Store):
        return cache
    if isinstance(cache, SQLiteCache):
        return ExactStore(cache, (sqlite3.Error, OSError))
    if isinstance(cache, SimpleCache):
        # It rounds, so a window may run out between two steps of another thread.
        return CacheStore(_roomy(cache), turns=_TURNS)
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
