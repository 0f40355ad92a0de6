"""The user table of Flask-Security, as it stands, with codes in place of passwords."""

import os

import click
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import OTPAuth, current_actor, token_required
from flask_otp_auth.signals import otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class User(db.Model):
    """The columns that Flask-Security made; leave in the table what you no longer need."""

    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String(255), unique=True, nullable=False)
    password = db.Column(db.String(255))
    active = db.Column(db.Boolean, nullable=False)
    fs_uniquifier = db.Column(db.String(64), unique=True, nullable=False)
    confirmed_at = db.Column(db.DateTime)
    us_phone_number = db.Column(db.String(128), unique=True)


otp_auth = OTPAuth()
otp_auth.add_actor_type(
    "user",
    SQLAlchemyActorStore(
        User,
        db.session,
        identifiers=("email", "us_phone_number"),
        ignore_case=True,  # if there are rows such as Ada@Example.com
        is_active=lambda user: user.active,
    ),
    identifier=("email", "phone"),
    sign_up="closed",
)


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(deliver, app)
    app.add_url_rule("/profile", view_func=profile)
    with app.app_context():
        db.create_all()
    return app


@token_required("user")  # was @auth_required("token")
def profile():
    return {"email": current_actor.email}  # was current_user


def deliver(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail
