"""A payment that needs a code for this very payment: the message shows its amount and its payee.

The first call is answered 401 ``otp_required`` and sends the message. The same call with the header
``OTP`` pays; with another amount or payee the code is refused.
"""

import os

import click
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import OTPAuth, current_confirmation, otp_required, token_required
from flask_otp_auth.signals import confirmation_otp_generated, otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

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
    db.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(deliver, app)
    confirmation_otp_generated.connect(deliver, app)
    app.add_url_rule("/payments", view_func=pay, methods=["POST"])
    with app.app_context():
        db.create_all()
    return app


def to_confirm():
    return {"amount": request.json["amount"], "payee": request.json["payee"]}


@token_required("customer")
@otp_required("payment", to=lambda customer: customer.email, binds=to_confirm)
def pay():
    confirmed = current_confirmation.binds  # what the message showed: pay this, not the request's
    return {"paid": confirmed["amount"], "to": confirmed["payee"]}


def deliver(sender, identifier, otp, binds=None, **_):
    what = f"pays {binds['amount']} EUR to {binds['payee']}" if binds else "is your code to sign in"
    click.echo(f"To {identifier}: {otp} {what}.")  # here your app sends a mail
