"""Flask-Login: its guards and its ``current_user`` know who signed in with a code."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import time_machine
from conftest import ADA, SECRET, Api, WatchedStore, bearer
from flask import Flask, request, session
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    fresh_login_required,
    login_required,
    login_user,
    logout_user,
)

from flask_otp_auth import ConfigError, OTPAuth, Unauthorized, current_actor, token_required
from flask_otp_auth.login import init_login_manager, login_with_token
from flask_otp_auth.testing import Outbox

BOB = "bob@example.com"


@dataclass(eq=False)
class Person(UserMixin):
    """Somebody with an account."""

    id: int
    email: str
    active: bool = True

    @property
    def is_active(self) -> bool:
        return self.active


@dataclass
class People:
    """Accounts of one actor type."""

    people: list[Person] = field(default_factory=list)

    def find_by_identifier(self, identifier: str) -> Person | None:
        return next((person for person in self.people if person.email == identifier), None)

    def find_by_id(self, actor_id: str) -> Person | None:
        return next((person for person in self.people if str(person.id) == actor_id), None)


@dataclass
class Site:
    """A site with pages for customers, and what it needs to sign them in.

    :ivar staff: another actor type, whose ids are the same as those of customers.
    """

    app: Flask
    otp_auth: OTPAuth
    customers: People
    staff: People
    outbox: Outbox
    store: WatchedStore

    def browser(self) -> FlaskClient:
        """Return a visitor who has no cookies yet."""
        return self.app.test_client()

    def token(self, email: str = ADA, actor_type: str = "customer") -> str:
        """Return the token of somebody who signed in with a code."""
        with self.app.app_context():
            self.otp_auth.generate(actor_type, email)
            return self.otp_auth.verify(actor_type, email, self.outbox.last.otp)


def who() -> ResponseReturnValue:
    return {"customer": current_user.email}


def both() -> ResponseReturnValue:
    return {"customer": current_user.email, "actor": current_actor.email}


def by_password(email: str) -> ResponseReturnValue:
    """Log in as a form with the right password would."""
    people: People = request.environ["people"]
    login_user(people.find_by_identifier(email), remember="remember" in request.args)
    return {}


def by_code() -> ResponseReturnValue:
    """Log in with the token that a code was exchanged for."""
    planted = current_user.is_authenticated
    person = login_with_token(request.args["token"], remember="remember" in request.args)
    return {"before": planted, "now": current_user.email, "returned": person.email}


def leave() -> ResponseReturnValue:
    logout_user()
    return {"gone": not current_user.is_authenticated}


def keep(thing: str) -> ResponseReturnValue:
    session["cart"] = thing
    return {}


def cart() -> ResponseReturnValue:
    return {"cart": session.get("cart")}


@pytest.fixture
def site() -> Iterator[Site]:
    """A site where Ada and Bob are customers, and another Ada is of the staff."""
    app = Flask("site")
    app.config.update(TESTING=True, SECRET_KEY=SECRET, OTP_AUTH_RESEND_INTERVAL=0)
    customers = People([Person(1, ADA), Person(2, BOB)])
    staff = People([Person(1, "root@example.com")])
    store = WatchedStore()
    otp_auth = OTPAuth(app, cache=store)
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("staff", staff)
    manager = LoginManager(app)
    init_login_manager(manager, otp_auth, "customer")
    for rule, view in (
        ("/who", login_required(who)),
        ("/fresh", fresh_login_required(who)),
        ("/both", login_required(token_required("customer", session=True)(both))),
        ("/by-password/<email>", by_password),
        ("/by-code", by_code),
        ("/leave", leave),
        ("/keep/<thing>", keep),
        ("/cart", cart),
    ):
        app.add_url_rule(rule, rule, view)

    @app.before_request
    def lend() -> None:
        request.environ["people"] = customers

    with Outbox(app) as outbox:
        yield Site(app, otp_auth, customers, staff, outbox, store)


class TestTokens:
    """A bearer token logs in for the one request that it comes with."""

    def test_it_opens_what_login_required_guards(self, site: Site) -> None:
        browser = site.browser()
        answer = browser.get("/who", headers=bearer(site.token()))
        assert answer.json == {"customer": ADA}
        assert "Set-Cookie" not in answer.headers
        assert browser.get("/who").status_code == 401

    @pytest.mark.parametrize(
        "headers",
        [{}, {"Authorization": "Bearer"}, {"Authorization": "Basic YTpi"}, bearer("a.b.c")],
        ids=["none", "empty", "basic", "bad"],
    )
    def test_what_is_no_token_logs_nobody_in(self, site: Site, headers: dict[str, str]) -> None:
        assert site.browser().get("/who", headers=headers).status_code == 401

    def test_nor_does_one_that_was_revoked(self, site: Site) -> None:
        token = site.token()
        assert Api(site.browser()).revoke(token).status_code == 200
        assert site.browser().get("/who", headers=bearer(token)).status_code == 401

    def test_nor_does_one_for_a_registration(self, site: Site) -> None:
        with site.app.app_context():
            site.otp_auth.pre_register("customer", "eve@example.com")
            token = site.otp_auth.register("customer", "eve@example.com", site.outbox.last.otp)
        assert site.browser().get("/who", headers=bearer(token)).status_code == 401

    def test_nor_does_one_of_somebody_switched_off(self, site: Site) -> None:
        token = site.token()
        site.customers.people[0].active = False
        assert site.browser().get("/who", headers=bearer(token)).status_code == 401

    def test_nor_does_one_of_another_type_whose_id_is_the_same(self, site: Site) -> None:
        token = site.token("root@example.com", "staff")
        assert site.browser().get("/who", headers=bearer(token)).status_code == 401

    def test_it_is_no_fresh_login(self, site: Site) -> None:
        assert site.browser().get("/fresh", headers=bearer(site.token())).status_code == 401

    def test_nor_does_somebody_else_s_fresh_login_make_it_one(self, site: Site) -> None:
        """Or a thief of tokens would log in as himself to do what needs a fresh login."""
        token, browser = site.token(), site.browser()
        browser.get(f"/by-password/{BOB}")
        assert browser.get("/fresh").json == {"customer": BOB}
        assert browser.get("/fresh", headers=bearer(token)).status_code == 401
        browser.get(f"/by-password/{BOB}")
        site.customers.people[1].active = False
        assert browser.get("/fresh", headers=bearer(token)).status_code == 401

    def test_her_own_fresh_login_does(self, site: Site) -> None:
        browser = site.browser()
        browser.get(f"/by-password/{ADA}")
        assert browser.get("/fresh", headers=bearer(site.token())).json == {"customer": ADA}

    def test_it_goes_before_a_session(self, site: Site) -> None:
        """One request is one person's, whichever guard it meets."""
        browser = site.browser()
        browser.get(f"/by-password/{BOB}")
        assert browser.get("/both", headers=bearer(site.token())).json == {
            "customer": ADA,
            "actor": ADA,
        }
        assert browser.get("/who", headers=bearer("a.b.c")).status_code == 401
        assert browser.get("/who").json == {"customer": BOB}

    @pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
    def test_it_goes_before_a_remembered_login(self, site: Site) -> None:
        browser = site.browser()
        browser.get(f"/by-password/{BOB}?remember")
        browser.delete_cookie("session")
        assert browser.get("/who", headers=bearer(site.token())).json == {"customer": ADA}

    def test_an_outage_is_no_logout(self, site: Site) -> None:
        token = site.token()
        site.store.reachable = False
        answer = site.browser().get("/who", headers=bearer(token))
        assert (answer.status_code, answer.json["type"]) == (503, "unavailable")


class TestPasswords:
    """The app's own ``login_user`` goes on as ever."""

    def test_a_login_lasts_from_request_to_request(self, site: Site) -> None:
        browser = site.browser()
        browser.get(f"/by-password/{BOB}")
        assert browser.get("/who").json == {"customer": BOB}
        assert browser.get("/fresh").json == {"customer": BOB}

    def test_until_the_logout(self, site: Site) -> None:
        browser = site.browser()
        browser.get(f"/by-password/{BOB}")
        assert browser.get("/leave").json == {"gone": True}
        assert browser.get("/who").status_code == 401

    def test_or_until_the_account_is_switched_off(self, site: Site) -> None:
        browser = site.browser()
        browser.get(f"/by-password/{BOB}")
        site.customers.people[1].active = False
        assert browser.get("/who").status_code == 401

    @pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
    def test_who_is_remembered_comes_back(self, site: Site) -> None:
        browser = site.browser()
        browser.get(f"/by-password/{BOB}?remember")
        browser.delete_cookie("session")
        assert browser.get("/who").json == {"customer": BOB}


class TestSessions:
    """A session of ``POST /auth/session`` counts for Flask-Login, too."""

    @pytest.fixture
    def browser(self, site: Site) -> FlaskClient:
        """A browser with Ada's session."""
        browser = site.browser()
        browser.post("/auth/session", headers=bearer(site.token()))
        return browser

    def test_it_opens_what_login_required_guards(self, browser: FlaskClient) -> None:
        assert browser.get("/both").json == {"customer": ADA, "actor": ADA}

    def test_logout_user_ends_it_and_every_copy_of_its_cookie(
        self, site: Site, browser: FlaskClient
    ) -> None:
        cookie = browser.get_cookie("session")
        assert cookie is not None
        assert browser.get("/leave").json == {"gone": True}
        assert browser.get("/who").status_code == 401
        thief = site.browser()
        thief.set_cookie("session", cookie.value)
        assert thief.get("/who").status_code == 401

    def test_a_login_by_password_ends_it_if_it_is_somebody_else_s(
        self, browser: FlaskClient
    ) -> None:
        browser.get(f"/by-password/{BOB}")
        assert browser.get("/both").status_code == 401
        assert browser.get("/who").json == {"customer": BOB}
        browser.get("/leave")
        assert browser.get("/who").status_code == 401

    def test_but_not_if_it_is_the_same_person_s(self, browser: FlaskClient) -> None:
        browser.get(f"/by-password/{ADA}")
        assert browser.get("/both").json == {"customer": ADA, "actor": ADA}

    def test_one_that_is_over_keeps_nobody_from_logging_in(
        self, site: Site, browser: FlaskClient
    ) -> None:
        with site.app.app_context():
            site.otp_auth.revoke_all("customer", 1)
        assert browser.get("/who").status_code == 401
        browser.get(f"/by-password/{ADA}")
        assert browser.get("/who").json == {"customer": ADA}

    def test_one_of_another_type_counts_for_nobody(self, site: Site) -> None:
        browser = site.browser()
        token = site.token("root@example.com", "staff")
        assert browser.post("/auth/session", headers=bearer(token)).status_code == 200
        assert browser.get("/who").status_code == 401

    def test_an_outage_at_the_logout_leaves_it_to_try_again(
        self, site: Site, browser: FlaskClient
    ) -> None:
        site.store.reachable = False
        assert browser.get("/leave").status_code == 503
        site.store.reachable = True
        assert browser.get("/leave").status_code == 200
        assert browser.get("/who").status_code == 401


class TestLoginWithToken:
    """A code at a page of the app's own."""

    def test_it_logs_in_from_this_request_on(self, site: Site) -> None:
        browser = site.browser()
        answer = browser.get("/by-code", query_string={"token": site.token()})
        assert answer.json == {"before": False, "now": ADA, "returned": ADA}
        assert browser.get("/both").json == {"customer": ADA, "actor": ADA}
        assert browser.get("/fresh").json == {"customer": ADA}

    def test_the_session_is_a_new_one(self, site: Site) -> None:
        """What an attacker may have planted in it before is gone (session fixation)."""
        browser = site.browser()
        browser.get("/keep/book")
        assert browser.get("/cart").json == {"cart": "book"}
        browser.get("/by-code", query_string={"token": site.token()})
        assert browser.get("/cart").json == {"cart": None}

    def test_it_is_enough_for_strong_session_protection(self, site: Site) -> None:
        site.app.config["SESSION_PROTECTION"] = "strong"
        browser = site.browser()
        browser.post("/auth/session", headers=bearer(site.token()))
        assert browser.get("/who").status_code == 401
        browser.get("/by-code", query_string={"token": site.token()})
        assert browser.get("/who").json == {"customer": ADA}
        assert browser.get("/who", headers={"User-Agent": "a thief's"}).status_code == 401

    def test_somebody_else_s_login_gives_way(self, site: Site) -> None:
        browser = site.browser()
        browser.get(f"/by-password/{BOB}")
        browser.get("/by-code", query_string={"token": site.token()})
        assert browser.get("/both").json == {"customer": ADA, "actor": ADA}

    def test_logout_user_ends_it_and_every_copy_of_its_cookie(self, site: Site) -> None:
        browser, thief = site.browser(), site.browser()
        browser.get("/by-code", query_string={"token": site.token()})
        cookie = browser.get_cookie("session")
        assert cookie is not None
        thief.set_cookie("session", cookie.value)
        assert thief.get("/who").json == {"customer": ADA}
        browser.get("/leave")
        assert browser.get("/who").status_code == 401
        assert thief.get("/who").status_code == 401

    def test_so_does_revoking_all_that_she_has(self, site: Site) -> None:
        browser = site.browser()
        browser.get("/by-code", query_string={"token": site.token()})
        with site.app.app_context():
            site.otp_auth.revoke_all("customer", 1)
        assert browser.get("/who").status_code == 401

    def test_it_ends_with_session_ttl(self, site: Site, clock: time_machine.Traveller) -> None:
        browser = site.browser()
        browser.get("/by-code", query_string={"token": site.token()})
        clock.shift(30 * 86_400 - 60)
        assert browser.get("/who").json == {"customer": ADA}
        clock.shift(61)
        assert browser.get("/who").status_code == 401

    @pytest.mark.parametrize("case", ["bad", "staff"])
    def test_a_token_that_does_not_let_in_changes_nothing(self, site: Site, case: str) -> None:
        token = "a.b.c" if case == "bad" else site.token("root@example.com", "staff")
        browser = site.browser()
        browser.get(f"/by-password/{BOB}")
        assert browser.get("/by-code", query_string={"token": token}).status_code == 401
        assert browser.get("/who").json == {"customer": BOB}

    def test_a_login_that_an_outage_broke_off_leaves_who_was_there_and_not_fresh(
        self, site: Site
    ) -> None:
        browser = site.browser()
        browser.get("/by-code", query_string={"token": site.token()})
        site.store.reachable = False
        assert browser.get(f"/by-password/{BOB}").status_code == 503
        site.store.reachable = True
        assert browser.get("/who").json == {"customer": ADA}
        assert browser.get("/fresh").status_code == 401

    @pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
    def test_it_may_be_remembered_beyond_the_browser(self, site: Site) -> None:
        browser = site.browser()
        browser.get("/by-code", query_string={"token": site.token(), "remember": 1})
        assert browser.get("/who").json == {"customer": ADA}
        browser.delete_cookie("session")
        assert browser.get("/who").json == {"customer": ADA}
        browser.get("/leave")
        assert browser.get("/who").status_code == 401


class TestSettingUp:
    """Which actor type a login manager is for."""

    def test_a_single_type_needs_no_name(
        self, make_app: Callable[..., Flask], people: People
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("member", people)
        app = make_app(otp_auth)
        init_login_manager(LoginManager(app), otp_auth)
        app.add_url_rule("/who", view_func=login_required(who))
        client = app.test_client()
        with Outbox(app) as outbox:
            Api(client, actor_type="member").generate(ADA)
        token = Api(client, actor_type="member").verify(outbox.last.otp, ADA).json["token"]
        assert client.get("/who", headers=bearer(token)).json == {"customer": ADA}

    @pytest.fixture
    def people(self) -> People:
        """Ada alone."""
        return People([Person(1, ADA)])

    @pytest.mark.parametrize(
        ("registered", "named"),
        [((), None), ((), "customer"), (("customer", "staff"), None), (("customer",), "staff")],
    )
    def test_what_is_not_clear_is_refused(
        self, people: People, registered: tuple[str, ...], named: str | None
    ) -> None:
        otp_auth = OTPAuth()
        for name in registered:
            otp_auth.add_actor_type(name, people)
        with pytest.raises(ConfigError, match="needs actor_type="):
            init_login_manager(LoginManager(), otp_auth, named)

    def test_without_it_no_token_can_log_in(self, app: Flask) -> None:
        for manager in (None, LoginManager()):
            if manager:
                manager.init_app(app)
            with app.test_request_context(), pytest.raises(ConfigError, match="init_login_manager"):
                login_with_token("a.b.c")

    def test_an_app_without_it_keeps_its_logins_and_sessions_apart(
        self, make_app: Callable[..., Flask], people: People
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", people)
        app = make_app(otp_auth)
        manager = LoginManager(app)
        manager.user_loader(people.find_by_id)
        app.add_url_rule("/leave", view_func=leave)
        app.add_url_rule("/actor", view_func=token_required(session=True)(actor))
        client = app.test_client()
        with Outbox(app) as outbox:
            Api(client).generate(ADA)
        token = Api(client).verify(outbox.last.otp, ADA).json["token"]
        client.post("/auth/session", headers=bearer(token))
        assert client.get("/leave").json == {"gone": True}
        assert client.get("/actor").json == {"actor": ADA}


def actor() -> Any:
    return {"actor": current_actor.email}


def test_a_token_of_nobody_s_is_an_error_of_the_package_s_own(site: Site) -> None:
    with site.app.test_request_context(), pytest.raises(Unauthorized):
        login_with_token("a.b.c")
