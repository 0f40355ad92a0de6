"""Storages by URI: one setting gives codes and limits their place."""

import functools
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from cachelib import BaseCache, MemcachedCache, RedisCache
from limits.storage import Storage

from .clients import MemcachedLimitStorage, memcached_client, redis_storage
from .database import Database
from .errors import ConfigError, Unavailable
from .memory import MemoryCache, MemoryLimitStorage
from .sqlite import SQLiteCache, SQLiteLimitStorage
from .store import SQLiteStore, Store, probe, store_for

logger: logging.Logger = logging.getLogger("flask_otp_auth")


@dataclass(frozen=True)
class Backend:
    """How to open the two halves of one storage.

    :ivar open_store: opens the store of codes.
    :ivar open_limits: opens the storage of limits.
    :ivar rest: closes what must not be open in a process that forks.
    """

    open_store: Callable[[], Store]
    open_limits: Callable[[], Storage]
    rest: Callable[[], None] = lambda: None


def backend_for(uri: str, instance_path: str, *, own_limits: bool = False) -> Backend:
    """Return the backend that a checked ``STORAGE_URI`` names.

    Nothing is connected yet. Both halves raise :class:`Unavailable` if they can't connect.

    :param instance_path: the folder that relative SQLite paths start from.
    :param own_limits: whether the app has a limiter of its own, so that limits stand elsewhere.
    :raises ConfigError: if the URI can't be used or its driver is not installed.
    """
    scheme = uri.partition("://")[0]
    if scheme == "memory":
        return Backend(lambda: store_for(MemoryCache()), MemoryLimitStorage)
    if scheme == "memcached":
        return _memcached(uri)
    if scheme.startswith("redis"):
        return _redis(uri)
    return _sqlite(os.path.join(instance_path, uri.removeprefix("sqlite:///")), own_limits)


def open_store(backend: Backend, cache: BaseCache | Store | None) -> Store:
    """Open the store of codes; if it can't be reached yet, one that is opened at first contact.

    :param cache: the app's own, in place of the backend's.
    :raises ConfigError: if it doesn't keep its promises.
    """
    own = None if cache is None else store_for(cache)
    store = LazyStore(backend.open_store if own is None else lambda: own)
    try:
        return store.connect()
    except Unavailable as error:
        logger.warning("the storage can't be reached yet: %s", error.__cause__ or "refused")
        return store
    finally:
        backend.rest()


def _sqlite(path: str, own_limits: bool) -> Backend:
    database = Database(path)
    cache = SQLiteCache(database)
    return Backend(
        lambda: store_for(cache) if own_limits else SQLiteStore(cache),
        lambda: SQLiteLimitStorage(database),
        # uWSGI forks without telling Python, and SQLite's connections don't survive that.
        database.close,
    )


def _redis(uri: str) -> Backend:
    open_limits = functools.cache(redis_storage(uri))  # one client for both halves
    return Backend(lambda: store_for(RedisCache(open_limits().storage)), open_limits)


def _memcached(uri: str) -> Backend:
    client = memcached_client(uri)
    return Backend(lambda: store_for(MemcachedCache(client)), lambda: MemcachedLimitStorage(client))


class LazyStore(Store):
    """Opens and probes a store at its first use, and again until both succeed.

    :param open_store: opens the store, or raises :class:`Unavailable`.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._store: Store | None = None
        self._liar: ConfigError | None = None

    def connect(self) -> Store:
        """Return the store, open and probed.

        :raises ConfigError: if it doesn't keep its promises.
        :raises Unavailable: if it can't be reached yet.
        """
        store = self._open_store()
        probe(store)
        self._store = store
        return store

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items or raise."""
        self._reached().put(items, ttl)

    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key."""
        return self._reached().peek(*keys)

    def take(self, key: str) -> bool:
        """Remove the key and tell whether it was there."""
        return self._reached().take(key)

    def mark(self, key: str, ttl: int) -> bool:
        """Open a window, unless it is open."""
        return self._reached().mark(key, ttl)

    def turn(self) -> AbstractContextManager[object]:
        """Hold operations together."""
        return self._reached().turn()

    def _reached(self) -> Store:
        if self._liar is not None:
            raise Unavailable from self._liar
        try:
            return self._store or self.connect()
        except ConfigError as error:
            logger.error("%s", error)
            self._liar = error
            raise Unavailable from error
