"""Which storages an app has for codes, sign-ins and limits. No file is opened before its use."""

import logging
import os
from functools import cached_property

from cachelib import BaseCache
from flask import Flask
from flask_limiter import Limiter
from limits.storage import MemcachedStorage, MovingWindowSupport
from limits.strategies import RateLimiter

from ..core.settings import PREFIX, Settings
from ..errors import ConfigError, Unavailable
from ..storage.backends import Backend, LazyStore, backend_for
from ..storage.base import Store
from ..storage.caches import limits_for, store_for
from ..storage.memory import MemoryLimitStorage
from .limits import strategy_for, strategy_of, windows_move

logger: logging.Logger = logging.getLogger("flask_otp_auth")

_DEFAULT_FILE = "otp_auth.sqlite3"


class Storages:
    """The storages of one app.

    :param cache: the app's own cache, in place of the one that ``STORAGE_URI`` names.
    :param limiter: the app's own limiter, in place of limits on the same storage.
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
        self._limiter = limiter
        self._own_store = None if cache is None else store_for(cache)
        self._own_limits = None if cache is None else limits_for(cache)
        self.codes: LazyStore = LazyStore(self._open_codes)
        self.sign_ins: LazyStore = self._store_of_sign_ins()
        self._check()

    def strategy(self) -> RateLimiter:
        """Return what counts against limits; connects where need be.

        :raises Unavailable: if the storage can't be reached.
        """
        if self._limiter is not None:
            return strategy_of(self._limiter, self._app)
        return strategy_for(self._own_limits or self._backend.open_limits())

    @property
    def moving(self) -> bool:
        """Whether the windows of limits move."""
        if self._limiter is not None:
            return windows_move(self._limiter)
        if self._own_limits is not None:
            return isinstance(self._own_limits, MovingWindowSupport)
        return not self._uri.startswith("memcached:")

    def connect(self) -> None:
        """Look whether servers answer, and what.

        :raises ConfigError: if one refuses, or doesn't keep its promises.
        """
        for store, is_remote in (
            (self.codes, self._own_store is not None or self._is_remote),
            (self.sign_ins, self._settings.sign_ins_uri is not None),
        ):
            if is_remote:
                _contact(store)

    def forget(self) -> None:
        """Forget all that is kept in memory, but for the limits; for tests.

        :raises ConfigError: if it is kept elsewhere.
        """
        if self._own_store is not None or not self._uri.startswith("memory:"):
            raise ConfigError("only memory:// can be emptied, see OTP_AUTH_STORAGE_URI")
        self.codes.reopen()
        self.sign_ins.reopen()

    @property
    def _uri(self) -> str:
        if f"{PREFIX}STORAGE_URI" in self._app.config:
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
        return f"{PREFIX}STORAGE_URI" in self._app.config and self._backend.contact_at_start

    def _backend_for(self, uri: str, setting: str) -> Backend:
        return backend_for(uri, self._app.instance_path, PREFIX + setting)

    def _open_codes(self) -> Store:
        return self._own_store or self._backend.open_store()

    def _store_of_sign_ins(self) -> LazyStore:
        if self._settings.sign_ins_uri is None:
            if isinstance(self._own_limits, MemcachedStorage):
                raise ConfigError(
                    "OTP_AUTH_SIGN_INS_URI is needed with a cache= on Memcached, as that forgets "
                    "and would sign people out: name a database or a Redis server there"
                )
            return self.codes
        backend = self._backend_for(self._settings.sign_ins_uri, "SIGN_INS_URI")
        return LazyStore(backend.open_store)

    def _check(self) -> None:
        """Tell at the start what is wrong with storages that are opened later."""
        if self._limiter is not None:
            strategy_of(self._limiter, self._app)
        elif self._own_store is not None and self._own_limits is None:
            logger.warning(
                "limits can't be kept in what cache= is, so they are kept where "
                "OTP_AUTH_STORAGE_URI says; pass limiter= to keep them elsewhere"
            )
        elif isinstance(self._own_limits, MemoryLimitStorage) and not self._is_for_development:
            logger.warning("cache= is in memory, so codes and limits are no other worker's")
        if self._own_store is None or (self._limiter is None and self._own_limits is None):
            self._backend_for(self._uri, "STORAGE_URI")

    @property
    def _is_for_development(self) -> bool:
        return self._app.debug or self._app.testing


def _contact(store: LazyStore) -> None:
    try:
        store.connect()
    except Unavailable as error:
        logger.warning(
            "the storage can't be reached yet, so requests are answered 503: %s",
            type(error.__cause__).__name__,
        )
