"""An app for servers that are tested: everybody is a customer, and codes go to a file.

Its settings come from the environment: ``CODES`` names the file, all others are ``OTP_AUTH_*``.
"""

import os
from dataclasses import dataclass
from typing import Any

from flask import Flask

from flask_otp_auth import OTPAuth
from flask_otp_auth.signals import otp_generated

PLENTY = "1000000/hour"


@dataclass(frozen=True)
class Customer:
    id: str


class Everybody:
    """Knows whoever is asked for."""

    def find_by_identifier(self, identifier: str) -> Customer:
        return Customer(identifier)

    def find_by_id(self, actor_id: str) -> Customer:
        return Customer(actor_id)


def deliver(sender: Flask, identifier: str, otp: str, **_: Any) -> None:
    """Append a line to the file, in one piece whoever else does."""
    descriptor = os.open(os.environ["CODES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{identifier} {otp} {os.getpid()}\n".encode())
    os.close(descriptor)


app = Flask(__name__)
app.config.update(
    SECRET_KEY="a-secret-key-of-more-than-32-bytes-for-tests",
    OTP_AUTH_IP_GENERATE_LIMITS=PLENTY,
    OTP_AUTH_IP_VERIFY_LIMITS=PLENTY,
    OTP_AUTH_GLOBAL_FAILURE_LIMIT=PLENTY,
    OTP_AUTH_STORAGE_URI=os.environ["OTP_AUTH_STORAGE_URI"],
)
otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", Everybody())
otp_auth.init_app(app)
otp_generated.connect(deliver, app)
