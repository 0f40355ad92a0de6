"""Storages by URI: one setting gives codes and limits their place."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from limits.storage import Storage

from .memory import MemoryCache, MemoryLimitStorage
from .sqlite import Database, SQLiteCache, SQLiteLimitStorage
from .store import Store, store_for


@dataclass(frozen=True)
class Backend:
    """How to open the two halves of one storage.

    :ivar open_store: opens the store of codes.
    :ivar open_limits: opens the storage of limits.
    """

    open_store: Callable[[], Store]
    open_limits: Callable[[], Storage]


def backend_for(uri: str, instance_path: str) -> Backend:
    """Return the backend that a checked ``STORAGE_URI`` names.

    :param instance_path: the folder that relative SQLite paths start from.
    """
    scheme = uri.partition("://")[0]
    if scheme == "memory":
        return Backend(lambda: store_for(MemoryCache()), MemoryLimitStorage)
    return _sqlite(os.path.join(instance_path, uri.removeprefix("sqlite:///")))


def _sqlite(path: str) -> Backend:
    database = Database(path)
    return Backend(lambda: store_for(SQLiteCache(database)), lambda: SQLiteLimitStorage(database))
