"""Counters for Prometheus, out of the signals; no label holds an identifier or an address."""

import os

import click
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class Customer(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)


otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", SQLAlchemyActorStore(Customer, db.session), sign_up="closed")

registry = CollectorRegistry()
labels = ["event", "actor_type", "detail"]
events = Counter("otp_auth_events", "Sign-ins, and what went wrong.", labels, registry=registry)
EVENTS = (
    "otp_generated", "otp_suppressed", "otp_verified", "otp_rejected", "actor_authenticated",
    "rate_limited", "identifier_attacked", "delivery_failed", "breaker_opened",
)  # fmt: skip


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    otp_auth.init_app(app)
    signals.otp_generated.connect(mail_code, app)
    for event in EVENTS:
        getattr(signals, event).connect(counter_of(event), app, weak=False)

    @app.get("/internal/metrics")
    def tell_metrics():
        # For your scraper alone: let your proxy answer 404 for /internal/.
        return generate_latest(registry), {"Content-Type": CONTENT_TYPE_LATEST}

    with app.app_context():
        db.create_all()
    return app


def counter_of(event):
    def count(sender, actor_type=None, reason=None, method=None, limit=None, **_):
        events.labels(event, actor_type or "", reason or method or limit or "").inc()

    return count


def mail_code(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail
