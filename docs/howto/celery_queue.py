"""Deliveries by Celery: another process sends the codes.

A job holds no code: the worker draws it. Jobs are pickled, so let nobody else write to the broker.
"""

import os

import click
from celery import Celery
from flask import Flask

from flask_otp_auth import OTPAuth
from flask_otp_auth.signals import otp_generated, pre_register_otp_generated

customers = {}  # your table of accounts, by e-mail
celery = Celery("shop", broker=os.environ["BROKER_URL"])
celery.conf.update(task_serializer="pickle", accept_content=["pickle"], task_ignore_result=True)


class CustomerStore:
    def find_by_identifier(self, identifier):
        return customers.get(identifier)

    def find_by_id(self, actor_id):
        return next((c for c in list(customers.values()) if c.id == actor_id), None)


class CodeQueue:
    """What OTPAuth needs of an executor: submit."""

    def submit(self, function, *args):
        return run_job.apply_async((function, args), expires=600)


otp_auth = OTPAuth(executor=CodeQueue())
otp_auth.add_actor_type("customer", CustomerStore(), identifier="email")


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["OTP_AUTH_STORAGE_URI"] = os.environ["STORAGE_URI"]  # app and worker share it
    otp_auth.init_app(app)
    otp_generated.connect(deliver, app)
    pre_register_otp_generated.connect(deliver, app)
    return app


def deliver(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail


app = create_app()


@celery.task
def run_job(function, args):
    with app.app_context():
        function(*args)
