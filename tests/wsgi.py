"""An app for servers that are tested: everybody is a customer, and codes go to a file.

Its settings come from the environment: ``CODES`` names the file, ``INSTANCE`` the folder of the
default storage; all others are ``OTP_AUTH_*``. Each answer says which process it is of.
"""

import os
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response

from flask_otp_auth import OTPAuth, current_actor, token_required
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


app = Flask(__name__, instance_path=os.environ["INSTANCE"])
app.config.update(
    SECRET_KEY="a-secret-key-of-more-than-32-bytes-for-tests",
    OTP_AUTH_IP_GENERATE_LIMITS=PLENTY,
    OTP_AUTH_IP_VERIFY_LIMITS=PLENTY,
    OTP_AUTH_VERIFY_LIMITS="100/day",
    OTP_AUTH_DIGITS=8,
    OTP_AUTH_GLOBAL_FAILURE_LIMIT=PLENTY,
    OTP_AUTH_TOKEN_ISSUER="shop",
)
app.config.update({name: os.environ[name] for name in os.environ if name.startswith("OTP_AUTH_")})
otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", Everybody())
otp_auth.init_app(app)
otp_generated.connect(deliver, app)


@app.get("/me")
@token_required("customer")
def me() -> dict[str, str]:
    return {"id": current_actor.id}


@app.after_request
def say_which_process(response: Response) -> Response:
    response.headers["Worker"] = str(os.getpid())
    return response


# Used before a server forks, if it has loaded the app by then: nothing of it may be shared.
with app.app_context():
    first = otp_auth.sign_in("customer", Customer("first@example.com"))
    otp_auth.refresh(first)
