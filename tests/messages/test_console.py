"""The terminal: messages are printed for development, and never where a log would keep them."""

import sys
from pathlib import Path
from typing import Any

import pytest
from fakes import ADA, BOB, Api, Customers, MakeApp, sign_in
from flask import Flask, current_app

from flask_otp_auth import ConfigError, OTPAuth
from flask_otp_auth.console import print_codes
from flask_otp_auth.testing import Outbox

PHONE = "+4915123456789"


@pytest.fixture
def otp_auth(customers: Customers) -> OTPAuth:
    """An extension whose customers have addresses or phones."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers, identifier=("email", "phone"))
    return otp_auth


@pytest.fixture
def app(otp_auth: OTPAuth, make_app: MakeApp) -> Flask:
    """The shop that prints."""
    app = make_app(otp_auth, OTP_AUTH_CODE_IN_SUBJECT=False)
    print_codes(app)
    return app


def test_each_message_is_printed(
    app: Flask, api: Api, otp_auth: OTPAuth, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed() -> str:
        return capsys.readouterr().out

    with Outbox(app, alone=False) as outbox:
        api.generate(ADA)
        text = printed()
        assert f"To {ADA}: Your code for shop\n\n" in text
        assert f"\n{outbox.last.otp}\n" in text
        api.pre_register(PHONE)
        assert printed() == (
            f"\nTo {PHONE}: {outbox.last.otp} is your code for shop. Never tell it to anyone.\n\n"
        )
        with app.app_context():
            otp_auth.purpose("payment").send(ADA, binds={"amount": "950.00"})
        assert "\namount: 950.00\n" in printed()


def test_notices_are_printed_as_well(
    app: Flask, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.pre_register(ADA)
    api.generate(BOB)
    api.generate(PHONE)  # of which no notice is sent
    api.generate(BOB)  # too soon: nobody is told
    sign_in(app)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("To ")] == [
        f"To {ADA}: You already have an account at shop",
        f"To {BOB}: There is no account at shop for this address",
        f"To {ADA}: A new device has signed in to your account at shop",
    ]


def test_the_current_app_may_stand_for_the_app(
    otp_auth: OTPAuth, make_app: MakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    app = make_app(otp_auth)
    with app.app_context():
        print_codes(current_app)
    Api(app.test_client()).generate(ADA)
    assert f"To {ADA}: " in capsys.readouterr().out


def turn(app: Flask, **on: bool) -> None:
    app.testing, app.debug = on.get("testing", False), on.get("debug", False)


@pytest.mark.parametrize(
    ("on", "terminal"), [({"debug": True}, False), ({"testing": True}, False), ({}, True)]
)
def test_it_works_in_development(
    app: Flask, monkeypatch: pytest.MonkeyPatch, on: dict[str, Any], terminal: bool
) -> None:
    turn(app, **on)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    print_codes(app)


def test_it_refuses_where_codes_would_end_in_a_log(app: Flask) -> None:
    turn(app)
    with pytest.raises(ConfigError, match="codes would end in a log"):
        print_codes(app)


def test_each_message_is_refused_there_too(
    make_app: MakeApp,
    otp_auth: OTPAuth,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    storage = f"sqlite:///{tmp_path}/codes.sqlite3"
    app = make_app(otp_auth, OTP_AUTH_DELIVERY="inline", OTP_AUTH_STORAGE_URI=storage)
    print_codes(app)
    turn(app)
    Api(app.test_client()).generate(ADA)
    assert capsys.readouterr().out == ""
    assert "_print raised ConfigError on signal otp-generated" in caplog.text
    assert "codes would end in a log" in caplog.text
