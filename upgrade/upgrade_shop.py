"""An app that any version of the package can serve: it uses public names alone.

All is as by default but the storage. ``FOLDER`` is where both versions find customers that have
joined, and put the codes that they send.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask

import flask_otp_auth
from flask_otp_auth import (
    OTPAuth,
    current_actor,
    current_registration,
    registration_required,
    token_required,
)
from flask_otp_auth.signals import otp_generated, pre_register_otp_generated

FOLDER = Path(os.environ["FOLDER"])


@dataclass(frozen=True)
class Customer:
    id: str


class Customers:
    """Whoever asks is a customer, but for those who are new: they have to join first."""

    def find_by_identifier(self, identifier: str) -> Customer | None:
        joined = not identifier.startswith("new") or (FOLDER / identifier).exists()
        return Customer(identifier) if joined else None

    def find_by_id(self, actor_id: str) -> Customer | None:
        return self.find_by_identifier(actor_id)


def deliver(sender: Flask, identifier: str, otp: str, **_: Any) -> None:
    """Append a code to those of the identifier."""
    with (FOLDER / f"{identifier}.codes").open("a") as codes:
        codes.write(f"{otp}\n")


app = Flask(__name__)
app.config.update(
    SECRET_KEY="a-secret-key-of-more-than-32-bytes-for-upgrades",
    OTP_AUTH_STORAGE_URI=os.environ["STORAGE"],
    OTP_AUTH_DELIVERY="inline",  # the code is there when the request is answered
    OTP_AUTH_TOKEN_ISSUER="shop",
)
otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", Customers(), identifier="email")
otp_auth.init_app(app)
otp_generated.connect(deliver, app)
pre_register_otp_generated.connect(deliver, app)


@app.get("/package")
def package() -> dict[str, str]:
    return {"path": str(flask_otp_auth.__file__)}


@app.get("/me")
@token_required("customer", session=True)
def me() -> dict[str, str]:
    return {"id": current_actor.id}


@app.post("/customers")
@registration_required("customer")
def join() -> dict[str, str]:
    (FOLDER / current_registration.identifier).touch()
    return {"id": current_registration.identifier}
