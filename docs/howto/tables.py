"""Your own tables: staff and customers, each in a table of its own, found by e-mail or by phone."""

import os

import click
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import OTPAuth, canonicaliser, current_actor, token_required
from flask_otp_auth.signals import otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class Customer(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True)
    phone = db.Column(db.String, unique=True)
    is_active = db.Column(db.Boolean, default=True, nullable=False)


class Employee(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)
    id = db.Column(db.Integer, primary_key=True)
    mail = db.Column(db.String, unique=True, nullable=False)  # as an old import left it: Ada@…
    left_on = db.Column(db.Date)


#: Keep identifiers in the form in which they are looked up.
canonical = canonicaliser(("email", "phone"), region="DE")

otp_auth = OTPAuth()
otp_auth.add_actor_type(
    "customer",
    SQLAlchemyActorStore(Customer, db.session, identifiers=("email", "phone")),
    identifier=("email", "phone"),  # either, in one field
    phone_region="DE",
)
otp_auth.add_actor_type(
    "staff",
    SQLAlchemyActorStore(
        Employee,
        db.session,
        identifiers=("mail",),
        ignore_case=True,
        is_active=lambda employee: employee.left_on is None,
    ),
    sign_up="closed",  # nobody joins by a code
    digits=8,
)


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(deliver, app)
    app.add_url_rule("/orders", view_func=orders)
    app.add_url_rule("/office", view_func=office)
    with app.app_context():
        db.create_all()
    return app


def add_customer(email, phone):
    db.session.add(Customer(email=canonical(email), phone=canonical(phone)))
    db.session.commit()


@token_required("customer")
def orders():
    return {"customer": current_actor.id}


@token_required("staff")
def office():
    return {"employee": current_actor.id}


def deliver(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail
