"""Flask-Login: its guards and ``current_user`` know who signed in; each login is a sign-in."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fakes import (
    ADA,
    BOB,
    SECRET,
    Api,
    Customer,
    Customers,
    FakeStore,
    MakeApp,
    SignalRecorder,
    bearer,
    sign_in,
)
from flask import Flask, request, session
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    encode_cookie,
    fresh_login_required,
    login_required,
    login_user,
    logout_user,
)
from time_machine import Traveller
from visitors import begin_session, browser_with, cookie_of, status

from flask_otp_auth import ConfigError, OTPAuth, Unauthorized, current_actor, token_required
from flask_otp_auth.login import init_login_manager, login_with_token
from flask_otp_auth.testing import Outbox

ROOT = "root@example.com"


class Person(Customer, UserMixin):
    """A customer whom Flask-Login knows."""


@dataclass
class Site:
    """A site with pages for customers, and what it needs to sign them in.

    :ivar staff: another actor type, whose ids are the same as those of customers.
    """

    app: Flask
    otp_auth: OTPAuth
    customers: Customers
    staff: Customers
    outbox: Outbox
    store: FakeStore
    recorder: SignalRecorder

    def browser(self) -> FlaskClient:
        """Return a visitor who has no cookies yet."""
        return self.app.test_client()

    def logged_in(self, email: str) -> FlaskClient:
        """Return the browser of somebody who has logged in with a password."""
        browser = self.browser()
        browser.get(f"/by-password/{email}")
        return browser

    def token(self, email: str = ADA, actor_type: str = "customer") -> str:
        """Return the token of somebody who proved its identity."""
        people = self.staff if actor_type == "staff" else self.customers
        with self.app.app_context():
            return self.otp_auth.sign_in(actor_type, people.find_by_identifier(email), ("otp",))

    def sign_ins(self, actor_id: int) -> int:
        """Return how many sign-ins a customer has."""
        with self.app.app_context():
            return len(self.otp_auth.sign_ins("customer", actor_id))


def who() -> ResponseReturnValue:
    return {"customer": current_user.email}


def both() -> ResponseReturnValue:
    return {"customer": current_user.email, "actor": current_actor.email}


def by_password(email: str) -> ResponseReturnValue:
    """Log in as a form with the right password would."""
    people: Customers = request.environ["people"]
    login_user(
        people.find_by_identifier(email),
        remember="remember" in request.args,
        force="force" in request.args,
    )
    return {}


def by_code() -> ResponseReturnValue:
    """Log in with the token that a code was exchanged for."""
    before = current_user.is_authenticated
    person = login_with_token(request.args["token"], remember="remember" in request.args)
    return {"before": before, "now": current_user.email, "returned": person.email}


def leave() -> ResponseReturnValue:
    logout_user()
    return {"gone": not current_user.is_authenticated}


def keep(thing: str) -> ResponseReturnValue:
    session["basket"] = thing
    return {}


@pytest.fixture
def site() -> Iterator[Site]:
    """A site where Ada and Bob are customers, and somebody with Ada's id is of the staff."""
    app = Flask("site")
    app.config.update(TESTING=True, SECRET_KEY=SECRET)
    customers = Customers([Person(1, ADA), Person(2, BOB)])
    staff = Customers([Person(1, ROOT)])
    store = FakeStore()
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
        ("/basket", lambda: {"basket": session.get("basket")}),
    ):
        app.add_url_rule(rule, rule, view)

    @app.before_request
    def lend() -> None:
        request.environ["people"] = customers

    with Outbox(app) as outbox:
        yield Site(app, otp_auth, customers, staff, outbox, store, SignalRecorder(app))


class TestTokens:
    """A bearer token logs in for the one request that it comes with."""

    def test_it_opens_what_login_required_guards(self, site: Site) -> None:
        browser = site.browser()
        answer = browser.get("/who", headers=bearer(sign_in(site.app)))
        assert answer.get_json() == {"customer": ADA}
        assert "Set-Cookie" not in answer.headers
        assert status(browser, "/who") == 401

    @pytest.mark.parametrize("value", [None, "Bearer", "Basic YTpi", "Bearer a.b.c"])
    def test_what_is_no_token_logs_nobody_in(self, site: Site, value: str | None) -> None:
        headers = {} if value is None else {"Authorization": value}
        assert site.browser().get("/who", headers=headers).status_code == 401

    def test_nor_does_one_whose_sign_in_has_ended(self, site: Site) -> None:
        token = site.token()
        Api(site.browser()).revoke(token)
        assert status(site.browser(), "/who", token) == 401

    def test_nor_does_one_of_another_type_whose_id_is_the_same(self, site: Site) -> None:
        assert status(site.browser(), "/who", site.token(ROOT, "staff")) == 401

    def test_it_is_no_fresh_login(self, site: Site) -> None:
        assert status(site.browser(), "/fresh", site.token()) == 401

    def test_nor_does_another_user_s_fresh_login_make_it_one(self, site: Site) -> None:
        """Or a thief of tokens would log in as himself to do what needs a fresh login."""
        token, browser = site.token(), site.logged_in(BOB)
        assert browser.get("/fresh").get_json() == {"customer": BOB}
        assert status(browser, "/fresh", token) == 401

    def test_her_own_fresh_login_does(self, site: Site) -> None:
        browser = site.logged_in(ADA)
        assert status(browser, "/fresh", site.token()) == 200

    def test_it_goes_before_a_session(self, site: Site) -> None:
        """One request is one person's, whichever guard it meets."""
        browser = site.logged_in(BOB)
        answer = browser.get("/both", headers=bearer(site.token()))
        assert answer.get_json() == {"customer": ADA, "actor": ADA}
        assert status(browser, "/who", "a.b.c") == 401
        assert browser.get("/who").get_json() == {"customer": BOB}

    def test_an_outage_is_no_logout(self, site: Site) -> None:
        token = site.token()
        site.store.reachable = False
        answer = site.browser().get("/who", headers=bearer(token))
        assert (answer.status_code, answer.get_json()["type"]) == (503, "unavailable")


class TestPasswords:
    """The app's own ``login_user`` begins a sign-in."""

    def test_a_login_lasts_from_request_to_request(self, site: Site) -> None:
        browser = site.logged_in(BOB)
        assert browser.get("/both").get_json() == {"customer": BOB, "actor": BOB}
        assert status(browser, "/fresh") == 200

    def test_it_is_told_and_listed(self, site: Site) -> None:
        site.logged_in(BOB)
        (told,) = site.recorder.of("actor_authenticated")
        assert (told["actor_id"], told["method"], told["new_device"]) == ("2", "app", True)
        assert site.sign_ins(2) == 1

    def test_the_logout_ends_it_and_every_copy_of_its_cookie(self, site: Site) -> None:
        browser = site.logged_in(BOB)
        thief = browser_with(site.app, cookie_of(browser))
        assert status(thief, "/who") == 200
        assert browser.get("/leave").get_json() == {"gone": True}
        assert [status(one, "/who") for one in (browser, thief)] == [401, 401]
        assert site.sign_ins(2) == 0

    def test_it_ends_with_all_of_the_actors_sign_ins(self, site: Site) -> None:
        browser = site.logged_in(BOB)
        with site.app.app_context():
            site.otp_auth.revoke_all("customer", 2)
        assert status(browser, "/who") == 401

    def test_it_ends_with_session_ttl(self, site: Site, clock: Traveller) -> None:
        browser = site.logged_in(BOB)
        clock.shift(30 * 86_400 - 60)
        assert status(browser, "/who") == 200
        clock.shift(61)
        assert status(browser, "/who") == 401

    def test_the_next_login_in_a_browser_ends_the_former(self, site: Site) -> None:
        browser = site.logged_in(BOB)
        thief = browser_with(site.app, cookie_of(browser))
        for email in (BOB, ADA):
            browser.get(f"/by-password/{email}")
            assert browser.get("/both").get_json() == {"customer": email, "actor": email}
            assert status(thief, "/who") == 401
        assert (site.sign_ins(1), site.sign_ins(2)) == (1, 0)

    def test_nothing_that_was_planted_in_the_session_stays(self, site: Site) -> None:
        """OWASP ASVS 5.0, 7.2.4: session fixation."""
        browser = site.browser()
        browser.get("/keep/book")
        browser.get(f"/by-password/{BOB}")
        assert browser.get("/basket").get_json() == {"basket": None}

    def test_an_inactive_user_is_not_logged_in_by_force_either(self, site: Site) -> None:
        site.customers.accounts[1].is_active = False
        browser = site.browser()
        assert status(browser, f"/by-password/{BOB}?force") == 401
        assert status(browser, "/who") == 401

    def test_an_outage_leaves_who_was_there_and_not_fresh(self, site: Site) -> None:
        browser = site.logged_in(ADA)
        site.store.reachable = False
        assert status(browser, f"/by-password/{BOB}") == 503
        site.store.reachable = True
        assert browser.get("/who").get_json() == {"customer": ADA}
        assert status(browser, "/fresh") == 401


class TestRememberMe:
    """A remember cookie would outlive the sign-in, so ``SESSION_TTL`` is the remembering."""

    @pytest.mark.parametrize("path", [f"/by-password/{BOB}", "/by-code"])
    def test_is_refused_with_what_to_do_instead(self, site: Site, path: str) -> None:
        browser, token = site.browser(), site.token()
        with pytest.raises(ConfigError, match=r"session\.permanent = True"):
            browser.get(path, query_string={"remember": 1, "token": token})

    def test_leaves_nobody_logged_in_and_no_cookie(self, site: Site) -> None:
        site.app.config["PROPAGATE_EXCEPTIONS"] = False
        browser = site.browser()
        assert status(browser, f"/by-password/{BOB}?remember") == 500
        assert browser.get_cookie("remember_token") is None
        assert status(browser, "/who") == 401

    def test_a_cookie_from_before_the_bridge_logs_nobody_in(self, site: Site) -> None:
        browser = site.browser()
        with site.app.app_context():
            browser.set_cookie("remember_token", encode_cookie("2"))
        assert status(browser, "/who") == 401
        assert browser.get("/who", headers=bearer(site.token())).get_json() == {"customer": ADA}


class TestSessions:
    """A session of ``POST /auth/session`` counts for Flask-Login, too."""

    @pytest.fixture
    def browser(self, site: Site) -> FlaskClient:
        """A browser with Ada's session."""
        browser = site.browser()
        begin_session(browser, site.token())
        return browser

    def test_it_opens_what_login_required_guards(self, browser: FlaskClient) -> None:
        assert browser.get("/both").get_json() == {"customer": ADA, "actor": ADA}

    def test_logout_user_ends_it_and_every_copy_of_its_cookie(
        self, site: Site, browser: FlaskClient
    ) -> None:
        thief = browser_with(site.app, cookie_of(browser))
        assert browser.get("/leave").get_json() == {"gone": True}
        assert [status(one, "/who") for one in (browser, thief)] == [401, 401]

    @pytest.mark.parametrize("email", [ADA, BOB])
    def test_a_login_by_password_takes_its_place(self, browser: FlaskClient, email: str) -> None:
        browser.get(f"/by-password/{email}")
        assert browser.get("/both").get_json() == {"customer": email, "actor": email}
        browser.get("/leave")
        assert status(browser, "/who") == 401

    def test_one_that_is_over_keeps_nobody_from_logging_in(
        self, site: Site, browser: FlaskClient
    ) -> None:
        with site.app.app_context():
            site.otp_auth.revoke_all("customer", 1)
        assert status(browser, "/who") == 401
        browser.get(f"/by-password/{ADA}")
        assert browser.get("/who").get_json() == {"customer": ADA}

    def test_one_of_another_type_counts_for_nobody(self, site: Site) -> None:
        browser = site.browser()
        assert begin_session(browser, site.token(ROOT, "staff")) == 200
        assert status(browser, "/who") == 401

    def test_an_outage_at_the_logout_leaves_it_to_try_again(
        self, site: Site, browser: FlaskClient
    ) -> None:
        site.store.reachable = False
        assert status(browser, "/leave") == 503
        site.store.reachable = True
        assert status(browser, "/leave") == 200
        assert status(browser, "/who") == 401


class TestLoginWithToken:
    """A code at a page of the app's own."""

    def by_code(self, browser: FlaskClient, token: str) -> Any:
        return browser.get("/by-code", query_string={"token": token})

    def test_it_logs_in_from_this_request_on(self, site: Site) -> None:
        browser = site.browser()
        answer = self.by_code(browser, site.token())
        assert answer.get_json() == {"before": False, "now": ADA, "returned": ADA}
        assert browser.get("/both").get_json() == {"customer": ADA, "actor": ADA}
        assert status(browser, "/fresh") == 200

    def test_it_is_the_sign_in_of_the_token_and_no_other(self, site: Site) -> None:
        browser, token = site.browser(), site.token()
        self.by_code(browser, token)
        assert site.sign_ins(1) == 1
        browser.get("/leave")
        assert status(site.browser(), "/who", token) == 401

    def test_the_session_is_a_new_one(self, site: Site) -> None:
        browser = site.browser()
        browser.get("/keep/book")
        self.by_code(browser, site.token())
        assert browser.get("/basket").get_json() == {"basket": None}

    def test_it_is_enough_for_strong_session_protection(self, site: Site) -> None:
        site.app.config["SESSION_PROTECTION"] = "strong"
        browser = site.browser()
        begin_session(browser, site.token())
        assert status(browser, "/who") == 401
        self.by_code(browser, site.token())
        assert browser.get("/who").get_json() == {"customer": ADA}
        assert browser.get("/who", headers={"User-Agent": "a thief's"}).status_code == 401

    def test_another_user_s_login_ends(self, site: Site) -> None:
        browser = site.logged_in(BOB)
        self.by_code(browser, site.token())
        assert browser.get("/both").get_json() == {"customer": ADA, "actor": ADA}
        assert site.sign_ins(2) == 0

    @pytest.mark.parametrize("case", ["bad", "staff"])
    def test_a_token_that_is_refused_changes_nothing(self, site: Site, case: str) -> None:
        token = "a.b.c" if case == "bad" else site.token(ROOT, "staff")
        browser = site.logged_in(BOB)
        assert self.by_code(browser, token).status_code == 401
        assert browser.get("/who").get_json() == {"customer": BOB}

    def test_another_login_in_the_same_request_counts(self, site: Site) -> None:
        @site.app.get("/twice")
        def twice() -> ResponseReturnValue:
            login_with_token(request.args["token"])
            login_user(site.customers.accounts[1])
            return {}

        browser = site.browser()
        browser.get("/twice", query_string={"token": site.token()})
        assert browser.get("/both").get_json() == {"customer": BOB, "actor": BOB}


class TestSettingUp:
    """Which actor type a login manager is for."""

    @pytest.fixture
    def people(self) -> Customers:
        """Ada alone."""
        return Customers([Person(1, ADA)])

    def test_a_single_type_needs_no_name(self, make_app: MakeApp, people: Customers) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("member", people)
        app = make_app(otp_auth)
        init_login_manager(LoginManager(app), otp_auth)
        app.add_url_rule("/who", view_func=login_required(who))
        token = sign_in(app, ADA, "member")
        assert app.test_client().get("/who", headers=bearer(token)).get_json() == {"customer": ADA}

    @pytest.mark.parametrize(
        ("registered", "named"),
        [((), None), ((), "customer"), (("customer", "staff"), None), (("customer",), "staff")],
    )
    def test_what_is_not_clear_is_refused(
        self, people: Customers, registered: tuple[str, ...], named: str | None
    ) -> None:
        otp_auth = OTPAuth()
        for name in registered:
            otp_auth.add_actor_type(name, people)
        with pytest.raises(ConfigError, match="needs actor_type="):
            init_login_manager(LoginManager(), otp_auth, named)

    @pytest.mark.parametrize("manager", [None, LoginManager])
    def test_without_it_no_token_can_log_in(
        self, app: Flask, manager: Callable[[Flask], object] | None
    ) -> None:
        if manager is not None:
            manager(app)
        with app.test_request_context(), pytest.raises(ConfigError, match="init_login_manager"):
            login_with_token("a.b.c")

    def test_a_bad_token_is_an_error_of_the_package_s_own(self, site: Site) -> None:
        with site.app.test_request_context(), pytest.raises(Unauthorized):
            login_with_token("a.b.c")

    def test_an_app_without_it_keeps_its_logins_and_sessions_apart(
        self, make_app: MakeApp, people: Customers, site: Site
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", people)
        app = make_app(otp_auth)
        LoginManager(app).user_loader(people.find_by_id)
        app.add_url_rule("/in", "in", lambda: str(login_user(people.accounts[0], remember=False)))
        app.add_url_rule("/leave", view_func=leave)
        app.add_url_rule("/me", "me", token_required(session=True)(lambda: current_actor.email))
        client = app.test_client()
        begin_session(client, sign_in(app))
        assert status(client, "/in") == 200
        assert client.get("/leave").get_json() == {"gone": True}
        assert client.get("/me").text == ADA

    def test_a_manager_that_is_set_up_again_signs_in_once(self, site: Site) -> None:
        init_login_manager(site.app.login_manager, site.otp_auth, "customer")
        gc.collect()
        site.logged_in(BOB)
        assert site.sign_ins(2) == 1
