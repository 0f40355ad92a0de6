"""A rank test: whether one list of figures is greater than another (Mann and Whitney, 1947).

It asks nothing of how the figures are distributed, so a machine that is busy makes it miss a small
difference, and not find one that isn't there.
"""

import math
from collections.abc import Sequence
from itertools import groupby

#: Standard deviations that a rank sum is off by chance once in a million times, either way.
SIGNIFICANT = 4.892

#: Figures in each list below which no difference could be significant.
FEWEST = 20

#: Figures in each list with which a difference shows though some of them are far off.
MANY = 60


def deviation(first: Sequence[float], second: Sequence[float]) -> float:
    """Return by how many standard deviations the figures of ``first`` are greater."""
    n, m = len(first), len(second)
    ranked = sorted([(value, True) for value in first] + [(value, False) for value in second])
    ranks, ties, place = 0.0, 0, 0
    for _, group in groupby(ranked, key=lambda each: each[0]):
        same = list(group)
        middle = place + (len(same) + 1) / 2
        ranks += middle * sum(is_first for _, is_first in same)
        ties += len(same) ** 3 - len(same)
        place += len(same)
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    return (ranks - n * (n + m + 1) / 2) / math.sqrt(variance) if variance else 0.0


def is_significant(first: Sequence[float], second: Sequence[float]) -> bool:
    """Tell whether a difference is one that chance makes once in a million times."""
    return abs(deviation(first, second)) > SIGNIFICANT
