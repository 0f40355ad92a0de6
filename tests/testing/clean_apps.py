"""Apps that tell nobody who has an account, and let no attacker through; one factory each."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from apiflask import APIFlask
from fakes import ADA, BOB, SECRET, Customers
from flask import Flask, g, redirect, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_otp_auth import (
    DuplicateError,
    OTPAuth,
    RequestError,
    current_registration,
    registration_required,
)
from flask_otp_auth.login import init_login_manager
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore
from flask_otp_auth.testing import assert_enumeration_safe

#: Small limits, which take an attacker fewer tries to reach.
SMALL = {"OTP_AUTH_IP_VERIFY_LIMITS": "60/hour"}


@dataclass(frozen=True)
class Clean:
    """One app.

    :ivar arguments: what attack() has to be told of it.
    """

    create: Callable[[], Flask]
    known: str = ADA
    arguments: tuple[tuple[str, Any], ...] = ()


def shop(app: Flask | None = None, otp_auth: OTPAuth | None = None, **config: Any) -> Flask:
    """The shop of the README: the door, and a view that creates customers."""
    app = app or Flask("shop")
    app.config.update({"TESTING": True, "SECRET_KEY": SECRET, **SMALL, **config})
    otp_auth, customers = otp_auth or OTPAuth(), accounts_of(ADA)
    otp_auth.add_actor_type("customer", customers)
    otp_auth.init_app(app)

    @app.post("/customers")
    @registration_required("customer")
    def create() -> dict[str, str]:
        email = current_registration.identifier
        if customers.find_by_identifier(email):
            raise DuplicateError
        return {"token": otp_auth.complete(customers.add(email))}

    return app


def with_store(store: Any, **given: Any) -> Flask:
    """The bare routes for the customers of a store."""
    app = Flask("shop")
    app.config.update(TESTING=True, SECRET_KEY=SECRET, **SMALL)
    OTPAuth(app).add_actor_type("customer", store, **given)
    return app


def accounts_of(identifier: str) -> Customers:
    """A store with one member."""
    customers = Customers()
    customers.add(identifier)
    return customers


def leaks(app: Flask, **given: Any) -> str:
    """Compare Ada with Bob, and return what the assertion says; an empty text if it holds."""
    arguments = {"known": ADA, "unknown": BOB, "tries": 20, **given}
    try:
        assert_enumeration_safe(app, "customer", **arguments)
    except AssertionError as error:
        return str(error)
    return ""


def with_a_database(**config: Any) -> Flask:
    class Base(DeclarativeBase):
        pass

    db = SQLAlchemy(model_class=Base)

    class Customer(db.Model):  # type: ignore[name-defined] # made at runtime
        id: Mapped[int] = mapped_column(primary_key=True)
        email: Mapped[str] = mapped_column(unique=True)

    app = Flask("shop")
    app.config.update(TESTING=True, SECRET_KEY=SECRET, **SMALL)
    app.config.update({"SQLALCHEMY_DATABASE_URI": "sqlite://", **config})
    db.init_app(app)
    otp_auth = OTPAuth()
    store = SQLAlchemyActorStore(Customer, db.session, identifiers=("email",))
    otp_auth.add_actor_type("customer", store)
    otp_auth.init_app(app)

    @app.post("/customers")
    @registration_required("customer")
    def create() -> dict[str, str]:
        return {"token": otp_auth.complete(store.create(current_registration.identifier, {}))}

    with app.app_context():
        db.create_all()
        store.create(ADA, {})
    return app


def with_flask_login() -> Flask:
    """It has a sign-in page of its own, which knows where it may send people."""
    otp_auth = OTPAuth()
    app = shop(otp_auth=otp_auth)
    login_manager = LoginManager(app)
    init_login_manager(login_manager, otp_auth)

    @app.route("/login", methods=["GET", "POST"])
    def login() -> Any:
        if request.method == "GET":
            return '<form method="post"><input name="email"><input name="code"></form>'
        token = otp_auth.verify("customer", request.form["email"], request.form["code"])
        otp_auth.begin_session(token)
        return redirect("/account")

    return app


def with_csrf_protection() -> Flask:
    otp_auth, csrf = OTPAuth(), CSRFProtect()
    app = shop(otp_auth=otp_auth)
    csrf.init_app(app)
    csrf.exempt(otp_auth.blueprint)
    csrf.exempt(app.view_functions["create"])
    return app


def with_apiflask() -> Flask:
    return shop(APIFlask("shop"))


def with_a_before_request() -> Flask:
    app = shop()

    @app.before_request
    def note_the_language() -> None:
        g.language = request.accept_languages.best_match(["de", "en"]) or "en"

    @app.after_request
    def say_so(response: Any) -> Any:
        response.headers["Content-Language"] = g.language
        return response

    return app


def with_an_error_handler() -> Flask:
    app = shop()

    @app.errorhandler(RequestError)
    def tell_nothing(error: RequestError) -> tuple[dict[str, Any], int]:
        return {"error": error.type, "text": "That did not work."}, 400

    return app


def closed() -> Flask:
    return with_store(accounts_of(ADA), sign_up="closed", digits=8)


def with_phones() -> Flask:
    return with_store(accounts_of(PHONE), identifier="phone", phone_countries=["DE"])


def with_a_limiter() -> Flask:
    """Its deployment names the limiter's storage; a test names one in memory."""
    app = Flask("shop")
    app.config.update(TESTING=True, SECRET_KEY=SECRET, RATELIMIT_STORAGE_URI="memory://")
    limiter = Limiter(get_remote_address, strategy="moving-window", default_limits=["9/minute"])
    limiter.init_app(app)
    return shop(app, OTPAuth(limiter=limiter))


def with_challenges() -> Flask:
    return shop(OTP_AUTH_REQUIRE_CHALLENGE=True)


def behind_a_proxy() -> Flask:
    app = shop()
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)  # type: ignore[method-assign] # as Flask says
    return app


def with_a_slotted_store() -> Flask:
    """No finder of its store can be replaced."""
    return with_store(Slotted())


class Slotted:
    """An actor store with one member."""

    __slots__ = ()

    def find_by_identifier(self, identifier: str) -> SimpleNamespace | None:
        return SimpleNamespace(id="1") if identifier == ADA else None

    def find_by_id(self, actor_id: str) -> SimpleNamespace | None:
        return SimpleNamespace(id="1") if actor_id == "1" else None


def with_pages() -> Flask:
    """The pages of the package, and links in its messages."""
    return shop(OTP_AUTH_PAGES=True, OTP_AUTH_LINKS=True, OTP_AUTH_SITE_URL="https://shop.example")


PHONE = "+4915123456789"

CLEAN = {
    "plain": Clean(shop),
    "SQLAlchemy": Clean(with_a_database),
    "Flask-Login": Clean(with_flask_login),
    "Flask-WTF": Clean(with_csrf_protection),
    "APIFlask": Clean(with_apiflask),
    "before_request": Clean(with_a_before_request),
    "error handler": Clean(with_an_error_handler),
    "closed": Clean(closed),
    "phone": Clean(with_phones, PHONE),
    "limiter": Clean(with_a_limiter),
    "challenges": Clean(with_challenges),
    "proxy": Clean(behind_a_proxy, arguments=(("proxies", 1),)),
    "pages": Clean(with_pages, arguments=(("through", ["/auth/customer/sign-in"]),)),
    "slots": Clean(with_a_slotted_store),
}
