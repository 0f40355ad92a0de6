"""Sessions: a token's facts in Flask's session, as long as the token's sign-in counts."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from cachelib import SimpleCache
from conftest import ADA, START, Api, Customers, Ear, Watched, bearer
from flask import Flask, session
from flask.testing import FlaskClient
from flask_session.cachelib import CacheLibSessionInterface
from forging import parts, register, sign_in
from werkzeug.test import TestResponse

from flask_otp_auth import OTPAuth, Unauthorized, current_actor, current_claims, token_required
from flask_otp_auth.guards import identify_request

DAY = 86_400
URL = "/auth/session"
REFUSED = {"type": "unauthorized", "message": "Unauthorized"}


def with_pages(app: Flask) -> Flask:
    """Give an app pages behind guards that take a session, and one that plants one."""

    def me() -> dict[str, Any]:
        return {"id": current_actor.id, "claims": dict(current_claims)}

    def plant() -> str:
        session["planted"] = "by somebody else"
        return "planted"

    def permanent() -> str:
        session.permanent = True
        return "permanent"

    for rule, guard in (
        ("/me", token_required("customer", session=True)),
        ("/any", token_required(session=True)),
        ("/user", token_required("user", session=True)),
        ("/fresh", token_required("customer", session=True, max_age=30)),
        ("/bearer-only", token_required("customer")),
    ):
        app.add_url_rule(rule, rule, guard(me))
    app.add_url_rule("/plant", "plant", plant)
    app.add_url_rule("/permanent", "permanent", permanent)
    app.add_url_rule("/session", "session", lambda: dict(session))
    return app


@pytest.fixture
def app(make_app: Callable[..., Flask], customers: Customers) -> Flask:
    """The shop with pages; its users are another actor type with the same ids."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("user", customers)
    return with_pages(make_app(otp_auth))


@pytest.fixture
def token(app: Flask) -> str:
    """Ada's token."""
    return sign_in(app)


def begin(client: FlaskClient, token: str) -> TestResponse:
    """Begin a session with a token."""
    return client.post(URL, headers=bearer(token))


def status(client: FlaskClient, path: str = "/me", **arguments: Any) -> int:
    """Return the status of a page."""
    return client.get(path, **arguments).status_code


def cookie(client: FlaskClient) -> str:
    """Return the value of the session's cookie."""
    found = client.get_cookie("session")
    assert found is not None
    return found.value


def browser_with(app: Flask, value: str) -> FlaskClient:
    """Return a browser that holds a copy of a session's cookie."""
    client = app.test_client()
    client.set_cookie("session", value)
    return client


class TestBeginning:
    """``POST /auth/session`` turns a token into a session."""

    def test_tells_whose_it_is(self, client: FlaskClient, token: str) -> None:
        answer = begin(client, token)
        assert answer.status_code == 200
        assert answer.get_json() == {"user": {"actor_type": "customer", "actor_id": "1"}}
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Cookie" in answer.vary

    def test_lets_in_without_the_token_from_then_on(self, client: FlaskClient, token: str) -> None:
        assert status(client) == 401
        begin(client, token)
        assert client.get("/me").get_json()["id"] == 1

    def test_needs_a_token_and_no_session(self, client: FlaskClient, token: str) -> None:
        begin(client, token)
        answer = client.post(URL)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")

    def test_needs_a_good_token(self, app: Flask, client: FlaskClient, token: str) -> None:
        for bad in ("nonsense", register(app), f"{token}="):
            answer = begin(client, bad)
            assert answer.status_code == 401
            assert answer.get_json() == REFUSED
        Api(client).revoke(token)
        assert begin(client, token).status_code == 401
        assert client.get_cookie("session") is None

    def test_takes_what_the_javascript_client_sends(self, client: FlaskClient, token: str) -> None:
        headers = {**bearer(token), "Content-Type": "application/json"}
        assert client.post(URL, headers=headers).status_code == 200
        headers = {"Content-Type": "application/json"}
        assert client.delete(URL, headers=headers).status_code == 200

    def test_holds_the_facts_of_the_token(
        self, clock: time_machine.Traveller, client: FlaskClient, token: str
    ) -> None:
        begin(client, token)
        facts = client.get("/session").get_json()
        end = int(START.timestamp()) + 30 * DAY
        assert facts == {"otp_auth": {**parts(token)[1], "exp": end}}
        assert client.get("/me").get_json()["claims"] == facts["otp_auth"]

    def test_leaves_the_apps_own_claims_in_the_token(
        self, make_app: Callable[..., Flask], customers: Customers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.claims_loader(lambda actor_type, actor: {"note": "x" * 5000})
        client = with_pages(make_app(otp_auth)).test_client()
        begin(client, sign_in(client.application))
        assert "note" not in client.get("/me").get_json()["claims"]

    def test_with_a_refreshed_token_counts_from_the_sign_in(
        self, clock: time_machine.Traveller, client: FlaskClient, token: str
    ) -> None:
        clock.shift(3000)
        fresh = Api(client).refresh(token).get_json()["token"]
        begin(client, fresh)
        facts = client.get("/session").get_json()["otp_auth"]
        assert facts["exp"] == int(START.timestamp()) + 30 * DAY
        assert facts["jti"] == parts(fresh)[1]["jti"]


class TestFixation:
    """A session that somebody else has planted is worth nothing after the sign-in."""

    def test_nothing_of_the_earlier_session_stays(self, client: FlaskClient, token: str) -> None:
        client.get("/plant")
        planted = cookie(client)
        begin(client, token)
        assert set(client.get("/session").get_json()) == {"otp_auth"}
        assert status(browser_with(client.application, planted)) == 401

    def test_another_actor_takes_nothing_over(
        self, app: Flask, client: FlaskClient, customers: Customers, token: str
    ) -> None:
        customers.add("bob@example.com")
        begin(client, token)
        client.get("/plant")
        begin(client, sign_in(app, "bob@example.com"))
        assert set(client.get("/session").get_json()) == {"otp_auth"}
        assert client.get("/me").get_json()["id"] == 2

    def test_a_session_on_the_server_gets_a_new_id(self, app: Flask, token: str) -> None:
        app.session_interface = CacheLibSessionInterface(app, client=SimpleCache())
        client = app.test_client()
        client.get("/plant")
        planted = cookie(client)
        begin(client, token)
        assert cookie(client) != planted
        assert status(client) == 200
        thief = browser_with(app, planted)
        assert status(thief) == 401
        assert thief.get("/session").get_json() == {"_permanent": True}

    def test_how_long_the_cookie_is_kept_is_the_apps_business(
        self, client: FlaskClient, token: str
    ) -> None:
        begin(client, token)
        found = client.get_cookie("session")
        assert found is not None
        assert found.expires is None
        client.get("/permanent")
        begin(client, token)
        found = client.get_cookie("session")
        assert found is not None
        assert found.expires is not None


class TestGuards:
    """``session=True`` lets a session in where no token comes."""

    def test_others_take_tokens_only(self, client: FlaskClient, token: str) -> None:
        begin(client, token)
        assert status(client, "/bearer-only") == 401
        assert status(client, "/bearer-only", headers=bearer(token)) == 200

    def test_need_one_of_both(self, client: FlaskClient) -> None:
        answer = client.get("/me")
        assert answer.status_code == 401
        assert answer.get_json() == REFUSED
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    def test_take_a_token_before_a_session(
        self, app: Flask, client: FlaskClient, customers: Customers, token: str
    ) -> None:
        customers.add("bob@example.com")
        begin(client, sign_in(app, "bob@example.com"))
        assert client.get("/me").get_json()["id"] == 2
        assert client.get("/me", headers=bearer(token)).get_json()["id"] == 1

    @pytest.mark.parametrize("value", ["Bearer nonsense", "Bearer", "bearer  ", "BEARER a.b.c"])
    def test_let_no_session_make_up_for_a_token_that_is_refused(
        self, client: FlaskClient, token: str, value: str
    ) -> None:
        begin(client, token)
        assert status(client, headers={"Authorization": value}) == 401

    @pytest.mark.parametrize("value", ["Basic YTpi", "Digest x", ""])
    def test_take_a_session_beside_another_scheme(
        self, client: FlaskClient, token: str, value: str
    ) -> None:
        begin(client, token)
        assert status(client, headers={"Authorization": value}) == 200

    def test_tell_actor_types_apart(self, app: Flask, client: FlaskClient, token: str) -> None:
        begin(client, token)
        assert status(client, "/any") == 200
        assert status(client, "/user") == 401
        begin(client, sign_in(app, actor_type="user"))
        assert status(client, "/user") == 200
        assert status(client, "/me") == 401

    def test_ask_for_a_fresh_sign_in(
        self, clock: time_machine.Traveller, client: FlaskClient, token: str
    ) -> None:
        begin(client, token)
        clock.shift(29)
        assert status(client, "/fresh") == 200
        clock.shift(2)
        answer = client.get("/fresh")
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == (
            'Bearer error="insufficient_user_authentication", '
            'error_description="More recent authentication is required", max_age="30"'
        )
        assert status(client) == 200

    def test_do_not_serve_an_actor_that_is_gone(
        self, client: FlaskClient, customers: Customers, token: str
    ) -> None:
        begin(client, token)
        customers.accounts[0].is_active = False
        assert status(client) == 401
        customers.accounts[0].is_active = True
        assert status(client) == 200
        customers.accounts.clear()
        assert status(client) == 401

    def test_ask_the_store_once(self, make_watched: Callable[..., Watched]) -> None:
        shop = make_watched()
        client = with_pages(shop.app).test_client()
        token = sign_in(shop.app)
        begin(client, token)
        for headers in ({}, bearer(token)):
            shop.forget()
            assert status(client, headers=headers) == 200
            assert shop.store.calls == ["peek"]

    def test_let_nobody_in_while_the_store_is_out_of_reach(
        self, make_watched: Callable[..., Watched]
    ) -> None:
        shop = make_watched()
        client = with_pages(shop.app).test_client()
        token = sign_in(shop.app)
        begin(client, token)
        shop.store.reachable = False
        assert client.get("/me").get_json()["type"] == "unavailable"
        assert begin(client, token).status_code == 503
        assert client.delete(URL).status_code == 503
        shop.store.reachable = True
        assert status(client) == 200

    @pytest.mark.parametrize("max_age", ["30", 30.0, True, -1, timedelta(seconds=30)])
    def test_say_at_import_what_max_age_is(self, max_age: Any) -> None:
        with pytest.raises(TypeError, match="max_age is a whole number of seconds, 0 or more"):
            token_required("customer", max_age=max_age)

    def test_are_a_function_too_for_a_request_loader(
        self, app: Flask, client: FlaskClient, token: str
    ) -> None:
        begin(client, token)
        with app.test_request_context(headers=bearer(token)):
            assert identify_request().email == ADA
            assert current_actor.email == ADA
        with app.test_request_context(headers={"Cookie": f"session={cookie(client)}"}):
            assert identify_request(("customer",), session=True).email == ADA
            with pytest.raises(Unauthorized):
                identify_request(session=False)


class TestEnd:
    """A session ends with the sign-out, with its token, and with ``SESSION_TTL``."""

    def test_the_sign_out_leaves_nothing(self, client: FlaskClient, token: str) -> None:
        begin(client, token)
        client.get("/plant")
        answer = client.delete(URL)
        assert (answer.status_code, answer.get_json()) == (200, {"success": True})
        assert answer.headers["Cache-Control"] == "no-store"
        assert client.get_cookie("session") is None
        assert status(client) == 401

    def test_the_sign_out_is_well_done_without_a_session_too(
        self, client: FlaskClient, ear: Ear
    ) -> None:
        for _ in range(2):
            answer = client.delete(URL)
            assert (answer.status_code, answer.get_json()) == (200, {"success": True})
        assert ear.heard == []

    def test_a_copy_of_the_cookie_is_worthless_until_the_session_would_have_ended(
        self, clock: time_machine.Traveller, app: Flask, client: FlaskClient, token: str
    ) -> None:
        begin(client, token)
        thief = browser_with(app, cookie(client))
        assert status(thief) == 200
        client.delete(URL)
        assert status(thief) == 401
        clock.shift(30 * DAY - 2)
        assert status(thief) == 401

    def test_the_sign_out_revokes_the_token_too(
        self, client: FlaskClient, token: str, ear: Ear
    ) -> None:
        begin(client, token)
        kept = cookie(client)
        client.delete(URL)
        assert status(client, headers=bearer(token)) == 401
        browser_with(client.application, kept).delete(URL)
        assert ear.of("token_revoked") == [{"actor_type": "customer", "actor_id": "1"}]

    def test_a_revoked_token_ends_its_session_for_as_long_as_that_would_last(
        self, clock: time_machine.Traveller, client: FlaskClient, token: str
    ) -> None:
        begin(client, token)
        Api(client).revoke(token)
        assert status(client) == 401
        clock.shift(30 * DAY - 2)
        assert status(client) == 401

    def test_one_session_of_several_ends(self, app: Flask, client: FlaskClient, token: str) -> None:
        other = app.test_client()
        begin(client, token)
        begin(other, Api(client).refresh(token).get_json()["token"])
        client.delete(URL)
        assert (status(client), status(other)) == (401, 200)

    def test_it_ends_with_session_ttl(
        self, clock: time_machine.Traveller, client: FlaskClient, token: str
    ) -> None:
        begin(client, token)
        clock.move_to(int(START.timestamp()) + 30 * DAY - 0.5)
        assert status(client) == 200
        clock.shift(0.5)
        assert status(client) == 401
        assert client.delete(URL).status_code == 200

    def test_it_ends_earlier_if_the_app_shortens_session_ttl(
        self, clock: time_machine.Traveller, make_app: Callable[..., Flask], customers: Customers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        long, short = (
            with_pages(make_app(otp_auth, OTP_AUTH_SESSION_TTL=days * DAY)) for days in (30, 1)
        )
        client = long.test_client()
        begin(client, sign_in(long))
        clock.shift(DAY)
        assert status(client) == 200
        assert status(browser_with(short, cookie(client))) == 401

    def test_it_does_not_last_longer_if_the_app_lengthens_session_ttl(
        self, clock: time_machine.Traveller, make_app: Callable[..., Flask], customers: Customers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        long, short = (
            with_pages(make_app(otp_auth, OTP_AUTH_SESSION_TTL=days * DAY)) for days in (30, 1)
        )
        client = short.test_client()
        begin(client, sign_in(short))
        assert status(browser_with(long, cookie(client))) == 200
        clock.shift(DAY)
        assert status(browser_with(long, cookie(client))) == 401

    def test_a_change_of_the_secret_key_carries_it_over(
        self, make_app: Callable[..., Flask], client: FlaskClient, token: str
    ) -> None:
        begin(client, token)
        old = client.application.secret_key
        new = "the-key-that-comes-after-the-one-before"
        for fallbacks, expected in (([old], 200), ([], 401)):
            app = with_pages(make_app(SECRET_KEY=new, SECRET_KEY_FALLBACKS=fallbacks))
            assert status(browser_with(app, cookie(client))) == expected


WRONG = {
    "another issuer": {"iss": "another shop"},
    "no issuer": {"iss": None},
    "another type": {"aud": "user"},
    "an unknown type": {"aud": "nobody"},
    "several types": {"aud": ["customer", "user"]},
    "another actor": {"sub": "404"},
    "a number of an actor": {"sub": 1},
    "no id": {"jti": None},
    "an end that is none": {"exp": "never"},
    "an end that is true": {"exp": True},
    "a sign-in that is no time": {"auth_time": float("nan")},
    "a beginning that is no time": {"iat": None},
    "an end long ago": {"exp": 1},
}


class TestConfusion:
    """What a session says is checked as a token's claims are."""

    @pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
    def test_facts_that_are_not_ours_let_nobody_in(
        self, client: FlaskClient, token: str, wrong: dict[str, Any]
    ) -> None:
        begin(client, token)
        assert status(client) == 200
        with client.session_transaction() as changed:
            changed["otp_auth"] = {**changed["otp_auth"], **wrong}
        answer = client.get("/me")
        assert (answer.status_code, answer.get_json()) == (401, REFUSED)
        assert client.delete(URL).status_code == 200

    @pytest.mark.parametrize("value", [None, "facts", 7, True, [], {}, ["iss"]])
    def test_what_are_no_facts_let_nobody_in(self, client: FlaskClient, value: object) -> None:
        with client.session_transaction() as changed:
            changed["otp_auth"] = value
        assert status(client) == 401
        assert client.delete(URL).status_code == 200

    def test_an_app_with_the_same_key_has_sessions_of_its_own(
        self, make_app: Callable[..., Flask], client: FlaskClient, token: str
    ) -> None:
        begin(client, token)
        other = with_pages(make_app(OTP_AUTH_TOKEN_ISSUER="another shop"))
        assert status(browser_with(other, cookie(client))) == 401

    def test_a_cookie_is_no_token_and_a_token_no_cookie(
        self, app: Flask, client: FlaskClient, token: str
    ) -> None:
        begin(client, token)
        assert status(app.test_client(), headers=bearer(cookie(client))) == 401
        assert status(browser_with(app, token)) == 401

    def test_an_actor_type_that_was_given_up_lets_nobody_in(
        self, make_app: Callable[..., Flask], app: Flask, client: FlaskClient
    ) -> None:
        begin(client, sign_in(app, actor_type="user"))
        other = with_pages(make_app())
        assert status(browser_with(other, cookie(client)), "/any") == 401
        assert browser_with(other, cookie(client)).delete(URL).status_code == 200
