"""Delivery in the background: codes that are on their way when a test looks, or when it ends."""

import threading
from typing import Any

import pytest
from fakes import ADA, BOB, Api, MakeApp
from flask import Flask

from flask_otp_auth import signals
from flask_otp_auth.testing import Outbox, no_limits, reset
from flask_otp_auth.testing.twins import finish_deliveries, state_of

PATIENCE = 20  # seconds for which a handler hangs, unless the test ends it


@pytest.fixture(params=["OTP_AUTH_DELIVERY", "TESTING"])
def app(request: pytest.FixtureRequest, make_app: MakeApp) -> Flask:
    """A shop that delivers in the background, as a test says so, or forgot to set TESTING."""
    config: dict[str, Any] = {"OTP_AUTH_STORAGE_URI": "memory://"}
    if request.param == "TESTING":
        return make_app(TESTING=False, OTP_AUTH_TOKEN_ISSUER="https://shop.example", **config)
    return make_app(OTP_AUTH_DELIVERY="background", **config)


@pytest.fixture
def mailed(app: Flask) -> list[str]:
    """Whom the app's own handler has mailed a code."""
    mailed: list[str] = []

    def mail(sender: Flask, identifier: str, **_: Any) -> None:
        mailed.append(identifier)

    signals.otp_generated.connect(mail, app, weak=False)
    return mailed


def test_it_is_waited_for_by_whoever_reads(app: Flask, api: Api) -> None:
    with Outbox(app) as outbox:
        api.generate(ADA)
        assert outbox.last.identifier == ADA
        outbox.clear()
        api.generate(BOB)
        assert [each.reason for each in outbox.suppressed] == ["unknown_actor"]
        assert len(outbox) == 0


def test_it_is_waited_for_at_the_end(app: Flask, api: Api, mailed: list[str]) -> None:
    with Outbox(app) as outbox:
        api.generate(ADA)
    assert (len(outbox), mailed) == (1, [])


def test_it_is_waited_for_at_the_end_of_a_block_without_limits(
    app: Flask, api: Api, mailed: list[str]
) -> None:
    with Outbox(app) as outbox:
        with no_limits(app):
            api.generate(ADA)
            api.generate(ADA)
        assert len(outbox) == 2
    assert mailed == []


def test_it_is_waited_for_before_all_is_forgotten(app: Flask, api: Api, mailed: list[str]) -> None:
    api.generate(ADA)
    reset(app)
    assert mailed == [ADA]


@pytest.mark.parametrize("is_async", [False, True])
def test_a_handler_that_reads_does_not_wait_for_itself(
    app: Flask, api: Api, is_async: bool
) -> None:
    hanging: list[int] = []

    def hear(sender: Flask, **_: Any) -> None:
        hanging.append(finish_deliveries(state_of(app), 7))

    async def hear_later(sender: Flask, **_: Any) -> None:
        hear(sender)

    signals.otp_generated.connect(hear_later if is_async else hear, app, weak=False)
    with Outbox(app, alone=False):
        api.generate(ADA)
    assert hanging == [7]


def test_an_interrupted_wait_leaves_no_outbox_behind(
    app: Flask, api: Api, mailed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt), Outbox(app):
        patched.setattr("flask_otp_auth.testing.outbox.finish_deliveries", interrupt)
    api.generate(ADA)
    finish_deliveries(state_of(app))
    assert mailed == [ADA]


def test_what_hangs_is_not_waited_for_without_end(
    app: Flask, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_otp_auth.testing.twins.PATIENCE", 0.1)
    is_over = threading.Event()

    def hang(sender: Flask, **_: Any) -> None:
        is_over.wait(PATIENCE)

    signals.otp_generated.connect(hang, app)
    with Outbox(app, alone=False) as outbox:
        api.generate(ADA)
    assert app.extensions["otp_auth"].delivery.pending == 1
    given_up: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr(
            "flask_otp_auth.testing.outbox.finish_deliveries",
            lambda state, hanging: given_up.append(hanging) or hanging,
        )
        assert len(outbox) == 0  # nor once more
    assert given_up == [1]
    is_over.set()
    finish_deliveries(state_of(app))
