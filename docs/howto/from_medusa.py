"""What ``@perseidesjs/auth-otp`` did in a Medusa shop, at the same addresses."""

import os

import click
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import DuplicateError, OTPAuth, current_registration, registration_required
from flask_otp_auth.signals import otp_generated, pre_register_otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class Customer(db.Model):
    id = db.Column(db.String, primary_key=True)  # cus_…
    email = db.Column(db.String, unique=True, nullable=False)
    phone = db.Column(db.String, unique=True)


class User(db.Model):
    id = db.Column(db.String, primary_key=True)  # user_…
    email = db.Column(db.String, unique=True, nullable=False)


otp_auth = OTPAuth()
otp_auth.add_actor_type(
    "customer",
    SQLAlchemyActorStore(Customer, db.session, identifiers=("email", "phone")),
    identifier=("email", "phone"),  # accessorsPerActor
)
otp_auth.add_actor_type("user", SQLAlchemyActorStore(User, db.session), sign_up="closed")


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    app.config["OTP_AUTH_DIGITS"] = 6  # digits
    app.config["OTP_AUTH_TTL"] = 60  # ttl
    app.config["OTP_AUTH_ALWAYS_RETURN_SUCCESS"] = True  # http.alwaysReturnSuccess
    app.config["OTP_AUTH_WARN_ON_ERROR"] = True  # http.warnOnError
    db.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(deliver, app)  # the subscriber of Events.OTP_GENERATED
    pre_register_otp_generated.connect(deliver, app)
    app.add_url_rule("/store/customers", view_func=create_customer, methods=["POST"])
    with app.app_context():
        db.create_all()
    return app


@registration_required("customer")
def create_customer():
    email = current_registration.identifier
    customer = Customer(id=f"cus_{os.urandom(8).hex()}", email=email)
    db.session.add(customer)
    try:
        db.session.commit()
    except db.exc.IntegrityError:
        raise DuplicateError from None
    return {"customer": {"id": customer.id, "email": email}}


def deliver(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail
