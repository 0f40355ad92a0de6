"""A shop as it would be deployed: it delivers codes, and nothing about it is to be mended."""

from collections.abc import Iterator
from typing import Any

import pytest
from fakes import MakeApp
from flask import Flask

from flask_otp_auth import OTPAuth
from flask_otp_auth.signals import otp_generated, pre_register_otp_generated

DEPLOYED = {
    "TESTING": False,
    "SESSION_COOKIE_SECURE": True,
    "OTP_AUTH_TOKEN_ISSUER": "https://shop.example",
}


@pytest.fixture
def mail() -> list[str]:
    """The codes that the deployed shop has mailed, the oldest first."""
    return []


@pytest.fixture
def deploy(make_app: MakeApp, mail: list[str], tmp_path: Any) -> Iterator[MakeApp]:
    """Make a deployed shop with settings of the test's own."""
    connected = []

    def deploy(otp_auth: OTPAuth | None = None, **config: Any) -> Flask:
        storage = f"sqlite:///{tmp_path}/otp_auth.sqlite3"
        app = make_app(otp_auth, **{"OTP_AUTH_STORAGE_URI": storage, **DEPLOYED, **config})

        def deliver(sender: Flask, otp: str, **_: Any) -> None:
            mail.append(otp)

        for signal in (otp_generated, pre_register_otp_generated):
            signal.connect(deliver, app, weak=False)
            connected.append((signal, deliver))
        return app

    yield deploy
    for signal, handler in connected:
        signal.disconnect(handler)


@pytest.fixture
def shop(deploy: MakeApp) -> Flask:
    """The deployed shop."""
    return deploy()
