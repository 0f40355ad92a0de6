"""The package with everything on: limits, tickets, digests, sealed values, signals.

Only the limits by address and of failures are raised, as the whole load comes from one machine.
``BENCH_STORAGE`` is the storage's URI, ``BENCH_DELIVERY`` is ``background`` or ``inline``.
"""

import os
from typing import Any

from flask import Flask

from benchmarks.codebook import Codebook
from benchmarks.customers import Customers
from flask_otp_auth import OTPAuth
from flask_otp_auth.signals import otp_generated

NO_LIMIT = "100000000/hour"


def create_app(uri: str, delivery: str = "background") -> Flask:
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="a key for benchmarks, 32 bytes or more of it",
        OTP_AUTH_STORAGE_URI=uri,
        OTP_AUTH_DELIVERY=delivery,
        OTP_AUTH_IP_GENERATE_LIMITS=NO_LIMIT,
        OTP_AUTH_IP_VERIFY_LIMITS=NO_LIMIT,
        OTP_AUTH_GLOBAL_FAILURE_LIMIT=NO_LIMIT,
    )
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", Customers(), identifier="email")
    otp_auth.init_app(app)
    codebook = Codebook(app)

    def record(sender: Flask, identifier: str, otp: str, **_: Any) -> None:
        codebook.record(identifier, otp)

    otp_generated.connect(record, app, weak=False)
    return app


app = create_app(
    os.environ.get("BENCH_STORAGE", "memory://"), os.environ.get("BENCH_DELIVERY", "background")
)
