"""What the log says when an app starts, and where it says it."""

import logging

import pytest
from fakes import MakeApp
from flask import Flask

from flask_otp_auth import ConfigError, OTPAuth

logger = logging.getLogger("flask_otp_auth")


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged, up to the first colon or comma of each line."""
    return [record.getMessage().split(":")[0].split(",")[0] for record in caplog.records]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"TESTING": True}, []),
        ({"DEBUG": True, "OTP_AUTH_STORAGE_URI": "memory://"}, []),
        ({"OTP_AUTH_TOKEN_ISSUER": "https://shop.example"}, []),
        ({}, ["OTP_AUTH_TOKEN_ISSUER is not set"]),
        (
            {"OTP_AUTH_STORAGE_URI": "memory://", "OTP_AUTH_TOKEN_ISSUER": "https://shop.example"},
            ["OTP_AUTH_STORAGE_URI is memory"],
        ),
        (
            {"OTP_AUTH_SIGN_INS_URI": "memory://", "OTP_AUTH_TOKEN_ISSUER": "https://shop.example"},
            ["OTP_AUTH_SIGN_INS_URI is memory"],
        ),
        ({"OTP_AUTH_SIGN_INS_URI": "memory://", "TESTING": True}, []),
    ],
)
def test_settings_that_suit_development_alone_are_noticed_elsewhere(
    make_app: MakeApp,
    caplog: pytest.LogCaptureFixture,
    config: dict[str, object],
    said: list[str],
) -> None:
    make_app(**{"TESTING": False, **config})
    assert messages(caplog) == said


def test_a_setting_that_comes_too_late_is_noticed_once_in_debug(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(DEBUG=True, OTP_AUTH_DIGITS=6)
    app.config.update(OTP_AUTH_DIGITS=8, OTP_AUTH_TTL=60, OTHER=1)
    for _ in range(2):
        app.test_client().get("/")
    assert messages(caplog) == [
        "OTP_AUTH_DIGITS was changed after init_app",
        "OTP_AUTH_TTL was changed after init_app",
    ]


def test_the_apps_handlers_take_what_nothing_else_would(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logger, "handlers", [])
    first = make_app()
    make_app()
    assert logger.handlers == first.logger.handlers != []


def test_an_app_is_initialised_once(app: Flask) -> None:
    with pytest.raises(ConfigError, match="call init_app once"):
        OTPAuth(app)
