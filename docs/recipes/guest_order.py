"""A guest looks up an order without an account: its number and the mailbox it was ordered with.

``POST /orders/<number>/code`` (``email``) sends a code that is good for this order alone;
``POST /orders/<number>`` (``email``, ``otp``) shows it.
"""

import os

import click
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import NotFound, OTPAuth, canonicaliser
from flask_otp_auth.signals import confirmation_otp_generated

db = SQLAlchemy()
canonical = canonicaliser("email")


class Order(db.Model):
    number = db.Column(db.String, primary_key=True)
    email = db.Column(db.String, nullable=False)  # in canonical form: see add_order()
    status = db.Column(db.String, nullable=False)


otp_auth = OTPAuth()
order_code = otp_auth.purpose("order", identifier="email")


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    otp_auth.init_app(app)
    confirmation_otp_generated.connect(mail_code, app)
    app.add_url_rule("/orders/<number>/code", view_func=ask, methods=["POST"])
    app.add_url_rule("/orders/<number>", view_func=show, methods=["POST"])
    with app.app_context():
        db.create_all()
    return app


def add_order(number, email, status):
    db.session.add(Order(number=number, email=canonical(email), status=status))
    db.session.commit()


def ask(number):
    # Nothing is looked up before the code was right, so nobody learns who has ordered what.
    return order_code.send(request.form["email"], binds={"order": number}).json()


def show(number):
    typed = request.form
    proof = order_code.verify(typed["email"], typed["otp"], binds={"order": number})
    order = db.session.get(Order, number)
    if order is None or order.email != proof.identifier:
        raise NotFound
    return {"order": order.number, "status": order.status}


def mail_code(sender, identifier, otp, binds, **_):
    # Runs after the answer, so its time tells nobody who has ordered. The number is whatever
    # somebody typed: without the look-up, anybody could have any text mailed to anybody.
    order = db.session.get(Order, binds["order"])
    if order is not None and order.email == identifier:
        click.echo(f"To {identifier}: {otp} shows order {order.number}.")  # here it sends a mail
