"""Errors in the app's own views: the same JSON, unless the app wants its own."""

from collections.abc import Callable

import pytest
from conftest import ADA, Api, Watched
from flask import Flask
from flask.typing import ResponseReturnValue

from flask_otp_auth import (
    ActorNotCreated,
    DuplicateError,
    InvalidData,
    InvalidIdentifier,
    InvalidOTP,
    NotFound,
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


@pytest.mark.parametrize(
    ("error", "status", "kind"), ERRORS, ids=[type(error).__name__ for error, *_ in ERRORS]
)
def test_an_error_of_the_package_is_answered_as_on_the_wire(
    app: Flask, error: RequestError, status: int, kind: str
) -> None:
    @app.get("/raises")
    def raises() -> str:
        raise error

    answer = app.test_client().get("/raises")
    assert answer.status_code == status
    assert answer.get_json() == {"type": kind, "message": error.message}
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Retry-After" not in answer.headers


def test_retry_after_is_told_twice(app: Flask) -> None:
    @app.get("/raises")
    def raises() -> str:
        raise RateLimited(retry_after=7)

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
def test_a_401_tells_which_token_is_asked_for(app: Flask, error: Unauthorized, header: str) -> None:
    @app.get("/raises")
    def raises() -> str:
        raise error

    assert app.test_client().get("/raises").headers["WWW-Authenticate"] == header


def test_an_app_calls_the_flows_in_a_view_of_its_own(
    make_watched: Callable[..., Watched],
) -> None:
    shop = make_watched()

    @shop.app.get("/enter/<otp>")
    def enter(otp: str) -> dict[str, str]:
        return {"token": shop.otp_auth.verify("customer", ADA, otp)}

    client = shop.app.test_client()
    with Outbox(shop.app) as outbox:
        Api(client).generate(ADA)
    assert client.get("/enter/000").get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}
    assert list(client.get(f"/enter/{outbox.last.otp}").get_json()) == ["token"]


def test_an_app_may_have_a_handler_of_its_own_for_its_own_views(app: Flask, api: Api) -> None:
    @app.errorhandler(RequestError)
    def problem(error: RequestError) -> ResponseReturnValue:
        return {"title": error.type}, error.status

    @app.get("/raises")
    def raises() -> str:
        raise InvalidOTP

    answer = api.client.get("/raises")
    assert (answer.status_code, answer.get_json()) == (400, {"title": "invalid_otp"})
    assert api.verify("123456").get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}


def test_errors_of_the_app_and_of_others_are_left_alone(app: Flask) -> None:
    @app.get("/own")
    def own() -> ResponseReturnValue:
        return app.make_response(("gone", 410))

    client = app.test_client()
    assert client.get("/own").text == "gone"
    assert client.get("/nowhere").mimetype == "text/html"
