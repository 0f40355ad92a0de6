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

#: Seconds that a client waits for a code. If its worker was killed, none will come.
DELIVERY = 5

SYNC = ["--preload"]
THREADS = ["--preload", "-k", "gthread", "--threads", "4"]
GREEN = ["-k", "gevent"]
GREEN_PRELOADED = ["-k", "gevent", "--preload"]


class Shop:
    """The app of :mod:`wsgi` on some workers, and the codes that it has sent."""

    def __init__(self, folder: Path, uri: str, options: list[str]) -> None:
        port = free_port()
        self._codes = folder / "codes.txt"
        self._codes.touch()
        own = ["-w", str(WORKERS), "--bind", f"127.0.0.1:{port}", "--chdir", str(TESTS)]
        # A worker that is told to stop while it starts doesn't hear it.
        command = [sys.executable, "-m", "gunicorn", *own, "--graceful-timeout", "5", *options]
        settings = {"OTP_AUTH_STORAGE_URI": uri, "CODES": str(self._codes)}
        self.server = Server([*command, "wsgi:app"], folder, port, **settings)

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
        return [int(pid) for pid in self.server.printed(r"Booting worker with pid: (\d+)", count)]


@pytest.fixture
def make_shop(tmp_path: Path, storages: Storages) -> Callable[..., Shop]:
    def make(kind: str, options: list[str]) -> Shop:
        on_disk = f"sqlite:///{tmp_path}/codes.sqlite3"
        return Shop(tmp_path, on_disk if kind == "sqlite" else storages[kind].uri, options)

    return make


def new(count: int) -> list[str]:
    """Return identifiers that no test has used on these storages."""
    return [f"u{time.time_ns()}.{number}@example.com" for number in range(count)]


def sign_in(shop: Shop, identifier: str) -> list[int | None]:
    """Ask for a code and use it twice at the same time."""
    otp = shop.generate(identifier)
    return at_once(*[lambda: otp and shop.verify(identifier, otp)] * 2)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("sqlite", THREADS), ("sqlite", GREEN_PRELOADED),
        ("redis", SYNC), ("redis", THREADS), ("redis", GREEN),
        ("memcached", THREADS), ("memcached", GREEN_PRELOADED),
        ("cluster", THREADS), ("cluster", GREEN_PRELOADED),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)  # fmt: skip
def test_each_code_is_used_once(
    make_shop: Callable[..., Shop], kind: str, options: list[str]
) -> None:
    shop = make_shop(kind, options)
    with shop.server, ThreadPoolExecutor(8) as clients:
        shop.started(WORKERS)
        statuses = list(clients.map(lambda identifier: sign_in(shop, identifier), new(20)))
    assert [sorted(pair) for pair in statuses] == [[200, 400]] * 20
    # A green worker may take all there is; of the others none can.
    assert "gevent" in options or len({line.split()[2] for line in shop.sent()}) > 1


@pytest.mark.parametrize("kind", ["sqlite", "redis", "memcached"])
def test_killed_workers_take_no_code_with_them_and_give_none_away(
    make_shop: Callable[..., Shop], kind: str
) -> None:
    shop = make_shop(kind, THREADS)
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
