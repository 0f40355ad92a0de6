"""The fixtures that tests share: a shop with customers, its app, its outbox, and a clock."""

import functools
from collections.abc import Iterator
from typing import Any

import pytest
import time_machine
from fakes import (
    SECRET,
    START,
    Api,
    Customers,
    FakeStore,
    MakeApp,
    MakeWatched,
    SignalRecorder,
    Watched,
    watch,
)
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings

from flask_otp_auth import OTPAuth
from flask_otp_auth.testing import Outbox

# Storages that are servers, a browser, and figures for the end of a run.
pytest_plugins = ["stores", "chromium", "tallies"]

# A busy machine is no fault of the package.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Mutation testing runs the same examples for each mutant, and under callers of its own.
settings.register_profile(
    "mutate", deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck
)
settings.load_profile("busy")


@pytest.fixture
def store() -> FakeStore:
    """A store that can be watched and cut off."""
    return FakeStore()


@pytest.fixture
def customers() -> Customers:
    """The shop's customers; Ada is one of them."""
    customers = Customers()
    customers.add("ada@example.com")
    return customers


@pytest.fixture
def make_app(customers: Customers) -> MakeApp:
    """Make an app of the shop with settings of the test's own."""

    def make(otp_auth: OTPAuth | None = None, **config: Any) -> Flask:
        app = Flask("shop")
        app.config.update({"TESTING": True, "SECRET_KEY": SECRET, **config})
        if otp_auth is None:
            otp_auth = OTPAuth()
            otp_auth.add_actor_type("customer", customers)
        otp_auth.init_app(app)
        return app

    return make


@pytest.fixture
def otp_auth(customers: Customers) -> OTPAuth:
    """The shop's extension object."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    return otp_auth


@pytest.fixture
def app(make_app: MakeApp, otp_auth: OTPAuth) -> Flask:
    """The shop with default settings, in memory; codes are delivered in the request."""
    return make_app(otp_auth)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the shop."""
    return app.test_client()


@pytest.fixture
def api(client: FlaskClient) -> Api:
    """The shop's routes, called by their names."""
    return Api(client)


@pytest.fixture
def outbox(app: Flask) -> Iterator[Outbox]:
    """The codes that the shop sends."""
    with Outbox(app) as outbox:
        yield outbox


@pytest.fixture
def recorder(app: Flask) -> SignalRecorder:
    """Every signal that the shop sends."""
    return SignalRecorder(app)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands still until the test moves it: ``clock.shift(60)``."""
    with time_machine.travel(START, tick=False) as clock:
        yield clock


@pytest.fixture
def make_watched(customers: Customers) -> MakeWatched:
    """Make a watched shop with settings of the test's own."""

    return functools.partial(watch, customers)


@pytest.fixture
def watched(make_watched: MakeWatched) -> Watched:
    """The watched shop with default settings."""
    return make_watched()
