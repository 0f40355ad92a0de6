"""Codes and limits on Redis or Valkey: one server, one behind Sentinels, or a Cluster.

Values are texts; nothing that a server sends is ever unpickled.
"""

import itertools
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cachelib import RedisCache, ValkeyCache
from limits.storage import RedisClusterStorage, RedisStorage

from ..errors import ConfigError
from .base import Store, log_error, text_of, unavailable_on
from .drivers import driver_errors
from .findings import Finding
from .redis_findings import redis_findings

# A restart from an older snapshot, or a failover to a replica that lags behind, brings back keys
# that were taken already. Either begins a new replication history, whose id Redis never uses
# again, so only what was written in this history counts.
_BEGIN = """
local info = redis.pcall('INFO', 'replication')
local id = type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or ''
local history = id .. ':'
local function is_ours(value)
    return value and string.sub(value, 1, #history) == history
end
"""

_PUT = f"""{_BEGIN}
for number, key in ipairs(KEYS) do
    redis.call('SET', key, history .. ARGV[number + 1], 'PX', ARGV[1])
end
return #id"""

# MGET, unlike GET, answers for a key of another type as if there were none.
_PEEK = f"""{_BEGIN}
local found = redis.call('MGET', unpack(KEYS))
for number, value in ipairs(found) do
    found[number] = is_ours(value) and string.sub(value, #history + 1) or false
end
return found"""

_TAKE = f"""{_BEGIN}
local taken = {{}}
for number, value in ipairs(redis.call('MGET', unpack(KEYS))) do
    local wanted = not ARGV[1] or value == history .. ARGV[1]
    local removed = wanted and redis.call('DEL', KEYS[number]) == 1
    taken[number] = removed and is_ours(value) and 1 or 0
end
return taken"""

_MARK = f"""{_BEGIN}
if is_ours(redis.call('MGET', KEYS[1])[1]) then
    return 0
end
redis.call('SET', KEYS[1], history .. ARGV[2], 'PX', ARGV[1])
return 1"""

# A window is a list of the times of its hits, the newest first, as limits keeps it.
_ACQUIRE_MANY = """
local room = {}
for number, key in ipairs(KEYS) do
    local limit, seconds = tonumber(ARGV[2 * number]), ARGV[2 * number + 1]
    local function is_full()
        local oldest = redis.call('LINDEX', key, limit - 1)
        return oldest and (tonumber(oldest) or 0) >= ARGV[1] - seconds
    end
    local kind = redis.call('TYPE', key).ok
    if kind ~= 'list' and kind ~= 'none' then
        redis.call('DEL', key)
    end
    if is_full() then
        break
    end
    redis.call('LPUSH', key, ARGV[1])
    redis.call('LTRIM', key, 0, limit - 1)
    redis.call('EXPIRE', key, seconds)
    room[number] = is_full() and 0 or 1
end
return room"""


class RedisStore(Store):
    """The four verbs on Redis or Valkey. Each is one round trip, on a Cluster one for each tag.

    :param cache: whose prefix stands before each key.
    :param client: the client of redis-py or valkey-py that the cache stands on.
    :raises ConfigError: if the client returns texts.
    """

    def __init__(self, cache: RedisCache | ValkeyCache, client: Any) -> None:
        if client.get_encoder().decode_responses:
            raise ConfigError(
                "a Redis client with decode_responses=True can't be used: cachelib can't read what "
                "it returns, and it fails at bytes that are no text; leave decode_responses out"
            )
        self.cache = cache
        self._client = client
        self._is_cluster = hasattr(client, "keyslot")
        self._put, self._peek, self._take, self._mark = (
            client.register_script(script) for script in (_PUT, _PEEK, _TAKE, _MARK)
        )
        self._warned = False
        self._unavailable = unavailable_on(driver_errors())

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items or raise."""
        with self._unavailable:
            for keys in self._slots(items):
                values = [items[key] for key in keys]
                if not self._put(self._names(keys), [ttl * 1000, *values]):
                    self._warn()

    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key."""
        with self._unavailable:
            found = [self._peek(self._names(slot)) for slot in self._slots(keys)]
        return [text_of(value) for value in itertools.chain(*found)]

    def take(self, *keys: str, value: str | None = None) -> Sequence[bool]:
        """Remove keys and tell of each whether it was there, and written in this history."""
        expected = [] if value is None else [value]
        with self._unavailable:
            taken = [self._take(self._names(slot), expected) for slot in self._slots(keys)]
        return [bool(one) for one in itertools.chain(*taken)]

    def mark(self, key: str, ttl: int, value: str = "1") -> bool:
        """Write a key unless it is there."""
        with self._unavailable:
            return bool(self._mark(self._names([key]), [ttl * 1000, value]))

    def findings(self) -> Sequence[Finding]:
        """Look at the server's settings and at its user's rights."""
        with self._unavailable:
            return redis_findings(self._client)

    def _slots(self, keys: Iterable[str]) -> Iterator[list[str]]:
        """Group neighbours that a Cluster keeps together: keys of one tag."""
        if self._is_cluster:
            for _, group in itertools.groupby(keys, _tag):
                yield list(group)
        else:
            yield list(keys)

    def _names(self, keys: list[str]) -> list[str]:
        prefix = self.cache.key_prefix
        text = prefix() if callable(prefix) else prefix or ""
        return [f"{text}{key}" for key in keys]

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            log_error(
                "the Redis server doesn't answer INFO, so that a failover or a restart from an "
                "older snapshot may revive codes that were used and sign-ins that were ended; "
                "allow its user the command INFO",
                level=logging.WARNING,
            )


def _tag(key: str) -> str:
    return key.partition("}")[0]


class RedisLimitStorage(RedisStorage):
    """A storage of limits on a client that is there already: one server, or one behind Sentinels.

    :param client: a client of redis-py or valkey-py.
    """

    def __init__(self, client: Any) -> None:
        is_valkey = type(client).__module__.startswith("valkey")
        scheme = "valkey" if is_valkey else "redis"
        super().__init__(f"{scheme}://", connection_pool=client.connection_pool)
        self._acquire_many = client.register_script(_ACQUIRE_MANY)

    def acquire_many(self, windows: Sequence[tuple[str, int, int]]) -> list[bool]:
        """Take one from each moving window in order, up to the first that has none.

        :param windows: of each its key, its amount and its seconds.
        :returns: for each that was taken whether it has room left.
        """
        keys = [self.prefixed_key(key) for key, _, _ in windows]
        numbers = [number for _, limit, expiry in windows for number in (limit, expiry)]
        return [bool(room) for room in self._acquire_many(keys, [time.time(), *numbers])]


class ClusterLimitStorage(RedisClusterStorage):
    """A storage of limits on a Redis Cluster."""
