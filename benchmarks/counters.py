"""Round trips, counted where the storage's server sees them."""

from typing import Protocol

import redis

from benchmarks.relay import Relay


class Counter(Protocol):
    """Counts round trips."""

    def trips(self) -> int | None:
        """Return the number so far; ``None`` where there are none to count."""

    def cpu(self) -> float:
        """Return the CPU seconds that the storage's server has used so far."""


class NoCounter:
    """For a storage that has no server, or one that does not count."""

    def trips(self) -> int | None:
        return None

    def cpu(self) -> float:
        return 0.0


class RedisCounter:
    """Counts what Redis reads: one read event for each request or pipeline that fits a packet.

    The number of commands would be too high: it counts those within a script or a pipeline.
    """

    def __init__(self, port: int) -> None:
        self._client = redis.Redis(port=port)
        self._own = 0

    def trips(self) -> int | None:
        self._own += 1
        return int(self._client.info("stats")["total_reads_processed"]) - self._own

    def cpu(self) -> float:
        self._own += 1
        usage = self._client.info("cpu")
        return float(usage["used_cpu_user"]) + float(usage["used_cpu_sys"])


class RelayCounter(NoCounter):
    """Counts with a relay that stands before the storage."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def trips(self) -> int | None:
        return self._relay.trips
