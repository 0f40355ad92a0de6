"""The pytest plugin of flask-otp-auth: fixtures for tests of apps that use it.

It needs a fixture ``app`` of yours. The package is imported when a fixture is used, not before, so
that the plugin costs nothing elsewhere and coverage sees all of the import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from flask_otp_auth.testing import Clock, Outbox, Report, SignedIn

_NAME = "flask-otp-auth-client"


class _DefaultClient:
    """Has the fixture ``client`` for projects in which nothing else has one."""

    @pytest.fixture
    def client(self, app: Flask) -> FlaskClient:
        """A test client of the app."""
        return app.test_client()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Offer ``client``, unless another plugin (pytest-flask, pytest-django) does.

    Of two plugins with a fixture of one name pytest takes whichever was loaded last, which is
    nobody's choice. What a ``conftest.py`` or a test module has comes before either.
    """
    plugins = config.pluginmanager.get_plugins()
    # What is called so need be no fixture: a conftest.py may import an app's test client.
    if not any(callable(getattr(plugin, "client", None)) for plugin in plugins):
        config.pluginmanager.register(_DefaultClient(), _NAME)


@pytest.fixture
def otp_outbox(app: Flask) -> Iterator[Outbox]:
    """The codes that the app sends, in place of its own handlers: ``otp_outbox.last.otp``."""
    from flask_otp_auth.testing import Outbox

    with Outbox(app) as outbox:
        yield outbox


@pytest.fixture
def otp_sign_in() -> Callable[..., SignedIn]:
    """Signs somebody in: ``otp_sign_in(client, "customer", "ada@example.com").headers``."""
    from flask_otp_auth.testing import sign_in

    return sign_in


@pytest.fixture
def otp_clock(app: Flask) -> Iterator[Clock]:
    """A clock that stands still until the test moves it: ``otp_clock.tick(301)``."""
    from flask_otp_auth.testing import Clock

    with Clock(app) as clock:
        yield clock


@pytest.fixture
def otp_no_limits(app: Flask) -> Iterator[None]:
    """No limit and no resend window of the package counts in this test."""
    from flask_otp_auth.testing import no_limits

    with no_limits(app):
        yield


@pytest.fixture
def otp_reset() -> Callable[[Flask], None]:
    """Makes an app on ``memory://`` forget codes, windows, budgets and sign-ins."""
    from flask_otp_auth.testing import reset

    return reset


@pytest.fixture
def otp_attack() -> Callable[..., Report]:
    """Plays attackers against an app of your factory: ``otp_attack(create_app, "customer", …)``."""
    from flask_otp_auth.testing import attack

    return attack
