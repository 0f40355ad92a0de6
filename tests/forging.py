"""Tokens as an attacker would write them, and honest ones to compare them with."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

from conftest import ADA, BOB, Api
from flask import Flask

from flask_otp_auth.config import secrets_of
from flask_otp_auth.keys import Keys
from flask_otp_auth.testing import Outbox


def sign_in(app: Flask, identifier: str = ADA, actor_type: str = "customer") -> str:
    """Sign somebody in over HTTP and return the authentication token."""
    api = Api(app.test_client(), actor_type=actor_type)
    with Outbox(app) as outbox:
        api.generate(identifier)
    token: str = api.verify(outbox.last.otp, identifier).get_json()["token"]
    return token


def register(app: Flask, identifier: str = BOB, actor_type: str = "customer") -> str:
    """Register somebody over HTTP and return the registration token."""
    api = Api(app.test_client(), actor_type=actor_type)
    with Outbox(app) as outbox:
        api.pre_register(identifier)
    token: str = api.register(outbox.last.otp, identifier).get_json()["token"]
    return token


def encode(data: bytes) -> str:
    """Return base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return what base64url without padding says."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the claims of a token, as anybody can read them."""
    header, claims, _ = token.split(".")
    return json.loads(decode(header)), json.loads(decode(claims))


@dataclass
class Forger:
    """Writes tokens that differ from an honest one in what a test asks for.

    It knows the app's HS256 key, so that a refusal is owed to the difference and to nothing
    else; :meth:`token` without arguments lets in.
    """

    app: Flask
    honest: str
    header: dict[str, Any] = field(init=False)
    claims: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.header, self.claims = parts(self.honest)

    @property
    def key(self) -> bytes:
        """The key that signs the app's tokens under HS256."""
        return Keys.derive(secrets_of(self.app.config)).tokens[-1]

    def token(
        self,
        header: object = None,
        claims: object = None,
        *,
        key: bytes | None = None,
        hash_name: str = "sha256",
    ) -> str:
        """Write a token and sign it; a dictionary changes names, ``...`` takes them away."""
        signed = f"{self._part(self.header, header)}.{self._part(self.claims, claims)}"
        signature = hmac.digest(key or self.key, signed.encode(), getattr(hashlib, hash_name))
        return f"{signed}.{encode(signature)}"

    def unsigned(self, **header: object) -> str:
        """Write a token with no signature."""
        return f"{self._part(self.header, header)}.{self._part(self.claims, None)}."

    @staticmethod
    def _part(honest: dict[str, Any], changes: object) -> str:
        if isinstance(changes, bytes):
            return encode(changes)
        if not isinstance(changes, dict | None):
            return encode(json.dumps(changes).encode())
        changed = {**honest, **(changes or {})}
        kept = {name: value for name, value in changed.items() if value is not ...}
        return encode(json.dumps(kept).encode())
