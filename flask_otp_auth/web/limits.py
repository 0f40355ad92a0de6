"""Limits by address: what counts as one address, and on whose limiter it is counted."""

import ipaddress
import logging
import re
import time
from collections.abc import Callable
from functools import lru_cache

from flask import Blueprint, Flask, request
from flask_limiter import Limiter
from limits.storage import MemoryStorage, MovingWindowSupport, SlidingWindowCounterSupport, Storage
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

from ..errors import ConfigError, Unavailable
from .hosts import LeaveNote

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: What all callers share that have no address.
NO_ADDRESS = "unknown"

#: What stands before an IPv4 address that was translated to IPv6 (RFC 6052, section 2.1).
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")

#: What a proxy names the visitor in.
_FORWARDING = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")

#: The last names of X-Forwarded-For that are looked at; before them anybody can write thousands.
_MOST_PROXIES = 8

# Some proxies put the port into X-Forwarded-For: 203.0.113.7:50000, [2001:db8::7]:443.
_BRACKETED = re.compile(r"\[([^]]*)](:\d+)?")
_WITH_PORT = re.compile(r"(.+):\d+")


@lru_cache(maxsize=1024)
def address_buckets(address: str | None) -> tuple[str, ...]:
    """Return what an address counts as, the narrowest first.

    An IPv4 address counts by itself, also where it is mapped into IPv6 (RFC 4291, 2.5.5.2) or
    translated to it (RFC 6052). An IPv6 address counts with its /64, which one link has, and with
    its /48, which one site has (RFC 6177): whoever has a /48 has 65,536 of the former.

    :param address: ``request.remote_addr``; ``None`` behind a Unix socket.
    """
    parsed = _parsed(address)
    if parsed is None:
        return (NO_ADDRESS,)
    if isinstance(parsed, ipaddress.IPv4Address):
        return (str(parsed),)
    number = int(parsed)  # without the zone, if there is one
    return tuple(str(ipaddress.IPv6Network((number, bits), strict=False)) for bits in (64, 48))


def bare_address(address: str | None) -> str | None:
    """Return an address without its port; what is no address, as it is."""
    spelt = address or ""
    forms = (_BRACKETED.fullmatch(spelt), _WITH_PORT.fullmatch(spelt))
    texts = (spelt, *(form[1] for form in forms if form))
    return next((text for text in texts if _read(text) is not None), address)


def _read(text: str | None) -> Address | None:
    try:
        return ipaddress.ip_address(text or "")
    except ValueError:
        return None


def _parsed(address: str | None) -> Address | None:
    parsed = _read(bare_address(address))
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed in _TRANSLATED:
            return ipaddress.IPv4Address(int(parsed) & 0xFFFF_FFFF)
        return parsed.ipv4_mapped or parsed
    return parsed


class AddressNotice:
    """Warns, once each, where callers can't be told apart by their addresses, and leaves a note.

    It runs before each request of the blueprint, and where a view of the app's own is counted.
    """

    def __init__(self, leave_note: LeaveNote = lambda *_: None) -> None:
        self._leave_note = leave_note
        self._given: set[str] = set()

    def __call__(self) -> None:
        """Look at the current request."""
        if _is_forwarded_untrusted():
            self._warn(
                "requests come through a proxy (they have X-Forwarded-For, Forwarded or X-Real-IP) "
                "that the app does not trust, so all visitors count as one address and share its "
                "limits: have each proxy add to X-Forwarded-For, and trust as many as you run: "
                "app.wsgi_app = werkzeug.middleware.proxy_fix.ProxyFix(app.wsgi_app, x_for=1)"
            )
        elif address_buckets(request.remote_addr) == (NO_ADDRESS,):
            self._warn(
                "requests come without an IP address, as through a Unix socket, so all visitors "
                "share the limits of one address: have the proxy send X-Forwarded-For, and use "
                "werkzeug.middleware.proxy_fix.ProxyFix"
            )

    def _warn(self, message: str) -> None:
        self._leave_note("proxy-not-trusted", message)
        if message not in self._given:
            from ..storage.base import log_error  # here: an app that is only imported needs none

            self._given.add(message)
            log_error("%s", message, level=logging.WARNING)


def _is_forwarded_untrusted() -> bool:
    environ = request.environ
    # Anybody on the internet can send these headers; a proxy of the app's own is nearby.
    if not any(name in environ for name in _FORWARDING) or _is_global(request.remote_addr):
        return False
    # Whoever trusts the proxy, ProxyFix or the server, takes the address that it names. With an
    # x_for that doesn't fit, the proxy's own stays, or that of another proxy is taken and the
    # visitor's stands before it.
    names = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")[-_MOST_PROXIES:]
    named = [name.strip() for name in names]
    return (request.remote_addr or None) not in named or any(map(_is_global, named))


def _is_global(address: str | None) -> bool:
    parsed = _parsed(address)
    return parsed is not None and parsed.is_global


def strategy_for(storage: Storage) -> RateLimiter:
    """Return the strictest strategy that a storage supports."""
    if isinstance(storage, MovingWindowSupport):
        return MovingWindowRateLimiter(storage)
    if isinstance(storage, SlidingWindowCounterSupport):
        return SlidingWindowCounterRateLimiter(storage)
    return FixedWindowRateLimiter(storage)


def strategy_of(limiter: Limiter, app: Flask) -> RateLimiter:
    """Return the strategy of the app's own Flask-Limiter.

    It is made anew on the limiter's storage: in an outage the limiter's own one switches to an
    in-memory fallback, which would grant every budget again.

    :raises ConfigError: if the limiter is switched off, was not initialised, or counts in the
        memory of each process.
    """
    if not isinstance(limiter, Limiter):
        raise ConfigError(
            f"limiter= must be a flask_limiter.Limiter, not {type(limiter).__name__}; where limits "
            "are kept is what OTP_AUTH_STORAGE_URI says"
        )
    if not limiter.enabled:
        if app.testing:
            return MovingWindowRateLimiter(UnlimitedStorage(lambda: app.testing))
        raise ConfigError(
            "limiter= is switched off (RATELIMIT_ENABLED), which would leave codes without "
            "limits; leave limiter= out to have this extension make its own"
        )
    if not limiter.initialized:
        raise ConfigError("limiter= has to be initialised before: limiter.init_app(app)")
    if isinstance(limiter.storage, MemoryStorage) and not (app.debug or app.testing):
        raise ConfigError(
            "limiter= counts in memory, so each worker process would grant every budget anew; "
            "set its storage (RATELIMIT_STORAGE_URI), or leave limiter= out to have this "
            "extension make its own on OTP_AUTH_STORAGE_URI"
        )
    return type(limiter.limiter)(limiter.storage)


def windows_move(limiter: Limiter) -> bool:
    """Tell whether the windows of the app's own limiter move.

    In those that don't, a guesser has twice the amount around the end of a window.
    """
    return not limiter.initialized or isinstance(limiter.limiter, MovingWindowRateLimiter)


def exempt(limiter: Limiter, blueprint: Blueprint) -> None:
    """Keep the app's own default limits off our routes: they have limits of their own.

    A page's limit would answer an API's client in HTML, and tell it nothing of when to retry.
    """
    limiter.exempt(blueprint)


class UnlimitedStorage(Storage, MovingWindowSupport):
    """Stands for a limiter that a test configuration has switched off: counts nothing."""

    STORAGE_SCHEME: list[str] | None = None

    def __init__(self, is_testing: Callable[[], bool]) -> None:
        super().__init__()
        self._is_testing = is_testing

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """Nothing can fail here."""
        return ()

    def acquire_many(self, windows: list[tuple[str, int, int]]) -> list[bool]:
        """Take from all windows, and leave room in each."""
        if not self._is_testing():
            raise Unavailable  # it was for tests alone
        return [True] * len(windows)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take from a window."""
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return the start of a window, and that nothing was taken."""
        return time.time(), 0

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count nothing."""
        return 0

    def get(self, key: str) -> int:
        """Return that nothing was counted."""
        return 0

    def get_expiry(self, key: str) -> float:
        """Return when it is forgotten, which is now."""
        return time.time()

    def check(self) -> bool:
        """Tell that it works."""
        return True

    def reset(self) -> int | None:
        """Forget nothing, as nothing is known."""
        return None

    def clear(self, key: str) -> None:
        """Forget nothing, as nothing is known."""
