"""A forgotten password, in an app that has passwords as well as codes.

``POST /password/forgot`` (``email``) sends a mail to whatever address is typed; ``POST
/password/reset`` (``email``, ``otp``, ``password``) sets the password and signs out everywhere.
"""

import os

import click
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from werkzeug.security import generate_password_hash

from flask_otp_auth import InvalidData, InvalidOTP, OTPAuth
from flask_otp_auth.signals import confirmation_otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class User(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)
    password_hash = db.Column(db.String)


users = SQLAlchemyActorStore(User, db.session)
otp_auth = OTPAuth()
otp_auth.add_actor_type("user", users)
reset_code = otp_auth.purpose("password_reset", identifier="email")


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    otp_auth.init_app(app)
    confirmation_otp_generated.connect(mail_code, app)
    app.add_url_rule("/password/forgot", view_func=forgot, methods=["POST"])
    app.add_url_rule("/password/reset", view_func=reset, methods=["POST"])
    with app.app_context():
        db.create_all()
    return app


def forgot():
    return reset_code.send(request.form["email"]).json()


def reset():
    typed, password = request.form, request.form["password"]
    if len(password) < 15:  # NIST SP 800-63B-4, section 3.1.1.2; before the code is used up
        raise InvalidData("A password needs 15 characters.")
    proof = reset_code.verify(typed["email"], typed["otp"])
    user = users.find_by_identifier(proof.identifier)
    if user is None:
        raise InvalidOTP
    user.password_hash = generate_password_hash(password)
    db.session.commit()
    otp_auth.revoke_all("user", user)
    mail(user.email, "You have a new password, and are signed out everywhere.")
    return {"success": True}


def mail_code(sender, identifier, otp, **_):
    # Runs after the answer, so the time of the look-up tells nobody who has an account.
    if users.find_by_identifier(identifier) is None:
        mail(identifier, "Somebody wants to set your password, but you have no account here.")
    else:
        mail(identifier, f"{otp} lets you set a new password. Was it not you? Ignore it.")


def mail(to, text):
    click.echo(f"To {to}: {text}")  # here your app sends a mail
