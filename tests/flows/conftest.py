"""The fixtures of the flows' tests: the shop is always the one that can be watched."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fakes import MakeWatched
from routes import MakeShop, Shop
from time_machine import Traveller

from flask_otp_auth.testing import Outbox


@pytest.fixture
def make_shop(make_watched: MakeWatched, clock: Traveller) -> Iterator[Callable[..., Shop]]:
    """Make a watched shop with settings of the test's own."""
    outboxes: list[Outbox] = []

    def make(**config: Any) -> Shop:
        watched = make_watched(**config)
        outboxes.append(Outbox(watched.app).__enter__())
        return Shop(**vars(watched), outbox=outboxes[-1], clock=clock)

    yield make
    for outbox in outboxes:
        outbox.__exit__(None, None, None)


@pytest.fixture
def config() -> dict[str, Any]:
    """The shop's settings; see ``configured``."""
    return {}


@pytest.fixture
def shop(make_shop: MakeShop, config: dict[str, Any]) -> Shop:
    """The watched shop with the test's settings."""
    return make_shop(**config)
