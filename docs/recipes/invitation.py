"""Only who was invited may join; nobody else without an account is sent a code.

``POST /invitations`` (``email``) is for admins. Whoever was invited joins by the one door (``POST
/auth/user/otp/start`` and ``/finish``), and then ``POST /users`` makes the account.
"""

import os

import click
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy

import flask_otp_auth
from flask_otp_auth import Refused, current_actor, current_registration
from flask_otp_auth.signals import otp_generated, pre_register_otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()
canonical = flask_otp_auth.canonicaliser("email")


class User(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)
    is_admin = db.Column(db.Boolean, nullable=False, default=False)


class Invitation(db.Model):
    email = db.Column(db.String, primary_key=True)


def is_invited(identifier):
    return db.session.get(Invitation, identifier) is not None


users = SQLAlchemyActorStore(User, db.session)
otp_auth = flask_otp_auth.OTPAuth()
otp_auth.add_actor_type("user", users, sign_up=is_invited)


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(mail_code, app)
    pre_register_otp_generated.connect(mail_code, app)
    app.add_url_rule("/invitations", view_func=invite, methods=["POST"])
    app.add_url_rule("/users", view_func=join, methods=["POST"])
    with app.app_context():
        db.create_all()
    return app


@flask_otp_auth.token_required("user")
def invite():
    if not current_actor.is_admin:
        raise Refused
    email = canonical(request.form["email"])
    db.session.merge(Invitation(email=email))
    db.session.commit()
    mail(email, "You are invited: open https://www.example.com/join and type this address.")
    return {"invited": email}


@flask_otp_auth.registration_required("user")
def join():
    if not is_invited(current_registration.identifier):  # withdrawn in the meantime
        raise Refused
    return {"token": otp_auth.complete(users.create(current_registration.identifier, {}))}, 201


def mail_code(sender, identifier, otp, **_):
    mail(identifier, f"{otp} is your code. Never tell it to anyone who calls you.")


def mail(to, text):
    click.echo(f"To {to}: {text}")  # here your app sends a mail
