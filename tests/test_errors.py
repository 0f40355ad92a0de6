"""Errors: one class for each row of the wire's error table."""

import pytest

from flask_otp_auth import errors
from flask_otp_auth.errors import (
    ConfigError,
    InvalidData,
    InvalidIdentifier,
    OTPAuthError,
    RequestError,
    Unauthorized,
)

TABLE = {
    "InvalidData": (400, "invalid_data"),
    "InvalidIdentifier": (400, "invalid_data"),
    "InvalidOTP": (400, "invalid_otp"),
    "Unauthorized": (401, "unauthorized"),
    "NotFound": (404, "not_found"),
    "DuplicateError": (409, "duplicate_error"),
    "ActorNotCreated": (409, "actor_not_created"),
    "PayloadTooLarge": (413, "payload_too_large"),
    "UnsupportedMediaType": (415, "unsupported_media_type"),
    "RateLimited": (429, "rate_limited"),
    "Unavailable": (503, "unavailable"),
}


@pytest.mark.parametrize(("name", "row"), TABLE.items(), ids=TABLE)
def test_an_error_knows_its_status_and_type(name: str, row: tuple[int, str]) -> None:
    error = getattr(errors, name)()
    assert (error.status, error.type) == row
    assert isinstance(error, RequestError)


def test_the_table_names_every_request_error() -> None:
    classes = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, RequestError) and value is not RequestError
    }
    assert classes == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_an_error_has_a_message_for_people(name: str) -> None:
    error = getattr(errors, name)()
    assert error.message
    assert str(error) == error.message
    assert error.retry_after is None


def test_a_wrong_code_has_one_message_only() -> None:
    assert errors.InvalidOTP().message == "Invalid OTP"


def test_a_message_of_ones_own_leaves_the_class_as_it_was() -> None:
    error = InvalidData("otp must be a text.")
    assert str(error) == error.message == "otp must be a text."
    assert InvalidData().message == RequestError.message


def test_retry_after_is_kept() -> None:
    assert errors.RateLimited(retry_after=30).retry_after == 30


def test_every_error_of_the_package_can_be_caught_at_once() -> None:
    assert issubclass(RequestError, OTPAuthError)
    assert issubclass(ConfigError, OTPAuthError)
    assert issubclass(errors.AmbiguousActor, OTPAuthError)


def test_two_accounts_with_one_identifier_are_the_apps_fault_and_no_answer() -> None:
    assert "several accounts" in str(errors.AmbiguousActor())
    assert not issubclass(errors.AmbiguousActor, RequestError)


def test_a_canonicaliser_may_raise_invalid_identifier_or_value_error_alike() -> None:
    assert issubclass(InvalidIdentifier, ValueError)
    assert issubclass(InvalidIdentifier, InvalidData)


def test_unauthorized_says_why_in_the_words_of_rfc_6750() -> None:
    assert Unauthorized().error == "invalid_token"
    assert Unauthorized(None).error is None
    stale = Unauthorized("insufficient_user_authentication", max_age=60)
    assert (stale.error, stale.max_age) == ("insufficient_user_authentication", 60)


def test_a_config_error_lists_every_fault() -> None:
    error = ConfigError("this is wrong", "that is wrong")
    assert error.faults == ("this is wrong", "that is wrong")
    assert str(error).splitlines()[1:] == ["- this is wrong", "- that is wrong"]
