"""One contender's turn: its phases of requests, and what each of them took."""

import json
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

import redis

from benchmarks.contenders import Contender, Running, running
from benchmarks.fill import fill
from benchmarks.load import CONNECTIONS, Driver, Load, post
from benchmarks.servers import Cores, Server

PHASES = ("generate", "wrong", "verify")
PATH = "/auth/customer/otp/"

#: Identifiers of a turn that only warms up or only counts round trips.
SMALL = 40

#: Seconds for what a request leaves to other threads, which is part of its CPU time.
AFTERGLOW = 0.05

#: Seconds between two looks for codes, and seconds that codes may take to arrive.
PAUSE, DELIVERED = 0.25, 20


@dataclass(frozen=True)
class Figures:
    """What one phase took.

    :ivar rate: requests per second.
    :ivar cpu: CPU milliseconds of the app's process tree per request; for ``generate`` they
        include the job that draws the code and delivers it.
    :ivar latencies: of each request, in seconds.
    """

    rate: float
    cpu: float
    latencies: Sequence[float]


class Turn:
    """Requests of so many identifiers that were never used before.

    Each gets a code; half of the codes are then answered wrong, the other half right at once.
    """

    def __init__(self, driver: Driver, name: str, size: int) -> None:
        self._driver = driver
        self._names = [f"{name}-{number}@example.com" for number in range(size)]
        self._codes: dict[str, str] = {}

    def generate(self) -> Load:
        return self._send("generate", [{"identifier": name} for name in self._names], 200)

    def collect(self) -> None:
        """Wait until all codes are delivered."""
        url = f"http://127.0.0.1:{self._driver.port}/bench/codes"
        deadline = time.monotonic() + DELIVERED
        while True:
            with urllib.request.urlopen(url) as answer:
                self._codes.update(json.load(answer))
            missing = len(self._names) - len(self._codes)
            if not missing:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"{missing} codes were not delivered")
            time.sleep(PAUSE)

    def wrong(self) -> Load:
        half = self._names[: len(self._names) // 2]
        otps = (f"{(int(self._codes[name]) + 1) % 10**6:06}" for name in half)
        return self._guess(half, otps, 400)

    def verify(self) -> Load:
        half = self._names[len(self._names) // 2 :]
        return self._guess(half, (self._codes[name] for name in half), 200)

    def _guess(self, names: Sequence[str], otps: Iterable[str], status: int) -> Load:
        pairs = zip(names, otps, strict=True)
        return self._send(
            "verify", [{"identifier": name, "otp": otp} for name, otp in pairs], status
        )

    def _send(self, route: str, bodies: Sequence[dict[str, str]], status: int) -> Load:
        return self._driver.run([post(f"{PATH}{route}", body) for body in bodies], status)


def take_turn(
    contender: Contender, cores: Cores, size: int, delivery: str = "background"
) -> dict[str, Figures]:
    """Start a contender, warm it up, measure each phase, and stop it."""
    with _driven(contender, cores, delivery) as (servers, driver):
        if contender.live:
            first = Turn(driver, "first", 1)
            first.generate()
            first.collect()
            fill(servers.uri, contender.live)
        _warm_up(driver, min(SMALL, size))
        turn = Turn(driver, "user", size)
        return {
            "generate": _measured(servers.app, turn.generate, turn.collect),
            "wrong": _measured(servers.app, turn.wrong),
            "verify": _measured(servers.app, turn.verify),
        }


def round_trips(contender: Contender, cores: Cores) -> dict[str, str]:
    """Count a request's round trips to Redis and, after a plus sign, those of its delivery.

    One request is under way at a time: two at once may open a connection, and its greetings are
    no part of a request.
    """
    with (
        _driven(contender, cores, "held", connections=1) as (servers, driver),
        redis.Redis.from_url(servers.uri) as client,
    ):
        _warm_up(driver, SMALL)
        turn = Turn(driver, "user", SMALL)
        asked, delivered = (_reads(client, step) / SMALL for step in (turn.generate, turn.collect))
        wrong, verify = (_reads(client, step) * 2 / SMALL for step in (turn.wrong, turn.verify))
        return {
            "generate": f"{asked:.2f} + {delivered:.2f}" if contender.floor else f"{asked:.2f}",
            "wrong": f"{wrong:.2f}",
            "verify": f"{verify:.2f}",
        }


@contextmanager
def _driven(
    contender: Contender, cores: Cores, delivery: str, connections: int = CONNECTIONS
) -> Iterator[tuple[Running, Driver]]:
    with (
        running(contender, cores, delivery) as servers,
        closing(Driver(servers.app.port, connections)) as driver,
    ):
        yield servers, driver


def _warm_up(driver: Driver, size: int) -> None:
    turn = Turn(driver, "warm-up", size)
    for step in (turn.generate, turn.collect, turn.wrong, turn.verify):
        step()


def _measured(
    app: Server, send: Callable[[], Load], finish: Callable[[], None] | None = None
) -> Figures:
    before = app.cpu()
    load = send()
    if finish is not None:
        finish()
    time.sleep(AFTERGLOW)
    cpu, count = app.cpu() - before, len(load.latencies)
    return Figures(count / load.seconds, 1000 * cpu / count, load.latencies)


def _reads(client: redis.Redis, step: Callable[[], object]) -> int:
    """Return how often Redis read something: once for a command, a script or a pipeline.

    The number of commands would be too high, as it has those within scripts and pipelines.
    """
    before = int(client.info("stats")["total_reads_processed"])
    step()
    return int(client.info("stats")["total_reads_processed"]) - before - 1  # the question itself
