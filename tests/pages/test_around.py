"""What goes around each page: headers, cookies, where it is mounted, and its neighbours."""

import re
from typing import Any

import pytest
from browsers import Browser, JoinableCustomers
from fakes import ADA, SECRET, Customer, Customers, MakeApp, wrong
from flask import Blueprint, Flask, Response, after_this_request, g, request, session
from flask_babel import Babel
from flask_login import LoginManager, UserMixin, current_user, login_required
from flask_wtf import CSRFProtect, FlaskForm
from jinja2 import StrictUndefined
from wtforms import StringField

from flask_otp_auth import ConfigError, OTPAuth, page_required
from flask_otp_auth.login import init_login_manager
from flask_otp_auth.pages.routes import CONTENT_SECURITY_POLICY

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
}


def has_headers(answer: Any) -> bool:
    return {name: answer.headers.get(name) for name in HEADERS} == HEADERS


class TestHeaders:
    def test_are_on_every_answer(self, browser: Browser) -> None:
        browser.get("sign-in")
        answers = [browser.answer, browser.submit(identifier="?")]
        answers.append(browser.submit(identifier="a" * 70_000))
        otp = browser.ask()
        answers += [browser.answer, browser.submit(otp=wrong(otp)), browser.submit(otp=otp)]
        answers += [browser.get(page) for page in ("sign-in", "join", "sign-out", "devices")]
        answers.append(browser.get("/auth/nobody/sign-in"))
        statuses = [answer.status_code for answer in answers]
        assert statuses == [200, 400, 413, 200, 400, 303, 303, 303, 200, 200, 404]
        assert all(map(has_headers, answers))

    def test_are_on_a_page_that_fails(
        self, make_shop: MakeApp, customers: JoinableCustomers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.page_context(lambda: {"failing": 1 // 0})
        app = make_shop(otp_auth)
        browser = Browser(app)
        app.testing = app.config["PROPAGATE_EXCEPTIONS"] = False
        browser.get("sign-in")
        assert browser.status == 500
        assert has_headers(browser.answer)

    def test_leave_an_app_s_own_policy_alone(self, app: Flask, browser: Browser) -> None:
        @app.before_request
        def set_policy() -> None:
            @after_this_request
            def own(response: Response) -> Response:
                response.headers["Content-Security-Policy"] = "default-src 'self'"
                return response

        browser.get("sign-in")
        assert browser.answer.headers.getlist("Content-Security-Policy") == ["default-src 'self'"]

    def test_are_not_on_the_api(self, browser: Browser) -> None:
        browser.open("otp/start", method="POST", json={"identifier": ADA})
        assert "Content-Security-Policy" not in browser.answer.headers

    def test_405_is_not_stored(self, browser: Browser) -> None:
        browser.get("code/resend")
        assert browser.answer.headers["Cache-Control"] == "no-store"


class TestTheCookie:
    def set_cookie(self, browser: Browser) -> str:
        browser.get("sign-in")
        (cookie,) = browser.answer.headers.getlist("Set-Cookie")
        return cookie

    def test_is_for_this_browser_s_pages_alone(self, browser: Browser) -> None:
        attributes = self.set_cookie(browser).split("; ")[1:]
        kept = {each for each in attributes if not each.startswith("Expires=")}
        assert kept == {"Max-Age=900", "HttpOnly", "Path=/auth/customer", "SameSite=Lax"}

    @pytest.mark.parametrize(
        ("config", "secure"),
        [
            ({"SESSION_COOKIE_SECURE": True}, True),
            ({"OTP_AUTH_SITE_URL": "https://shop.example"}, True),
            ({"OTP_AUTH_SITE_URL": "http://shop.example"}, False),
            ({}, False),
        ],
    )
    def test_is_secure_where_the_app_is(
        self, make_shop: MakeApp, config: dict[str, Any], secure: bool
    ) -> None:
        assert ("Secure" in self.set_cookie(Browser(make_shop(**config)))) is secure

    def test_is_gone_after_the_sign_in(self, browser: Browser) -> None:
        browser.sign_in()
        assert browser.cookie() is None

    def test_shows_no_code(self, browser: Browser) -> None:
        otp = browser.ask()
        assert otp not in (browser.cookie() or "")


class TestTheSession:
    def test_is_a_new_one(self, app: Flask, browser: Browser) -> None:
        """Session fixation: nothing stays of what somebody else could have planted."""

        @app.get("/plant")
        def plant() -> str:
            session["planted"] = True
            return ""

        @app.get("/keys")
        def keys() -> list[str]:
            return sorted(session)

        browser.get("/plant")
        browser.sign_in()
        browser.get("/keys")
        assert browser.answer.json == ["otp_auth", "otp_auth_identifier"]

    def test_ends_with_all_its_copies(self, app: Flask, browser: Browser) -> None:
        browser.sign_in()
        copy = Browser(app)
        copy.client.set_cookie("session", browser.cookie("session") or "")
        browser.get("sign-out")
        browser.submit()
        assert (browser.status, browser.location) == (303, "/")
        for each in (browser, copy):
            each.get("/account")
            assert each.status == 303

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_of_nobody_ends_at_once(self, browser: Browser, method: str) -> None:
        browser.open("sign-out", method=method)
        assert (browser.status, browser.location) == (303, "/")

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_of_an_account_that_is_switched_off_ends_for_good(
        self, browser: Browser, customers: JoinableCustomers, method: str
    ) -> None:
        browser.sign_in()
        customers.accounts[0].is_active = False
        browser.open("sign-out", method=method)
        assert (browser.status, browser.location) == (303, "/")
        customers.accounts[0].is_active = True
        browser.get("/account")
        assert browser.status == 303

    def test_ends_by_its_own_form_alone(self, app: Flask, browser: Browser) -> None:
        other = Browser(app)
        other.get("sign-in")
        flow_token = other.fill_in()["csrf_token"]
        browser.sign_in()
        for token in ("", "x", flow_token):
            browser.get("sign-out")
            browser.submit(csrf_token=token)
            assert browser.status == 400
            assert "This page had expired." in browser.text
        browser.get("/account")
        assert browser.status == 200

    def test_of_another_actor_type_is_none_here(
        self, make_shop: MakeApp, customers: JoinableCustomers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.add_actor_type("vendor", customers)
        browser = Browser(make_shop(otp_auth))
        browser.sign_in()
        browser.get("/auth/vendor/sign-out")
        assert browser.status == 303
        browser.get("/auth/vendor/sign-in")
        assert browser.status == 200
        browser.get("/account")
        assert browser.status == 200


class TestDevices:
    @pytest.fixture
    def app(self, make_shop: MakeApp) -> Flask:
        return make_shop(OTP_AUTH_RESEND_INTERVAL=0)

    @pytest.fixture
    def others(self, app: Flask, browser: Browser) -> list[Browser]:
        """Two more browsers that Ada is signed in with, beside hers."""
        agents = ["Mozilla/5.0 (X11; Linux) Firefox/140.0", "curl"]
        others = []
        for agent in agents:
            other = Browser(app)
            other.client.environ_base["HTTP_USER_AGENT"] = agent
            other.sign_in()
            others.append(other)
        browser.sign_in()
        browser.get("devices")
        return others

    def signed_in(self, browsers: list[Browser]) -> list[bool]:
        return [browser.get("/account").status_code == 200 for browser in browsers]

    def test_are_listed(self, browser: Browser, others: list[Browser]) -> None:
        assert "Firefox, Linux" in browser.text
        assert "Unknown browser, unknown system" in browser.text
        assert browser.text.count("This device") == 1
        assert len(browser.page.forms) == 3
        assert len(browser.page.all("time")) == 3

    def test_one_can_be_ended(self, browser: Browser, others: list[Browser]) -> None:
        browser.submit(0)
        assert (browser.status, browser.location) == (303, "/auth/customer/devices")
        assert sorted(self.signed_in([*others, browser])) == [False, True, True]

    def test_all_others_can_be_ended(self, browser: Browser, others: list[Browser]) -> None:
        browser.submit(2, others="1")
        assert self.signed_in([*others, browser]) == [False, False, True]
        browser.get("devices")
        assert len(browser.page.forms) == 0

    def test_end_by_this_session_s_form_alone(
        self, browser: Browser, others: list[Browser]
    ) -> None:
        others[0].get("devices")
        foreign = others[0].fill_in()["csrf_token"]
        for token in ("", foreign):
            browser.get("devices")
            browser.submit(2, others="1", csrf_token=token)
            assert browser.status == 400
        assert self.signed_in(others) == [True, True]

    def test_of_another_account_can_t_be_ended(
        self, app: Flask, browser: Browser, others: list[Browser]
    ) -> None:
        bob = Browser(app)
        bob.sign_in("bob@example.com")
        browser.get("devices")
        stolen = browser.page.forms[0].fields["sign_in"]
        bob.get("devices")
        form = {"csrf_token": "", "sign_in": stolen}
        bob.get("sign-out")
        form["csrf_token"] = bob.fill_in()["csrf_token"]
        bob.open("devices", method="POST", data=form)
        assert bob.status == 303
        assert self.signed_in(others) == [True, True]

    def test_are_not_for_nobody(self, browser: Browser) -> None:
        browser.open("devices", method="POST", data={"others": "1"})
        assert browser.location == "/auth/customer/sign-in?next=/auth/customer/devices"


class TestWhereTheyAreMounted:
    def walk(self, browser: Browser) -> None:
        """Sign in and out, following what the pages themselves say."""
        browser.sign_in(next="/account")
        assert browser.location == "/account"
        browser.get("devices")
        assert browser.status == 200
        for link in browser.page.all("link"):
            browser.get(link["href"])
            assert browser.status == 200
        browser.get("sign-out")
        browser.submit()
        assert browser.status == 303

    def test_by_hand(self, customers: JoinableCustomers) -> None:
        app, otp_auth = self.by_hand(customers)
        app.register_blueprint(otp_auth.blueprint, url_prefix="/api/v1/auth", name="doors")
        self.walk(Browser(app, "/api/v1/auth/customer"))
        assert self.way_in(app) == "/api/v1/auth/customer/sign-in?next=/account"

    def test_before_the_app_is_initialised(self, customers: JoinableCustomers) -> None:
        app, otp_auth = self.app(), OTPAuth(register_blueprint=False)
        app.register_blueprint(otp_auth.blueprint, url_prefix="/auth")
        otp_auth.add_actor_type("customer", customers)
        otp_auth.init_app(app)
        self.walk(Browser(app))

    def test_inside_of_another_blueprint(self, customers: JoinableCustomers) -> None:
        app, otp_auth = self.by_hand(customers)
        site = Blueprint("site", __name__, url_prefix="/site")
        site.register_blueprint(otp_auth.blueprint, url_prefix="/in")
        app.register_blueprint(site)
        browser = Browser(app, "/site/in/customer")
        self.walk(browser)
        assert has_headers(browser.answer)
        assert self.way_in(app) == "/site/in/customer/sign-in?next=/account"

    def test_with_a_language_in_the_prefix(self, customers: JoinableCustomers) -> None:
        app, otp_auth = self.by_hand(customers, OTP_AUTH_AFTER_SIGN_OUT="start")
        app.register_blueprint(otp_auth.blueprint, url_prefix="/<lang>/auth")

        @app.get("/<lang>/start")
        def start(lang: str) -> str:
            return lang

        @app.get("/<lang>/private")
        @page_required("customer")
        def private(lang: str) -> str:
            return lang

        browser = Browser(app, "/de/auth/customer")
        self.walk(browser)
        assert browser.location == "/de/start"
        browser.get("/fr/private")
        assert browser.location == "/fr/auth/customer/sign-in?next=/fr/private"

    def test_with_a_language_that_the_app_takes_out(self, customers: JoinableCustomers) -> None:
        app, otp_auth = self.by_hand(customers)

        @app.url_value_preprocessor
        def take(endpoint: str | None, values: dict[str, Any] | None) -> None:
            g.lang = (values or {}).pop("lang", "en")

        @app.url_defaults
        def give(endpoint: str, values: dict[str, Any]) -> None:
            if app.url_map.is_endpoint_expecting(endpoint, "lang"):
                values.setdefault("lang", g.lang)

        app.register_blueprint(otp_auth.blueprint, url_prefix="/<lang>/auth")
        self.walk(Browser(app, "/de/auth/customer"))

    def test_below_script_name(self, make_shop: MakeApp) -> None:
        browser = Browser(make_shop(), base="/shop")
        browser.ask()
        assert browser.page.forms[0].action == "/shop/auth/customer/code"
        assert "Path=/shop/auth/customer" in browser.answer.headers["Set-Cookie"]

    def test_for_types_that_are_added_late(
        self, make_shop: MakeApp, customers: JoinableCustomers
    ) -> None:
        otp_auth = OTPAuth()
        app = make_shop(otp_auth)
        otp_auth.add_actor_type("customer", customers)
        self.walk(Browser(app))

    def test_nowhere_the_guard_says_so(self, make_app: MakeApp) -> None:
        app = make_app()
        app.add_url_rule("/private", "private", page_required("customer")(lambda: ""))
        with pytest.raises(ConfigError, match="OTP_AUTH_PAGES"):
            Browser(app).get("/private")

    def test_by_hand_nowhere_the_guard_says_so(self, customers: JoinableCustomers) -> None:
        app, _ = self.by_hand(customers)
        with pytest.raises(ConfigError, match="OTP_AUTH_PAGES"):
            Browser(app).get("/account")

    @staticmethod
    def app(**config: Any) -> Flask:
        app = Flask("shop")
        app.config.update(TESTING=True, SECRET_KEY=SECRET, OTP_AUTH_PAGES=True, **config)
        app.add_url_rule("/account", "account", page_required("customer")(lambda: "account"))
        return app

    def by_hand(self, customers: JoinableCustomers, **config: Any) -> tuple[Flask, OTPAuth]:
        """Make a shop that has yet to mount the blueprint."""
        app, otp_auth = self.app(**config), OTPAuth(register_blueprint=False)
        otp_auth.add_actor_type("customer", customers)
        otp_auth.init_app(app)
        return app, otp_auth

    @staticmethod
    def way_in(app: Flask) -> str:
        """Return where a guest is sent."""
        return Browser(app).get("/account").headers["Location"]


class TestNeighbours:
    @pytest.mark.parametrize("first", [True, False])
    @pytest.mark.parametrize("base_url", ["http://localhost", "https://localhost"])
    def test_flask_wtf_protects_the_app_s_forms_and_not_ours(
        self, customers: JoinableCustomers, first: bool, base_url: str
    ) -> None:
        app = TestWhereTheyAreMounted.app()
        if first:
            CSRFProtect(app)
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.init_app(app)
        if not first:
            CSRFProtect(app)

        class Review(FlaskForm):
            text = StringField()

        @app.route("/review", methods=["GET", "POST"])
        def review() -> str:
            form = Review()
            return "written" if form.validate_on_submit() else f"<form action=''>{form.csrf_token}"

        browser = Browser(app, base_url=base_url)
        browser.ask()
        browser.submit(otp="000000", csrf_token="x")
        assert "This page had expired." in browser.text
        browser.get("sign-in")
        browser.ask("bob@example.com")
        browser.get("sign-out")
        assert browser.open("/review", method="POST").status_code == 400
        browser.get("/review")
        browser.open(
            "/review",
            method="POST",
            data=browser.fill_in(),
            headers={"Referer": f"{base_url}/review"},
        )
        assert browser.text == "written"

    def test_another_extension_of_that_name_is_left_alone(self, app: Flask) -> None:
        app.extensions["csrf"] = object()
        assert Browser(app).get("sign-in").status_code == 200

    @pytest.mark.parametrize("protection", [None, "basic", "strong"])
    def test_flask_login_knows_who_signed_in(
        self, make_app: MakeApp, protection: str | None
    ) -> None:
        class Person(Customer, UserMixin):
            """A customer whom Flask-Login knows."""

        people = Customers([Person(7, ADA)])
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("person", people)
        otp_auth.add_actor_type("robot", people)
        app = make_app(otp_auth, OTP_AUTH_PAGES=True)
        login_manager = LoginManager(app)
        login_manager.session_protection = protection
        init_login_manager(login_manager, otp_auth, "person")

        @app.get("/me")
        @login_required
        def me() -> str:
            return str(current_user.email)

        browser = Browser(app, "/auth/person")
        assert browser.get("/me").status_code == 401
        browser.sign_in()
        assert browser.get("/me").text == ADA
        browser.get("devices")
        assert browser.text.count("Signed in since") == 1
        browser.get("sign-out")
        browser.submit()
        assert browser.get("/me").status_code == 401
        robot = Browser(app, "/auth/robot")
        robot.sign_in()
        assert robot.get("/me").status_code == 401

    def test_babel_says_the_language(self, app: Flask) -> None:
        Babel(app, locale_selector=lambda: request.args.get("lang", "en"))
        browser = Browser(app)
        browser.get("sign-in")
        assert browser.page.all("html") == [{"lang": "en", "dir": "ltr"}]

    def test_a_strict_environment_renders_them_all(self, app: Flask) -> None:
        app.jinja_env.undefined = StrictUndefined
        browser = Browser(app)
        browser.ask("bob@example.com")
        browser.submit(otp="1")
        assert browser.status == 400


class TestStaticFiles:
    def test_have_a_hash_in_their_url_and_a_year_in_caches(self, browser: Browser) -> None:
        browser.get("sign-in")
        urls = [link["href"] for link in browser.page.all("link")]
        urls += [script["src"] for script in browser.page.all("script")]
        assert len(urls) == 2
        for url in urls:
            browser.get(url)
            assert browser.status == 200
            assert browser.answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
            assert browser.answer.headers["X-Content-Type-Options"] == "nosniff"
            browser.get(url.partition("?")[0])
            assert browser.answer.headers["Cache-Control"] == "no-store"
            browser.get(url[:-1] + "x")
            assert browser.answer.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(
        "name", ["nothing.css", "../views.py", "..%2fviews.py", "/etc/passwd", "%2e%2e/views.py"]
    )
    def test_are_the_package_s_own_alone(self, browser: Browser, name: str) -> None:
        browser.get(f"/auth/static/{name}")
        assert browser.status in (308, 404)
        assert browser.answer.headers["Cache-Control"] == "no-store"

    def test_are_small_and_load_nothing(self, browser: Browser) -> None:
        sheet, script = (browser.get(f"/auth/static/otp_auth.{kind}") for kind in ("css", "js"))
        assert (len(sheet.data) < 8000, len(script.data) < 4000) == (True, True)
        assert not re.search(r"https?://|@import", sheet.text + script.text)
