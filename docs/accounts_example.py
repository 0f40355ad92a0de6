"""Accounts that sign in with a password, or with a code to their e-mail address or phone.

One model of Flask-SQLAlchemy and one login manager of Flask-Login: whichever way somebody signs
in, it is the same ``current_user`` and the same kind of sign-in. Whoever is new joins with the
code. To try it, open /login; codes are printed where a real app would send them::

    pip install 'flask-otp-auth[login,phone,sqlalchemy]' flask-sqlalchemy flask-wtf
    export FLASK_APP=docs/accounts_example.py FLASK_SECRET_KEY=$(openssl rand -hex 32)
    flask add-user ada@example.com '0151 23456789'
    flask run
"""

import secrets
from typing import Any

import click
from flask import Blueprint, Flask, flash, redirect, render_template_string, request, url_for
from flask.typing import ResponseReturnValue
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import (
    LoginManager,
    UserMixin,
    current_user,
    fresh_login_required,
    login_required,
    login_user,
    logout_user,
)
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.security import check_password_hash, generate_password_hash

from flask_otp_auth import InvalidIdentifier, OTPAuth, RequestError, canonicaliser
from flask_otp_auth.login import init_login_manager, login_with_token
from flask_otp_auth.signals import otp_generated, pre_register_otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore


class Base(DeclarativeBase):
    """The models."""


db = SQLAlchemy(model_class=Base)


class User(UserMixin, db.Model):
    """An account, with one identifier at least; each is kept in its canonical form."""

    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str | None] = mapped_column(unique=True)
    phone: Mapped[str | None] = mapped_column(unique=True)
    password_hash: Mapped[str | None]


#: One canonical form for every way in, or a password would open another account than a code.
canonical = canonicaliser(("email", "phone"), region="DE")
users = SQLAlchemyActorStore(User, db.session, identifiers=("email", "phone"))

otp_auth = OTPAuth()
otp_auth.add_actor_type(
    "user", users, identifier=canonical, phone_countries=["DE", "AT", "CH"]
)  # nothing is sent elsewhere, however expensive the numbers there are

login_manager = LoginManager()
login_manager.login_view = "site.login"
init_login_manager(login_manager, otp_auth)

csrf = CSRFProtect()
limiter = Limiter(get_remote_address, storage_uri="memory://")  # several workers need another
site = Blueprint("site", __name__, cli_group=None)


def create_app(**config: Any) -> Flask:
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config.update(
        SQLALCHEMY_DATABASE_URI="sqlite:///accounts.sqlite3",
        SESSION_COOKIE_SAMESITE="Lax",  # and over HTTPS: SESSION_COOKIE_SECURE=True
    )
    app.config.update(config)
    for extension in (db, otp_auth, login_manager, csrf, limiter):
        extension.init_app(app)
    csrf.exempt(otp_auth.blueprint)  # it takes JSON and tokens, which no form can send
    app.register_blueprint(site)
    otp_generated.connect(deliver, app)
    pre_register_otp_generated.connect(deliver, app)
    with app.app_context():
        db.create_all()
    return app


def deliver(sender: Flask, identifier: str, otp: str, **_: Any) -> None:
    way = "e-mail" if "@" in identifier else "SMS"
    click.echo(f"{way} to {identifier}: {otp} is your code.")


@site.cli.command("add-user")
@click.argument("identifiers", nargs=-1, required=True)
@click.password_option()
def add_user(identifiers: tuple[str, ...], password: str) -> None:
    """Add an account with these identifiers, whose owner you know."""
    try:
        given = {"email" if "@" in text else "phone": canonical(text) for text in identifiers}
    except InvalidIdentifier as error:
        raise click.UsageError(error.message) from None
    if not add(password_hash=generate_password_hash(password), **given):
        raise click.UsageError("Somebody has one of these already.")


def add(**columns: str) -> bool:
    """Add a user; false if somebody has one of the identifiers. The database decides who is
    first: between a look-up and an insert there is room for another insert."""
    db.session.add(User(**columns))
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        return False
    return True


@site.get("/")
@login_required
def home() -> ResponseReturnValue:
    return page(HOME)


@site.get("/login")
def login() -> ResponseReturnValue:
    return page(LOGIN)


@site.post("/login/password")
@limiter.limit("100/hour")  # the extension counts codes by itself, passwords it doesn't know
def check_password() -> ResponseReturnValue:
    user = find(request.form["identifier"])
    # An unknown user costs the same time, which tells nobody who has an account.
    stored = user.password_hash if user and user.password_hash else NOBODY
    if not check_password_hash(stored, request.form["password"]) or user is None:
        flash("That is not right.")
        return page(LOGIN), 400
    login_user(user)
    return redirect(url_for(".home"))


NOBODY = generate_password_hash(secrets.token_hex())


def find(typed: str) -> User | None:
    try:
        return users.find_by_identifier(canonical(typed))
    except InvalidIdentifier:
        return None


@site.post("/login/code")
def send_code() -> ResponseReturnValue:
    identifier = request.form["identifier"]
    try:
        issued = otp_auth.start("user", identifier)
    except RequestError as error:
        flash(error.message)
        return page(LOGIN), error.status
    return page(CODE, identifier=identifier, challenge=issued.challenge)


@site.post("/login/code/check")
def check_code() -> ResponseReturnValue:
    form = request.form
    try:
        token = otp_auth.finish("user", form["identifier"], form["otp"], form["challenge"])
        if token.registration:
            users.create(token.identifier, {})
            token = otp_auth.refresh(token)
    except RequestError as error:
        flash(error.message)
        shown = {name: form[name] for name in ("identifier", "challenge")}
        return page(CODE, **shown), error.status
    login_with_token(token)
    return redirect(url_for(".home"))


MIN_PASSWORD = 15  # NIST SP 800-63B-4, section 3.1.1.2


@site.post("/password")
@fresh_login_required
def set_password() -> ResponseReturnValue:
    password = request.form["password"]
    if len(password) < MIN_PASSWORD:
        flash(f"A password needs {MIN_PASSWORD} characters.")
        return page(HOME), 400
    current_user.password_hash = generate_password_hash(password)
    db.session.commit()
    otp_auth.end_other_sign_ins()
    flash("Your password is set, and you are signed out everywhere else.")
    return redirect(url_for(".home"))


@site.post("/logout")
@login_required
def logout() -> ResponseReturnValue:
    logout_user()
    return redirect(url_for(".login"))


def page(body: str, **values: str) -> str:
    return render_template_string(FRAME.replace("BODY", body), **values)


FRAME = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Accounts</title>
{% macro begin(endpoint) -%}
<form method="post" action="{{ url_for(endpoint) }}">
<input type="hidden" name="csrf_token" value="{{ csrf_token() }}">
{%- endmacro %}
{% for message in get_flashed_messages() %}<p role="alert">{{ message }}</p>{% endfor %}
BODY
</html>"""

HOME = """<p>Hello {{ current_user.email or current_user.phone }}</p>
{{ begin(".set_password") }}
<label>New password <input name="password" type="password" required
    autocomplete="new-password"></label> <button>Set</button></form>
{{ begin(".logout") }}<button>Log out</button></form>"""

LOGIN = """{% set who %}<label>E-mail or phone
<input name="identifier" required autocomplete="username"></label>{% endset %}
{{ begin(".check_password") }}{{ who }}
<label>Password <input name="password" type="password" required
    autocomplete="current-password"></label> <button>Log in</button></form>
{{ begin(".send_code") }}{{ who }} <button>Send me a code</button></form>"""

CODE = """<p>A code is on its way to {{ identifier }}.</p>
{{ begin(".check_code") }}
<input type="hidden" name="identifier" value="{{ identifier }}">
<input type="hidden" name="challenge" value="{{ challenge }}">
<label>Code <input name="otp" required inputmode="numeric" autocomplete="one-time-code"></label>
<button>Log in</button></form>"""
