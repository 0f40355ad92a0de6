"""Deliveries by RQ workers, in place of the threads of the web process.

What goes through Redis holds no code: a job is a request for one, and the worker draws the code
when it sends it. Start a worker with ``flask --app docs/recipes/rq_worker.py worker``.
"""

import os

import click
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from redis import Redis
from rq import Queue, Worker

from flask_otp_auth import OTPAuth
from flask_otp_auth.signals import otp_generated, pre_register_otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()
redis = Redis.from_url(os.environ["REDIS_URL"])


class Customer(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)


class RQExecutor:
    queue = Queue("codes", connection=redis)

    def submit(self, function, *arguments):
        # Kept for a moment only: nobody asks what became of it, and it names an address.
        self.queue.enqueue(function, *arguments, result_ttl=0, failure_ttl=60, ttl=300)


otp_auth = OTPAuth(executor=RQExecutor())
otp_auth.add_actor_type("customer", SQLAlchemyActorStore(Customer, db.session))


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    app.config["OTP_AUTH_STORAGE_URI"] = os.environ["REDIS_URL"]  # both processes see the codes
    app.config["OTP_AUTH_DELIVERY"] = "background"
    db.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(deliver, app)
    pre_register_otp_generated.connect(deliver, app)
    with app.app_context():
        db.create_all()

    @app.cli.command("worker")
    @click.option("--burst", is_flag=True, help="End when the queue is empty.")
    def work(burst):
        Worker([RQExecutor.queue], connection=redis).work(burst=burst)  # in the app's context

    return app


def deliver(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # or mail_codes(app, Mail(app)) above
