"""Ada's shop, in the languages of its customers."""

from typing import Any

import pytest
from fakes import MakeApp
from flask import Flask
from flask_babel import Babel


@pytest.fixture
def make_shop(make_app: MakeApp) -> MakeApp:
    """Make Ada's shop, with Flask-Babel, and with settings of the test's own."""

    def make(*, babel: bool = True, **settings: Any) -> Flask:
        given = {f"OTP_AUTH_{name.upper()}": value for name, value in settings.items()}
        app = make_app(**{"OTP_AUTH_SITE_NAME": "Ada's shop", **given})
        if babel:
            Babel(app)
        return app

    return make


@pytest.fixture
def shop(make_shop: MakeApp) -> Flask:
    """Ada's shop."""
    return make_shop()
