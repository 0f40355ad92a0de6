"""A new e-mail address: it is proved first, then the old one is told and all other sign-ins end.

``POST /address`` (``email``) sends a code to the new address, ``POST /address/confirm`` (``email``,
``otp``) makes it the customer's.
"""

import os

import click
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.exc import IntegrityError

from flask_otp_auth import DuplicateError, OTPAuth, current_actor, token_required
from flask_otp_auth.signals import confirmation_otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class Customer(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)


otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", SQLAlchemyActorStore(Customer, db.session))
new_address = otp_auth.purpose("new_address", identifier="email")


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    otp_auth.init_app(app)
    confirmation_otp_generated.connect(mail_code, app)
    app.add_url_rule("/address", view_func=ask, methods=["POST"])
    app.add_url_rule("/address/confirm", view_func=confirm, methods=["POST"])
    with app.app_context():
        db.create_all()
    return app


@token_required("customer", max_age=600)  # whoever finds an open browser must sign in again first
def ask():
    # Sent even if somebody has the address already: nobody but its owner may learn that.
    return new_address.send(request.form["email"], subject=str(current_actor.id)).json()


@token_required("customer", max_age=600)
def confirm():
    email, otp = request.form["email"], request.form["otp"]
    proof = new_address.verify(email, otp, subject=str(current_actor.id))
    former, current_actor.email = current_actor.email, proof.identifier
    try:
        db.session.commit()
    except IntegrityError:
        raise DuplicateError from None
    otp_auth.end_other_sign_ins()  # before the mail, which may fail
    mail(former, f"Your address is {proof.identifier} now. If that was not you, call us at once.")
    return {"email": proof.identifier}


def mail_code(sender, identifier, otp, **_):
    mail(identifier, f"{otp} makes this the address of your account. Was it not you? Ignore it.")


def mail(to, text):
    click.echo(f"To {to}: {text}")  # here your app sends a mail
