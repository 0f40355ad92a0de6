"""The rank test."""

import random

import pytest

from flask_otp_auth.testing.ranks import FEWEST, deviation, is_significant


def test_of_a_textbook() -> None:
    """Mann and Whitney's U is 3 of 16, so it is off by -2.5 ranks of sqrt(12)."""
    assert deviation([1, 2, 5, 6], [3, 4, 7, 8]) == pytest.approx((4 - 8) / 12**0.5)


def test_turns_around_with_its_lists() -> None:
    first, second = [1.0, 4, 4, 9], [2.0, 4, 7]
    assert deviation(first, second) == pytest.approx(-deviation(second, first))


def test_of_equal_figures_finds_nothing() -> None:
    assert deviation([1, 1, 1], [1, 1]) == 0


def test_the_fewest_figures_can_differ() -> None:
    assert is_significant(range(100, 100 + FEWEST), range(FEWEST))
    assert not is_significant(range(100, 116), range(16))


def test_chance_makes_no_difference() -> None:
    draw = random.Random(7)
    for _ in range(500):
        figures = [[draw.lognormvariate(0, 1) for _ in range(60)] for _ in range(2)]
        assert not is_significant(*figures)
