"""Codes by mail, over SMTP, and a mail to who tries to join twice."""

import os
import smtplib
from email.message import EmailMessage

from flask import Flask

from flask_otp_auth import OTPAuth
from flask_otp_auth.signals import otp_generated, otp_suppressed, pre_register_otp_generated

customers = {}  # your table of accounts, by e-mail


class CustomerStore:
    def find_by_identifier(self, identifier):
        return customers.get(identifier)

    def find_by_id(self, actor_id):
        return next((c for c in list(customers.values()) if c.id == actor_id), None)


otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", CustomerStore(), identifier="email")


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]
    otp_auth.init_app(app)
    otp_generated.connect(mail_code, app)
    pre_register_otp_generated.connect(mail_code, app)
    otp_suppressed.connect(mail_owner, app)
    return app


def mail_code(sender, identifier, otp, **_):
    send(identifier, f"{otp} is your code", "Never tell it to anyone who calls you.")


def mail_owner(sender, identifier, reason, **_):
    if reason == "already_registered":
        send(identifier, "You have an account", "Somebody wanted to join with your address.")


def send(to, subject, text):
    message = EmailMessage()
    message["To"], message["From"], message["Subject"] = to, "shop@example.com", subject
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply, please
    message.set_content(text)
    host, port = os.environ["SMTP_HOST"], int(os.environ["SMTP_PORT"])
    with smtplib.SMTP(host, port, timeout=10) as server:  # none may hang
        server.send_message(message)
