"""Who takes part: the floor, and the package on each storage, one server at a time."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import servers
from benchmarks.servers import ROOT, Cores, Server

#: What the tables call the storages.
NAMES = {"memory": "memory", "sqlite": "SQLite", "redis": "Redis", "memcached": "Memcached"}


@dataclass(frozen=True)
class Contender:
    """One app on one storage.

    :ivar floor: the name of the contender that it is compared with; ``None`` for a floor.
    :ivar package: the checkout whose package it runs.
    :ivar live: live codes in the storage before it starts.
    """

    name: str
    storage: str
    floor: str | None
    package: Path = ROOT
    live: int = 0


DICT = Contender("floor, dict", "memory", None)
ROUND_TRIP = Contender("floor, Redis", "redis", None)

#: The floor of each storage.
FLOORS = {"memory": DICT, "sqlite": DICT, "redis": ROUND_TRIP, "memcached": ROUND_TRIP}


@dataclass(frozen=True)
class Running:
    """A contender's app, whose server is up, and the URI of its storage."""

    app: Server
    uri: str


def contenders(storages: Sequence[str], packages: Sequence[Path], live: int = 0) -> list[Contender]:
    """Return each package on each storage, after the floors that they are compared with."""
    ours = []
    for package in packages:
        label = f", {package.name}" if len(packages) > 1 else ""
        for storage in storages:
            name = f"{NAMES[storage]}{label}"
            ours.append(Contender(name, storage, FLOORS[storage].name, package))
            if live and storage in ("sqlite", "redis"):
                full = f"{name}, {live:,} live"
                ours.append(Contender(full, storage, name, package, live))
    return list(dict.fromkeys(FLOORS[storage] for storage in storages)) + ours


@contextmanager
def running(contender: Contender, cores: Cores, delivery: str = "background") -> Iterator[Running]:
    """Start a contender's servers: its storage's, if it has one, and its app's.

    :raises NotStarted: if one does not come up.
    """
    with servers.folder() as place, ExitStack() as stack:
        uri = _storage(contender.storage, place, cores, stack)
        app = stack.enter_context(
            servers.gunicorn(
                "benchmarks.ours:app" if contender.floor else "benchmarks.floor:app",
                place,
                cores.app,
                PYTHONPATH=str(servers.checkout(place, contender.package)),
                BENCH_PACKAGE=str(contender.package),
                BENCH_STORAGE=uri,
                BENCH_SIGN_INS=f"sqlite:///{place}/sign-ins.sqlite3",
                BENCH_DELIVERY=delivery,
            )
        )
        yield Running(app, uri)


def _storage(storage: str, place: Path, cores: Cores, stack: ExitStack) -> str:
    """Start the storage's server, if it has one, and return the storage's URI."""
    if storage == "memory":
        return "memory://"
    if storage == "sqlite":
        return f"sqlite:///{place}/otp.sqlite3"
    start = servers.redis_server if storage == "redis" else servers.memcached
    return f"{storage}://127.0.0.1:{stack.enter_context(start(place, cores.storage)).port}"
