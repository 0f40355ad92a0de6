"""Who takes part: the floor and the package on each storage, each with its own servers."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import servers
from benchmarks.counters import Counter, NoCounter, RedisCounter, RelayCounter
from benchmarks.relay import Relay


@dataclass(frozen=True)
class Contender:
    """One app on one storage.

    :ivar floor: the name of the contender that it is compared with; ``None`` for a floor.
    """

    name: str
    module: str
    storage: str
    floor: str | None = None


ALL = (
    Contender("floor, dict", "floor", "memory"),
    Contender("floor, Redis", "floor", "redis"),
    Contender("memory", "ours", "memory", "floor, dict"),
    Contender("SQLite", "ours", "sqlite", "floor, dict"),
    Contender("Redis", "ours", "redis", "floor, Redis"),
    Contender("Memcached", "ours", "memcached", "floor, Redis"),
)


@dataclass(frozen=True)
class Running:
    """A contender whose servers are up."""

    contender: Contender
    app: servers.Server
    counter: Counter
    uri: str


def chosen(storages: set[str]) -> list[Contender]:
    """Return the contenders on these storages, with the floors that they need."""
    ours = [item for item in ALL if item.floor and item.storage in storages]
    floors = {item.floor for item in ours}
    return [item for item in ALL if item.name in floors] + ours


@contextmanager
def running(
    contender: Contender,
    place: Path,
    *,
    workers: int = 1,
    delivery: str = "background",
    relayed: bool = False,
) -> Iterator[Running]:
    """Start a contender's servers, each storage being its own.

    :param relayed: whether a relay between app and storage counts the round trips.
    :raises NotStarted: if one does not come up.
    """
    with ExitStack() as stack:
        uri, counter = _storage(contender.storage, place, relayed, stack)
        app = stack.enter_context(
            servers.gunicorn(
                f"benchmarks.{contender.module}:app",
                place,
                workers=workers,
                BENCH_STORAGE=uri,
                BENCH_DELIVERY=delivery,
            )
        )
        yield Running(contender, app, counter, uri)


def _storage(storage: str, place: Path, relayed: bool, stack: ExitStack) -> tuple[str, Counter]:
    if storage == "sqlite":
        return f"sqlite:///{place}/otp.sqlite3", NoCounter()
    if storage == "memory":
        return "memory://", NoCounter()
    server = servers.redis_server if storage == "redis" else servers.memcached
    port = stack.enter_context(server(place)).port
    counter: Counter = RedisCounter(port) if storage == "redis" else NoCounter()
    if relayed:
        relay = stack.enter_context(closing(Relay(port)))
        port, counter = relay.port, RelayCounter(relay)
    return f"{storage}://127.0.0.1:{port}", counter
