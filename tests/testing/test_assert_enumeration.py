"""Whether an app tells who has an account: what is found, and what it says of it."""

import sys
import time
from typing import Any

import pytest
from clean_apps import leaks
from fakes import ADA, BOB, Customers, MakeApp, sign_in
from flask import Flask, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_otp_auth import ConfigError, OTPAuth, Refused, signals


def test_an_app_without_a_leak_passes(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """With or without SQLAlchemy, whose queries are heard."""
    assert leaks(app) == ""
    monkeypatch.delitem(sys.modules, "sqlalchemy", raising=False)
    assert leaks(app) == ""


def test_the_app_is_as_before_afterwards(app: Flask, customers: Customers) -> None:
    config, state = dict(app.config), app.extensions["otp_auth"]
    leaks(app)
    assert dict(app.config) == config
    assert app.extensions["otp_auth"] is state
    assert "find_by_identifier" not in vars(customers)
    assert sign_in(app)


def test_plain_answers_tell(make_app: MakeApp) -> None:
    said = leaks(make_app(OTP_AUTH_ALWAYS_RETURN_SUCCESS=False))
    assert "POST /auth/customer/otp/generate: status: 200 for known, 404 for unknown" in said


def test_no_handler_is_called(make_app: MakeApp) -> None:
    app, heard = make_app(OTP_AUTH_DELIVERY="inline"), []
    for signal in (signals.otp_generated, signals.otp_suppressed):
        signal.connect(lambda sender, **_: heard.append(1), app, weak=False)
    assert "signal otp_generated is sent within the request" in leaks(app)
    assert heard == []


class TestViewsOfTheAppsOwn:
    """They are named by ``through=``."""

    @pytest.mark.parametrize(
        ("path", "line"),
        [
            ("/exists/{identifier}", "GET /exists/{identifier}: body: 'yes' for known alone"),
            ("/newsletter", "POST /newsletter: header X-Member: 1 for known alone"),
            ("/form", "POST /form: status: 302 for known, 200 for unknown"),
            ("/page", "POST /page: body: 'Welcome' for known alone"),
            ("/query", "GET /query: body: 9 characters for known, 8 for unknown"),
        ],
    )
    def test_are_asked_in_the_way_that_they_take(self, app: Flask, path: str, line: str) -> None:
        add_views(app)
        assert line in leaks(app, through=[path])

    def test_that_echo_the_identifier_tell_nothing(self, app: Flask) -> None:
        add_views(app)
        assert leaks(app, through=["/echo"], unknown="somebody@elsewhere.example.com") == ""

    @pytest.mark.usefixtures("stopwatch")
    def test_that_take_their_time_are_found_with_their_place(self, app: Flask) -> None:
        add_views(app)
        said = leaks(app, through=["/slow"])
        assert "POST /slow: time: " in said
        assert "ms more for known, in ask_the_database (test_assert_enumeration.py:" in said

    def test_that_are_not_there_are_no_proof(self, app: Flask) -> None:
        with pytest.raises(ValueError, match="no view at /no-such-page"):
            leaks(app, through=["/no-such-page"])

    def test_that_need_more_than_an_identifier_are_no_proof(self, app: Flask) -> None:
        app.post("/order")(lambda: ("How many?", 400))
        with pytest.raises(ValueError, match="GET /order answers 405 to everybody"):
            leaks(app, through=["/order"])

    def test_of_a_middleware_are_asked_as_well(self, app: Flask) -> None:
        blog = Flask("blog")
        add_views(blog)
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/blog": blog})  # type: ignore[method-assign] # as Flask says
        assert "GET /blog/exists/" in leaks(app, through=["/blog/exists/{identifier}"])

    def test_come_in_a_list(self, app: Flask) -> None:
        with pytest.raises(TypeError, match="a list of paths"):
            leaks(app, through="/login")


def add_views(app: Flask) -> None:
    """Add views that tell, each in its own way."""
    token = iter(range(10**6, 10**7))

    @app.get("/exists/<identifier>")
    def exists(identifier: str) -> str:
        return "yes" if identifier == ADA else "no"

    @app.post("/newsletter")
    def newsletter() -> tuple[str, dict[str, str]]:
        return "Thanks.", {"X-Member": "1"} if request.get_json()["email"] == ADA else {}

    @app.post("/form")
    def form() -> tuple[str, int]:
        return "", 302 if request.form["email"] == ADA else 200

    @app.get("/page")
    def page() -> str:
        return (
            '<form method="post" action="/page">'
            f'<input type="hidden" name="csrf" value="{next(token)}">'
            '<input type="email" name="who"><select name="size"></select><button>Go</button></form>'
        )

    @app.post("/page")
    def answer() -> str:
        assert request.form["csrf"]
        return "Welcome" if request.form["who"] == ADA else "Sorry"

    @app.get("/query")
    def query() -> str:
        return "x  y    z" if request.args.get("email") == ADA else "x y    z"

    @app.post("/echo")
    def echo() -> str:
        return f"We sent a mail to {request.get_json()['email']}. {next(token)}"

    @app.post("/slow")
    def slow() -> str:
        if request.get_json()["email"] == ADA:
            ask_the_database()
        return "Thanks."


def ask_the_database() -> None:
    time.sleep(0.02)


class TestWhatCannotBeMeasured:
    """It is said, and nothing passes by it."""

    @pytest.mark.parametrize("pair", [(BOB, ADA), (ADA, ADA), (BOB, BOB)])
    def test_known_is_known_and_unknown_is_not(self, app: Flask, pair: tuple[str, str]) -> None:
        with pytest.raises(ValueError, match="known= must have an active customer"):
            leaks(app, known=pair[0], unknown=pair[1])

    def test_a_few_tries_would_show_nothing(self, app: Flask) -> None:
        with pytest.raises(ValueError, match="20 at least"):
            leaks(app, tries=19)

    def test_a_gate_that_refuses_everybody(self, make_app: MakeApp, customers: Customers) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)

        @otp_auth.before_code
        def refuse(asked: Any) -> None:
            raise Refused

        with pytest.raises(ValueError, match=r"answers 403 to everybody.*before_code"):
            leaks(make_app(otp_auth))

    def test_an_app_that_has_not_mounted_the_routes(
        self, customers: Customers, make_app: MakeApp
    ) -> None:
        otp_auth = OTPAuth(register_blueprint=False)
        otp_auth.add_actor_type("customer", customers)
        app = make_app(otp_auth)
        with pytest.raises(ConfigError, match="no route 'generate' whose path is known"):
            leaks(app)
