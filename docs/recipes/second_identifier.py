"""A phone number beside the e-mail address: once it is proved, either of the two signs in.

``POST /phone`` (``phone``) sends a code to the number; ``POST /phone/confirm`` (``phone``, ``otp``)
adds it to the account.
"""

import os

import click
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import IntegrityError

from flask_otp_auth import DuplicateError, OTPAuth, current_actor, token_required
from flask_otp_auth.signals import confirmation_otp_generated, otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class Customer(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)
    phone = db.Column(db.String, unique=True)


customers = SQLAlchemyActorStore(Customer, db.session, identifiers=("email", "phone"))
otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", customers, identifier=("email", "phone"), sign_up="closed")
new_phone = otp_auth.purpose("new_phone", identifier="phone")


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    app.config["OTP_AUTH_PHONE_COUNTRIES"] = ["DE", "AT", "CH"]  # an SMS costs money
    db.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(send_code, app)
    confirmation_otp_generated.connect(send_code, app)
    app.add_url_rule("/phone", view_func=ask, methods=["POST"])
    app.add_url_rule("/phone/confirm", view_func=confirm, methods=["POST"])
    with app.app_context():
        db.create_all()
    return app


@token_required("customer", max_age=600)  # who finds an open browser must sign in again first
def ask():
    return new_phone.send(request.form["phone"], subject=str(current_actor.id)).json()


@token_required("customer", max_age=600)
def confirm():
    typed, customer = request.form, str(current_actor.id)
    proof = new_phone.verify(typed["phone"], typed["otp"], subject=customer)
    current_actor.phone = proof.identifier
    try:
        db.session.commit()
    except IntegrityError:  # it is another customer's
        raise DuplicateError from None
    send(current_actor.email, f"{proof.identifier} signs in to your account now, too.")
    return {"phone": proof.identifier}


def send_code(sender, identifier, otp, **_):
    send(identifier, f"{otp} is your code. Never tell it to anyone who calls you.")


def send(to, text):
    click.echo(f"To {to}: {text}")  # here your app sends a mail or an SMS
