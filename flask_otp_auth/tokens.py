"""Tokens: JSON Web Tokens of two kinds, each pinned to its type, issuer and audience.

What a token must be follows RFC 8725 (best current practices for JWTs).
"""

import hmac
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from .errors import Unauthorized

AUTHENTICATION = "auth+jwt"
REGISTRATION = "registration+jwt"

#: How the actor proved itself (RFC 8176).
AMR = ("otp",)

CLAIMS = ("iss", "sub", "aud", "iat", "exp", "jti", "auth_time", "amr")


@dataclass(frozen=True, repr=False)
class SigningKey:
    """One key: what signs, what verifies, and its name in the header."""

    kid: str
    signing: Any
    verifying: Any


@dataclass(frozen=True)
class Claims:
    """What a verified token says.

    :ivar kind: ``auth+jwt`` or ``registration+jwt``.
    :ivar subject: the actor's id; of a registration token the identifier.
    :ivar auth_time: when the actor proved itself with a code, seconds since the epoch.
    :ivar all: every claim, the app's own ones too.
    """

    kind: str
    actor_type: str
    subject: str
    jti: str
    expires_at: int
    auth_time: int
    all: Mapping[str, Any]


def symmetric_keys(derived: Sequence[bytes]) -> list[SigningKey]:
    """Return the HS256 keys; a ``kid`` is derived as well, so it tells nothing of its key."""
    return [SigningKey(hmac.digest(key, b"kid", "sha256").hex()[:16], key, key) for key in derived]


class TokenIssuer:
    """Issues and verifies tokens.

    :param keys: the newest last: it signs, all verify.
    :param algorithm: the one algorithm that is accepted (RFC 8725, section 3.1).
    :param leeway: seconds of clock skew that are forgiven.
    """

    def __init__(
        self, keys: Sequence[SigningKey], algorithm: str, issuer: str, leeway: int
    ) -> None:
        self._keys = {key.kid: key for key in keys}
        self._newest = keys[-1]
        self._algorithm = algorithm
        self._issuer = issuer
        self.leeway = leeway

    def issue(
        self,
        kind: str,
        actor_type: str,
        subject: str,
        *,
        ttl: int,
        auth_time: int | None = None,
        ends_at: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> tuple[str, str]:
        """Issue a token.

        :param ttl: seconds until it expires.
        :param auth_time: when the actor signed in, if not just now.
        :param ends_at: a moment that it must not outlive, seconds since the epoch.
        :param extra: the app's own claims.
        :raises ValueError: if one of these has the name of a claim of ours.
        :returns: the token and its ``jti``.
        """
        taken = sorted(set(extra or ()) & set(CLAIMS))
        if taken:
            raise ValueError(f"claims_loader must not set {', '.join(taken)}")
        now = int(time.time())
        claims = {
            **(extra or {}),
            "iss": self._issuer,
            "sub": subject,
            "aud": actor_type,
            "iat": now,
            "exp": now + ttl if ends_at is None else min(now + ttl, ends_at),
            "jti": secrets.token_hex(16),
            "auth_time": now if auth_time is None else auth_time,
            "amr": list(AMR),
        }
        headers = {"typ": kind, "kid": self._newest.kid}
        token = jwt.encode(claims, self._newest.signing, self._algorithm, headers)
        return token, claims["jti"]

    def verify(self, token: str, kinds: Collection[str], actor_types: Collection[str]) -> Claims:
        """Return what a token says, if it is ours, of one of these kinds, and still valid.

        :raises Unauthorized: in every other case; which one is not told.
        """
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys[header["kid"]]
            claims = jwt.decode(
                token,
                key.verifying,
                algorithms=[self._algorithm],
                audience=list(actor_types),
                issuer=self._issuer,
                leeway=self.leeway,
                options={"require": list(CLAIMS), "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, KeyError, TypeError, ValueError):
            raise Unauthorized from None
        if header.get("typ") not in kinds or not isinstance(claims["aud"], str):
            raise Unauthorized
        return Claims(
            header["typ"],
            claims["aud"],
            claims["sub"],
            claims["jti"],
            claims["exp"],
            claims["auth_time"],
            claims,
        )
