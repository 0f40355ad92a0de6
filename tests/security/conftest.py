"""The fixtures of attacks: a ledger that counts them, and shops that lie open or stand still."""

from typing import Any, cast

import pytest
from attacks import (
    MANY_ADDRESSES,
    Begin,
    Comparisons,
    MakeStanding,
    OpenIt,
    OpenShop,
    Standing,
)
from fakes import SECRET, Everybody, FakeLimits, FakeStore, MakeApp, MakeWatched
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from tallies import Ledger

from flask_otp_auth import OTPAuth, current_actor, registration_required, token_required
from flask_otp_auth.core import codes
from flask_otp_auth.testing.executors import Held


@pytest.fixture
def attack(ledger: Ledger) -> Begin:
    """Begin an attack: ``attack("what is tried")``."""
    return ledger.open


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> Comparisons:
    """Counts every comparison with a code that was sent; a guess makes two at most."""
    made = Comparisons()
    compare = codes.matches

    def matches(digests: list[str], expected: str) -> bool:
        made.count += expected.strip("0") != ""  # where nothing was sent, a constant is compared
        return compare(digests, expected)

    monkeypatch.setattr(codes, "matches", matches)
    return made


@pytest.fixture
def open_shop(make_watched: MakeWatched) -> OpenIt:
    """Open a shop whose storage lies open, for attackers with many addresses."""

    def make(**config: Any) -> OpenShop:
        watched = make_watched(OTP_AUTH_WARN_ON_ERROR=False, **MANY_ADDRESSES, **config)
        guard(watched.app)
        watched.store.items.clear()
        return OpenShop(**vars(watched))

    return make


@pytest.fixture
def make_guarded(make_app: MakeApp) -> MakeApp:
    """Make an app of the shop with a view behind each guard."""
    return lambda *args, **config: guard(make_app(*args, **config))


def guard(app: Flask) -> Flask:
    """Give an app a view behind each guard."""

    @app.get("/me")
    @token_required("customer", session=True)
    def me() -> dict[str, str]:
        return {"id": str(current_actor.id)}

    @app.get("/staff")
    @token_required("staff", session=True)
    def staff() -> str:
        return "in"

    @app.get("/any")
    @token_required()
    def anybody() -> str:
        return "in"

    @app.get("/join")
    @registration_required()
    def join() -> str:
        return "in"

    return app


@pytest.fixture
def everybody() -> Everybody:
    """An actor store in which each address has an account, until a test says otherwise."""
    return Everybody()


@pytest.fixture
def make_standing() -> MakeStanding:
    """Make a shop that answers at once, and sends nothing before a test says so."""

    def make(actors: Any, **config: Any) -> Standing:
        app, jobs, store = Flask("shop"), Held(), FakeStore()
        app.config.update(TESTING=True, SECRET_KEY=SECRET, OTP_AUTH_DELIVERY="background")
        app.config.update(config)
        limiter = Limiter(get_remote_address, app=app, storage_uri="fake://")
        watched = {} if "OTP_AUTH_STORAGE_URI" in config else {"cache": store, "limiter": limiter}
        otp_auth = OTPAuth(executor=jobs, **watched)
        otp_auth.add_actor_type("customer", actors)
        otp_auth.init_app(app)
        return Standing(app, jobs, store, cast(FakeLimits, limiter.storage))

    return make
