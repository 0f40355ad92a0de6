"""Which storages an app has for codes, sign-ins and limits. No file is opened before its use."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import cast

from cachelib import BaseCache
from flask import Flask
from flask_limiter import Limiter
from limits.storage import MemcachedStorage, MemoryStorage, MovingWindowSupport, Storage
from limits.strategies import RateLimiter

from ..core.settings import PREFIX, Settings
from ..errors import ConfigError, Unavailable, collecting
from ..storage.backends import Backend, LazyStore, backend_for, check_path
from ..storage.base import CacheStore, Store
from ..storage.caches import file_of, limits_for, store_for
from ..storage.memory import MemoryCache, MemoryLimitStorage
from .limits import strategy_for, strategy_of, windows_move

logger: logging.Logger = logging.getLogger("flask_otp_auth")

#: Modules of stores and of storages of limits that are servers.
_SERVERS = (
    *(f"flask_otp_auth.storage.{name}" for name in ("redis", "memcached")),
    *(f"limits.storage.{name}" for name in ("redis", "memcached", "mongodb", "valkey")),
)

_NOT_IN_MEMORY = "only what is kept in memory can be emptied, see {}"

_DEFAULT_FILE = "otp_auth.sqlite3"


class Storages:
    """The storages of one app.

    :param cache: the app's own cache, in place of the one that ``STORAGE_URI`` names.
    :param limiter: the app's own limiter, in place of limits on the same storage.
    :ivar limiter: the app's own limiter, if it has one.
    :ivar codes: the store of codes.
    :ivar sign_ins: the store of sign-ins; the same, unless ``SIGN_INS_URI`` says otherwise.
    :raises ConfigError: if any of them can't be used.
    """

    def __init__(
        self,
        app: Flask,
        settings: Settings,
        cache: BaseCache | Store | None,
        limiter: Limiter | None,
    ) -> None:
        self._app = app
        self._settings = settings
        self.limiter = limiter
        self._own_store = None if cache is None else store_for(cache)
        self._own_limits = None if cache is None else limits_for(cache)
        self._own_file = None if cache is None else file_of(cache)
        self._names_uri = f"{PREFIX}STORAGE_URI" in app.config
        self._looks = False
        self.codes: LazyStore = LazyStore(self._open_codes)
        faults: list[str] = []
        with collecting(faults):
            self.sign_ins: LazyStore = self._store_of_sign_ins()
        with collecting(faults):
            self._check()
        if faults:
            raise ConfigError(*faults)

    def strategy(self) -> RateLimiter:
        """Return what counts against limits; connects where need be.

        :raises Unavailable: if the storage can't be reached.
        """
        if self.limiter is not None:
            return strategy_of(self.limiter, self._app)
        if self.has_absent_limits:
            return strategy_for(MemoryLimitStorage())
        return strategy_for(self._own_limits or self._backend.open_limits())

    def limits_count(self) -> bool:
        """Tell whether limits count: a test may switch the app's own limiter off, and on again."""
        return self.limiter is None or not self._app.testing or bool(self.limiter.enabled)

    @property
    def moving(self) -> bool:
        """Whether the windows of limits move."""
        if self.limiter is not None:
            return windows_move(self.limiter)
        if self._own_limits is not None:
            return isinstance(self._own_limits, MovingWindowSupport)
        return not self._uri.startswith("memcached:")

    @property
    def in_memory(self) -> bool:
        """Whether codes or sign-ins are kept in the memory of this process."""
        if (self._settings.sign_ins_uri or "").startswith("memory:"):
            return True
        if self._own_store is not None:
            return isinstance(self._own_limits, MemoryLimitStorage)
        return self._uri.startswith("memory:")

    @property
    def counts_in_memory_alone(self) -> bool:
        """Whether limits are kept in the memory of each process, and codes elsewhere."""
        if self.limiter is not None:
            return isinstance(self._storage_of_limiter, MemoryStorage)
        apart = self._own_store is not None and self._own_limits is None
        return apart and self._uri.startswith("memory:")

    @property
    def _storage_of_limiter(self) -> Storage | None:
        """Where the app's own limiter counts, as long as it does; a memory may hold hits then."""
        if self.limiter is None or not self.limiter.initialized:  # it began switched off
            return None
        storage = self.limiter.storage
        return storage if self.limiter.enabled or isinstance(storage, MemoryStorage) else None

    @property
    def files(self) -> list[str]:
        """The files of all that is kept in one; they need not be there yet."""
        files = self._file_of_codes, self._file_of_sign_ins, self._file_of_limits
        return list(dict.fromkeys(path for path in files if path is not None))

    @property
    def has_absent_limits(self) -> bool:
        """Whether limits are looked for in a file that is not there."""
        return self._is_absent(self._file_of_limits)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Make no file meanwhile: where one is missing, look into an empty memory instead."""
        self._looks = True
        self._reopen_absent()
        try:
            yield
        finally:
            self._reopen_absent()
            self._looks = False

    def connect(self) -> None:
        """Look whether servers answer, and what.

        :raises ConfigError: if one refuses, or doesn't keep its promises.
        """
        if self._is_remote:
            _contact(self.codes)
        sign_ins = self._sign_ins_backend
        if sign_ins is not None and sign_ins.contact_at_start:
            _contact(self.sign_ins)

    def forget(self) -> None:
        """Forget all that is kept in memory, but for limits on ``memory://``; for tests.

        :raises ConfigError: if it is kept elsewhere.
        """
        limits = self._storage_of_limiter
        if not (self._settings.sign_ins_uri or "memory:").startswith("memory:"):
            raise ConfigError(_NOT_IN_MEMORY.format("OTP_AUTH_SIGN_INS_URI"))
        if limits is not None and not isinstance(limits, MemoryStorage):
            raise ConfigError(_NOT_IN_MEMORY.format("limiter="))
        if self._own_store is not None:
            self._empty_cache()
        elif self._uri.startswith("memory:"):
            self.codes.reopen()
        else:
            raise ConfigError(_NOT_IN_MEMORY.format("OTP_AUTH_STORAGE_URI"))
        if self.sign_ins is not self.codes:
            self.sign_ins.reopen()
        if limits is not None:
            limits.reset()

    def _empty_cache(self) -> None:
        if not isinstance(self._own_limits, MemoryLimitStorage):
            raise ConfigError(_NOT_IN_MEMORY.format("cache="))
        cast(CacheStore, self._own_store).cache.clear()
        self._own_limits.reset()

    @property
    def clock_of_its_own(self) -> str | None:
        """What has a clock that no test can move: a server."""
        uris: tuple[str, ...] = () if self._own_store is not None else (self._uri,)
        for uri in (*uris, self._settings.sign_ins_uri or ""):
            if uri and not uri.startswith(("memory:", "sqlite:")):
                return uri.partition(":")[0]
        for part in (self._own_store, self._storage_of_limiter):
            kind: type[object] = type(part)
            if kind.__module__.startswith(_SERVERS):
                return kind.__name__
        return None

    def _reopen_absent(self) -> None:
        for store, path in (
            (self.codes, self._file_of_codes),
            (self.sign_ins, self._file_of_sign_ins),
        ):
            if self._is_absent(path):
                store.reopen()

    def _is_absent(self, path: str | None) -> bool:
        return self._looks and path is not None and not os.path.lexists(path)

    @property
    def _file_of_codes(self) -> str | None:
        return self._backend.path if self._own_store is None else self._own_file

    @property
    def _file_of_sign_ins(self) -> str | None:
        backend = self._sign_ins_backend
        return self._file_of_codes if backend is None else backend.path

    @property
    def _file_of_limits(self) -> str | None:
        if self.limiter is not None:
            return None
        return self._backend.path if self._own_limits is None else self._own_file

    @property
    def _uri(self) -> str:
        if self._names_uri:
            return self._settings.storage_uri
        # Looked at late, as tests set app.testing after init_app, too.
        return "memory://" if self._app.testing else self._default_uri

    @property
    def _default_uri(self) -> str:
        return "sqlite:///" + os.path.join(self._app.instance_path, _DEFAULT_FILE)

    @cached_property
    def _backend(self) -> Backend:
        return self._backend_for(self._uri, "STORAGE_URI")

    @property
    def _is_remote(self) -> bool:
        if self._own_store is not None:
            return self._own_file is None
        return self._names_uri and self._backend.contact_at_start

    def _backend_for(self, uri: str, setting: str) -> Backend:
        return backend_for(uri, self._app.instance_path, PREFIX + setting)

    def _open_codes(self) -> Store:
        if self._is_absent(self._file_of_codes):
            return CacheStore(MemoryCache())
        return self._own_store or self._backend.open_store()

    @cached_property
    def _sign_ins_backend(self) -> Backend | None:
        uri = self._settings.sign_ins_uri
        return None if uri is None else self._backend_for(uri, "SIGN_INS_URI")

    def _store_of_sign_ins(self) -> LazyStore:
        backend = self._sign_ins_backend
        if backend is None:
            if isinstance(self._own_limits, MemcachedStorage):
                raise ConfigError(
                    "OTP_AUTH_SIGN_INS_URI is needed with a cache= on Memcached, as that forgets "
                    "and would sign people out: name a database or a Redis server there"
                )
            return self.codes

        def open_sign_ins() -> Store:
            absent = self._is_absent(backend.path)
            return CacheStore(MemoryCache()) if absent else backend.open_store()

        return LazyStore(open_sign_ins)

    def _check(self) -> None:
        """Tell at the start what is wrong with storages that are opened later."""
        in_development = self._app.debug or self._app.testing
        if self.limiter is not None:
            strategy_of(self.limiter, self._app)
            if not (self._own_store or self._names_uri or in_development):
                logger.warning(
                    "limits are kept where limiter= says, and codes and sign-ins in a file of this "
                    "machine; set OTP_AUTH_STORAGE_URI, so that other machines find them"
                )
        elif self._own_store is not None and self._own_limits is None:
            logger.warning(
                "limits can't be kept in what cache= is, so they are kept where "
                "OTP_AUTH_STORAGE_URI says; pass limiter= to keep them elsewhere"
            )
        elif isinstance(self._own_limits, MemoryLimitStorage) and not in_development:
            logger.warning("cache= is in memory, so codes and limits are no other worker's")
        if self._own_store is None or (self.limiter is None and self._own_limits is None):
            self._backend_for(self._uri, "STORAGE_URI")
        if self._own_file is not None:
            check_path(self._own_file, "cache=")


def _contact(store: LazyStore) -> None:
    try:
        store.connect()
    except Unavailable as error:
        logger.warning(
            "the storage can't be reached yet, so requests are answered 503: %s",
            type(error.__cause__).__name__,
        )
