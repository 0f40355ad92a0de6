"""A guesser's chances under given settings: the arithmetic behind the defaults."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from limits import RateLimitItem

DAY = 86_400

#: Codes that one guess is compared with: the two newest live ones.
COMPARISONS = 2

#: Identifiers that a spray goes over in the figures.
SPRAYED = 1_000_000


def guesses_per_day(limit: Sequence[RateLimitItem], moving: bool = True) -> int:
    """Return how many guesses the strictest window lets through in any 24 hours.

    :param moving: whether the limiter's windows move. Fixed windows let through twice as many:
        one budget at the end of a window, and the next one right after it.
    """
    guesses = min(item.amount * math.ceil(DAY / item.get_expiry()) for item in limit)
    return guesses if moving else 2 * guesses


def chance(guesses: float, digits: int) -> float:
    """Return the chance that one of ``guesses`` is right.

    Guesses at different codes are independent, so for several codes this is their sum: an
    upper bound, and exact enough while it is small.
    """
    return min(1.0, COMPARISONS * guesses / float(10**digits))


def chance_of_any(single: float, times: float) -> float:
    """Return the chance that something of chance ``single`` happens once in ``times`` trials."""
    return 1.0 if single >= 1 else -math.expm1(times * math.log1p(-single))


class Figures(NamedTuple):
    """A guesser's chances.

    :ivar per_guess: one guess at one identifier.
    :ivar per_day: all guesses at one identifier in a day.
    :ivar per_year: the same in a year.
    :ivar spray_per_day: guesses at a million identifiers in a day, as many as the breaker lets
        fail without opening.
    :ivar spray_per_year: the same in a year.
    """

    per_guess: float
    per_day: float
    per_year: float
    spray_per_day: float
    spray_per_year: float


def figures(
    digits: int,
    verify_limits: Sequence[RateLimitItem],
    global_failure_limit: Sequence[RateLimitItem],
    moving: bool = True,
) -> Figures:
    """Return a guesser's chances under these settings.

    :param moving: whether the limiter's windows move.
    """
    guesses = guesses_per_day(verify_limits, moving)
    sprayed = min(guesses_per_day(global_failure_limit, moving), SPRAYED * guesses)
    single, daily = chance(1, digits), chance(guesses, digits)
    return Figures(
        per_guess=single,
        per_day=daily,
        per_year=chance_of_any(daily, 365),
        spray_per_day=chance_of_any(single, sprayed),
        spray_per_year=chance_of_any(single, 365 * sprayed),
    )
