"""Codes and notices by SMTP, with Flask-Mail, in the language of whoever asked.

The sign-up, the sign-in and every purpose are mailed by the one line with ``mail_codes``.
"""

import os

from flask import Flask, request
from flask_babel import Babel
from flask_mail import Mail
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import OTPAuth
from flask_otp_auth.mail import mail_codes
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

LANGUAGES = ["en", "de", "fr", "es", "ar"]

db = SQLAlchemy()


class Customer(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)


otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", SQLAlchemyActorStore(Customer, db.session))


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    app.config.from_prefixed_env("SHOP")  # SHOP_MAIL_SERVER, SHOP_MAIL_USERNAME and so on
    app.config["OTP_AUTH_SITE_NAME"] = "Zoë's shop"
    app.config["OTP_AUTH_SITE_URL"] = "https://shop.example"
    app.config["MAIL_DEFAULT_SENDER"] = "post@shop.example"
    db.init_app(app)
    Babel(app, locale_selector=lambda: request.accept_languages.best_match(LANGUAGES))
    otp_auth.init_app(app)
    mail_codes(app, Mail(app))
    with app.app_context():
        db.create_all()
    return app
