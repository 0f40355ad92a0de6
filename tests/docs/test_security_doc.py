"""What docs/security.md says is so."""

import re

from launch import ROOT

from flask_otp_auth.core import codes, policy
from flask_otp_auth.core.settings import Settings

PAGE = ROOT / "docs" / "security.md"
TEXT = PAGE.read_text()


def threats() -> list[list[str]]:
    table = TEXT.partition("## Threats")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def named() -> set[str]:
    """Return the tests that the page names."""
    return set(re.findall(r"`(test_\w+)`", TEXT))


def test_every_test_that_is_named_exists() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named()) > 30
    assert named() <= set(re.findall(r"def (test_\w+)", sources))


def test_every_attack_is_in_the_document() -> None:
    """No class of attack is left out: each file has a test that is named."""
    for path in (ROOT / "tests" / "security").glob("test_*.py"):
        assert named() & set(re.findall(r"def (test_\w+)", path.read_text())), path


def test_every_threat_has_a_control_a_test_and_says_what_remains() -> None:
    assert len(threats()) >= 18
    for threat, control, test, remains in threats():
        assert threat
        assert control
        assert re.search(r"`test_\w+`", test), threat
        assert remains, threat


def test_the_mathematics_is_that_of_the_defaults() -> None:
    found = figures(digits=6)
    with_eight = figures(digits=8)
    long = policy.COMPARISONS * 1e6 * 86_400 * 365 / 10**codes.LONG_DIGITS
    for figure in (
        found.per_guess,
        found.per_day,
        found.per_year,
        found.spray_per_day,
        with_eight.spray_per_day,
        with_eight.spray_per_year,
        long,
    ):
        told = f"{figure:.1e}".replace(".0e", "e").replace("e-0", "e-")
        assert f"= {told} |" in TEXT, told


def figures(digits: int) -> policy.Figures:
    settings = Settings()
    return policy.figures(digits, settings.verify_limits, settings.global_failure_limit)


def test_a_guess_is_compared_with_as_many_codes_as_the_figures_say() -> None:
    assert "the two newest live codes" in TEXT
    assert policy.COMPARISONS == 2
