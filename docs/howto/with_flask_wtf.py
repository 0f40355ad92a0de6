"""Flask-WTF's CSRFProtect: forms are protected, the JSON API needs no token of it."""

import os

import click
from flask import Flask, render_template_string
from flask_wtf import CSRFProtect, FlaskForm
from wtforms import StringField

from flask_otp_auth import OTPAuth, current_actor, token_required
from flask_otp_auth.signals import otp_generated

customers = {}  # your table of accounts, by e-mail


class CustomerStore:
    def find_by_identifier(self, identifier):
        return customers.get(identifier)

    def find_by_id(self, actor_id):
        return next((c for c in list(customers.values()) if c.id == actor_id), None)


otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", CustomerStore(), sign_up="closed")
csrf = CSRFProtect()


class NameForm(FlaskForm):
    name = StringField("Your name")


PAGE = """<form method="post">{{ form.csrf_token }} {{ form.name.label }} {{ form.name }}</form>"""


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    csrf.init_app(app)
    # A form of another site can send neither JSON nor a bearer token nor the method DELETE.
    csrf.exempt(otp_auth.blueprint)
    otp_auth.init_app(app)
    otp_generated.connect(deliver, app)
    app.add_url_rule("/name", view_func=name, methods=["GET", "POST"])
    return app


@token_required("customer", session=True)
def name():
    form = NameForm()
    if form.validate_on_submit():
        current_actor.name = form.name.data
        return {"name": current_actor.name}
    return render_template_string(PAGE, form=form)


def deliver(sender, identifier, otp, **_):
    click.echo(f"To {identifier}: {otp} is your code.")  # here your app sends a mail
