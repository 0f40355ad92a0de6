"""The four verbs on servers that many machines share: Redis and Memcached.

Both work on the client inside a cachelib cache, never through its serializer: values are
texts, and nothing that a server sends is ever unpickled.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .clients import Memcached
from .errors import ConfigError, Unavailable
from .verbs import Outages, Store, has_ended, text_of

Prefix = str | Callable[[], str] | None

#: Characters of the id that a Redis server gives to each stretch of its history.
HISTORY = 40

# A restart from an older snapshot, or a failover to a replica that lags behind, brings back
# keys that were taken already. Either begins a new replication history, whose id Redis never
# uses again, so what was put in one history can't be taken in another one.
_HISTORY = """
local history = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
"""

_PUT = f"""{_HISTORY}
for number, key in ipairs(KEYS) do
    redis.call('SET', key, history .. ARGV[number + 1], 'PX', ARGV[1])
end
return #KEYS"""

_TAKE = f"""{_HISTORY}
local value = redis.call('GET', KEYS[1])
return redis.call('DEL', KEYS[1]) == 1 and string.sub(value, 1, #history) == history"""


class _ServerStore(Store):
    """A store on the client of some server.

    :param prefix: stands before each key, as in cachelib's caches.
    :param errors: what the client raises when the server can't do its work.
    """

    def __init__(self, client: Any, prefix: Prefix, errors: tuple[type[Exception], ...]) -> None:
        self._client = client
        self._prefix = prefix
        self._outages = Outages(errors)

    def _key(self, key: str) -> str:
        prefix = self._prefix() if callable(self._prefix) else self._prefix
        return f"{prefix or ''}{key}"


class RedisStore(_ServerStore):
    """The four verbs on Redis or Valkey: one server, one behind Sentinels, or a Cluster.

    Each is one round trip. All keys of one call to :meth:`put` must be in one Cluster slot.

    :param client: a client of redis-py or valkey-py that returns bytes.
    :raises ConfigError: if it returns texts.
    """

    def __init__(self, client: Any, prefix: Prefix, errors: tuple[type[Exception], ...]) -> None:
        super().__init__(client, prefix, errors)
        if client.get_encoder().decode_responses:
            raise ConfigError(
                "a Redis client with decode_responses=True can't be used: what it returns is no "
                "longer what was stored, and cachelib can't read it; leave decode_responses out"
            )
        # Keys of two owners, or of one under two secret keys, are in different slots.
        self._peek = getattr(client, "mget_nonatomic", client.mget)

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items at once."""
        keys = [self._key(key) for key in items]
        with self._outages:
            self._client.eval(_PUT, len(keys), *keys, ttl * 1000, *items.values())

    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key."""
        with self._outages:
            values = self._peek([self._key(key) for key in keys])
        return [text_of(value and value[HISTORY:]) for value in values]

    def take(self, key: str) -> bool:
        """Delete the key; true if it was there and was put in this history of the server."""
        with self._outages:
            return bool(self._client.eval(_TAKE, 1, self._key(key)))

    def mark(self, key: str, ttl: int) -> bool:
        """Set the key for the time of the window, unless it is there."""
        with self._outages:
            return bool(self._client.set(self._key(key), "1", px=ttl * 1000, nx=True))


#: Seconds up to which Memcached takes a time to live as such, not as a point in time.
LONGEST_TTL = 30 * 86_400


class MemcachedStore(_ServerStore):
    """The four verbs on Memcached.

    :param client: a ``PooledClient`` of pymemcache, or ours.
    :raises ConfigError: if it is another one, or hides outages.
    """

    def __init__(self, client: Any, prefix: Prefix, errors: tuple[type[Exception], ...]) -> None:
        super().__init__(client, prefix, errors)
        if not isinstance(client, Memcached):
            _check_pool(client)
        self._pid = os.getpid()
        self._adoption = threading.Lock()

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items or raise."""
        named = {self._key(key): value for key, value in items.items()}
        with self._outages:
            failed = self._own_client().set_multi(named, _expiry(ttl))
        if failed:
            raise Unavailable

    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key."""
        names = [self._key(key) for key in keys]
        with self._outages:
            found = self._own_client().get_multi(names)
        return [text_of(found.get(name)) for name in names]

    def take(self, key: str) -> bool:
        """Delete the key and tell whether it was there."""
        with self._outages:
            return bool(self._own_client().delete(self._key(key)))

    def mark(self, key: str, ttl: int) -> bool:
        """Add the key, with the window's end as its value.

        Memcached ends a time to live up to a second late, so the end in the value decides. Who
        finds a window that is over opens the next one in its place, unless it has changed.
        """
        window = self._key(key), str(time.time() + ttl)
        with self._outages:
            client = self._own_client()
            if client.add(*window, _expiry(ttl)):
                return True
            end, version = client.gets(window[0])
            if version is not None and not has_ended(text_of(end)):
                return False
            # None: the old window was dropped meanwhile, so there is nothing to replace.
            won = version and client.cas(*window, version, _expiry(ttl))
            return bool(client.add(*window, _expiry(ttl)) if won is None else won)

    def _own_client(self) -> Any:
        if self._pid != os.getpid():
            self._leave_connections()
        return self._client

    def _leave_connections(self) -> None:
        """Close the copies of a parent's connections: on them, replies would get mixed up."""
        with self._adoption:
            if self._pid != os.getpid():
                self._client.close()
                self._pid = os.getpid()


def _check_pool(client: Any) -> None:
    if "PooledClient" not in [kind.__name__ for kind in type(client).__mro__]:
        raise ConfigError(
            "cache=MemcachedCache must have a pymemcache.PooledClient, with default_noreply=False: "
            "others unpickle what the server sends, mix up the replies of threads, or answer for "
            "a server that is down as if its keys were not there"
        )
    if client.ignore_exc or type(client.serde).__name__ != "LegacyWrappingSerde":
        raise ConfigError(
            "cache=MemcachedCache must have a client without ignore_exc, which hides outages, and "
            "without a serde: texts need none, and pickles are never read"
        )


def _expiry(ttl: int) -> int:
    # Its seconds are those of a clock that ticks once a second, hence one more.
    return ttl + 1 if ttl < LONGEST_TTL else int(time.time()) + ttl + 1
