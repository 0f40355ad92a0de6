"""Workers of real servers: forked, threaded, greened and killed, and yet each code is used once."""

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path

import pytest
from servers import Answer, Server, at_once, until
from stores import Storages, free_port

TESTS = Path(__file__).parent
WORKERS = 3
KILLED = 3

#: What gunicorn and uWSGI print.
STARTED = r"(?:Booting worker with pid: |spawned uWSGI worker \d+ \(pid: )(\d+)"

#: Seconds that a client waits for a code. If its worker was killed, none will come.
DELIVERY = 5

Command = Callable[[str], list[str]]


def gunicorn(*options: str) -> Command:
    """Return how to start the app under gunicorn at an address."""
    # A worker that is told to stop while it starts doesn't hear it.
    patience = ("--graceful-timeout", "5")
    start = [sys.executable, "-m", "gunicorn", "-w", str(WORKERS), "--chdir", str(TESTS), *patience]
    return lambda address: [*start, *options, "--bind", address, "wsgi:app"]


def uwsgi(*options: str) -> Command:
    """Return how to start it under uWSGI, which forks behind Python's back."""
    program = str(Path(sys.executable).parent / "uwsgi")
    place = ["--chdir", str(TESTS), "--home", sys.prefix, "--wsgi-file", "wsgi.py"]
    start = [program, "--master", "--die-on-term", "--need-app", "-p", str(WORKERS), *place]
    return lambda address: [*start, "--callable", "app", *options, "--http-socket", address]


PRELOADED = gunicorn("--preload", "-k", "gthread", "--threads", "4")

#: How the app is served, with the storages that this is tried on.
SERVERS = [
    ("gunicorn, preloaded", gunicorn("--preload"), ["redis"]),
    ("threads", PRELOADED, ["sqlite", "redis", "memcached"]),
    ("gevent", gunicorn("-k", "gevent"), ["redis"]),
    (
        "gevent, preloaded",
        gunicorn("-k", "gevent", "--preload"),
        ["sqlite", "memcached", "cluster"],
    ),
    ("uWSGI, no threads", uwsgi(), ["sqlite", "memcached"]),
    ("uWSGI, threads", uwsgi("--enable-threads", "--threads", "2"), ["redis"]),
]


class Shop:
    """The app of :mod:`wsgi` on some workers, and the codes that it has sent."""

    def __init__(self, folder: Path, uri: str, command: Command) -> None:
        port = free_port()
        self._codes = folder / "codes.txt"
        self._codes.touch()
        settings = {"OTP_AUTH_STORAGE_URI": uri, "CODES": str(self._codes)}
        self.server = Server(command(f"127.0.0.1:{port}"), folder, port, **settings)

    def generate(self, identifier: str) -> str | None:
        """Ask for a code; return it, or ``None`` if the worker was killed."""
        if self._try("generate", identifier=identifier) is None:
            return None
        deadline = time.monotonic() + DELIVERY
        while time.monotonic() < deadline:
            codes = [line.split()[1] for line in self.sent() if line.startswith(f"{identifier} ")]
            if codes:
                return codes[-1]
            time.sleep(0.01)
        return None

    def verify(self, identifier: str, otp: str) -> int | None:
        """Return the status, or ``None`` if the worker was killed."""
        answer = self._try("verify", identifier=identifier, otp=otp)
        return answer and answer.status

    def _try(self, route: str, **body: str) -> Answer | None:
        try:
            answer = self.server.call("POST", f"/auth/customer/otp/{route}", body)
        except (OSError, HTTPException):
            return None
        assert answer.status in (200, 400), answer
        return answer

    def sent(self) -> list[str]:
        """Return a line for each code: the identifier, the code and the worker."""
        return self._codes.read_text().splitlines()

    def started(self, count: int) -> list[int]:
        """Wait until so many workers have been started, and return their ids, the newest last."""
        pids = self.server.printed(STARTED, count)
        return [int(pid) for pid in pids]


@pytest.fixture
def make_shop(tmp_path: Path, storages: Storages) -> Callable[..., Shop]:
    def make(kind: str, command: Command) -> Shop:
        on_disk = f"sqlite:///{tmp_path}/codes.sqlite3"
        return Shop(tmp_path, on_disk if kind == "sqlite" else storages[kind].uri, command)

    return make


def new(count: int) -> list[str]:
    """Return identifiers that no test has used on these storages."""
    return [f"u{time.time_ns()}.{number}@example.com" for number in range(count)]


def sign_in(shop: Shop, identifier: str) -> list[int | None]:
    """Ask for a code and use it twice at the same time."""
    otp = shop.generate(identifier)
    return at_once(*[lambda: otp and shop.verify(identifier, otp)] * 2)


@pytest.mark.parametrize(
    ("name", "command", "kind"),
    [(name, command, kind) for name, command, kinds in SERVERS for kind in kinds],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_code_is_used_once(
    make_shop: Callable[..., Shop], name: str, command: Command, kind: str
) -> None:
    shop = make_shop(kind, command)
    with shop.server, ThreadPoolExecutor(8) as clients:
        shop.started(WORKERS)
        statuses = list(clients.map(lambda identifier: sign_in(shop, identifier), new(20)))
    assert [sorted(pair) for pair in statuses] == [[200, 400]] * 20
    # A green worker may take all there is; of the others none can.
    assert "gevent" in name or len({line.split()[2] for line in shop.sent()}) > 1


@pytest.mark.parametrize("kind", ["sqlite", "redis", "memcached"])
def test_killed_workers_take_no_code_with_them_and_give_none_away(
    make_shop: Callable[..., Shop], kind: str
) -> None:
    shop = make_shop(kind, PRELOADED)
    with shop.server, ThreadPoolExecutor(8) as clients:
        kept = {identifier: shop.generate(identifier) for identifier in new(10)}
        running = threading.Event()
        running.set()

        def load() -> list[list[int | None]]:
            outcomes = []
            while running.is_set():
                outcomes += [sign_in(shop, identifier) for identifier in new(1)]
            return outcomes

        loads = [clients.submit(load) for _ in range(4)]
        for number in range(KILLED):
            (*_, newest) = shop.started(WORKERS + number)
            so_far = len(shop.sent())
            until(lambda so_far=so_far: len(shop.sent()) > so_far + 5, "work to be done")
            os.kill(newest, signal.SIGKILL)
        shop.started(WORKERS + KILLED)
        running.clear()
        outcomes = [outcome for load in loads for outcome in load.result()]
        assert max(outcome.count(200) for outcome in outcomes) == 1
        assert sum(200 in outcome for outcome in outcomes) > 5 * KILLED
        assert None not in kept.values()
        for identifier, otp in kept.items():
            twice = at_once(*[functools.partial(shop.verify, identifier, otp)] * 2)
            assert sorted(twice) == [200, 400]
