"""Guards: who may call the app's own views, and what the views learn of them."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from conftest import ADA, BOB, Api, Customers, Watched, bearer
from flask import Flask
from flask.testing import FlaskClient

import flask_otp_auth
from flask_otp_auth import (
    OTPAuth,
    current_actor,
    current_claims,
    current_registration,
    registration_required,
    token_required,
)
from flask_otp_auth.testing import Outbox


@pytest.fixture
def app(make_app: Callable[..., Flask], customers: Customers) -> Flask:
    """A shop with staff, and with views that are guarded in each way."""
    staff = Customers()
    staff.add("grace@example.com")
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("user", staff)
    app = make_app(otp_auth)

    @app.get("/any")
    @token_required()
    def anybody() -> dict[str, Any]:
        return {"email": current_actor.email, "type": current_claims["aud"]}

    @app.get("/customer")
    @token_required("customer")
    def customer() -> dict[str, Any]:
        return {"id": current_actor.id}

    @app.get("/both")
    @token_required("customer", "user")
    def either() -> dict[str, Any]:
        return {"id": current_actor.id}

    @app.get("/fresh")
    @token_required("customer", max_age=30)
    def fresh() -> str:
        return "fresh"

    @app.get("/registration")
    @registration_required("customer")
    def registration() -> dict[str, Any]:
        return vars(current_registration)

    @app.get("/any-registration")
    @registration_required()
    def any_registration() -> dict[str, Any]:
        return {"type": current_registration.actor_type}

    @app.get("/<int:number>/<name>")
    @token_required()
    def arguments(number: int, name: str) -> dict[str, Any]:
        """Return the arguments of the view."""
        return {"number": number, "name": name}

    return app


@pytest.fixture
def customer(api: Api, outbox: Outbox) -> dict[str, str]:
    """The headers of a customer."""
    api.generate(ADA)
    return bearer(api.verify(outbox.last.otp, ADA).get_json()["token"])


@pytest.fixture
def user(client: FlaskClient, outbox: Outbox) -> dict[str, str]:
    """The headers of one of the staff."""
    api = Api(client, actor_type="user")
    api.generate("grace@example.com")
    return bearer(api.verify(outbox.last.otp, "grace@example.com").get_json()["token"])


@pytest.fixture
def newcomer(api: Api, outbox: Outbox) -> dict[str, str]:
    """The headers of somebody who registers as a customer."""
    api.pre_register(BOB)
    return bearer(api.register(outbox.last.otp, BOB).get_json()["token"])


REFUSED = {"type": "unauthorized", "message": "Unauthorized"}


class TestTokenRequired:
    """Only an authentication token lets in."""

    def test_lets_an_actor_in(self, client: FlaskClient, customer: dict[str, str]) -> None:
        assert client.get("/customer", headers=customer).get_json() == {"id": 1}

    def test_tells_who_it_is(self, client: FlaskClient, user: dict[str, str]) -> None:
        assert client.get("/any", headers=user).get_json() == {
            "email": "grace@example.com",
            "type": "user",
        }

    def test_hands_on_the_arguments_of_the_view(
        self, client: FlaskClient, customer: dict[str, str]
    ) -> None:
        answer = client.get("/7/seven", headers=customer)
        assert answer.get_json() == {"number": 7, "name": "seven"}

    def test_keeps_the_name_and_the_docstring_of_the_view(self, app: Flask) -> None:
        view = app.view_functions["arguments"]
        assert view.__name__ == "arguments"
        assert inspect.getdoc(view) == "Return the arguments of the view."

    def test_takes_the_actor_types_that_it_names(
        self, client: FlaskClient, customer: dict[str, str], user: dict[str, str]
    ) -> None:
        assert client.get("/both", headers=customer).status_code == 200
        assert client.get("/both", headers=user).status_code == 200
        assert client.get("/any", headers=customer).status_code == 200
        assert client.get("/any", headers=user).status_code == 200

    def test_refuses_other_actor_types(self, client: FlaskClient, user: dict[str, str]) -> None:
        answer = client.get("/customer", headers=user)
        assert answer.status_code == 401
        assert answer.get_json() == REFUSED
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'

    @pytest.mark.parametrize("path", ["/any", "/customer", "/both", "/fresh"])
    def test_refuses_a_registration_token(
        self,
        client: FlaskClient,
        customers: Customers,
        newcomer: dict[str, str],
        path: str,
    ) -> None:
        # Even if the app takes identifiers for ids, so that both kinds name the same actor.
        vars(customers.add(BOB))["id"] = BOB
        assert client.get(path, headers=newcomer).status_code == 401

    @pytest.mark.parametrize("path", ["/any", "/customer", "/both", "/fresh", "/registration"])
    def test_refuses_who_has_no_token(self, client: FlaskClient, path: str) -> None:
        answer = client.get(path)
        assert answer.status_code == 401
        assert answer.get_json() == REFUSED
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.headers["Cache-Control"] == "no-store"

    def test_refuses_an_expired_token(
        self, clock: time_machine.Traveller, client: FlaskClient, customer: dict[str, str]
    ) -> None:
        clock.shift(3610)
        assert client.get("/any", headers=customer).status_code == 401

    def test_refuses_a_revoked_token(self, client: FlaskClient, customer: dict[str, str]) -> None:
        client.post("/auth/token/revoke", headers=customer)
        assert client.get("/any", headers=customer).status_code == 401

    def test_refuses_an_actor_that_has_left(
        self, client: FlaskClient, customers: Customers, customer: dict[str, str]
    ) -> None:
        customers.accounts[0].is_active = False
        assert client.get("/any", headers=customer).status_code == 401
        customers.accounts.clear()
        assert client.get("/any", headers=customer).status_code == 401

    def test_does_not_run_the_view_for_who_is_refused(self, app: Flask) -> None:
        calls: list[str] = []

        @app.get("/calls")
        @token_required()
        def view() -> str:
            calls.append("called")
            return "called"

        assert app.test_client().get("/calls").status_code == 401
        assert calls == []

    def test_answers_503_while_the_store_is_out_of_reach(
        self, make_watched: Callable[..., Watched]
    ) -> None:
        shop = make_watched()

        @shop.app.get("/me")
        @token_required()
        def me() -> str:
            return "me"

        api = Api(shop.app.test_client())
        with Outbox(shop.app) as outbox:
            api.generate(ADA)
        headers = bearer(api.verify(outbox.last.otp).get_json()["token"])
        shop.store.reachable = False
        assert api.client.get("/me", headers=headers).status_code == 503
        shop.store.reachable = True
        assert api.client.get("/me", headers=headers).status_code == 200


class TestMaxAge:
    """``max_age`` asks for a sign-in that is not older (RFC 9470)."""

    def test_lets_a_fresh_sign_in_through(
        self, clock: time_machine.Traveller, client: FlaskClient, customer: dict[str, str]
    ) -> None:
        clock.shift(29)
        assert client.get("/fresh", headers=customer).text == "fresh"

    def test_asks_for_a_new_one_after_that(
        self, clock: time_machine.Traveller, client: FlaskClient, customer: dict[str, str]
    ) -> None:
        clock.shift(31)
        answer = client.get("/fresh", headers=customer)
        assert answer.status_code == 401
        assert answer.get_json() == REFUSED
        assert answer.headers["WWW-Authenticate"] == (
            'Bearer error="insufficient_user_authentication", '
            'error_description="More recent authentication is required", max_age="30"'
        )
        assert client.get("/any", headers=customer).status_code == 200

    def test_is_not_met_by_a_refresh(
        self,
        clock: time_machine.Traveller,
        client: FlaskClient,
        customer: dict[str, str],
    ) -> None:
        clock.shift(31)
        answer = client.post("/auth/token/refresh", headers=customer)
        fresh = bearer(answer.get_json()["token"])
        assert client.get("/fresh", headers=fresh).status_code == 401

    def test_is_met_by_a_new_sign_in(
        self,
        clock: time_machine.Traveller,
        api: Api,
        outbox: Outbox,
        customer: dict[str, str],
    ) -> None:
        clock.shift(60)
        assert api.client.get("/fresh", headers=customer).status_code == 401
        api.generate(ADA)
        fresh = bearer(api.verify(outbox.last.otp, ADA).get_json()["token"])
        assert api.client.get("/fresh", headers=fresh).status_code == 200


class TestRegistrationRequired:
    """Only a registration token lets in."""

    def test_tells_who_registers(self, client: FlaskClient, newcomer: dict[str, str]) -> None:
        assert client.get("/registration", headers=newcomer).get_json() == {
            "actor_type": "customer",
            "identifier": BOB,
        }

    def test_takes_any_actor_type_if_it_names_none(
        self, client: FlaskClient, newcomer: dict[str, str]
    ) -> None:
        answer = client.get("/any-registration", headers=newcomer)
        assert answer.get_json() == {"type": "customer"}

    def test_refuses_other_actor_types(self, client: FlaskClient, outbox: Outbox) -> None:
        api = Api(client, actor_type="user")
        api.pre_register(BOB)
        headers = bearer(api.register(outbox.last.otp, BOB).get_json()["token"])
        assert client.get("/registration", headers=headers).status_code == 401
        assert client.get("/any-registration", headers=headers).get_json() == {"type": "user"}

    def test_refuses_an_authentication_token(
        self, client: FlaskClient, customer: dict[str, str]
    ) -> None:
        assert client.get("/registration", headers=customer).status_code == 401
        assert client.get("/any-registration", headers=customer).status_code == 401

    def test_refuses_an_expired_token(
        self, clock: time_machine.Traveller, client: FlaskClient, newcomer: dict[str, str]
    ) -> None:
        clock.shift(609)
        assert client.get("/registration", headers=newcomer).status_code == 200
        clock.shift(1)
        assert client.get("/registration", headers=newcomer).status_code == 401


class TestMistakes:
    """What an app may get wrong."""

    @pytest.mark.parametrize("guard", [token_required, registration_required])
    def test_a_guard_without_parentheses_is_a_type_error(self, guard: Callable[..., Any]) -> None:
        def view() -> str:
            return "unguarded"

        with pytest.raises(TypeError, match=r"@token_required\(\)|called with names"):
            guard(view)

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

    def test_an_actor_type_that_does_not_exist_lets_nobody_in(
        self, app: Flask, outbox: Outbox
    ) -> None:
        @app.get("/robots")
        @token_required("robot")
        def robots() -> str:
            return "robots"

        api = Api(app.test_client())
        api.generate(ADA)
        headers = bearer(api.verify(outbox.last.otp).get_json()["token"])
        assert api.client.get("/robots", headers=headers).status_code == 401


class TestAsyncViews:
    """A guard may stand over an ``async def``; Flask runs it with asgiref."""

    @pytest.fixture
    def headers(self, app: Flask, outbox: Outbox) -> dict[str, str]:
        """Ada's headers, in an app with a guarded async view."""
        pytest.importorskip("asgiref")

        @app.get("/async")
        @token_required("customer")
        async def view() -> dict[str, Any]:
            return {"email": current_actor.email}

        api = Api(app.test_client())
        api.generate(ADA)
        return bearer(api.verify(outbox.last.otp).get_json()["token"])

    def test_are_run(self, client: FlaskClient, headers: dict[str, str]) -> None:
        assert client.get("/async", headers=headers).get_json() == {"email": ADA}

    def test_are_guarded(self, client: FlaskClient, headers: dict[str, str]) -> None:
        assert client.get("/async").status_code == 401


def test_an_actor_of_one_request_is_not_there_in_the_next(app: Flask, outbox: Outbox) -> None:
    @app.get("/open")
    def unguarded() -> dict[str, bool]:
        return {"somebody": bool(current_actor)}

    api = Api(app.test_client())
    api.generate(ADA)
    headers = bearer(api.verify(outbox.last.otp).get_json()["token"])
    assert api.client.get("/any", headers=headers).status_code == 200
    assert api.client.get("/open", headers=headers).get_json() == {"somebody": False}
