"""One contender's turn: three phases of requests, and what each of them took."""

import json
import time
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks.contenders import Running
from benchmarks.load import CONNECTIONS, Driver, post

PHASES = ("generate", "wrong", "verify")
PATH = "/auth/customer/otp/"

#: Seconds for deliveries in the background to end, which belong to a phase's CPU time.
AFTERGLOW = 0.05

#: Seconds that codes may take to arrive.
DELIVERED = 20


@dataclass(frozen=True)
class Figures:
    """What one phase took.

    :ivar rate: requests per second.
    :ivar cpu: CPU seconds of the server's process tree per 1,000 requests.
    :ivar store_cpu: the same of the storage's own server.
    :ivar trips: round trips to the storage per request.
    :ivar latencies: of each request, in seconds.
    """

    rate: float
    cpu: float
    store_cpu: float
    trips: float | None
    latencies: Sequence[float]


class Turn:
    """The phases for ``size`` identifiers that were never used before.

    Each gets a code; half of the codes are then answered wrong, the other half right at once.

    :param series: the number of the round, which makes the identifiers its own.
    """

    def __init__(
        self, running: Running, series: int, size: int, connections: int = CONNECTIONS
    ) -> None:
        self._running = running
        self._names = [f"user-{series}-{number}@example.com" for number in range(size)]
        self._codes: dict[str, str] = {}
        self._driver = Driver(running.app.port, series, connections)

    def __enter__(self) -> "Turn":
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.close()

    def run(self, phase: str) -> Figures:
        """Run one of the phases, which must come in their order."""
        if phase == "generate":
            figures = self._measured(generating(self._names), 200)
            self._codes = collect(self._running.app.port, self._names)
            return figures
        half = len(self._codes) // 2
        if phase == "wrong":
            return self._measured(wrong(self._codes)[:half], 400)
        return self._measured(right(self._codes)[half:], 200)

    def _measured(self, requests: Sequence[bytes], status: int) -> Figures:
        app, counter = self._running.app, self._running.counter
        before = counter.trips(), counter.cpu(), app.cpu()
        load = self._driver.run(requests, status)
        time.sleep(AFTERGLOW)
        cpu, store_cpu, trips = app.cpu() - before[2], counter.cpu() - before[1], counter.trips()
        count = len(requests)
        return Figures(
            count / load.seconds,
            cpu * 1000 / count,
            store_cpu * 1000 / count,
            None if trips is None or before[0] is None else (trips - before[0]) / count,
            load.latencies,
        )


def generating(names: Iterable[str]) -> list[bytes]:
    return [post(f"{PATH}generate", {"identifier": name}) for name in names]


def wrong(codes: dict[str, str]) -> list[bytes]:
    return [_answer(name, f"{(int(code) + 1) % 10**6:06}") for name, code in codes.items()]


def right(codes: dict[str, str]) -> list[bytes]:
    return [_answer(name, code) for name, code in codes.items()]


def _answer(name: str, otp: str) -> bytes:
    return post(f"{PATH}verify", {"identifier": name, "otp": otp})


def collect(port: int, names: Sequence[str]) -> dict[str, str]:
    """Return each identifier's code, in the order of ``names``.

    With several workers each has some of them, so it asks until it has met them all.
    """
    codes: dict[str, str] = {}
    deadline = time.monotonic() + DELIVERED
    while not codes.keys() >= set(names):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(names) - len(codes)} codes were not delivered")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/bench/codes") as answer:
            codes.update(json.load(answer))
    return {name: codes[name] for name in names}
