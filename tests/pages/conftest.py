"""The shop with pages: customers who can join, an account page, and a browser."""

from collections.abc import Callable
from typing import Any

import pytest
from browsers import Browser, JoinableCustomers
from fakes import Customers, MakeApp
from flask import Flask

from flask_otp_auth import OTPAuth, current_actor, page_required


@pytest.fixture
def customers() -> JoinableCustomers:
    """The shop's customers; Ada is one of them, and others can join."""
    customers = JoinableCustomers()
    customers.add("ada@example.com")
    return customers


@pytest.fixture
def make_shop(make_app: MakeApp, customers: JoinableCustomers) -> MakeApp:
    """Make a shop with pages, and with settings and actor types of the test's own."""

    def make(otp_auth: OTPAuth | None = None, **config: Any) -> Flask:
        app = make_app(otp_auth, **{"OTP_AUTH_PAGES": True, **config})

        @app.get("/account")
        @page_required("customer")
        def account() -> str:
            return f"account of {current_actor.email}"

        return app

    return make


@pytest.fixture
def app(make_shop: MakeApp) -> Flask:
    """The shop with pages and default settings."""
    return make_shop()


@pytest.fixture
def browser(app: Flask) -> Browser:
    """Ada's browser."""
    return Browser(app)


@pytest.fixture
def make_members(customers: JoinableCustomers) -> Callable[..., OTPAuth]:
    """Make a shop's extension whose store can create nobody, so that the pages' door is closed."""

    def make(**options: Any) -> OTPAuth:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", Customers(customers.accounts), **options)
        return otp_auth

    return make
