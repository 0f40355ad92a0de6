"""Clients of Redis and Valkey by URI: bounded in time, safe to fork, hiding no outage.

Both servers are served by redis-py.
"""

import functools
import os
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from cachelib import RedisCache
from limits.storage import Storage

from .base import Store, unavailable_on
from .drivers import driver, driver_errors
from .redis import ClusterLimitStorage, RedisLimitStorage, RedisStore
from .uris import ServerURI, fault, server_uri, split_uri

Halves = tuple[Callable[[], Store], Callable[[], Storage]]

#: Seconds to wait for a server: to connect, and then for each reply.
TIMEOUT = 2

#: What ``ssl=`` may say.
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}

#: Connections that one process opens at most.
MAX_CONNECTIONS = 1000


def redis_halves(uri: str, setting: str) -> Halves:
    """Check a URI of Redis or Valkey; return what opens its store and its storage of limits.

    Both are served by redis-py.

    :raises ConfigError: if the URI can't be used or the driver is not installed.
    """
    redis = driver("redis", "redis", setting)
    scheme, _, kind = uri.partition("://")[0].lower().partition("+")
    if kind == "unix" or scheme == "unix":
        return _one_client(redis.Redis(connection_pool=_socket_pool(redis, uri, setting)))
    named = server_uri(uri, setting, 6379 if kind != "sentinel" else 26379)
    if kind == "sentinel":
        return _one_client(_sentinel_client(redis, named, setting))
    if kind == "cluster":
        return _cluster_halves(redis, named, setting)
    return _one_client(redis.Redis(connection_pool=_server_pool(redis, named, setting)))


def _one_client(client: Any) -> Halves:
    store = RedisStore(RedisCache(client), client)
    return lambda: store, lambda: RedisLimitStorage(client)


def _server_pool(redis: Any, named: ServerURI, setting: str) -> Any:
    if len(named.servers) > 1:
        text = "must name one server; for several, write redis+sentinel:// or redis+cluster://"
        raise fault(setting, text)
    database = named.path.removeprefix("/")
    _check_database(database, named.query, setting)
    tls, query = _without_tls(named, setting)
    options = {} if tls else {"connection_class": _kernel_timed_class(redis)}
    uri = f"{'rediss' if tls else 'redis'}://{named.credentials}{_listed(named)}/{database}?{query}"
    return _pool(redis, uri, setting, **options)


def _socket_pool(redis: Any, uri: str, setting: str) -> Any:
    parts = split_uri(uri, setting)
    if not parts.path.strip("/") or parts.netloc.rpartition("@")[2]:
        raise fault(setting, "must name a socket: redis+unix:///run/redis/redis.sock?db=0")
    folder = os.path.dirname(unquote(parts.path))
    if os.path.exists(folder) and not os.path.isdir(folder):  # it is the socket
        raise fault(setting, "must name its database as ?db=2, not behind the socket as /2")
    return _pool(redis, f"unix://{parts.netloc}{parts.path}?{parts.query}", setting)


def _sentinel_client(redis: Any, named: ServerURI, setting: str) -> Any:
    service, _, database = named.path.strip("/").partition("/")
    if not service:
        raise fault(setting, "must name a service: redis+sentinel://host:port,host:port/service")
    _check_database(database, named.query, setting)
    options = _options(redis, named, database, setting)
    # Sentinels are asked as patiently, and with the same credentials, as servers are.
    of_sentinels = {name: value for name, value in options.items() if name != "db"}
    module = driver("redis.sentinel", "redis", setting)
    sentinel = module.Sentinel(named.servers, sentinel_kwargs=of_sentinels, **options)
    return sentinel.master_for(service)


def _cluster_halves(redis: Any, named: ServerURI, setting: str) -> Halves:
    options = _options(redis, named, "", setting)
    if named.path.strip("/") or options.pop("db", 0):
        raise fault(setting, "must not name a database: a Redis Cluster has only one")

    @functools.cache  # one client for both
    def open_limits() -> ClusterLimitStorage:
        with unavailable_on(driver_errors()):  # its client connects at once
            return ClusterLimitStorage(f"redis+cluster://{_listed(named)}", **options)

    def open_store() -> Store:
        client: Any = open_limits().storage
        return RedisStore(RedisCache(client), client)

    return open_store, open_limits


def _options(redis: Any, named: ServerURI, database: str, setting: str) -> dict[str, Any]:
    """Return the options of each server of several."""
    tls, query = _without_tls(named, setting)
    uri = f"{'rediss' if tls else 'redis'}://{named.credentials}localhost/{database}?{query}"
    pool = _pool(redis, uri, setting)
    asked = (name for name, _ in parse_qsl(query))
    given = {"username", "password", "db", *_defaults(redis), *asked}
    options = {name: pool.connection_kwargs[name] for name in given & {*pool.connection_kwargs}}
    return {**options, "max_connections": pool.max_connections, "ssl": tls}


def _defaults(redis: Any) -> dict[str, Any]:
    return {
        "socket_timeout": TIMEOUT,
        "socket_connect_timeout": TIMEOUT,
        "max_connections": MAX_CONNECTIONS,
        "protocol": 2,  # in 3, redis-py doesn't see that a server has closed a connection
        "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0),
    }


def _pool(redis: Any, uri: str, setting: str, **options: Any) -> Any:
    """Return a pool with the options in a URI, and with ours where it names none.

    No command is sent twice: one that was cut off may have been carried out, and to repeat a put
    would bring back what was taken since.
    """
    try:
        pool = redis.ConnectionPool.from_url(uri, **_defaults(redis), **options)
        pool.make_connection()  # not connected yet, but it refuses what it doesn't know
    except (TypeError, ValueError, redis.RedisError) as error:
        raise fault(setting, f"has an option that redis-py refuses: {error}") from None
    return pool


def _check_database(database: str, query: str, setting: str) -> None:
    if database and not (database.isascii() and database.isdigit()):
        raise fault(setting, "must name its database by a number, such as redis://host:port/0")
    if database and "db" in dict(parse_qsl(query)):
        raise fault(setting, "must name its database once: by its path or by db=")


def _without_tls(named: ServerURI, setting: str) -> tuple[bool, str]:
    """Tell whether a URI asks for TLS, and return the rest of its options.

    :raises ConfigError: if it says neither.
    """
    options = parse_qsl(named.query, keep_blank_values=True)
    others = [(name, value) for name, value in options if name != "ssl"]
    asked = {value.lower() for name, value in options if name == "ssl"}
    if asked - _TRUE - _FALSE:
        raise fault(setting, "must say ssl=true or ssl=false, or name its server by rediss://")
    return named.scheme in ("rediss", "valkeys") or bool(asked & _TRUE), urlencode(others)


def _listed(named: ServerURI) -> str:
    return ",".join(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in named.servers
    )


def _kernel_timed_class(redis: Any) -> Any:
    """Return a class of connections whose time-out the kernel keeps.

    A socket with a Python time-out is polled before each call, and each poll releases the GIL:
    34 % more CPU a request (``make bench``, Redis).
    """

    class KernelTimedConnection(redis.Connection):  # type: ignore[misc] # an extra
        socket_timeout: float | None

        def __init__(self, *, socket_timeout: float, **options: Any) -> None:
            super().__init__(socket_timeout=socket_timeout, **options)
            self._bound = socket_timeout

        def _connect(self) -> socket.socket:
            self.socket_timeout = self._bound
            sock: socket.socket = super()._connect()
            if _can_wait_in_kernel(sock):
                self.socket_timeout = None  # redis-py sets it anew after each look
                sock.settimeout(None)
                microseconds = max(1, int(self._bound * 1_000_000))  # 0 would be no end
                bound = struct.pack("@ll", *divmod(microseconds, 1_000_000))
                for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                    sock.setsockopt(socket.SOL_SOCKET, option, bound)
            return sock

    return KernelTimedConnection


def _can_wait_in_kernel(sock: socket.socket) -> bool:
    # Elsewhere struct timeval may be another one, and gevent's sockets wait in its own loop.
    known = sys.platform == "linux" and struct.calcsize("l") == 8
    return known and type(sock).__module__ == "socket"
