"""Users of a hosted service, from the file that it exports: they sign in with a code at once.

``flask --app from_a_hosted_service import-users users.csv``
"""

import csv
import os

import click
from flask import Flask
from flask.cli import with_appcontext
from flask_sqlalchemy import SQLAlchemy

from flask_otp_auth import InvalidIdentifier, OTPAuth, canonicaliser
from flask_otp_auth.signals import otp_generated
from flask_otp_auth.sqlalchemy import SQLAlchemyActorStore

db = SQLAlchemy()


class User(db.Model):
    __table_args__ = ({"sqlite_autoincrement": True},)  # no id is used again after a deletion
    id = db.Column(db.Integer, primary_key=True)
    email = db.Column(db.String, unique=True, nullable=False)
    former_id = db.Column(db.String, unique=True)  # what your other tables refer to until now


canonical = canonicaliser("email")
otp_auth = OTPAuth()
otp_auth.add_actor_type("user", SQLAlchemyActorStore(User, db.session), sign_up="closed")


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    otp_auth.init_app(app)
    otp_generated.connect(deliver, app)
    app.cli.add_command(import_users)
    with app.app_context():
        db.create_all()
    return app


@click.command("import-users")
@click.argument("path", type=click.File())
@with_appcontext
def import_users(path):
    """Add the users of a CSV file with the columns user_id, email and email_verified."""
    for row in csv.DictReader(path):
        if row["email_verified"] != "true":
            continue  # whoever reads that mailbox would get somebody else's account
        try:
            email = canonical(row["email"])
        except InvalidIdentifier:
            click.echo(f"{row['user_id']}: not an address", err=True)
            continue
        if User.query.filter_by(email=email).first() is None:  # two spellings are one person
            db.session.add(User(email=email, former_id=row["user_id"]))
    db.session.commit()
    click.echo(f"{User.query.count()} users")


def deliver(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail
