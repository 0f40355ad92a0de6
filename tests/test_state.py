"""The state of one app, in ``app.extensions["otp_auth"]``."""

from collections.abc import Callable

import pytest
from conftest import Api
from flask import Flask

from flask_otp_auth import ConfigError, OTPAuth, token_required
from flask_otp_auth.state import EXTENSION, State, current_state


def test_it_stands_among_the_extensions(app: Flask) -> None:
    assert isinstance(app.extensions["otp_auth"], State)
    assert EXTENSION == "otp_auth"


def test_it_is_that_of_the_current_app(make_app: Callable[..., Flask]) -> None:
    one, other = make_app(), make_app()
    with one.app_context():
        assert current_state() is one.extensions["otp_auth"]
        with other.app_context():
            assert current_state() is other.extensions["otp_auth"]


def test_it_can_not_be_changed(app: Flask) -> None:
    with pytest.raises(AttributeError):
        app.extensions["otp_auth"].settings = None
    with pytest.raises(AttributeError):
        app.extensions["otp_auth"].settings.ttl = 1


def test_its_repr_holds_no_keys(app: Flask) -> None:
    assert repr(app.extensions["otp_auth"]).startswith("<flask_otp_auth.state.State object")


def test_without_init_app_there_is_none(app: Flask) -> None:
    with Flask("other").app_context(), pytest.raises(ConfigError, match=r"call otp_auth\.init_app"):
        current_state()


def test_a_guard_in_an_app_without_it_says_what_to_call() -> None:
    app = Flask("bare")
    app.testing = True
    app.add_url_rule("/", view_func=token_required()(lambda: "never"))
    with pytest.raises(ConfigError, match=r"call otp_auth\.init_app"):
        app.test_client().get("/", headers={"Authorization": "Bearer x"})


def test_a_blueprint_in_an_app_without_it_says_what_to_call() -> None:
    app = Flask("bare")
    app.testing = True
    app.register_blueprint(OTPAuth().blueprint, url_prefix="/auth")
    with pytest.raises(ConfigError, match=r"call otp_auth\.init_app"):
        Api(app.test_client()).generate()


def test_outside_of_an_app_context_there_is_none() -> None:
    with pytest.raises(RuntimeError, match="application context"):
        current_state()
