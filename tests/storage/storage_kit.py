"""What the tests of storages share: one of each kind, and processes that race."""

import multiprocessing
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cachelib import SimpleCache
from limits.storage import Storage
from stores import KINDS, PATIENCE, Memcached, Redis, Storages

from flask_otp_auth.storage.backends import backend_for
from flask_otp_auth.storage.base import Store
from flask_otp_auth.storage.caches import store_for

#: All storages; those in which processes can meet; those that take from many limits at once.
EVERY = ["memory", "simple", "sqlite", *KINDS]
SHARED = ["sqlite", *KINDS]
TAKE_MANY = ["memory", "sqlite", "redis", "sentinel"]

#: Python >= 3.12 warns of forks in a process with threads. That these work is what is tested.
MAY_FORK = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def uri_of(storages: Storages, tmp_path: Path) -> Callable[[str], str]:
    """Return the URI of a kind of storage; a server is started at its first use."""

    def uri_of(kind: str) -> str:
        if kind == "memory":
            return "memory://"
        return f"sqlite:///{tmp_path}/codes.sqlite3" if kind == "sqlite" else storages[kind].uri

    return uri_of


@pytest.fixture
def store(request: pytest.FixtureRequest, uri_of: Callable[[str], str]) -> Store:
    """A store of the kind that a test is parametrised with."""
    if request.param == "simple":
        return store_for(SimpleCache(threshold=100_000))
    return open_store(uri_of(request.param))


@pytest.fixture
def limits(request: pytest.FixtureRequest, uri_of: Callable[[str], str]) -> Storage:
    """A storage of limits of the kind that a test is parametrised with."""
    return open_limits(uri_of(request.param))


def open_store(uri: str) -> Store:
    return backend_for(uri, "/nowhere").open_store()


def open_limits(uri: str) -> Any:
    return backend_for(uri, "/nowhere").open_limits()


@pytest.fixture
def key() -> str:
    """A key of the test's own: the servers are shared."""
    return f"otp_auth:{{{time.time_ns()}}}:key"


@pytest.fixture
def redis_server(storages: Storages) -> Redis:
    return storages["redis"]


@pytest.fixture
def memcached_server(storages: Storages) -> Memcached:
    return storages["memcached"]


def forked(processes: int, work: Callable[[int], Any]) -> list[Any]:
    """Fork some times, let all work at the same moment, and return what it came to in each."""
    fork = multiprocessing.get_context("fork")
    barrier, results = fork.Barrier(processes, timeout=PATIENCE), fork.SimpleQueue()

    def child(number: int) -> None:
        barrier.wait()
        results.put(work(number))

    children = [fork.Process(target=child, args=(number,)) for number in range(processes)]
    for one in children:
        one.start()
    for one in children:
        one.join(PATIENCE)
    assert [one.exitcode for one in children] == [0] * processes
    return [results.get() for _ in children]
