"""An account is deleted by its owner, with a code for that: a stolen token is not enough.

``DELETE /account`` is answered 401 ``otp_required``; the same call with the header ``OTP`` deletes.
"""

import os

import click
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import OTPAuth, current_actor, otp_required, token_required
from flask_otp_auth.signals import confirmation_otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class Customer(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # or who comes next would get the tokens
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)


otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", SQLAlchemyActorStore(Customer, db.session))


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    otp_auth.init_app(app)
    confirmation_otp_generated.connect(mail_code, app)
    app.add_url_rule("/account", view_func=delete, methods=["DELETE"])
    with app.app_context():
        db.create_all()
    return app


@token_required("customer")
@otp_required("delete_account", to=lambda customer: customer.email)
def delete():
    customer = db.session.get(Customer, current_actor.id)
    otp_auth.revoke_all("customer", customer)  # first: if that fails, nothing is half done
    db.session.delete(customer)
    db.session.commit()
    return "", 204


def mail_code(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} deletes your account.")  # here your app sends a mail
