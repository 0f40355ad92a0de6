"""What every store promises: four verbs, an error for outages, a self-test.

Everything that must happen exactly once rests on these verbs. A right is a key that somebody
takes, never a mark that somebody adds, so a store that forgets can only refuse.
"""

import contextvars
import logging
import math
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any

from cachelib import BaseCache

from ..errors import ConfigError, Unavailable
from .findings import Finding
from .refusals import refusal

logger: logging.Logger = logging.getLogger("flask_otp_auth")


class Store(ABC):
    """What this package needs of a storage. An app may pass its own as ``cache=``.

    Keys and values are ASCII texts; times to live are whole seconds, 1 at least. Each verb raises
    :class:`Unavailable` if the storage can't be reached.
    """

    @abstractmethod
    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items in their order, or raise."""

    @abstractmethod
    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key, ``None`` where there is none."""

    @abstractmethod
    def take(self, *keys: str, value: str | None = None) -> Sequence[bool]:
        """Remove keys in one step and tell of each whether it was there.

        It is true for exactly one caller for each time that a key was put.

        :param value: remove the key, of which there is one then, only if it still has this value.
        """

    @abstractmethod
    def mark(self, key: str, ttl: int, value: str = "1") -> bool:
        """Write a key unless it is there; true for exactly one caller until it ends."""

    def findings(self) -> Sequence[Finding]:
        """Look how the storage is set up, for ``flask otp check``."""
        return ()


class TextCache(BaseCache, ABC):
    """A cache of texts whose ``add`` and ``take`` are atomic, and end to the instant."""

    @abstractmethod
    def take(self, *keys: str, value: str | None = None) -> list[bool]:
        """Delete keys in one step and tell of each whether it was there.

        :param value: delete only what still has this value.
        """

    def deadline(self, timeout: int | timedelta | None) -> float:
        """Return when something ends that is written now, in seconds since the epoch.

        :param timeout: as in cachelib: ``None`` is the default, 0 is never.
        """
        timeout = self.default_timeout if timeout is None else timeout
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        return time.time() + (seconds or math.inf)


class CacheStore(Store):
    """The four verbs on a :class:`TextCache`.

    :param cache: the cache.
    :param errors: what it raises when it can't do its work.
    """

    def __init__(self, cache: TextCache, errors: tuple[type[Exception], ...] = ()) -> None:
        self.cache = cache
        self._unavailable = unavailable_on(errors)

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items or raise."""
        with self._unavailable:
            self.cache.set_many(dict(items), timeout=ttl)

    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key."""
        with self._unavailable:
            return [text_of(value) for value in self.cache.get_many(*keys)]

    def take(self, *keys: str, value: str | None = None) -> Sequence[bool]:
        """Remove keys and tell of each whether it was there."""
        with self._unavailable:
            return self.cache.take(*keys, value=value)

    def mark(self, key: str, ttl: int, value: str = "1") -> bool:
        """Write a key unless it is there."""
        with self._unavailable:
            return self.cache.add(key, value, timeout=ttl)


class unavailable_on:  # noqa: N801 - it is used as a statement
    """Raises :class:`Unavailable` in place of what a storage's driver raises, in a ``with`` block.

    The log gets the exception's class alone, or what it means where that is known: its text may
    hold keys and values.

    :param errors: what the driver raises when it can't do its work.
    """

    def __init__(self, errors: tuple[type[Exception], ...]) -> None:
        self._errors = errors

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, self._errors):
            reason = refusal(error) or type(error).__name__
            log_error("the storage is unavailable: %s", reason, level=logging.WARNING)
            raise Unavailable from error


def log_error(text: str, *args: object, level: int = logging.ERROR) -> None:
    """Log what went wrong, but not as a part of the request in which it did.

    Error trackers keep the body of that request, and the code in it may still be good.
    """
    contextvars.Context().run(logger.log, level, text, *args, stacklevel=2)


def text_of(value: Any) -> str | None:
    """Return a stored value as text; anything that we don't write counts as absent."""
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return value if isinstance(value, str) else None


def with_end(value: str, ttl: int) -> str:
    """Return a text that holds a value and its end, for caches that expire keys late or early."""
    return f"{time.time() + ttl} {value}"


def before_end(stored: Any) -> str | None:
    """Return the value in such a text; ``None`` if its end is past, or if it is no such text."""
    end, separator, value = (text_of(stored) or "").partition(" ")
    try:
        is_live = float(end) > time.time()
    except ValueError:
        return None
    return value if separator and is_live else None


def probe(store: Store) -> None:
    """Try each verb on a store, and refuse one that says yes twice.

    :raises ConfigError: if the store doesn't keep the promises of the four verbs.
    :raises Unavailable: if it can't be reached.
    """
    key = f"otp_auth:{{probe{secrets.token_hex(8)}}}:{secrets.token_hex(16)}"
    mark = f"{key}:mark"
    store.put({key: "probe"}, 10)
    seen = (
        store.peek(key)[0] == "probe",
        store.take(key)[0],
        not store.take(key)[0],
        store.mark(mark, 10, "probe"),
        not store.mark(mark, 10, "again"),
        not store.take(mark, value="again")[0],
        store.take(mark, value="probe")[0],
    )
    if not all(seen):
        raise ConfigError(
            "the cache failed the self-test (put and peek, take, second take, mark, second mark, "
            f"take of another value, take of its value): {seen}, every entry must be True. With "
            "pymemcache, set default_noreply=False"
        )
