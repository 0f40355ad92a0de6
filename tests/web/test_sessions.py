"""Sessions: a sign-in's claims in Flask's session, for as long as the sign-in lasts."""

from typing import Any

import pytest
from cachelib import SimpleCache
from fakes import (
    ADA,
    BOB,
    SECRET,
    START,
    Api,
    Customers,
    MakeApp,
    SignalRecorder,
    Watched,
    bearer,
    claims_of,
    register,
    sign_in,
)
from flask import Flask, session
from flask.testing import FlaskClient
from flask_session.cachelib import CacheLibSessionInterface
from time_machine import Traveller
from visitors import begin_session, browser_with, cookie_of, status

from flask_otp_auth import OTPAuth, current_actor, current_claims, token_required

DAY = 86_400
URL = "/auth/session"
REFUSED = {"type": "unauthorized", "message": "Unauthorized"}


def with_pages(app: Flask) -> Flask:
    """Give an app pages behind guards that accept a session, and one that plants one."""

    def me() -> dict[str, Any]:
        return {"id": current_actor.id, "claims": dict(current_claims)}

    def plant() -> str:
        session.update(basket=["book"], planted="by somebody else")
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
def otp_auth(customers: Customers) -> OTPAuth:
    """The extension of the shop, whose users have the same ids as its customers."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("user", customers)
    return otp_auth


@pytest.fixture
def app(make_app: MakeApp, otp_auth: OTPAuth) -> Flask:
    """The shop with pages."""
    return with_pages(make_app(otp_auth))


@pytest.fixture
def token(app: Flask) -> str:
    """Ada's token."""
    return sign_in(app)


class TestBeginning:
    """``POST /auth/session`` turns a token into a session."""

    def test_says_whose_it_is(self, client: FlaskClient, token: str) -> None:
        answer = client.post(URL, headers=bearer(token))
        assert answer.status_code == 200
        assert answer.get_json() == {"user": {"actor_type": "customer", "actor_id": "1"}}
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Cookie" in answer.vary

    def test_makes_the_token_unnecessary(self, client: FlaskClient, token: str) -> None:
        assert status(client) == 401
        begin_session(client, token)
        assert client.get("/me").get_json()["id"] == 1

    def test_needs_a_token_and_no_session(self, client: FlaskClient, token: str) -> None:
        begin_session(client, token)
        answer = client.post(URL)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")

    def test_needs_a_valid_token(self, app: Flask, client: FlaskClient, token: str) -> None:
        Api(client).revoke(token)
        for bad in ("nonsense", register(app), token):
            assert begin_session(client, bad) == 401
        assert client.get_cookie("session") is None

    def test_takes_what_the_javascript_client_sends(self, client: FlaskClient, token: str) -> None:
        headers = {**bearer(token), "Content-Type": "application/json"}
        assert client.post(URL, headers=headers).status_code == 200
        headers = {"Content-Type": "application/json"}
        assert client.delete(URL, headers=headers).status_code == 200

    def test_keeps_the_claims_of_the_token_in_the_session(
        self, clock: Traveller, client: FlaskClient, token: str
    ) -> None:
        begin_session(client, token)
        kept = client.get("/session").get_json()
        end = int(START.timestamp()) + 30 * DAY
        assert kept == {"otp_auth": {**claims_of(token), "exp": end}}
        assert client.get("/me").get_json()["claims"] == kept["otp_auth"]

    def test_without_http(self, app: Flask, otp_auth: OTPAuth) -> None:
        tokens: list[str] = []
        app.add_url_rule("/in", "in", lambda: str(otp_auth.begin_session(tokens[0])))
        app.add_url_rule("/out", "out", lambda: str(otp_auth.end_session()))
        tokens.append(sign_in(app))
        client = app.test_client()
        assert [status(client, path) for path in ("/in", "/me")] == [200, 200]
        assert [status(client, path) for path in ("/out", "/me", "/out")] == [200, 401, 200]


class TestFixation:
    """Nothing of a session that somebody else has planted survives (OWASP ASVS 5.0, 7.2.4)."""

    def test_nothing_of_the_earlier_session_stays(self, client: FlaskClient, token: str) -> None:
        client.get("/plant")
        planted = cookie_of(client)
        begin_session(client, token)
        assert set(client.get("/session").get_json()) == {"otp_auth"}
        assert status(browser_with(client.application, planted)) == 401

    def test_but_what_the_app_names(self, make_app: MakeApp, otp_auth: OTPAuth) -> None:
        app = with_pages(make_app(otp_auth, OTP_AUTH_SESSION_KEEP=["basket", "language"]))
        client = app.test_client()
        client.get("/plant")
        begin_session(client, sign_in(app))
        kept = client.get("/session").get_json()
        assert kept.pop("otp_auth")
        assert kept == {"basket": ["book"]}

    @pytest.mark.parametrize(
        ("actor_type", "email", "stays"),
        [("customer", ADA, True), ("customer", BOB, False), ("user", ADA, False)],
    )
    @pytest.mark.parametrize("has_ended", [False, True])
    def test_which_is_not_handed_on_to_somebody_else(
        self,
        make_app: MakeApp,
        otp_auth: OTPAuth,
        customers: Customers,
        actor_type: str,
        email: str,
        stays: bool,
        has_ended: bool,
    ) -> None:
        """Two people share a browser, and the first one has forgotten to sign out."""
        customers.add(BOB)
        app = with_pages(make_app(otp_auth, OTP_AUTH_SESSION_KEEP=["basket"]))
        client, tokens = app.test_client(), []
        with app.app_context():
            for name, who in (("customer", ADA), (actor_type, email)):
                tokens.append(otp_auth.sign_in(name, customers.find_by_identifier(who)))
        client.get("/plant")
        begin_session(client, tokens[0])
        if has_ended:
            assert Api(app.test_client()).revoke(tokens[0]).status_code == 200
        begin_session(client, tokens[1])
        assert ("basket" in client.get("/session").get_json()) is stays

    def test_a_session_on_the_server_gets_a_new_id(self, app: Flask, token: str) -> None:
        app.session_interface = CacheLibSessionInterface(app, client=SimpleCache())
        client = app.test_client()
        client.get("/plant")
        planted = cookie_of(client)
        begin_session(client, token)
        assert cookie_of(client) != planted
        assert status(client) == 200
        thief = browser_with(app, planted)
        assert status(thief) == 401
        assert thief.get("/session").get_json() == {"_permanent": True}

    def test_how_long_the_cookie_is_kept_is_the_apps_business(
        self, client: FlaskClient, token: str
    ) -> None:
        expiry = []
        for path in ("/me", "/permanent"):
            client.get(path)
            begin_session(client, token)
            cookie = client.get_cookie("session")
            assert cookie is not None
            expiry.append(cookie.expires)
        assert expiry[0] is None
        assert expiry[1] is not None


class TestFormerSignIns:
    """A browser belongs to one person: a sign-in in it ends the one that it had."""

    def test_another_person_s_ends(
        self, app: Flask, client: FlaskClient, customers: Customers, token: str
    ) -> None:
        customers.add(BOB)
        begin_session(client, token)
        begin_session(client, sign_in(app, BOB))
        assert client.get("/me").get_json()["id"] == 2
        assert status(client, token=token) == 401

    def test_one_s_own_ends(
        self, app: Flask, client: FlaskClient, clock: Traveller, token: str
    ) -> None:
        begin_session(client, token)
        kept = cookie_of(client)
        clock.shift(60)
        begin_session(client, sign_in(app))
        assert (status(client), status(browser_with(app, kept))) == (200, 401)

    def test_a_refreshed_token_of_the_same_one_ends_nothing(
        self, client: FlaskClient, token: str
    ) -> None:
        begin_session(client, token)
        begin_session(client, Api(client).refresh(token).get_json()["token"])
        assert (status(client), status(client, token=token)) == (200, 200)

    def test_a_token_that_is_refused_ends_nothing(self, client: FlaskClient, token: str) -> None:
        begin_session(client, token)
        assert begin_session(client, "a.b.c") == 401
        assert status(client) == 200

    def test_an_outage_in_between_leaves_it_as_it_was(
        self, clock: Traveller, watched: Watched
    ) -> None:
        app = with_pages(watched.app)
        client = app.test_client()
        begin_session(client, sign_in(app))
        kept = cookie_of(client)
        clock.shift(60)
        token = sign_in(app)
        watched.forget_calls()
        watched.store.fails_at = 2  # the new sign-in is looked at, the former one is found
        assert begin_session(client, token) == 503
        watched.store.fails_at = None
        assert cookie_of(client) == kept
        assert status(client) == 200


class TestGuards:
    """``session=True`` accepts a session where no token comes."""

    def test_others_accept_tokens_only(self, client: FlaskClient, token: str) -> None:
        begin_session(client, token)
        assert status(client, "/bearer-only") == 401
        assert status(client, "/bearer-only", token) == 200

    def test_a_token_goes_before_a_session(
        self, app: Flask, client: FlaskClient, customers: Customers, token: str
    ) -> None:
        customers.add(BOB)
        begin_session(client, sign_in(app, BOB))
        assert client.get("/me").get_json()["id"] == 2
        assert client.get("/me", headers=bearer(token)).get_json()["id"] == 1

    @pytest.mark.parametrize("value", ["Bearer nonsense", "Bearer", "bearer  ", "BEARER a.b.c"])
    def test_a_session_never_stands_in_for_a_token_that_is_refused(
        self, client: FlaskClient, token: str, value: str
    ) -> None:
        begin_session(client, token)
        assert client.get("/me", headers={"Authorization": value}).status_code == 401

    @pytest.mark.parametrize("value", ["Basic YTpi", "Digest x", ""])
    def test_a_session_counts_beside_another_scheme(
        self, client: FlaskClient, token: str, value: str
    ) -> None:
        begin_session(client, token)
        assert client.get("/me", headers={"Authorization": value}).status_code == 200

    def test_actor_types_are_told_apart(self, app: Flask, client: FlaskClient, token: str) -> None:
        begin_session(client, token)
        assert [status(client, path) for path in ("/any", "/me", "/user")] == [200, 200, 401]
        begin_session(client, sign_in(app, actor_type="user"))
        assert [status(client, path) for path in ("/any", "/me", "/user")] == [200, 401, 200]

    def test_max_age_counts_from_the_sign_in(
        self, clock: Traveller, client: FlaskClient, token: str
    ) -> None:
        begin_session(client, token)
        clock.shift(29)
        assert status(client, "/fresh") == 200
        clock.shift(2)
        answer = client.get("/fresh")
        assert (answer.status_code, answer.get_json()) == (401, REFUSED)
        assert "insufficient_user_authentication" in answer.headers["WWW-Authenticate"]
        assert status(client) == 200

    def test_an_actor_that_has_left_is_refused(
        self, client: FlaskClient, customers: Customers, token: str
    ) -> None:
        begin_session(client, token)
        customers.accounts[0].is_active = False
        assert status(client) == 401
        customers.accounts[0].is_active = True
        assert status(client) == 200

    def test_the_store_is_asked_once(self, watched: Watched) -> None:
        client = with_pages(watched.app).test_client()
        token = sign_in(watched.app)
        begin_session(client, token)
        for by in (None, token):
            watched.forget_calls()
            assert status(client, token=by) == 200
            assert watched.store.verbs == ["peek"]
            assert watched.limits.calls == []

    def test_an_outage_lets_nobody_in_and_signs_nobody_out(self, watched: Watched) -> None:
        client = with_pages(watched.app).test_client()
        token = sign_in(watched.app)
        begin_session(client, token)
        watched.store.reachable = False
        assert client.get("/me").get_json()["type"] == "unavailable"
        assert begin_session(client, token) == 503
        assert client.delete(URL).status_code == 503
        watched.store.reachable = True
        assert status(client) == 200


class TestEnd:
    """A session ends with the sign-out, with its sign-in, and with ``SESSION_TTL``."""

    def test_the_sign_out_leaves_nothing(self, client: FlaskClient, token: str) -> None:
        begin_session(client, token)
        client.get("/plant")
        answer = client.delete(URL)
        assert (answer.status_code, answer.get_json()) == (200, {"success": True})
        assert client.get_cookie("session") is None
        assert status(client) == 401

    def test_the_sign_out_is_idempotent(
        self, client: FlaskClient, recorder: SignalRecorder
    ) -> None:
        for _ in range(2):
            answer = client.delete(URL)
            assert (answer.status_code, answer.get_json()) == (200, {"success": True})
        assert recorder.heard == []

    def test_it_ends_the_token_and_every_copy_for_good(
        self,
        clock: Traveller,
        app: Flask,
        client: FlaskClient,
        token: str,
        recorder: SignalRecorder,
    ) -> None:
        fresh = Api(client).refresh(token).get_json()["token"]
        begin_session(client, token)
        kept = cookie_of(client)
        assert status(browser_with(app, kept)) == 200
        client.delete(URL)
        assert [status(client, token=one) for one in (token, fresh)] == [401, 401]
        assert browser_with(app, kept).delete(URL).status_code == 200
        assert recorder.of("token_revoked") == [{"actor_type": "customer", "actor_id": "1"}]
        for seconds in (0, 30 * DAY - 2):
            clock.shift(seconds)
            assert status(browser_with(app, kept)) == 401

    def test_a_revoked_token_ends_its_sessions(self, client: FlaskClient, token: str) -> None:
        begin_session(client, token)
        Api(client).revoke(token)
        assert status(client) == 401

    def test_sessions_of_other_sign_ins_stay(
        self, app: Flask, client: FlaskClient, clock: Traveller, token: str
    ) -> None:
        other = app.test_client()
        begin_session(client, token)
        clock.shift(60)
        begin_session(other, sign_in(app))
        client.delete(URL)
        assert (status(client), status(other)) == (401, 200)

    def test_it_ends_with_session_ttl(
        self, clock: Traveller, client: FlaskClient, token: str
    ) -> None:
        begin_session(client, token)
        clock.move_to(int(START.timestamp()) + 30 * DAY - 0.5)
        assert status(client) == 200
        clock.shift(0.5)
        assert status(client) == 401
        assert client.delete(URL).status_code == 200

    @pytest.mark.parametrize(("first", "then"), [(30, 1), (1, 30)])
    def test_a_change_of_session_ttl_shortens_it_and_never_lengthens_it(
        self,
        clock: Traveller,
        make_app: MakeApp,
        customers: Customers,
        tmp_path: Any,
        first: int,
        then: int,
    ) -> None:
        uri = f"sqlite:///{tmp_path}/codes.sqlite3"
        before, after = (
            with_pages(make_app(OTP_AUTH_SESSION_TTL=days * DAY, OTP_AUTH_STORAGE_URI=uri))
            for days in (first, then)
        )
        client = before.test_client()
        begin_session(client, sign_in(before))
        kept = cookie_of(client)
        assert status(browser_with(after, kept)) == 200
        clock.shift(DAY)
        assert status(browser_with(after, kept)) == 401

    def test_a_change_of_the_secret_key_carries_it_over(
        self, make_app: MakeApp, tmp_path: Any
    ) -> None:
        uri = {"OTP_AUTH_STORAGE_URI": f"sqlite:///{tmp_path}/codes.sqlite3"}
        app = with_pages(make_app(**uri))
        client = app.test_client()
        begin_session(client, sign_in(app))
        new = {"SECRET_KEY": "the-key-that-comes-after-the-one-before", **uri}
        for fallbacks, expected in (([app.secret_key], 200), ([], 401)):
            after = with_pages(make_app(SECRET_KEY_FALLBACKS=fallbacks, **new))
            assert status(browser_with(after, cookie_of(client))) == expected

    @pytest.mark.parametrize(("announced", "expected"), [(True, 401), (False, 200)])
    def test_a_worker_ends_those_of_a_key_that_was_announced_to_it(
        self,
        make_app: MakeApp,
        tmp_path: Any,
        announced: bool,
        expected: int,
    ) -> None:
        """In a deployment half done, as docs/tokens.md has it."""
        uri = {"OTP_AUTH_STORAGE_URI": f"sqlite:///{tmp_path}/codes.sqlite3"}
        old, new = SECRET, "the-key-that-comes-after-the-one-before"
        fallbacks = [new] if announced else []
        former, otp_auth = make_app(SECRET_KEY_FALLBACKS=fallbacks, **uri), OTPAuth()
        latter = with_pages(make_app(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old], **uri))
        token = sign_in(latter)
        with former.app_context():
            otp_auth.revoke_all("customer", "1")
        assert status(latter.test_client(), token=token) == expected


class TestCurrentSignIn:
    """``sign_ins`` says which one the request belongs to, where that is known."""

    @pytest.fixture
    def app(self, make_app: MakeApp, otp_auth: OTPAuth) -> Flask:
        """A shop that counts the current sign-ins, in a guarded view and in an open one."""
        app = make_app(otp_auth)

        def count() -> str:
            return str([one.current for one in otp_auth.sign_ins("customer", 1)].count(True))

        app.add_url_rule("/guarded", "guarded", token_required(session=True)(count))
        app.add_url_rule("/open", "open", count)
        return app

    def test_by_token_or_by_session(
        self, app: Flask, client: FlaskClient, clock: Traveller
    ) -> None:
        sign_in(app)
        clock.shift(60)
        token = sign_in(app)
        assert client.get("/guarded", headers=bearer(token)).text == "1"
        assert client.get("/open", headers=bearer(token)).text == "0"  # nobody has asked
        begin_session(client, token)
        assert [client.get(path).text for path in ("/guarded", "/open")] == ["1", "1"]

    def test_outside_of_a_request_none_is(self, app: Flask, otp_auth: OTPAuth) -> None:
        sign_in(app)
        with app.app_context():
            assert [one.current for one in otp_auth.sign_ins("customer", 1)] == [False]


class TestConfusion:
    """What a session says is checked as a token's claims are (more in ``test_jwt``)."""

    @pytest.mark.parametrize(
        "change",
        [{"iss": "another shop"}, {"aud": "user"}, {"sub": "404"}, {"sid": "0." + "0" * 32},
         {"sid": None}, {"exp": 1}, {"auth_time": float("nan")}],
        ids=str,
    )  # fmt: skip
    def test_claims_that_are_not_ours_let_nobody_in(
        self, client: FlaskClient, token: str, change: dict[str, Any]
    ) -> None:
        begin_session(client, token)
        assert status(client) == 200
        with client.session_transaction() as changed:
            changed["otp_auth"] = {**changed["otp_auth"], **change}
        answer = client.get("/me")
        assert (answer.status_code, answer.get_json()) == (401, REFUSED)
        assert client.delete(URL).status_code == 200

    @pytest.mark.parametrize("value", [None, "claims", 7, True, [], {}, ["iss"]])
    def test_what_is_no_claims_lets_nobody_in(
        self, client: FlaskClient, token: str, value: object
    ) -> None:
        with client.session_transaction() as changed:
            changed["otp_auth"] = value
        assert status(client) == 401
        assert client.delete(URL).status_code == 200
        with client.session_transaction() as changed:
            changed["otp_auth"] = value
        assert begin_session(client, token) == 200

    def test_an_app_with_the_same_key_has_sessions_of_its_own(
        self, make_app: MakeApp, client: FlaskClient, token: str
    ) -> None:
        begin_session(client, token)
        other = with_pages(make_app(OTP_AUTH_TOKEN_ISSUER="another shop"))
        assert status(browser_with(other, cookie_of(client))) == 401

    def test_a_cookie_is_no_token_and_a_token_no_cookie(
        self, app: Flask, client: FlaskClient, token: str
    ) -> None:
        begin_session(client, token)
        assert status(app.test_client(), token=cookie_of(client)) == 401
        assert status(browser_with(app, token)) == 401

    def test_an_actor_type_that_was_given_up_lets_nobody_in(
        self, make_app: MakeApp, app: Flask, client: FlaskClient
    ) -> None:
        begin_session(client, sign_in(app, actor_type="user"))
        other = with_pages(make_app())
        assert status(browser_with(other, cookie_of(client)), "/any") == 401
        assert browser_with(other, cookie_of(client)).delete(URL).status_code == 200
