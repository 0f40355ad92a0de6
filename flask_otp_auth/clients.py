"""Clients of the servers that a URI names: bounded in time, safe to fork, hiding no outage."""

import functools
import importlib
import os
import socket
import sys
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from typing import Any
from urllib.parse import SplitResult, urlsplit

from limits.storage import MemcachedStorage, RedisClusterStorage, RedisSentinelStorage, RedisStorage

from .errors import ConfigError, Unavailable
from .sockets import kernel_timed

#: Seconds to wait for a server: to connect, and then for each reply.
TIMEOUT = 2

#: Connections that one process opens to Redis at most.
MAX_CONNECTIONS = 1000

# Not all errors of a driver have one base class.
_ERRORS = {
    "redis.exceptions": ("RedisError", "RedisClusterException"),
    "valkey.exceptions": ("ValkeyError", "ValkeyClusterException"),
    "pymemcache.exceptions": ("MemcacheError",),
}


def driver_errors() -> tuple[type[Exception], ...]:
    """Return what the drivers that this process has loaded raise in an outage."""
    loaded = [(sys.modules[name], names) for name, names in _ERRORS.items() if name in sys.modules]
    return (OSError, *(getattr(module, name) for module, names in loaded for name in names))


def _driver(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise _fault(f"needs its driver: pip install flask-otp-auth[{extra}]") from None


def _fault(text: str) -> ConfigError:
    # The URI itself stays out of it, as it may hold a password.
    return ConfigError(f"OTP_AUTH_STORAGE_URI {text}")


def redis_storage(uri: str) -> Callable[[], RedisStorage]:
    """Check a URI of Redis and return what opens its storage of limits.

    Codes can be kept through the storage's own client, ``storage``. The function raises
    :class:`Unavailable` if it has to connect and can't.

    :param uri: ``redis://``, ``rediss://``, ``redis+sentinel://`` or ``redis+cluster://``.
    :raises ConfigError: if the URI can't be used or the driver is not installed.
    """
    driver = _driver("redis", "redis")
    parts, servers = _split(uri, 6379)
    if "+" not in parts.scheme:
        pool = driver.ConnectionPool(**_options(driver, uri))
        return functools.partial(RedisStorage, uri, connection_pool=pool)
    # Of the rest of such a URI, limits knows only the service.
    credentials, at, _ = parts.netloc.rpartition("@")
    service, _, database = parts.path.strip("/").partition("/")
    options = _options(driver, f"redis://{credentials}{at}localhost/{database}?{parts.query}")
    options["ssl"] = options.pop("connection_class", None) is driver.SSLConnection
    del options["host"]
    if parts.scheme == "redis+cluster":
        if service or options.pop("db", 0):
            raise _fault("must not name a database: a Redis Cluster has only one")
        return functools.partial(_cluster, f"{parts.scheme}://{_listed(servers)}", options)
    if not service:
        raise _fault("must name a service: redis+sentinel://host:port,host:port/service")
    return functools.partial(
        RedisSentinelStorage,
        f"{parts.scheme}://{_listed(servers)}/{service}",
        # Sentinels are asked as patiently, and with the same credentials, as servers are.
        sentinel_kwargs={name: value for name, value in options.items() if name != "db"},
        **options,
    )


def _cluster(uri: str, options: Mapping[str, Any]) -> RedisStorage:
    try:
        return RedisClusterStorage(uri, **options)
    except driver_errors() as error:
        raise Unavailable from error


def _options(driver: Any, uri: str) -> dict[str, Any]:
    """Return the options in the URI of one server, and ours where it names none.

    No command is sent twice: one that was cut off may have been carried out, and to put once
    more would bring back what was taken since.
    """
    try:
        given = driver.connection.parse_url(uri)
        if driver.connection.to_bool(given.pop("ssl", "no")):
            given["connection_class"] = driver.SSLConnection
        options = {
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            "retry": driver.retry.Retry(driver.backoff.NoBackoff(), 0),
            "max_connections": MAX_CONNECTIONS,
            "connection_class": _kernel_timed_class(driver),
            "protocol": 2,  # in 3, redis-py doesn't see that a server has closed a connection
            **given,
        }
        pool = driver.ConnectionPool(**options)
        pool.connection_class(**pool.connection_kwargs)
    except (TypeError, ValueError, driver.RedisError) as error:
        raise _fault(f"has an option that redis-py refuses: {error}") from None
    return options


def _kernel_timed_class(driver: Any) -> Any:
    class KernelTimedConnection(driver.Connection):  # type: ignore[misc] # an extra
        def _connect(self) -> socket.socket:
            return kernel_timed(super()._connect())

    return KernelTimedConnection


def memcached_client(uri: str) -> "Memcached":
    """Check a URI of Memcached and return a client of its servers.

    :raises ConfigError: if the URI can't be used or the driver is not installed.
    """
    driver = _driver("pymemcache", "memcached")
    return Memcached(driver, _split(uri, 11211)[1])


def _split(uri: str, default_port: int) -> tuple[SplitResult, list[tuple[str, int]]]:
    """Return a URI's parts, and the host and port of each server that it lists."""
    with suppress(ValueError):
        parts = urlsplit(uri)
        _, _, listed = parts.netloc.rpartition("@")
        each = [urlsplit(f"//{server}") for server in listed.split(",")]
        if all(server.hostname for server in each):
            return parts, [(str(one.hostname), one.port or default_port) for one in each]
    raise _fault(f"must list its servers: {uri.partition(':')[0]}://host:port")


def _listed(servers: Iterable[tuple[str, int]]) -> str:
    return ",".join(
        f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in servers
    )


class MemcachedLimitStorage(MemcachedStorage):
    """A storage of limits on a client that is there already."""

    def __init__(self, client: "Memcached") -> None:
        super().__init__("memcached://")
        self._client = client

    @property
    def storage(self) -> Any:
        """The client."""
        return self._client


class Memcached:
    """A client of Memcached servers, with those of pymemcache's methods that stores need.

    pymemcache's own client of several servers answers for one that is down as if its keys
    were not there, and then has another one stand in: limits would start anew. Here a key
    stays with its server. Each process makes its own connections, and none is used again that
    the server has closed.

    :param driver: the package ``pymemcache``.
    :param servers: host and port of each.
    """

    def __init__(self, driver: Any, servers: Sequence[tuple[str, int]]) -> None:
        self._driver = driver
        self._servers = servers
        self._idle: dict[tuple[int, tuple[str, int]], list[Any]] = {}
        weakref.finalize(self, _close, self._idle)

    def close(self) -> None:
        """Close the connections that are not in use."""
        _close(self._idle)

    def get_multi(self, keys: Iterable[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for server, own in self._by_server(keys):
            with self._lease(server) as client:
                found.update(client.get_multi(own))
        return found

    get_many: Any = get_multi

    def set_multi(self, values: Mapping[str, Any], *args: Any) -> list[str]:
        failed: list[str] = []
        for server, own in self._by_server(values):
            with self._lease(server) as client:
                failed += client.set_multi({key: values[key] for key in own}, *args)
        return failed

    def _run(self, verb: str, key: str, *args: Any, **options: Any) -> Any:
        with self._lease(self._server_of(key)) as client:
            return getattr(client, verb)(key, *args, **options)

    get: Any = functools.partialmethod(_run, "get")
    gets: Any = functools.partialmethod(_run, "gets")
    set: Any = functools.partialmethod(_run, "set")
    add: Any = functools.partialmethod(_run, "add")
    cas: Any = functools.partialmethod(_run, "cas")
    delete: Any = functools.partialmethod(_run, "delete")
    incr: Any = functools.partialmethod(_run, "incr")
    decr: Any = functools.partialmethod(_run, "decr")

    def _server_of(self, key: str) -> tuple[str, int]:
        # Rendezvous hashing: a server that is added or removed moves no other keys.
        return max(self._servers, key=lambda server: blake2b(f"{server} {key}".encode()).digest())

    def _by_server(self, keys: Iterable[str]) -> Iterable[tuple[tuple[str, int], list[str]]]:
        groups = defaultdict(list)
        for key in keys:
            groups[self._server_of(key)].append(key)
        return groups.items()

    @contextmanager
    def _lease(self, server: tuple[str, int]) -> Iterator[Any]:
        idle = self._idle.setdefault((os.getpid(), server), [])
        client = self._idle_client(idle) or self._driver.Client(
            server,
            connect_timeout=TIMEOUT,
            timeout=TIMEOUT,
            no_delay=True,
            default_noreply=False,  # with it, add and delete always say that they have won
        )
        try:
            yield client
        except BaseException:
            client.close()  # a reply may be on its way
            raise
        client.sock = kernel_timed(client.sock)  # connected only now, at its first use
        idle.append(client)

    @staticmethod
    def _idle_client(idle: list[Any]) -> Any | None:
        with suppress(IndexError):
            while True:
                client = idle.pop()
                if _is_quiet(client.sock):
                    return client
                client.close()
        return None


def _close(idle: Mapping[Any, list[Any]]) -> None:
    for clients in idle.values():
        while clients:
            clients.pop().close()


def _is_quiet(connection: socket.socket) -> bool:
    """Tell whether a connection is open and has nothing to read."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        connection.settimeout(TIMEOUT)
        return True
    except OSError:
        pass
    return False
