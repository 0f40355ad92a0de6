"""The arithmetic of guessing."""

import pytest
from limits import parse_many

from flask_otp_auth.core.policy import chance, chance_of_any, figures, guesses_per_day

DEFAULTS = (parse_many("20/day"), parse_many("1000/hour"))


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


def test_windows_that_do_not_move_let_through_twice_as_many() -> None:
    assert guesses_per_day(parse_many("20/day"), moving=False) == 40


@pytest.mark.parametrize(
    ("guesses", "digits", "expected"),
    [(1, 6, 2e-6), (20, 6, 4e-5), (40, 6, 8e-5), (20, 8, 4e-7), (10**9, 6, 1.0)],
)
def test_the_chance_is_two_comparisons_a_guess_over_all_codes(
    guesses: int, digits: int, expected: float
) -> None:
    assert chance(guesses, digits) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("single", "times", "expected"), [(2e-5, 365, 7.27e-3), (0.5, 2, 0.75), (1.0, 3, 1.0)]
)
def test_the_chance_of_any_grows_with_the_trials(
    single: float, times: int, expected: float
) -> None:
    assert chance_of_any(single, times) == pytest.approx(expected, rel=1e-2)


def test_the_figures_of_the_defaults() -> None:
    found = figures(6, *DEFAULTS)
    assert found.per_guess == pytest.approx(2e-6)
    assert found.per_day == pytest.approx(4e-5)
    assert found.per_year == pytest.approx(1.45e-2, rel=1e-2)
    assert found.spray_per_day == pytest.approx(4.69e-2, rel=1e-2)
    assert found.spray_per_year == pytest.approx(1, rel=1e-6)


def test_longer_codes_make_a_year_of_spraying_hopeless() -> None:
    assert figures(10, *DEFAULTS).spray_per_year == pytest.approx(1.75e-3, rel=1e-2)


def test_a_spray_has_no_more_guesses_than_its_identifiers_have() -> None:
    found = figures(6, parse_many("1/day"), parse_many("10000000/day"))
    assert found.spray_per_day == pytest.approx(chance_of_any(2e-6, 1_000_000))


def test_windows_that_do_not_move_double_the_figures() -> None:
    fixed, moving = figures(6, *DEFAULTS, moving=False), figures(6, *DEFAULTS)
    assert fixed.per_day == pytest.approx(2 * moving.per_day)
    assert fixed.spray_per_day == pytest.approx(2 * moving.spray_per_day, rel=5e-2)
