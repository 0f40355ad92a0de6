"""Flask-Session: sessions on the server, with a new id at each sign-in."""

import os

import click
from cachelib import FileSystemCache
from flask import Flask, session
from flask_session import Session

from flask_otp_auth import OTPAuth, current_actor, token_required
from flask_otp_auth.signals import otp_generated

customers = {}  # your table of accounts, by e-mail


class CustomerStore:
    def find_by_identifier(self, identifier):
        return customers.get(identifier)

    def find_by_id(self, actor_id):
        return next((c for c in list(customers.values()) if c.id == actor_id), None)


otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", CustomerStore(), sign_up="closed")


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SESSION_TYPE"] = "cachelib"
    app.config["SESSION_CACHELIB"] = FileSystemCache(os.environ["SESSION_FOLDER"])
    app.config["OTP_AUTH_SESSION_KEEP"] = ["basket"]  # a guest's basket outlives the sign-in
    Session(app)
    otp_auth.init_app(app)
    otp_generated.connect(deliver, app)
    app.add_url_rule("/basket/<item>", view_func=put, methods=["POST"])
    app.add_url_rule("/basket", view_func=basket)
    return app


def put(item):
    session["basket"] = [*session.get("basket", []), item]
    return {"basket": session["basket"]}


@token_required("customer", session=True)
def basket():
    return {"email": current_actor.email, "basket": session.get("basket", [])}


def deliver(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail
