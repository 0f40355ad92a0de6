"""Guards inside frameworks that stand on Flask, whose own error handling comes before Flask's."""

from collections.abc import Callable
from typing import Any

import flask_restful
import flask_restx
import flask_smorest
import pytest
from apiflask import APIFlask
from fakes import ADA, SECRET, Customers, MakeApp, bearer, register, sign_in, wrong
from flask import Flask, jsonify
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from werkzeug.exceptions import HTTPException

from flask_otp_auth import (
    OTPAuth,
    Refused,
    RequestError,
    current_actor,
    current_confirmation,
    otp_required,
    registration_required,
    token_required,
)
from flask_otp_auth.testing import Outbox

#: A code for this action, as the frameworks' classes take decorators: the innermost first.
CONFIRMED = (otp_required("transfer", to=lambda actor: actor.email), token_required())


class Late(Refused):
    """An error of the app's own, whose class wants other arguments."""

    def __new__(cls, *, minutes: int) -> "Late":
        return super().__new__(cls)

    def __init__(self, *, minutes: int) -> None:
        super().__init__(f"In {minutes} minutes.")


def paid() -> dict[str, Any]:
    return {"paid": current_confirmation.identifier}


def restful(app: Flask) -> None:
    resource_of(flask_restful, app)


def restx(app: Flask) -> None:
    resource_of(flask_restx, app)


def resource_of(framework: Any, app: Flask) -> None:
    class Me(framework.Resource):
        method_decorators = (token_required("customer"),)

        def get(self) -> dict[str, str]:
            return {"email": current_actor.email}

    class Join(framework.Resource):
        @registration_required("customer")
        def get(self) -> dict[str, str]:
            return {}

    class Transfer(framework.Resource):
        method_decorators = CONFIRMED

        def post(self) -> dict[str, Any]:
            return paid()

    api = framework.Api(app)
    api.add_resource(Transfer, "/transfer")
    api.add_resource(Me, "/me")
    api.add_resource(Join, "/join")


def smorest(app: Flask) -> None:
    app.config.update(API_TITLE="Shop", API_VERSION="1", OPENAPI_VERSION="3.0.2")
    blueprint = flask_smorest.Blueprint("shop", __name__)

    @blueprint.route("/me")
    class Me(MethodView):
        @blueprint.response(200)
        @token_required("customer")
        def get(self) -> dict[str, str]:
            return {"email": current_actor.email}

    @blueprint.route("/join")
    @blueprint.response(200)
    @registration_required("customer")
    def join() -> dict[str, str]:
        return {}

    @blueprint.route("/transfer")
    class Transfer(MethodView):
        decorators = CONFIRMED

        def post(self) -> dict[str, Any]:
            return paid()

    flask_smorest.Api(app).register_blueprint(blueprint)


def apiflask(app: Flask) -> None:
    assert isinstance(app, APIFlask)

    @app.get("/me")
    @app.output({})
    @token_required("customer")
    def me() -> ResponseReturnValue:
        return {"email": current_actor.email}

    @app.get("/join")
    @registration_required("customer")
    def join() -> ResponseReturnValue:
        return {}

    confirmed, token = CONFIRMED
    app.post("/transfer")(token(confirmed(paid)))


@pytest.fixture(params=[restful, restx, smorest, apiflask], ids=lambda add: add.__name__)
def add_views(request: pytest.FixtureRequest) -> Callable[[Flask], None]:
    """Add two guarded views to an app, in the way of one framework."""
    add: Callable[[Flask], None] = request.param
    return add


@pytest.fixture
def make_framework_app(customers: Customers, add_views: Callable[[Flask], None]) -> MakeApp:
    """Make the shop with the framework's views."""

    def make(*, testing: bool = True) -> Flask:
        app = (APIFlask if add_views is apiflask else Flask)("shop")
        app.config.update(SECRET_KEY=SECRET, OTP_AUTH_STORAGE_URI="memory://")
        app.config["OTP_AUTH_DELIVERY"] = "inline"
        app.testing = testing
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.init_app(app)
        add_views(app)
        return app

    return make


@pytest.mark.parametrize("testing", [True, False])
def test_a_missing_token_is_401_with_our_body_and_header(
    make_framework_app: MakeApp, testing: bool
) -> None:
    answer = make_framework_app(testing=testing).test_client().get("/me")
    assert answer.status_code == 401
    assert answer.get_json() == {"type": "unauthorized", "message": "Unauthorized"}
    assert answer.headers.getlist("WWW-Authenticate") == ["Bearer"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_bad_token_is_401(make_framework_app: MakeApp) -> None:
    answer = make_framework_app().test_client().get("/me", headers=bearer("a.b.c"))
    assert (answer.status_code, answer.get_json()["type"]) == (401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_a_second_registration_is_409(make_framework_app: MakeApp, customers: Customers) -> None:
    app = make_framework_app()
    token = register(app)
    client = app.test_client()
    assert client.get("/join", headers=bearer(token)).status_code == 200
    customers.add("bob@example.com")
    answer = client.get("/join", headers=bearer(token))
    assert (answer.status_code, answer.get_json()["type"]) == (409, "duplicate_error")


def test_a_valid_token_is_200(make_framework_app: MakeApp) -> None:
    app = make_framework_app()
    answer = app.test_client().get("/me", headers=bearer(sign_in(app)))
    assert answer.status_code == 200
    assert answer.get_json() in ({"email": ADA}, {})  # APIFlask's schema here has no fields


@pytest.mark.parametrize("testing", [True, False])
def test_an_action_asks_for_its_code_and_runs_with_it(
    make_framework_app: MakeApp, testing: bool
) -> None:
    app = make_framework_app(testing=testing)
    client, headers = app.test_client(), bearer(sign_in(app))
    with Outbox(app) as outbox:
        answer = client.post("/transfer", headers=headers)
    assert (answer.status_code, answer.get_json()["type"]) == (401, "otp_required")
    assert answer.get_json()["challenge"]
    error = ['Bearer error="insufficient_user_authentication"']
    assert answer.headers.getlist("WWW-Authenticate") == error
    refused = client.post("/transfer", headers={**headers, "OTP": wrong(outbox.last.otp)})
    assert (refused.status_code, refused.get_json()["type"]) == (400, "invalid_otp")
    paid = client.post("/transfer", headers={**headers, "OTP": outbox.last.otp})
    assert paid.get_json() == {"paid": ADA}


def test_the_apps_own_handler_wins(make_framework_app: MakeApp) -> None:
    app = make_framework_app()

    @app.errorhandler(RequestError)
    def handle(error: RequestError) -> ResponseReturnValue:
        return {"errors": [error.type]}, error.status, error.extra_headers

    answer = app.test_client().get("/me")
    assert answer.status_code == 401
    assert answer.get_json() == {"errors": ["unauthorized"]}
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def handle_error(api: Any, error: HTTPException) -> ResponseReturnValue:
    """Answer every error, as many an app overrides Flask-RESTful's own method."""
    return jsonify(message=error.description), error.code


def flask_view(app: Flask) -> None:
    @app.get("/me")
    def me() -> ResponseReturnValue:
        try:
            return token_required("customer")(dict)()
        except HTTPException as error:
            return handle_error(None, error)


def own_api(framework: Any) -> Callable[[Flask], None]:
    class Api(framework.Api):
        handle_error = handle_error

    class Me(framework.Resource):
        @token_required("customer")
        def get(self) -> dict[str, str]:
            return {}

    return lambda app: Api(app).add_resource(Me, "/me")


@pytest.mark.parametrize(
    "add_view",
    [flask_view, own_api(flask_restful), own_api(flask_restx)],
    ids=["except", "restful", "restx"],
)
@pytest.mark.parametrize("is_handled", [False, True])
def test_who_answers_errors_himself_finds_the_code(
    make_app: MakeApp, add_view: Callable[[Flask], None], is_handled: bool
) -> None:
    """Without it Flask would answer 200, whatever handles the errors of the app's other views."""
    app = make_app(TESTING=False, OTP_AUTH_STORAGE_URI="memory://")
    if is_handled:
        app.register_error_handler(HTTPException, lambda error: ({}, error.code))
    add_view(app)
    answer = app.test_client().get("/me")
    assert (answer.status_code, answer.get_json()) == (401, {"message": "Unauthorized"})


@pytest.mark.parametrize("refused", [Refused("Not now."), Late(minutes=5)], ids=["ours", "own"])
def test_an_error_that_the_app_keeps_is_not_changed(make_app: MakeApp, refused: Refused) -> None:
    """It is raised for others as well, who must get nothing of this answer."""
    otp_auth = OTPAuth()
    customers = Customers()
    customers.add(ADA)
    otp_auth.add_actor_type("customer", customers)

    @otp_auth.before_code
    def gate(asked: object) -> None:
        raise refused

    app = make_app(otp_auth, TESTING=False, OTP_AUTH_STORAGE_URI="memory://")
    app.register_error_handler(HTTPException, lambda error: ({}, error.code))

    @app.post("/transfer")
    @token_required()
    @otp_required("transfer", to=lambda actor: actor.email)
    def transfer() -> ResponseReturnValue:
        return {}

    before = dict(vars(refused))
    with app.app_context():
        token = otp_auth.sign_in("customer", customers.find_by_identifier(ADA))
    for _ in range(2):
        answer = app.test_client().post("/transfer", headers=bearer(token))
        assert (answer.status_code, answer.get_json()["type"]) == (403, "refused")
    assert type(refused) in (Refused, Late)
    assert vars(refused) == before
