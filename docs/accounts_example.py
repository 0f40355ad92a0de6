"""Accounts that sign in with a code to their e-mail address or phone, or with a password.

One model of Flask-SQLAlchemy and one login manager of Flask-Login: whichever way somebody signs
in, it is the same ``current_user`` and the same kind of sign-in. Whoever is new joins with the
code. To try it, open it in a browser; codes are printed where a real app would send them::

    pip install 'flask-otp-auth[forms,login,phone,sqlalchemy]' flask-sqlalchemy
    export FLASK_APP=docs/accounts_example.py FLASK_SECRET_KEY=$(openssl rand -hex 32)
    flask run
"""

import secrets

from flask import Blueprint, Flask, flash, redirect, render_template_string, request, url_for
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from werkzeug.security import check_password_hash, generate_password_hash

from flask_otp_auth import InvalidIdentifier, OTPAuth, canonicaliser, page_required
from flask_otp_auth.console import print_codes
from flask_otp_auth.login import init_login_manager
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class User(UserMixin, db.Model):
    """An account, with one identifier at least; each is kept in its canonical form."""

    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True)
    phone = db.Column(db.String, unique=True)
    password_hash = db.Column(db.String)


#: One canonical form for every way in, or a password would open another account than a code.
canonical = canonicaliser(("email", "phone"), region="DE")
users = SQLAlchemyActorStore(User, db.session, identifiers=("email", "phone"))

# Nothing is sent to other countries, however expensive the numbers there are.
otp_auth = OTPAuth()
otp_auth.add_actor_type("user", users, identifier=canonical, phone_countries=["DE", "AT", "CH"])

login_manager = LoginManager()
login_manager.login_view = "site.login"
init_login_manager(login_manager, otp_auth)

csrf = CSRFProtect()
limiter = Limiter(get_remote_address, storage_uri="memory://")  # several workers need another
site = Blueprint("site", __name__)


def create_app(**config):
    app = Flask(__name__)
    app.config.from_prefixed_env()
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///accounts.sqlite3"
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"  # and over HTTPS: SESSION_COOKIE_SECURE
    app.config["OTP_AUTH_PAGES"] = True
    app.config.update(config)
    for extension in (db, otp_auth, login_manager, csrf, limiter):
        extension.init_app(app)
    csrf.exempt(otp_auth.blueprint)  # its API takes JSON, and its pages have tokens of their own
    app.register_blueprint(site)
    print_codes(app)
    with app.app_context():
        db.create_all()
    return app


@site.get("/")
@login_required
def home():
    return render_template_string(PAGE)


@site.get("/login")
def login():
    return render_template_string(PAGE)


@site.post("/login")
@limiter.limit("100/hour")  # the extension counts codes by itself, passwords it doesn't know
def check_password():
    try:
        user = users.find_by_identifier(canonical(request.form["identifier"]))
    except InvalidIdentifier:
        user = None
    # An unknown user costs the same time, which tells nobody who has an account.
    stored = user.password_hash if user and user.password_hash else NOBODY
    if not check_password_hash(stored, request.form["password"]) or user is None:
        flash("That is not right.")
        return render_template_string(PAGE), 400
    login_user(user)
    return redirect(url_for(".home"))


NOBODY = generate_password_hash(secrets.token_hex())


@site.post("/password")
@page_required("user", max_age=600)  # whoever finds a browser signed in must not set one
def set_password():
    if len(request.form["password"]) < 15:  # NIST SP 800-63B-4, section 3.1.1.2
        flash("A password needs 15 characters.")
        return render_template_string(PAGE), 400
    current_user.password_hash = generate_password_hash(request.form["password"])
    db.session.commit()
    otp_auth.end_other_sign_ins()
    flash("Your password is set, and you are signed out everywhere else.")
    return redirect(url_for(".home"))


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Accounts</title>
<meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="{{ url_for('otp_auth.static', filename='otp_auth.css') }}">
<body class="otp-body"><main class="otp-main"><h1>Accounts</h1>
{% for message in get_flashed_messages() %}<p role="alert">{{ message }}</p>{% endfor %}
{% set is_known = current_user.is_authenticated %}{% if is_known %}
<p>Hello {{ current_user.email or current_user.phone }}</p>
<p><a href="{{ url_for('otp_auth.sign_out', actor_type='user') }}">Sign out</a></p>{% else %}
<p><a href="{{ url_for('otp_auth.sign_in', actor_type='user') }}">Sign in with a code</a></p>
{% endif %}<form class="otp-form" method="post"
action="{{ url_for('site.set_password' if is_known else 'site.check_password') }}">
<input type="hidden" name="csrf_token" value="{{ csrf_token() }}">{% if not is_known %}<label>
E-mail or phone <input class="otp-input" name="identifier" required autocomplete="username"></label>
{% endif %}<label>Password <input class="otp-input" name="password" type="password" required
autocomplete="{{ 'new' if is_known else 'current' }}-password"></label>
<button class="otp-button">{{ "Set a password" if is_known else "Sign in" }}</button></form>"""
