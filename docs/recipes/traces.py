"""Spans and a counter for OpenTelemetry, out of the signals; none holds an identifier."""

import os

import click
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from opentelemetry import metrics, trace

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class Customer(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)


otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", SQLAlchemyActorStore(Customer, db.session), sign_up="closed")

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
    watch(app, trace.get_tracer("flask_otp_auth"), metrics.get_meter("flask_otp_auth"))
    with app.app_context():
        db.create_all()
    return app


def watch(app, tracer, meter):
    counter = meter.create_counter("otp_auth.events")
    for event in EVENTS:
        getattr(signals, event).connect(noter_of(event, tracer, counter), app, weak=False)


def noter_of(event, tracer, counter):
    def note(sender, actor_type=None, reason=None, method=None, limit=None, **_):
        detail = reason or method or limit or ""
        attributes = {"otp_auth.actor_type": actor_type or "", "otp_auth.detail": detail}
        # In a request a child of its span; a message is sent after the answer, so it has none.
        tracer.start_span(f"otp_auth.{event}", attributes=attributes).end()
        counter.add(1, {"event": event, **attributes})

    return note


def mail_code(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail
