"""Budgets by identifier and by address, on Flask-Limiter's engine.

Each is a direct hit on the strategy, counted before anything is done. Keys are keyed hashes,
so they are never empty and tell no one's address.
"""

import ipaddress
import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import NamedTuple, TypeVar

from flask_limiter import Limiter
from limits.errors import StorageError
from limits.storage import MemoryStorage, MovingWindowSupport, SlidingWindowCounterSupport, Storage
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

from .errors import ConfigError, Unavailable
from .keys import Keys, Names
from .values import Limit

T = TypeVar("T")
Work = Callable[[RateLimiter, Limit, str], T]

#: The first part of every key, so that a storage can be shared with the app's own limits.
NAMESPACE = "otp_auth"


class _Contact(NamedTuple):
    strategy: RateLimiter
    turns: AbstractContextManager[object]
    errors: tuple[type[Exception], ...]


class Limits:
    """Takes from budgets and tells whether there was anything left.

    :param connect: returns the strategy; called at first use, and again until it succeeds.
    """

    def __init__(self, connect: Callable[[], RateLimiter], keys: Keys) -> None:
        self._connect = connect
        self._contacts: list[_Contact] = []
        self._names = Names(keys.names)

    def hit(self, limit: Limit, *parts: str) -> bool:
        """Take one from the budget that ``parts`` name; false if a window had none left.

        :raises Unavailable: if the limiter's storage can't be reached.
        """
        return self._run(_hit, limit, parts)

    def has_left(self, limit: Limit, *parts: str) -> bool:
        """Tell whether the budget has any left, taking nothing.

        :raises Unavailable: if the limiter's storage can't be reached.
        """
        return self._run(_test, limit, parts)

    def retry_after(self, limit: Limit, *parts: str) -> int:
        """Return the seconds until a used-up budget has one again, 1 at least.

        :raises Unavailable: if the limiter's storage can't be reached.
        """
        reset = self._run(_reset_time, limit, parts)
        return max(1, math.ceil(reset - time.time()))

    def _run(self, work: Work[T], limit: Limit, parts: tuple[str, ...]) -> T:
        contact = self._contacts[0] if self._contacts else self._first_contact()
        key = self._names.tag(*parts)
        try:
            with contact.turns:
                return work(contact.strategy, limit, key)
        except contact.errors as error:
            raise Unavailable from error

    def _first_contact(self) -> _Contact:
        strategy = self._connect()
        storage = strategy.storage
        # A storage in memory is not safe for threads, so hits on it take turns.
        turns = threading.Lock() if isinstance(storage, MemoryStorage) else nullcontext()
        errors = storage.base_exceptions
        known = errors if isinstance(errors, tuple) else (errors,)
        # The storage itself doesn't know all that its driver raises.
        from .clients import driver_errors  # here: not each app has a driver

        errors = (*known, StorageError, *driver_errors())
        self._contacts.append(_Contact(strategy, turns, errors))
        return self._contacts[0]  # for all threads that came here together, or each had its own


def _hit(strategy: RateLimiter, limit: Limit, key: str) -> bool:
    return all(strategy.hit(item, NAMESPACE, key) for item in limit)


def _test(strategy: RateLimiter, limit: Limit, key: str) -> bool:
    return all(strategy.test(item, NAMESPACE, key) for item in limit)


def _reset_time(strategy: RateLimiter, limit: Limit, key: str) -> float:
    windows = [strategy.get_window_stats(item, NAMESPACE, key) for item in limit]
    return max((window.reset_time for window in windows if window.remaining < 1), default=0)


def strategy_for(storage: Storage) -> RateLimiter:
    """Return the strictest strategy that a storage can do."""
    if isinstance(storage, MovingWindowSupport):
        return MovingWindowRateLimiter(storage)
    if isinstance(storage, SlidingWindowCounterSupport):
        return SlidingWindowCounterRateLimiter(storage)
    return FixedWindowRateLimiter(storage)


def strategy_of(limiter: Limiter) -> RateLimiter:
    """Return the strategy of the app's own Flask-Limiter.

    It is made anew on the limiter's storage: the limiter's own one gives way to an in-memory
    fallback in an outage, and that would hand out every budget again.

    :raises ConfigError: if the limiter is switched off or was not initialised.
    """
    if not limiter.enabled:
        raise ConfigError(
            "limiter= is switched off (RATELIMIT_ENABLED), which would leave codes without "
            "limits; leave limiter= out to have this extension make its own"
        )
    if not limiter.initialized:
        raise ConfigError("limiter= has to be initialised before: limiter.init_app(app)")
    return type(limiter.limiter)(limiter.storage)


@lru_cache(maxsize=1024)
def address_bucket(address: str | None) -> str:
    """Return what counts as one address: an IPv4 address or an IPv6 /64 (RFC 6177).

    :param address: ``request.remote_addr``; ``None`` behind a Unix socket.
    """
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), 64), strict=False))
