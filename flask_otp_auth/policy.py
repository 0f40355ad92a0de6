"""What a guesser's chances are under given settings: the arithmetic behind the defaults."""

import math
from collections.abc import Sequence

from limits import RateLimitItem

DAY = 86_400


def guesses_per_day(limit: Sequence[RateLimitItem]) -> int:
    """Return how many guesses the strictest window lets through in any 24 hours."""
    return min(item.amount * math.ceil(DAY / item.get_expiry()) for item in limit)


def chance(guesses: float, digits: int) -> float:
    """Return the chance that one of ``guesses`` different guesses is right.

    Guesses at different codes are independent, so for several codes this is their sum: an
    upper bound, and exact enough while it is small.
    """
    return min(1.0, guesses / float(10**digits))


def chance_of_any(single: float, times: float) -> float:
    """Return the chance that something of chance ``single`` happens once in ``times`` trials."""
    return 1.0 if single >= 1 else -math.expm1(times * math.log1p(-single))
