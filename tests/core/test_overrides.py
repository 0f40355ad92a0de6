"""Settings of an actor type's own."""

import dataclasses
from datetime import timedelta

import pytest
from fakes import SECRET

from flask_otp_auth.core.settings import Settings, overrides
from flask_otp_auth.errors import ConfigError

SETTINGS = Settings.load({"SECRET_KEY": SECRET})
NAMES = {field.name for field in dataclasses.fields(Settings)}
PER_TYPE = {
    "digits", "ttl", "grace_ttl", "resend_interval", "send_limits", "verify_limits",
    "ip_generate_limits", "ip_verify_limits", "actor_limits", "max_sign_ins", "global_send_limit",
    "global_failure_limit", "require_challenge", "always_return_success", "warn_on_error",
    "phone_region", "phone_countries", "phone_lines", "token_ttl", "session_ttl",
    "registration_token_ttl", "pages", "after_sign_in", "after_sign_out",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PER_TYPE))
def test_an_actor_type_may_override_what_concerns_it_alone(name: str) -> None:
    default = getattr(SETTINGS, name)
    given = "5/hour" if name.endswith(("_limit", "_limits")) else default
    assert set(overrides({name: given})) == {name}


@pytest.mark.parametrize("name", sorted(NAMES - PER_TYPE))
def test_an_actor_type_can_not_override_what_concerns_the_app(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not .* set OTP_AUTH_{name.upper()}"):
        overrides({name: getattr(SETTINGS, name)})


def test_overrides_are_checked_as_settings_are() -> None:
    with pytest.raises(ConfigError) as caught:
        overrides({"digits": 4, "TTL": 5, "tll": 5, "max_attempts": 5})
    assert caught.value.faults == (
        "digits must be a whole number from 6 to 10, not 4",
        "TTL is not a setting; did you mean ttl?",
        "tll is not a setting; did you mean ttl?",
        "max_attempts is not a setting; set verify_limits, which counts every guess",
    )
    assert overrides({"ttl": timedelta(minutes=1)}) == {"ttl": 60}


def test_what_contradicts_itself_once_overridden_is_told() -> None:
    own = overrides({"ttl": 60, "session_ttl": 600, "verify_limits": "100/day"})
    found = dataclasses.replace(SETTINGS, **own).type_faults()
    assert [fault.split()[0] for fault in found] == [
        "OTP_AUTH_TOKEN_TTL",
        "OTP_AUTH_RESEND_INTERVAL",
        "OTP_AUTH_VERIFY_LIMITS",
    ]
    assert SETTINGS.type_faults() == SETTINGS.type_faults(moving=False) == []
