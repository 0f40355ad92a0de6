"""The public names of the package."""

import flask_otp_auth


def test_all_that_is_exported_is_there() -> None:
    for name in flask_otp_auth.__all__:
        assert getattr(flask_otp_auth, name) is not None


def test_what_an_app_needs_is_exported() -> None:
    assert {
        "ConfigError",
        "InvalidIdentifier",
        "InvalidOTP",
        "OTPAuth",
        "RequestError",
        "current_actor",
        "current_registration",
        "registration_required",
        "token_required",
    } <= set(flask_otp_auth.__all__)


def test_each_name_is_exported_once() -> None:
    assert len(flask_otp_auth.__all__) == len(set(flask_otp_auth.__all__))
    assert flask_otp_auth.__all__ == sorted(flask_otp_auth.__all__)
