"""A stopwatch: what is measured here is what a test makes slow, and not how busy the machine is."""

import time
from itertools import count

import pytest

#: Seconds between two looks at the stopwatch, so that who calls takes longer than what it calls.
TICK = 1e-6


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sleeping alone take time, as durations are measured, and none really."""
    slept: list[float] = []
    looks = count()
    # Not a function of our own: a profile would name it in place of who sleeps.
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "perf_counter", lambda: sum(slept) + next(looks) * TICK)
