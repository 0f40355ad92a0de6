"""A shop that tells who has an account, in eight ways: see docs/testing.md. Copy nothing of it.

tests/testing/test_leaky.py holds an attack on it, which names each of the eight.
"""

import secrets
import time
from types import SimpleNamespace

from flask import Flask, jsonify, redirect, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from flask_otp_auth import InvalidOTP, OTPAuth, current_registration, registration_required

SLOW_FINDER = "slow finder"
INLINE = "inline delivery"
BEFORE_REQUEST = "look-up before the request"
ERROR_HANDLER = "error handler that tells"
LIMITER = "limiter in memory"
ADDRESS = "believed address"
REDIRECT = "open redirect"
OVERWRITES = "registration that overwrites"

ALL = (
    SLOW_FINDER, INLINE, BEFORE_REQUEST, ERROR_HANDLER, LIMITER, ADDRESS, REDIRECT, OVERWRITES,
)  # fmt: skip


class CustomerStore:
    """Accounts, by e-mail."""

    def __init__(self, slow):
        self.accounts = {"ada@example.com": SimpleNamespace(id="1", email="ada@example.com")}
        self.slow = slow

    def find_by_identifier(self, identifier):
        found = self.accounts.get(identifier)
        if found and self.slow:
            time.sleep(0.008)  # leak: say, a second query for what belongs to the account
        return found

    def find_by_id(self, actor_id):
        return next((c for c in list(self.accounts.values()) if c.id == actor_id), None)


def create_app(leaks=ALL):
    """Make the shop, with some of its leaks or with all."""
    app = Flask("leaky")
    app.config.update(TESTING=True, SECRET_KEY=secrets.token_hex(32))
    if INLINE in leaks:
        app.config["OTP_AUTH_DELIVERY"] = "inline"  # leak: only a member's request waits for mail
    store = CustomerStore(slow=SLOW_FINDER in leaks)
    limiter = (
        Limiter(get_remote_address, app=app, storage_uri="memory://") if LIMITER in leaks else None
    )
    otp_auth = OTPAuth(app, limiter=limiter)  # leak: each process counts by itself
    otp_auth.add_actor_type("customer", store)
    add_hooks(app, store, leaks)
    add_views(app, store, otp_auth, leaks)
    return app


def add_hooks(app, store, leaks):
    """Add what looks at requests and errors."""
    if BEFORE_REQUEST in leaks:

        @app.before_request
        def load_customer():
            body = request.get_json(silent=True) or {}
            store.find_by_identifier(body.get("identifier"))  # leak: its time tells

    if ERROR_HANDLER in leaks:

        @app.errorhandler(InvalidOTP)
        def explain(error):
            asked = request.get_json(silent=True) or request.form
            known = asked.get("identifier") in store.accounts
            text = "Wrong code." if known else "There is no such customer."  # leak
            return jsonify(type=error.type, message=text), 400

    if ADDRESS in leaks:
        app.wsgi_app = BelievingMiddleware(app.wsgi_app)


class BelievingMiddleware:
    """Takes the address of whoever says that it has one."""

    def __init__(self, wsgi_app):
        self.wsgi_app = wsgi_app

    def __call__(self, environ, start_response):
        said = environ.get("HTTP_X_FORWARDED_FOR")
        if said:
            environ["REMOTE_ADDR"] = said.split(",")[0]  # leak: anybody can say so
        return self.wsgi_app(environ, start_response)


def add_views(app, store, otp_auth, leaks):
    """Add the shop's own views."""

    @app.route("/login", methods=["GET", "POST"])
    def login():
        if request.method == "GET":
            return '<form method="post"><input name="email"><input name="code"></form>'
        token = otp_auth.verify("customer", request.form["email"], request.form["code"])
        otp_auth.begin_session(token)
        target = request.args.get("next", "/") if REDIRECT in leaks else "/"  # leak: to any site
        return redirect(target)

    @app.post("/customers")
    @registration_required("customer")
    def create_customer():
        email = current_registration.identifier
        customer = SimpleNamespace(id=str(time.time_ns()), email=email)
        if OVERWRITES in leaks:
            store.accounts[email] = customer  # leak: whoever comes second takes the account
        customer = store.accounts.setdefault(email, customer)
        return {"email": customer.email}, 201
