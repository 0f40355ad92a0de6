"""Workers of real servers: forked, threaded, greened, killed and told to stop.

Each code is used once, and each sign-out is everybody's.
"""

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from launch import ROOT, Answer, Server
from stores import PATIENCE, Storages, at_once, free_port, until

WORKERS = 4
KILLED = 2

#: What gunicorn and uWSGI print.
STARTED = r"(?:Booting worker with pid: |spawned uWSGI worker \d+ \(pid: )(\d+)"

#: Seconds that a client waits for a code whose worker may have been killed.
SHORT_PATIENCE = 5

Command = Callable[[str], list[str]]


def gunicorn(*options: str) -> Command:
    """Return how to start the app under gunicorn at an address."""
    # A worker that is told to stop while it starts doesn't hear it.
    patience = ("--graceful-timeout", "5")
    place = ("-w", str(WORKERS), "--chdir", str(ROOT / "tests"))
    start = [sys.executable, "-m", "gunicorn", *place, *patience]
    return lambda address: [*start, *options, "--bind", address, "wsgi:app"]


def uwsgi(*options: str) -> Command:
    """Return how to start it under uWSGI, which forks behind Python's back."""
    program = str(Path(sys.executable).parent / "uwsgi")
    place = ["--chdir", str(ROOT / "tests"), "--home", sys.prefix, "--wsgi-file", "wsgi.py"]
    # By default a worker that is told to stop drops what it has, if it was just busy.
    stop = ("--hook-master-start", "unix_signal:15 gracefully_kill_them_all")
    start = [program, "--master", *stop, "--need-app", "-p", str(WORKERS), *place]
    return lambda address: [*start, "--callable", "app", *options, "--http-socket", address]


PLAIN = gunicorn()
PRELOADED = gunicorn("--preload")
THREADS = gunicorn("--preload", "-k", "gthread", "--threads", "4")
GEVENT = gunicorn("-k", "gevent", "--preload")
UWSGI_THREADS = uwsgi("--enable-threads", "--threads", "2")

#: How the app is served, with the storages that this is tried on.
SERVERS = [
    ("gunicorn, preloaded", PRELOADED, ["redis"]),
    ("threads, preloaded", THREADS, ["default", "redis", "memcached"]),
    ("gevent", gunicorn("-k", "gevent"), ["redis"]),
    ("gevent, preloaded", GEVENT, ["default", "memcached"]),
    ("uWSGI, no threads", uwsgi(), ["default", "memcached"]),
    ("uWSGI, threads", UWSGI_THREADS, ["redis"]),
]


class Shop:
    """The app of :mod:`wsgi` on some workers, and the codes that it has sent."""

    def __init__(self, folder: Path, command: Command, **settings: str) -> None:
        port = free_port()
        self._codes = folder / "codes.txt"
        self._codes.touch()
        places = {"CODES": str(self._codes), "INSTANCE": str(folder / "instance")}
        self.server = Server(command(f"127.0.0.1:{port}"), folder, port, **places, **settings)

    def generate(self, identifier: str, patience: float = PATIENCE) -> str | None:
        """Ask for a code; return it, or ``None`` if the worker was killed."""
        if self.post("generate", identifier=identifier) is None:
            return None
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            codes = [line.split()[1] for line in self.sent() if line.startswith(f"{identifier} ")]
            if codes:
                return codes[-1]
            time.sleep(0.01)
        return None

    def verify(self, identifier: str, otp: str) -> int | None:
        """Return the status, or ``None`` if the worker was killed."""
        answer = self.post("verify", identifier=identifier, otp=otp)
        return answer and answer.status

    def post(self, route: str, **body: str) -> Answer | None:
        """Return the answer of a route, or ``None`` if the worker was killed."""
        try:
            answer = self.server.call("POST", f"/auth/customer/otp/{route}", body)
        except (OSError, HTTPException):
            return None
        assert answer.status in (200, 400), answer
        return answer

    def sent(self) -> list[str]:
        """Return a line for each code: the identifier, the code and the worker."""
        return self._codes.read_text().splitlines()

    def started(self, count: int = WORKERS) -> list[int]:
        """Wait until so many workers have been started, and return their ids, the newest last."""
        return [int(pid) for pid in self.server.printed(STARTED, count)]

    def token(self) -> str:
        """Sign somebody in and return the token."""
        (identifier,) = new(1)
        otp = self.generate(identifier)
        answer = self.post("verify", identifier=identifier, otp=otp)
        return answer.body["token"]

    def everybodys_answer(self, token: str) -> set[int]:
        """Show a token to every worker, and return the statuses that it is answered with."""
        seen: dict[int, set[int]] = {}

        def show() -> None:
            answer = self.server.call("GET", "/me", token=token)
            seen.setdefault(worker_of(answer), set()).add(answer.status)

        def ask_many() -> bool:
            at_once(*[show] * 8)
            return len(seen) == WORKERS

        until(ask_many, "an answer of every worker")
        return set().union(*seen.values())


def worker_of(answer: Answer) -> int:
    """Return the id of the process that gave an answer."""
    return int(answer.headers["Worker"])


OpenShop = Callable[..., Any]


@pytest.fixture
def open_shop(tmp_path: Path, storages: Storages) -> OpenShop:
    """Open a shop on a kind of storage, with a server that is started by a command."""

    @contextmanager
    def open_shop(kind: str, command: Command) -> Iterator[Shop]:
        settings = {} if kind == "default" else {"OTP_AUTH_STORAGE_URI": storages[kind].uri}
        if kind == "memcached":
            settings["OTP_AUTH_SIGN_INS_URI"] = f"sqlite:///{tmp_path}/sign_ins.sqlite3"
        shop = Shop(tmp_path, command, **settings)
        with shop.server:
            shop.started()
            yield shop

    return open_shop


def new(count: int) -> list[str]:
    """Return identifiers that no test has used on these storages."""
    return [f"u{time.time_ns()}.{number}@example.com" for number in range(count)]


def use_twice(shop: Shop, identifier: str, patience: float = PATIENCE) -> list[int | str | None]:
    """Ask for a code and use it twice at the same time."""
    otp = shop.generate(identifier, patience)
    return at_once(*[lambda: otp and shop.verify(identifier, otp)] * 2)


@pytest.mark.parametrize(
    ("name", "command", "kind"),
    [(name, command, kind) for name, command, kinds in SERVERS for kind in kinds],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_code_is_used_once(
    open_shop: OpenShop, name: str, command: Command, kind: str
) -> None:
    with open_shop(kind, command) as shop, ThreadPoolExecutor(8) as clients:
        statuses = list(clients.map(functools.partial(use_twice, shop), new(20)))
        workers = {line.split()[2] for line in shop.sent()}
    assert [sorted(pair) for pair in statuses] == [[200, 400]] * 20
    # A green worker may take all there is; of the others none can.
    assert "gevent" in name or len(workers) > 1


def test_workers_share_the_default_storage_without_being_told_so(open_shop: OpenShop) -> None:
    """A code that one was asked for is used in another."""

    def goes_from_one_to_another() -> bool:
        (identifier,) = new(1)
        asked = shop.post("generate", identifier=identifier)
        answer = shop.post("verify", identifier=identifier, otp=shop.generate(identifier))
        assert answer.status == 200
        return worker_of(asked) != worker_of(answer)

    with open_shop("default", PLAIN) as shop:
        until(goes_from_one_to_another, "two workers")


@pytest.mark.parametrize(("kind", "command"), [("default", PLAIN), ("redis", PRELOADED)])
def test_a_sign_out_is_seen_by_all_workers_at_once(
    open_shop: OpenShop, kind: str, command: Command
) -> None:
    with open_shop(kind, command) as shop:
        ended, other = shop.token(), shop.token()
        assert shop.everybodys_answer(ended) == {200}
        assert shop.server.call("POST", "/auth/token/revoke", token=ended).status == 200
        assert shop.everybodys_answer(ended) == {401}
        assert shop.everybodys_answer(other) == {200}


@pytest.mark.parametrize(
    "command",
    [PRELOADED, THREADS, GEVENT, UWSGI_THREADS],
    ids=["gunicorn", "threads", "gevent", "uWSGI"],
)
def test_a_clean_exit_finishes_what_is_pending(open_shop: OpenShop, command: Command) -> None:
    asked = new(20)
    with open_shop("default", command) as shop, ThreadPoolExecutor(8) as clients:
        answers = clients.map(
            lambda identifier: shop.post("generate", identifier=identifier), asked
        )
        assert {answer.status for answer in answers} == {200}
    assert sorted(line.split()[0] for line in shop.sent()) == asked


@pytest.mark.parametrize("kind", ["default", "redis"])
def test_killed_workers_take_no_code_with_them_and_give_none_away(
    open_shop: OpenShop, kind: str
) -> None:
    with open_shop(kind, THREADS) as shop, ThreadPoolExecutor(8) as clients:
        kept = {identifier: shop.generate(identifier) for identifier in new(10)}
        running = threading.Event()
        running.set()

        def load() -> list[list[int | str | None]]:
            outcomes = []
            while running.is_set():
                outcomes.append(use_twice(shop, *new(1), SHORT_PATIENCE))
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
