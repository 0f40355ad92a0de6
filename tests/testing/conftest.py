"""A stopwatch: what is measured here is what a test makes slow, and not how busy the machine is.

And a limiter of the app's own, as test configurations have it.
"""

import time
from itertools import count

import pytest
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

#: Seconds between two looks at the stopwatch, so that who calls takes longer than what it calls.
TICK = 1e-6


@pytest.fixture
def limiter_off() -> Limiter:
    """A limiter that is switched off (RATELIMIT_ENABLED)."""
    return Limiter(get_remote_address, app=Flask("limits"), enabled=False)


@pytest.fixture
def stopwatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let sleeping alone take time, as durations are measured, and none really."""
    slept: list[float] = []
    looks = count()
    # Not a function of our own: a profile would name it in place of who sleeps.
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "perf_counter", lambda: sum(slept) + next(looks) * TICK)
