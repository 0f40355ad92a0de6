"""A captcha before any code is sent: Cloudflare Turnstile, by a gate.

The page puts the widget's token into the field ``proof`` of the body, or into the header
``OTP-Proof``. Other captchas (hCaptcha, reCAPTCHA) differ in the URL alone.
"""

import os

import click
import requests
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import OTPAuth, Refused, Unavailable
from flask_otp_auth.signals import otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

URL = "https://challenges.cloudflare.com/turnstile/v0/siteverify"

db = SQLAlchemy()


class Customer(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)


otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", SQLAlchemyActorStore(Customer, db.session), sign_up="closed")


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    app.config["TURNSTILE_SECRET"] = os.environ["TURNSTILE_SECRET"]
    app.config["TURNSTILE_URL"] = os.environ.get("TURNSTILE_URL", URL)
    db.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(mail_code, app)
    with app.app_context():
        db.create_all()
    return app


@otp_auth.before_code
def check_captcha(asked):
    if not asked.proof:
        raise Refused
    config = current_app.config
    said = {"secret": config["TURNSTILE_SECRET"], "response": asked.proof}
    try:
        # With a time-out: whoever waits here keeps a worker from all others.
        answer = requests.post(
            config["TURNSTILE_URL"], {**said, "remoteip": asked.address}, timeout=3
        )
        answer.raise_for_status()
        is_human = answer.json()["success"] is True
    except requests.RequestException:
        raise Unavailable from None
    if not is_human:
        raise Refused


def mail_code(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail
