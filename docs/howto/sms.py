"""Codes by SMS: phone numbers as identifiers, and a provider that is called over HTTP."""

import os

import requests
from flask import Flask

from flask_otp_auth import OTPAuth
from flask_otp_auth.signals import otp_generated, pre_register_otp_generated

customers = {}  # your table of accounts, by number


class CustomerStore:
    def find_by_identifier(self, identifier):
        return customers.get(identifier)

    def find_by_id(self, actor_id):
        return next((c for c in list(customers.values()) if c.id == actor_id), None)


otp_auth = OTPAuth()
otp_auth.add_actor_type(
    "customer",
    CustomerStore(),
    identifier="phone",
    phone_region="DE",  # "0151 23456789" is a number of this country
    phone_countries=["DE", "AT", "CH"],  # no code goes elsewhere, however dear the numbers there
)


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    otp_auth.init_app(app)
    otp_generated.connect(text_code, app)
    pre_register_otp_generated.connect(text_code, app)
    return app


def text_code(sender, identifier, otp, **_):
    # The code comes first, as that is what a lock screen shows. The last line binds it to the
    # site: browsers fill it in there and nowhere else (WICG, origin-bound one-time codes).
    text = f"{otp} is your code for Ada's shop.\n\n@shop.example #{otp}"
    answer = requests.post(
        os.environ["SMS_URL"],
        auth=(os.environ["SMS_ACCOUNT"], os.environ["SMS_TOKEN"]),
        data={"To": identifier, "From": "Ada's shop", "Body": text},
        timeout=5,
    )
    answer.raise_for_status()  # a handler that raises is called again after 1, 5 and 20 seconds
