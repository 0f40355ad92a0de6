"""Tokens as an attacker would write them."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from flask import Flask

from flask_otp_auth.core.crypto import Keys
from flask_otp_auth.core.secret_keys import secrets_of


def encode(data: bytes) -> str:
    """Return base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Forger:
    """Writes tokens that differ from an honest one in what a test asks for.

    It knows the app's HS256 key, so that a refusal is owed to the difference and to nothing else;
    :meth:`token` without arguments lets in.
    """

    app: Flask
    honest: str

    def __post_init__(self) -> None:
        self.header, self.claims = (
            json.loads(base64.urlsafe_b64decode(part + "==")) for part in self.honest.split(".")[:2]
        )
        self.key = Keys.derive(secrets_of(self.app.config), self.claims["iss"]).tokens[-1]

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
        changed = {**honest, **(changes if isinstance(changes, dict) else {})}
        kept = {name: value for name, value in changed.items() if value is not ...}
        return encode(json.dumps(kept).encode())
