"""Limits out of the way, and storage emptied, for tests that are about something else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from limits.strategies import MovingWindowRateLimiter, RateLimiter

from ..web.limits import UnlimitedStorage
from .twins import finish_deliveries, state_of, twin


@contextmanager
def no_limits(app: Flask, **parts: Any) -> Iterator[None]:
    """Run a block in which nothing is limited, and each request is due a code.

    Codes and sign-ins stay where they are. Nothing is counted in the block; what was counted before
    it counts after it. The app's own gates (``before_code``) still refuse.

    :param parts: what else is to be another; see ``State.rebuild``.
    """
    roomy = {"resend_interval": 0}
    storages = state_of(app).storages
    with twin(app, roomy, uniform=roomy, storages=storages, strategy=unlimited, **parts):
        yield


def unlimited() -> RateLimiter:
    """Return what counts nothing and refuses nothing."""
    return MovingWindowRateLimiter(UnlimitedStorage(lambda: True))


def reset(app: Flask) -> None:
    """Forget every code, window, budget and sign-in of an app that keeps them in memory.

    For tests that share one app: each begins as if nobody had asked for anything.

    :raises ConfigError: if they are kept elsewhere.
    """
    state = state_of(app)
    finish_deliveries(state)  # or their codes would be there afterwards
    state.forget()
