"""A health route for a load balancer or a monitor that knows a token."""

import os
from hmac import compare_digest

import click
from flask import Flask, abort, request
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import OTPAuth, health
from flask_otp_auth.signals import otp_generated
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
    app.config["HEALTH_TOKEN"] = os.environ["HEALTH_TOKEN"]
    db.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(mail_code, app)

    @app.get("/internal/health")
    def tell_health():
        # Each call waits for the storages, and what it says is nobody else's business.
        given = request.headers.get("Health-Token", "")
        if not compare_digest(given.encode(), app.config["HEALTH_TOKEN"].encode()):
            abort(404)
        found = health(app)
        return found, 200 if found["ok"] else 503

    with app.app_context():
        db.create_all()
    return app


def mail_code(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail
