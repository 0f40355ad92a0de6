"""The arithmetic of guessing."""

import pytest
from limits import parse_many

from flask_otp_auth.policy import chance, chance_of_any, guesses_per_day


@pytest.mark.parametrize(
    ("limit", "guesses"),
    [
        ("20/day", 20),
        ("5/hour", 120),
        ("5/hour;20/day", 20),
        ("20/month", 20),
        ("1/7 hour", 4),  # 24 hours touch four windows of seven
    ],
)
def test_the_strictest_window_says_how_many_guesses_a_day_has(limit: str, guesses: int) -> None:
    assert guesses_per_day(parse_many(limit)) == guesses


@pytest.mark.parametrize(
    ("guesses", "digits", "expected"), [(5, 6, 5e-6), (20, 6, 2e-5), (20, 8, 2e-7), (10**9, 6, 1.0)]
)
def test_the_chance_is_guesses_over_codes(guesses: int, digits: int, expected: float) -> None:
    assert chance(guesses, digits) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("single", "times", "expected"), [(2e-5, 365, 7.27e-3), (0.5, 2, 0.75), (1.0, 3, 1.0)]
)
def test_the_chance_of_any_grows_with_the_trials(
    single: float, times: int, expected: float
) -> None:
    assert chance_of_any(single, times) == pytest.approx(expected, rel=1e-2)
