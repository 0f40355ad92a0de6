"""Errors as answers: JSON with the headers that belong to them, unless the app wants its own."""

from collections.abc import Callable

import pytest
from fakes import ADA, SECRET, Api, Customers, MakeApp, Watched
from flask import Blueprint, Flask
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.exceptions import HTTPException

from flask_otp_auth import (
    ActorNotCreated,
    DuplicateError,
    InvalidData,
    InvalidIdentifier,
    InvalidOTP,
    NotFound,
    OTPAuth,
    RateLimited,
    RequestError,
    Unauthorized,
    Unavailable,
)
from flask_otp_auth.testing import Outbox

ERRORS = [
    (InvalidData(), 400, "invalid_data"),
    (InvalidData("name must be a text."), 400, "invalid_data"),
    (InvalidIdentifier(), 400, "invalid_data"),
    (InvalidOTP(), 400, "invalid_otp"),
    (Unauthorized(), 401, "unauthorized"),
    (NotFound(), 404, "not_found"),
    (DuplicateError(), 409, "duplicate_error"),
    (ActorNotCreated(), 409, "actor_not_created"),
    (RateLimited(), 429, "rate_limited"),
    (Unavailable(), 503, "unavailable"),
]


class TestInTheAppsOwnViews:
    @pytest.mark.parametrize(
        ("error", "status", "kind"), ERRORS, ids=[type(error).__name__ for error, *_ in ERRORS]
    )
    def test_an_error_is_answered_as_on_our_routes(
        self, app: Flask, error: RequestError, status: int, kind: str
    ) -> None:
        app.add_url_rule("/raises", view_func=raiser(error))
        answer = app.test_client().get("/raises")
        assert answer.status_code == status
        assert answer.get_json() == {"type": kind, "message": error.message}
        assert answer.mimetype == "application/json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Retry-After" not in answer.headers

    def test_retry_after_is_told_twice(self, app: Flask) -> None:
        app.add_url_rule("/raises", view_func=raiser(RateLimited(retry_after=7)))
        answer = app.test_client().get("/raises")
        assert answer.headers["Retry-After"] == "7"
        assert answer.get_json()["retry_after"] == 7

    @pytest.mark.parametrize(
        ("error", "header"),
        [
            (Unauthorized(), 'Bearer error="invalid_token"'),
            (Unauthorized(None), "Bearer"),
            (
                Unauthorized("insufficient_user_authentication", max_age=60),
                'Bearer error="insufficient_user_authentication", '
                'error_description="More recent authentication is required", max_age="60"',
            ),
        ],
    )
    def test_a_401_tells_which_token_is_asked_for(
        self, app: Flask, error: Unauthorized, header: str
    ) -> None:
        app.add_url_rule("/raises", view_func=raiser(error))
        answer = app.test_client().get("/raises")
        assert answer.headers["WWW-Authenticate"] == header

    def test_flows_raise_them_too(self, watched: Watched) -> None:
        @watched.app.get("/enter/<otp>")
        def enter(otp: str) -> dict[str, str]:
            return {"token": watched.otp_auth.verify("customer", ADA, otp)}

        client = watched.app.test_client()
        with Outbox(watched.app) as outbox:
            Api(client).generate(ADA)
        answer = client.get("/enter/000")
        assert answer.get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}
        assert list(client.get(f"/enter/{outbox.last.otp}").get_json()) == ["token"]

    def test_errors_of_the_app_and_of_others_are_left_alone(self, app: Flask) -> None:
        app.add_url_rule("/own", view_func=lambda: ("gone", 410))
        client = app.test_client()
        assert client.get("/own").text == "gone"
        assert client.get("/nowhere").mimetype == "text/html"


def raiser(error: Exception) -> Callable[[], ResponseReturnValue]:
    """Return a view that raises an error."""

    def raises() -> ResponseReturnValue:
        raise error

    return raises


def titled(error: RequestError) -> ResponseReturnValue:
    """Answer an error in a shape of the app's own."""
    return {"title": error.type}, error.status


async def titled_later(error: RequestError) -> ResponseReturnValue:
    """Do the same as a coroutine."""
    return titled(error)


class TestHandlersOfTheApp:
    """An app gives our errors another shape by an ``errorhandler``."""

    @pytest.mark.parametrize("handled", [RequestError, InvalidOTP])
    @pytest.mark.parametrize("handler", [titled, titled_later])
    def test_shape_them_everywhere(
        self, app: Flask, handled: type[RequestError], handler: Callable[..., ResponseReturnValue]
    ) -> None:
        app.register_error_handler(handled, handler)
        app.add_url_rule("/raises", view_func=raiser(InvalidOTP()))
        client = app.test_client()
        for answer in (client.get("/raises"), Api(client).verify("123456")):
            assert (answer.status_code, answer.get_json()) == (400, {"title": "invalid_otp"})

    def test_shape_their_own_errors_only(self, app: Flask) -> None:
        app.register_error_handler(NotFound, titled)
        api = Api(app.test_client())
        assert api.verify("123456").get_json()["type"] == "invalid_otp"
        api.actor_type = "robot"
        assert api.verify("123456").get_json() == {"title": "not_found"}

    def test_of_the_narrowest_class_come_first(self, app: Flask) -> None:
        app.register_error_handler(RequestError, lambda error: ("any", error.status))
        app.register_error_handler(InvalidOTP, titled)
        assert Api(app.test_client()).verify("123456").get_json() == {"title": "invalid_otp"}

    def test_may_be_a_blueprints_that_ours_is_nested_in(
        self, make_app: MakeApp, customers: Customers
    ) -> None:
        otp_auth = OTPAuth(register_blueprint=False)
        otp_auth.add_actor_type("customer", customers)
        app = make_app(otp_auth)
        api = Blueprint("api", "shop", url_prefix="/api")
        api.register_error_handler(RequestError, titled)
        api.register_blueprint(otp_auth.blueprint, url_prefix="/auth")
        app.register_blueprint(api)
        app.register_error_handler(RequestError, lambda error: ("any", error.status))
        answer = Api(app.test_client(), "/api/auth").verify("123456")
        assert answer.get_json() == {"title": "invalid_otp"}

    @pytest.mark.parametrize("handled", [400, HTTPException, Exception])
    def test_for_all_http_errors_leave_the_api_as_it_is(
        self, app: Flask, handled: type[Exception] | int
    ) -> None:
        """A site's own error page would be of no use to the API's client."""
        app.register_error_handler(handled, lambda error: ("a page for people", 418))
        answer = Api(app.test_client()).verify("123456")
        assert answer.get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}

    def test_decide_nothing_about_caches(self, app: Flask) -> None:
        headers = {"Cache-Control": "public, max-age=300"}
        app.register_error_handler(
            RequestError, lambda error: ({"title": error.type}, error.status, headers)
        )
        answer = Api(app.test_client()).verify("123456")
        assert answer.headers.getlist("Cache-Control") == ["no-store"]


class TestLimitsOfTheApp:
    """An app's own Flask-Limiter with default limits."""

    @pytest.fixture
    def limited(self, make_app: MakeApp) -> Flask:
        """An app whose limiter is not the one that was passed to us."""
        limiter = Limiter(get_remote_address, default_limits=["2/hour"], storage_uri="memory://")
        app = make_app()
        limiter.init_app(app)
        return app

    def test_are_answered_as_ours(self, limited: Flask) -> None:
        limited.register_error_handler(429, lambda error: ("a page for people", 429))
        api = Api(limited.test_client())
        answers = [api.verify("123456") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [400, 400, 429]
        assert answers[-1].get_json() == {
            "type": "rate_limited",
            "message": "Too many requests",
            "retry_after": 3600,
        }
        assert answers[-1].headers["Retry-After"] == "3600"

    def test_have_the_shape_that_the_app_gives_to_ours(self, limited: Flask) -> None:
        limited.register_error_handler(RequestError, titled)
        api = Api(limited.test_client())
        answers = [api.verify("123456") for _ in range(3)]
        assert answers[-1].get_json() == {"title": "rate_limited"}

    def test_are_not_counted_on_our_routes_by_the_limiter_that_we_were_given(
        self, customers: Customers
    ) -> None:
        limiter = Limiter(get_remote_address, default_limits=["2/hour"], storage_uri="memory://")
        otp_auth = OTPAuth(limiter=limiter)
        otp_auth.add_actor_type("customer", customers)
        app = Flask("shop")
        app.config.update(TESTING=True, SECRET_KEY=SECRET)
        limiter.init_app(app)
        otp_auth.init_app(app)
        api = Api(app.test_client())
        assert [api.verify("123456").status_code for _ in range(3)] == [400] * 3
