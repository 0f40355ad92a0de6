"""Storages by URI: one setting says where codes and limits are kept."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from limits.storage import Storage

from ..errors import ConfigError, Unavailable
from .base import CacheStore, Store, log_error, probe
from .findings import Finding
from .memory import MemoryCache, MemoryLimitStorage
from .refusals import refusal
from .uris import fault, is_plain, is_sqlites_own


@dataclass(frozen=True)
class Backend:
    """How to open the two halves of one storage.

    :ivar open_store: opens the store of codes.
    :ivar open_limits: opens the storage of limits.
    :ivar contact_at_start: whether it is a server, to be asked at the start whether it is there.
    :ivar path: the file that it is, if it is one.
    """

    open_store: Callable[[], Store]
    open_limits: Callable[[], Storage]
    contact_at_start: bool = False
    path: str | None = None


def backend_for(uri: str, instance_path: str, setting: str = "OTP_AUTH_STORAGE_URI") -> Backend:
    """Return the backend that a URI names.

    Nothing is opened, connected or made yet. Both halves raise :class:`Unavailable` if they have
    to connect and can't.

    :param instance_path: the folder that relative SQLite paths start from.
    :param setting: the setting that has the URI.
    :raises ConfigError: if the URI can't be used or its driver is not installed.
    """
    scheme = uri.partition("://")[0].lower()
    if scheme == "memory":
        return Backend(lambda: CacheStore(MemoryCache()), MemoryLimitStorage)
    if scheme == "sqlite":
        return _sqlite(uri, instance_path, setting)
    if scheme == "memcached":
        from .memcached import memcached_halves

        return Backend(*memcached_halves(uri, setting), contact_at_start=True)
    if scheme == "unix" or scheme.startswith(("redis", "valkey")):
        from .redis_clients import redis_halves

        return Backend(*redis_halves(uri, setting), contact_at_start=True)
    raise fault(setting, "must be a URI such as sqlite:///codes.sqlite3 or redis://host:6379/0")


def _sqlite(uri: str, instance_path: str, setting: str) -> Backend:
    name = uri.partition("://")[2].removeprefix("/")
    if not uri[len("sqlite") :].startswith(":///") or name.endswith("/") or not name:
        raise fault(
            setting,
            "must name a file: sqlite:///codes.sqlite3 or sqlite:////var/lib/shop/codes.sqlite3 "
            "(to keep codes in memory, write memory://)",
        )
    if "?" in name or is_sqlites_own(name):
        raise fault(
            setting, "must name a file and no options; to keep codes in memory, write memory://"
        )
    if not is_plain(name):
        raise fault(
            setting,
            "must name a file as it is: nothing is put in place of ~, $NAME, {name}, %20 or "
            "<instance>, no white space may stand around it and no control character in it (what "
            "does not begin with / is in the instance folder anyway)",
        )
    path = os.path.join(instance_path, name)
    check_path(path, setting)
    from .database import Database
    from .sqlite import SQLiteCache, SQLiteLimitStorage, SQLiteStore

    database = Database(path)
    return Backend(
        lambda: SQLiteStore(SQLiteCache(database)),
        lambda: SQLiteLimitStorage(database),
        path=database.path,
    )


def check_path(path: str, setting: str) -> None:
    """Look whether a file can be written, or made with its folder.

    :param setting: what names the file.
    :raises ConfigError: if it can't.
    """
    folder = os.path.dirname(path)
    if os.path.isdir(path):
        raise fault(setting, f"must name a file, and {path} is a folder")
    if os.path.lexists(path) and not os.path.isfile(path):
        raise fault(setting, f"must name a file, and {path} is a device or a link to no file")
    if os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):
        raise fault(setting, f"must name a file that this user may write to, not {path}")
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK | os.X_OK):
        raise fault(
            setting,
            f"must name a file in a folder that this user may write to, as SQLite keeps others at "
            f"its side, and {folder} is none",
        )


class LazyStore(Store):
    """Opens and probes a store at its first use, and again until both succeed.

    :param open_store: opens the store, or raises :class:`Unavailable`.
    """

    def __init__(self, open_store: Callable[[], Store]) -> None:
        self._open_store = open_store
        self._opened: list[Store] = []
        self._told = False

    def connect(self) -> Store:
        """Return the store, open and probed.

        :raises ConfigError: if it doesn't keep its promises, or its server refuses.
        :raises Unavailable: if it can't be reached yet.
        """
        if not self._opened:
            try:
                store = self._open_store()
                probe(store)
            except Unavailable as error:
                self._raise_if_refused(error)
                raise
            self._opened.append(store)
        return self._opened[0]  # the first one wins where several threads came at once

    def reopen(self) -> None:
        """Open the store anew at its next use."""
        self._opened.clear()

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items or raise."""
        self._reached().put(items, ttl)

    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key."""
        return self._reached().peek(*keys)

    def take(self, *keys: str, value: str | None = None) -> Sequence[bool]:
        """Remove keys and tell of each whether it was there."""
        return self._reached().take(*keys, value=value)

    def mark(self, key: str, ttl: int, value: str = "1") -> bool:
        """Write a key unless it is there."""
        return self._reached().mark(key, ttl, value)

    def findings(self) -> Sequence[Finding]:
        """Look how the storage is set up."""
        return self._reached().findings()

    def _reached(self) -> Store:
        try:
            return self.connect()
        except ConfigError as error:
            self._tell(error)
            raise Unavailable from error

    @staticmethod
    def _raise_if_refused(error: Unavailable) -> None:
        cause = error.__cause__
        refused = refusal(cause)
        if refused is not None:
            raise ConfigError(refused) from cause

    def _tell(self, error: ConfigError) -> None:
        """Log a fault of the configuration that was found late."""
        if not self._told and not getattr(error.__cause__, "told", False):
            log_error("%s", error)
        self._told = True
