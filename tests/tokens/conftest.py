"""The fixtures of the tests of tokens, all of which are at a whole second."""

import pytest
from fakes import NOW
from time_machine import Traveller


@pytest.fixture(autouse=True)
def now(clock: Traveller) -> Traveller:
    """The clock, at a whole second."""
    clock.move_to(NOW)
    return clock
