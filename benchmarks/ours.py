"""The package with everything on, through its public names alone, so that any version runs.

Only the limits by address and of failures are raised, as the whole load comes from one machine.
``BENCH_STORAGE`` is the storage's URI, ``BENCH_DELIVERY`` is ``background``, ``inline`` or
``held``: then codes are delivered when the driver asks for them, so that the round trips of
requests and of deliveries can be told apart.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask

import flask_otp_auth
from benchmarks.codebook import Codebook
from flask_otp_auth import OTPAuth
from flask_otp_auth.errors import ConfigError
from flask_otp_auth.signals import otp_generated

NO_LIMIT = "100000000/hour"


@dataclass
class Customer:
    id: str


class Customers:
    """Everybody is a customer: finding one costs next to nothing, as at the floor."""

    def find_by_identifier(self, identifier: str) -> Customer:
        return Customer(identifier)

    def find_by_id(self, actor_id: str) -> Customer:
        return Customer(actor_id)


class Held:
    """An executor that keeps jobs until it is told to run them."""

    def __init__(self) -> None:
        self._jobs: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def submit(self, function: Callable[..., Any], *args: Any) -> None:
        self._jobs.append((function, args))

    def run(self) -> None:
        jobs, self._jobs = self._jobs, []
        for function, args in jobs:
            function(*args)


def create_app(uri: str, delivery: str, **settings: Any) -> Flask:
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="mJ4!xq0Z-benchmarks-only-V7r9sLk2Wd5Tg8Yh",
        OTP_AUTH_STORAGE_URI=uri,
        OTP_AUTH_DELIVERY="inline" if delivery == "inline" else "background",
        OTP_AUTH_IP_GENERATE_LIMITS=NO_LIMIT,
        OTP_AUTH_IP_VERIFY_LIMITS=NO_LIMIT,
        OTP_AUTH_GLOBAL_FAILURE_LIMIT=NO_LIMIT,
        **settings,
    )
    held = Held()
    otp_auth = OTPAuth(executor=held if delivery == "held" else None)
    otp_auth.add_actor_type("customer", Customers(), identifier="email")
    otp_auth.init_app(app)
    codebook = Codebook(app, held.run)

    def record(sender: Flask, identifier: str, otp: str, **_: Any) -> None:
        codebook.record(identifier, otp)

    otp_generated.connect(record, app, weak=False)
    return app


def from_environment() -> Flask:
    expected = os.environ.get("BENCH_PACKAGE", "")
    if expected and not Path(flask_otp_auth.__file__).resolve().is_relative_to(expected):
        raise RuntimeError(f"{flask_otp_auth.__file__} is not the package in {expected}")
    uri = os.environ.get("BENCH_STORAGE", "memory://")
    delivery = os.environ.get("BENCH_DELIVERY", "background")
    try:
        return create_app(uri, delivery)
    except ConfigError as error:
        # A storage that forgets, such as Memcached, may hold codes but no sign-ins.
        if "SIGN_INS_URI" not in str(error):
            raise
        return create_app(uri, delivery, OTP_AUTH_SIGN_INS_URI=os.environ["BENCH_SIGN_INS"])


app = from_environment()
