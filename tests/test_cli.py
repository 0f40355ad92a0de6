"""``flask otp``: the policy in figures, and the way into the audit log."""

from collections.abc import Callable

import pytest
from conftest import SECRET, Customers
from flask import Flask

from flask_otp_auth import ConfigError, OTPAuth


def test_the_policy_prints_a_guessers_chances(app: Flask) -> None:
    ran = app.test_cli_runner().invoke(args=["otp", "policy"])
    assert ran.exit_code == 0
    figures = [line.split()[-1] for line in ran.output.splitlines() if line.startswith("  ")]
    assert figures[:3] == ["5.0e-06", "2.0e-05", "7.3e-03"]
    assert figures[4] == "2.4e-02"
    assert "customer: 6 digits, 5 guesses per code" in ran.output


def test_settings_that_make_guessing_likely_are_refused_with_the_chance(
    make_app: Callable[..., Flask],
) -> None:
    with pytest.raises(ConfigError, match=r"1\.0e-03 per identifier and day at 6 digits"):
        make_app(OTP_AUTH_VERIFY_LIMITS="1000/day")


def test_whoever_accepts_the_chance_may_say_so(make_app: Callable[..., Flask]) -> None:
    app = make_app(OTP_AUTH_VERIFY_LIMITS="1000/day", OTP_AUTH_MAX_GUESS_CHANCE=1e-3)
    ran = app.test_cli_runner().invoke(args=["otp", "policy"])
    assert "1.0e-03" in ran.output


def test_more_digits_mend_it(make_app: Callable[..., Flask]) -> None:
    app = make_app(OTP_AUTH_VERIFY_LIMITS="1000/day", OTP_AUTH_DIGITS=8)
    assert app.test_cli_runner().invoke(args=["otp", "policy"]).exit_code == 0


def test_an_actor_types_own_settings_are_held_to_it(make_app: Callable[..., Flask]) -> None:
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("staff", Customers(), verify_limits="1000/day")
    with pytest.raises(ConfigError, match="actor type staff"):
        make_app(otp_auth)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["robot", "ada@example.com"], "no actor type"),
        (["customer", "not an address"], "not valid"),
    ],
)
def test_an_audit_id_needs_a_known_type_and_a_valid_identifier(
    app: Flask, arguments: list[str], complaint: str
) -> None:
    ran = app.test_cli_runner().invoke(args=["otp", "audit-id", *arguments])
    assert ran.exit_code == 2
    assert complaint in ran.output


def test_after_a_change_of_key_the_old_name_is_told_too(make_app: Callable[..., Flask]) -> None:
    old = make_app().test_cli_runner()
    new = make_app(SECRET_KEY="n" * 32, SECRET_KEY_FALLBACKS=[SECRET]).test_cli_runner()
    arguments = ["otp", "audit-id", "customer", "ada@example.com"]
    before, after = (runner.invoke(args=arguments).output.split() for runner in (old, new))
    assert after[1:] == before
    assert after[0] != before[0]
