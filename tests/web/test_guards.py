"""Guards: who may call the app's own views, and what the views learn of them."""

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
from fakes import ADA, BOB, Api, Customers, MakeApp, Watched, bearer, register, sign_in
from flask import Flask, Response, copy_current_request_context
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from flask.views import MethodView, View
from time_machine import Traveller
from visitors import begin_session, status
from werkzeug.exceptions import HTTPException

import flask_otp_auth
from flask_otp_auth import (
    NotFound,
    OTPAuth,
    RequestError,
    Unauthorized,
    current_actor,
    current_claims,
    current_registration,
    registration_required,
    token_required,
)

GRACE = "grace@example.com"
REFUSED = {"type": "unauthorized", "message": "Unauthorized"}


@pytest.fixture
def staff() -> Customers:
    """Another actor type's accounts, whose ids are the same."""
    staff = Customers()
    staff.add(GRACE)
    return staff


@pytest.fixture
def otp_auth(customers: Customers, staff: Customers) -> OTPAuth:
    """The extension of a shop with customers and staff."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("user", staff)
    return otp_auth


def me() -> dict[str, Any]:
    return {"email": current_actor.email, "type": current_claims["aud"]}


def guest() -> dict[str, Any]:
    return {"email": current_actor.email if current_actor else None, "claims": len(current_claims)}


def joining() -> dict[str, Any]:
    return {"type": current_registration.actor_type, "identifier": current_registration.identifier}


@pytest.fixture
def app(make_app: MakeApp, otp_auth: OTPAuth, customers: Customers) -> Flask:
    """A shop whose views are guarded in each way."""
    app = make_app(otp_auth)
    for rule, guard, view in (
        ("/any", token_required(), me),
        ("/customer", token_required("customer"), me),
        ("/both", token_required("customer", "user"), me),
        ("/robot", token_required("robot"), me),
        ("/fresh", token_required("customer", max_age=30), me),
        ("/guest", token_required("customer", optional=True), guest),
        ("/guest-session", token_required("customer", session=True, optional=True), guest),
        ("/join", registration_required("customer"), joining),
        ("/any-join", registration_required(), joining),
    ):
        app.add_url_rule(rule, rule, guard(view))
    return app


def answer_to(client: FlaskClient, path: str, token: str) -> Any:
    """Return what a view answers to a token."""
    return client.get(path, headers=bearer(token)).get_json()


class TestTokenRequired:
    """An authentication token, and nothing else."""

    def test_says_who_it_is(self, app: Flask, client: FlaskClient) -> None:
        assert answer_to(client, "/any", sign_in(app)) == {"email": ADA, "type": "customer"}
        user = sign_in(app, GRACE, "user")
        assert answer_to(client, "/any", user) == {"email": GRACE, "type": "user"}

    def test_accepts_the_actor_types_that_it_names(self, app: Flask, client: FlaskClient) -> None:
        customer, user = sign_in(app), sign_in(app, GRACE, "user")
        expected = {"/any": 200, "/both": 200, "/customer": 200, "/robot": 401}
        assert {path: status(client, path, customer) for path in expected} == expected
        assert status(client, "/both", user) == 200
        answer = client.get("/customer", headers=bearer(user))
        assert (answer.status_code, answer.get_json()) == (401, REFUSED)
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'

    @pytest.mark.parametrize("path", ["/any", "/customer", "/fresh", "/join", "/any-join"])
    def test_no_token_is_refused_without_an_error_code(
        self, client: FlaskClient, path: str
    ) -> None:
        """RFC 6750, 3.1: a request that lacks any authentication gets none."""
        answer = client.get(path)
        assert (answer.status_code, answer.get_json()) == (401, REFUSED)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("path", ["/any", "/customer", "/both", "/guest"])
    def test_a_registration_token_is_refused(
        self, app: Flask, client: FlaskClient, customers: Customers, path: str
    ) -> None:
        token = register(app)
        # Even if the app takes identifiers for ids, so that both types of token name one actor.
        vars(customers.add(BOB))["id"] = BOB
        assert status(client, path, token) == 401

    def test_a_token_whose_sign_in_has_ended_is_refused(
        self, app: Flask, client: FlaskClient
    ) -> None:
        token = sign_in(app)
        Api(client).revoke(token)
        assert status(client, "/any", token) == 401

    def test_the_view_does_not_run_for_who_is_refused(self, make_app: MakeApp) -> None:
        calls: list[str] = []
        app = make_app()
        app.add_url_rule("/calls", "calls", token_required()(lambda: calls.append("called") or ""))
        assert status(app.test_client(), "/calls") == 401
        assert calls == []

    def test_an_outage_is_503(self, watched: Watched) -> None:
        watched.app.add_url_rule("/me", "me", token_required()(me))
        token = sign_in(watched.app)
        client = watched.app.test_client()
        watched.store.reachable = False
        assert status(client, token=token) == 503
        watched.store.reachable = True
        assert status(client, token=token) == 200


class TestMaxAge:
    """``max_age`` asks for a sign-in that is not older (RFC 9470)."""

    def test_an_older_one_is_asked_to_sign_in_again(
        self, clock: Traveller, app: Flask, client: FlaskClient
    ) -> None:
        token = sign_in(app)
        clock.shift(29)
        assert status(client, "/fresh", token) == 200
        clock.shift(2)
        fresh = Api(client).refresh(token).get_json()["token"]
        for one in (token, fresh):
            answer = client.get("/fresh", headers=bearer(one))
            assert (answer.status_code, answer.get_json()) == (401, REFUSED)
            assert answer.headers["WWW-Authenticate"] == (
                'Bearer error="insufficient_user_authentication", '
                'error_description="More recent authentication is required", max_age="30"'
            )
            assert status(client, "/any", one) == 200
        clock.shift(30)
        assert status(client, "/fresh", sign_in(app)) == 200


class TestOptional:
    """``optional=True``: a page for members and guests."""

    def test_a_guest_is_let_through_and_falsy(self, client: FlaskClient) -> None:
        for headers in ({}, {"Authorization": "Basic YTpi"}):
            answer = client.get("/guest", headers=headers)
            assert (answer.status_code, answer.get_json()) == (200, {"email": None, "claims": 0})

    def test_a_member_is_known(self, app: Flask, client: FlaskClient) -> None:
        assert answer_to(client, "/guest", sign_in(app))["email"] == ADA

    @pytest.mark.parametrize("path", ["/guest", "/guest-session"])
    @pytest.mark.parametrize("value", ["Bearer nonsense", "Bearer"])
    def test_a_bad_token_is_refused(self, client: FlaskClient, path: str, value: str) -> None:
        assert client.get(path, headers={"Authorization": value}).status_code == 401

    def test_a_session_that_has_ended_makes_a_guest(
        self, app: Flask, client: FlaskClient, otp_auth: OTPAuth
    ) -> None:
        begin_session(client, sign_in(app))
        assert client.get("/guest-session").get_json()["email"] == ADA
        with app.app_context():
            otp_auth.revoke_all("customer", 1)
        assert client.get("/guest-session").get_json()["email"] is None


class TestRegistrationRequired:
    """A registration token, and nothing else, until there is an actor."""

    def test_says_who_registers(self, app: Flask, client: FlaskClient) -> None:
        token = register(app)
        expected = {"type": "customer", "identifier": BOB}
        assert [answer_to(client, path, token) for path in ("/join", "/any-join")] == [expected] * 2

    def test_refuses_other_actor_types(self, app: Flask, client: FlaskClient) -> None:
        token = register(app, BOB, "user")
        assert status(client, "/join", token) == 401
        assert answer_to(client, "/any-join", token)["type"] == "user"

    def test_refuses_an_authentication_token(self, app: Flask, client: FlaskClient) -> None:
        assert status(client, "/any-join", sign_in(app)) == 401

    def test_a_form_that_is_sent_twice_makes_one_account(
        self, app: Flask, client: FlaskClient, customers: Customers
    ) -> None:
        token = register(app)
        customers.add(BOB)
        answer = client.get("/join", headers=bearer(token))
        assert answer.status_code == 409
        assert answer.get_json()["type"] == "duplicate_error"

    def test_its_view_can_complete_the_registration(
        self, make_app: MakeApp, otp_auth: OTPAuth, customers: Customers
    ) -> None:
        app = make_app(otp_auth)

        @app.post("/customers")
        @registration_required("customer")
        def create() -> dict[str, str]:
            return {"token": otp_auth.complete(customers.add(current_registration.identifier))}

        app.add_url_rule("/me", "me", token_required()(me))
        token, client = register(app), app.test_client()
        fresh = client.post("/customers", headers=bearer(token)).get_json()["token"]
        assert answer_to(client, "/me", fresh)["email"] == BOB
        assert Api(client).refresh(token).status_code == 401
        assert client.post("/customers", headers=bearer(token)).status_code == 409

    def test_outside_of_its_view_nothing_can_be_completed(
        self, app: Flask, otp_auth: OTPAuth, customers: Customers
    ) -> None:
        with (
            app.test_request_context(),
            pytest.raises(RuntimeError, match="no registration_required guards this view"),
        ):
            otp_auth.complete(customers.accounts[0])


class TestWithoutHttp:
    """``identify``, for WebSockets, GraphQL and such."""

    def test_a_token_is_enough(
        self, app: Flask, otp_auth: OTPAuth, customers: Customers, clock: Traveller
    ) -> None:
        token = sign_in(app)
        with app.app_context():
            assert otp_auth.identify(token) is customers.accounts[0]
            assert otp_auth.identify(token, "customer", max_age=30) is customers.accounts[0]
            clock.shift(31)
            for refused in ({"max_age": 30}, {}):
                types = () if refused else ("user",)
                with pytest.raises(Unauthorized):
                    otp_auth.identify(token, *types, **refused)
            with pytest.raises(TypeError, match="max_age"):
                otp_auth.identify(token, max_age="30")


class TestKindsOfViews:
    """Functions, ``async def``, class-based views."""

    @pytest.fixture
    def app(self, make_app: MakeApp, otp_auth: OTPAuth) -> Flask:
        """A shop with a guarded view of each kind."""
        app = make_app(otp_auth)
        guard = token_required("customer")

        @app.get("/function/<int:number>")
        @guard
        def function(number: int) -> dict[str, Any]:
            """Return the number."""
            return {"email": current_actor.email, "number": number}

        @app.get("/async/<int:number>")
        @guard
        async def asynchronous(number: int) -> dict[str, Any]:
            return {"email": current_actor.email, "number": number}

        class Class(View):
            decorators = (guard,)

            def dispatch_request(self, number: int) -> ResponseReturnValue:
                return {"email": current_actor.email, "number": number}

        class Methods(MethodView):
            @guard
            def get(self, number: int) -> ResponseReturnValue:
                return {"email": current_actor.email, "number": number}

        class AsyncMethods(MethodView):
            decorators = (guard,)

            async def get(self, number: int) -> ResponseReturnValue:
                return {"email": current_actor.email, "number": number}

        for view in (Class, Methods, AsyncMethods):
            name = view.__name__.lower()
            app.add_url_rule(f"/{name}/<int:number>", view_func=view.as_view(name))
        return app

    @pytest.mark.parametrize("kind", ["function", "async", "class", "methods", "asyncmethods"])
    def test_are_guarded_and_get_their_arguments(
        self, app: Flask, client: FlaskClient, kind: str
    ) -> None:
        assert client.get(f"/{kind}/7").get_json() == REFUSED
        assert answer_to(client, f"/{kind}/7", sign_in(app)) == {"email": ADA, "number": 7}

    def test_keep_their_name_and_docstring(self, app: Flask) -> None:
        view = app.view_functions["function"]
        assert (view.__name__, inspect.getdoc(view)) == ("function", "Return the number.")


class TestHandlersOfTheApp:
    """An app may give our errors another shape."""

    def guarded(self, app: Flask) -> FlaskClient:
        app.add_url_rule("/me", "me", token_required()(me))
        return app.test_client()

    @pytest.mark.parametrize("error", [RequestError, Unauthorized])
    def test_its_handler_of_ours_wins(self, app: Flask, error: type[RequestError]) -> None:
        @app.errorhandler(error)
        def handle(error: RequestError) -> ResponseReturnValue:
            return {"errors": [error.type]}, error.status, error.extra_headers

        answer = self.guarded(app).get("/me")
        assert (answer.status_code, answer.get_json()) == (401, {"errors": ["unauthorized"]})
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize("error", [HTTPException, Exception, NotFound, 401])
    def test_one_of_all_errors_or_of_others_leaves_ours_as_they_are(
        self, app: Flask, error: Any
    ) -> None:
        @app.errorhandler(error)
        def handle(error: Exception) -> ResponseReturnValue:
            return Response("<h1>An error page</h1>", 500)

        answer = self.guarded(app).get("/me")
        assert (answer.status_code, answer.get_json()) == (401, REFUSED)

    def test_what_a_decorator_catches_is_still_ours(self, app: Flask) -> None:
        @app.get("/caught")
        def caught() -> str:
            try:
                return str(token_required()(me)())
            except Unauthorized as error:
                return f"{error.status} {error}"

        assert app.test_client().get("/caught").text == "401 Unauthorized"


class TestMistakes:
    """What an app may get wrong."""

    @pytest.mark.parametrize("guard", [token_required, registration_required])
    def test_a_guard_without_parentheses_is_a_type_error(self, guard: Callable[..., Any]) -> None:
        with pytest.raises(TypeError, match=r"called with names of actor types"):
            guard(me)

    @pytest.mark.parametrize("max_age", [-1, 1.5, True, "60"])
    def test_a_max_age_that_is_no_whole_number_is_a_type_error(self, max_age: Any) -> None:
        with pytest.raises(TypeError, match="max_age is a whole number of seconds"):
            token_required(max_age=max_age)

    @pytest.mark.parametrize(
        ("proxy", "guard"),
        [
            ("current_actor", "token_required"),
            ("current_claims", "token_required"),
            ("current_registration", "registration_required"),
        ],
    )
    def test_a_proxy_in_a_view_without_its_guard_is_a_runtime_error(
        self, app: Flask, proxy: str, guard: str
    ) -> None:
        with app.test_request_context(), pytest.raises(RuntimeError, match=f"no {guard} guards"):
            str(getattr(flask_otp_auth, proxy).actor_type)


@pytest.mark.parametrize("is_open", [False, True])
def test_an_actor_of_one_request_is_not_there_in_the_next(make_app: MakeApp, is_open: bool) -> None:
    """Not even in a test that has an app context open, which all its requests share then."""
    app = make_app()
    app.add_url_rule("/me", "me", token_required()(me))
    app.add_url_rule("/open", "open", lambda: {"somebody": bool(current_actor)})
    client, token = app.test_client(), sign_in(app)
    with app.app_context() if is_open else nullcontext():
        assert status(client, token=token) == 200
        assert answer_to(client, "/open", token) == {"somebody": False}


def test_the_actor_is_known_in_a_thread_that_has_the_request(
    make_app: MakeApp,
) -> None:
    app = make_app()

    def view() -> dict[str, Any]:
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(copy_current_request_context(me)).result()

    app.add_url_rule("/me", "me", token_required()(view))
    assert answer_to(app.test_client(), "/me", sign_in(app))["email"] == ADA
