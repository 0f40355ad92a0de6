"""Codes and limits on one Memcached server.

Memcached forgets what it has no room for, and ends a time to live up to a second late: so each
value stands behind its end.
"""

import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cachelib import MemcachedCache
from limits.storage import MemcachedStorage, Storage

from ..errors import ConfigError, Unavailable
from .base import Store, before_end, unavailable_on, with_end
from .drivers import driver, driver_errors
from .findings import Finding
from .uris import fault, server_uri

#: Seconds to wait for a server: to connect, and then for each reply.
TIMEOUT = 2

#: Seconds up to which Memcached takes a time to live as such, not as a point in time.
RELATIVE_TTL_LIMIT = 30 * 86_400

#: What a key gets in place of a value that was taken: nothing, which is over at once.
_TAKEN = "", -1


FORGETS = Finding(
    "storage-evicts",
    "warning",
    "Memcached forgets what it has no room for: codes are refused then, and limits begin anew, "
    "which gives a guesser more guesses",
    "keep codes and limits in Redis or a database, or give Memcached more memory than it needs",
)


class ForkSafeClient:
    """A client of pymemcache that each process has to itself.

    On connections that were inherited in a fork, the replies to two processes get mixed up.

    :param client: a ``PooledClient``.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        if self._pid != os.getpid():
            self._leave_connections()
        return getattr(self._client, name)

    def _leave_connections(self) -> None:
        with self._lock:  # or a second thread would close what the first has opened since
            if self._pid != os.getpid():
                self._client.close()
                self._pid = os.getpid()


class MemcachedStore(Store):
    """The four verbs on Memcached.

    :param cache: whose prefix stands before each key.
    :param client: the client that the cache stands on, safe to fork.
    """

    def __init__(self, cache: MemcachedCache, client: ForkSafeClient) -> None:
        self.cache = cache
        self._client: Any = client
        self._unavailable = unavailable_on(driver_errors())

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items or raise."""
        named = {self._name(key): with_end(value, ttl) for key, value in items.items()}
        with self._unavailable:
            failed = self._client.set_many(named, _expiry(ttl))
        if failed:
            raise Unavailable

    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key."""
        names = [self._name(key) for key in keys]
        with self._unavailable:
            found = self._client.get_many(names)
        return [before_end(found.get(name)) for name in names]

    def take(self, *keys: str, value: str | None = None) -> Sequence[bool]:
        """Remove keys and tell of each whether it was there."""
        with self._unavailable:
            if value is not None:
                return [self._take_value(self._name(key), value) for key in keys]
            found = self.peek(*keys)
            removed = [bool(self._client.delete(self._name(key))) for key in keys]
        return [is_ours and seen is not None for is_ours, seen in zip(removed, found, strict=True)]

    def mark(self, key: str, ttl: int, value: str = "1") -> bool:
        """Write a key unless it is there.

        A key whose end is past, or whose value is not ours, is replaced if it hasn't changed
        since it was looked at.
        """
        item = self._name(key), with_end(value, ttl)
        with self._unavailable:
            if self._client.add(*item, _expiry(ttl)):
                return True
            former, version = self._client.gets(item[0])
            if version is None or before_end(former) is not None:
                # None: it was dropped meanwhile, so there is nothing to replace.
                return version is None and bool(self._client.add(*item, _expiry(ttl)))
            won = self._client.cas(*item, version, _expiry(ttl))
            return bool(self._client.add(*item, _expiry(ttl)) if won is None else won)

    def findings(self) -> Sequence[Finding]:
        """Tell that it forgets."""
        return [FORGETS]

    def _take_value(self, name: str, value: str) -> bool:
        former, version = self._client.gets(name)
        if version is None or before_end(former) != value:
            return False
        nothing, at_once = _TAKEN
        return bool(self._client.cas(name, nothing, version, at_once))

    def _name(self, key: str) -> str:
        return f"{self.cache.key_prefix or ''}{key}"


class MemcachedLimitStorage(MemcachedStorage):
    """A storage of limits on a client that is there already.

    :param client: safe to fork.
    """

    def __init__(self, client: ForkSafeClient) -> None:
        super().__init__("memcached://", client_getter=lambda *_, **__: client)


def _expiry(ttl: int) -> int:
    # Its seconds are those of a clock that ticks once a second, hence one more.
    return ttl + 1 if ttl < RELATIVE_TTL_LIMIT else int(time.time()) + ttl + 1


def check_client(client: Any) -> None:
    """Look whether an app's own client can be used.

    :raises ConfigError: if it mixes up threads, hides outages or unpickles.
    """
    pymemcache = driver("pymemcache", "memcached", "cache=MemcachedCache")
    serde = driver("pymemcache.serde", "memcached", "cache=MemcachedCache")
    if not isinstance(client, pymemcache.PooledClient):
        raise ConfigError(
            "cache=MemcachedCache must have a pymemcache.PooledClient, with default_noreply=False: "
            "others unpickle what the server sends, mix up the replies of threads, or answer for "
            "a server that is down as if its keys were not there"
        )
    if client.ignore_exc or not isinstance(client.serde, serde.LegacyWrappingSerde):
        raise ConfigError(
            "cache=MemcachedCache must have a client without ignore_exc, which hides outages, and "
            "without a serde: texts need none, and pickles are never read"
        )


def memcached_halves(uri: str, setting: str) -> tuple[Callable[[], Store], Callable[[], Storage]]:
    """Check a URI of Memcached; return what opens its store and its storage of limits.

    :raises ConfigError: if the URI can't be used or the driver is not installed.
    """
    pymemcache = driver("pymemcache", "memcached", setting)
    named = server_uri(uri, setting, 11211)
    if len(named.servers) > 1:
        raise fault(setting, "must name one server: Memcached's clients lose keys between several")
    if named.credentials or named.path.strip("/") or named.query:
        raise fault(setting, "must be memcached://host:port, without user, path or options")
    pool = pymemcache.PooledClient(
        named.servers[0],
        connect_timeout=TIMEOUT,
        timeout=TIMEOUT,
        no_delay=True,
        default_noreply=False,  # with it, add and delete always say that they have won
    )
    client = ForkSafeClient(pool)
    weakref.finalize(client, pool.close)
    store = MemcachedStore(MemcachedCache(client), client)
    return lambda: store, lambda: MemcachedLimitStorage(client)
