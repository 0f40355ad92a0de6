"""Deliveries by RQ: another process sends the codes.

A job holds no code: the worker draws it. Start the worker with ``python rq_queue.py``.
"""

import os

import click
from flask import Flask
from redis import Redis
from rq import Queue, SimpleWorker

from flask_otp_auth import OTPAuth
from flask_otp_auth.signals import otp_generated, pre_register_otp_generated

customers = {}  # your table of accounts, by e-mail
queue = Queue("codes", connection=Redis.from_url(os.environ["REDIS_URL"]))


class CustomerStore:
    def find_by_identifier(self, identifier):
        return customers.get(identifier)

    def find_by_id(self, actor_id):
        return next((c for c in list(customers.values()) if c.id == actor_id), None)


class CodeQueue:
    """What OTPAuth needs of an executor: submit."""

    def submit(self, function, *args):
        return queue.enqueue(function, *args, result_ttl=0)


otp_auth = OTPAuth(executor=CodeQueue())
otp_auth.add_actor_type("customer", CustomerStore(), identifier="email")


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["OTP_AUTH_STORAGE_URI"] = os.environ["REDIS_URL"]  # app and worker share it
    otp_auth.init_app(app)
    otp_generated.connect(deliver, app)
    pre_register_otp_generated.connect(deliver, app)
    return app


def deliver(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail


def work(burst=False):
    with create_app().app_context():
        SimpleWorker([queue], connection=queue.connection).work(burst=burst)


if __name__ == "__main__":
    work()
