"""Flask-Login after a code: ``login_required`` and ``current_user`` as you know them."""

import os

import click
from flask import Flask, request
from flask_login import LoginManager, UserMixin, current_user, login_required, logout_user
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import OTPAuth
from flask_otp_auth.login import init_login_manager, login_with_token
from flask_otp_auth.signals import otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class User(UserMixin, db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)


otp_auth = OTPAuth()
otp_auth.add_actor_type("user", SQLAlchemyActorStore(User, db.session), sign_up="closed")

login_manager = LoginManager()
init_login_manager(login_manager, otp_auth)  # sets its user_loader and request_loader


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    login_manager.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(deliver, app)
    app.add_url_rule("/login/code", view_func=ask, methods=["POST"])
    app.add_url_rule("/login", view_func=log_in, methods=["POST"])
    app.add_url_rule("/logout", view_func=log_out, methods=["POST"])
    app.add_url_rule("/", view_func=home)
    with app.app_context():
        db.create_all()
    return app


def ask():
    return otp_auth.generate("user", request.json["email"]).json()


def log_in():
    token = otp_auth.verify("user", request.json["email"], request.json["otp"])
    return {"hello": login_with_token(token).email}


@login_required
def log_out():
    logout_user()  # ends the sign-in as well, and every copy of its cookie
    return {"success": True}


@login_required
def home():
    return {"hello": current_user.email}


def deliver(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail
