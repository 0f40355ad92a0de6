"""Codes by SMS, over the HTTP interface of a provider: Twilio's, which others resemble.

The text is rendered by the package: one segment, in the language of whoever asked, and with
``OTP_AUTH_SITE_URL`` bound to the site, so that phones fill it in there and nowhere else.
"""

import os

import requests
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import OTPAuth
from flask_otp_auth.messages import sms
from flask_otp_auth.signals import otp_generated, pre_register_otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class Customer(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    phone = db.Column(db.String, unique=True, nullable=False)


otp_auth = OTPAuth()
store = SQLAlchemyActorStore(Customer, db.session, identifiers=("phone",))
otp_auth.add_actor_type("customer", store, identifier="phone", phone_countries=("DE", "FR"))


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    app.config["TWILIO_URL"] = os.environ.get("TWILIO_URL", "https://api.twilio.com")
    app.config["TWILIO_ACCOUNT"] = os.environ["TWILIO_ACCOUNT"]
    app.config["TWILIO_TOKEN"] = os.environ["TWILIO_TOKEN"]
    app.config["TWILIO_FROM"] = os.environ["TWILIO_FROM"]
    app.config["OTP_AUTH_SITE_URL"] = "https://shop.example"
    db.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(text_code, app)
    pre_register_otp_generated.connect(text_code, app)
    with app.app_context():
        db.create_all()
    return app


def text_code(sender, **signal):
    config = current_app.config
    account = config["TWILIO_ACCOUNT"]
    said = {"To": signal["identifier"], "From": config["TWILIO_FROM"]}
    answer = requests.post(
        f"{config['TWILIO_URL']}/2010-04-01/Accounts/{account}/Messages.json",
        {**said, "Body": sms(sender, **signal)},
        auth=(account, config["TWILIO_TOKEN"]),
        timeout=5,
    )
    answer.raise_for_status()  # what raises is tried again while the code lives
