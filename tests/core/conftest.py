"""The fixtures of the core's tests."""

from collections.abc import Callable
from typing import Any

import pytest
from engine import NEW, Engine, MakeEngine
from fakes import SECRET, FakeLimits, FakeStore

from flask_otp_auth.core.settings import Settings


@pytest.fixture
def limits() -> FakeLimits:
    """Limits that can be watched and cut off."""
    return FakeLimits()


@pytest.fixture
def make_engine(store: FakeStore, limits: FakeLimits) -> Callable[..., Engine]:
    """Make the rules of another process on the same storage, with settings of the test's own."""

    def make(*secrets: bytes, **config: Any) -> Engine:
        given = {f"OTP_AUTH_{name.upper()}": value for name, value in config.items()}
        settings = Settings.load({"SECRET_KEY": SECRET, "TESTING": True, **given})
        return Engine(store, limits, secrets or (NEW,), settings)

    return make


@pytest.fixture
def engine(make_engine: MakeEngine) -> Engine:
    """The rules with default settings."""
    return make_engine()
