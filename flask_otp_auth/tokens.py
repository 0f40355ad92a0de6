"""Tokens: JSON Web Tokens of two kinds, each pinned to its type, issuer and audience.

What a token must be follows RFC 8725 (best current practices for JWTs).
"""

import re
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jwt

from .errors import Unauthorized
from .opaque import Opaque
from .signing import SigningKey

AUTHENTICATION = "auth+jwt"
REGISTRATION = "registration+jwt"

#: What a session's claims are of; no token is.
SESSION = "session"

#: How the actor proved itself (RFC 8176).
AMR = ("otp",)

CLAIMS = ("iss", "sub", "aud", "iat", "exp", "jti", "auth_time", "amr")

#: Names that an app's own claims can't have; ``nbf`` would have a say in who is let in.
RESERVED = frozenset({*CLAIMS, "nbf"})

#: The header of our tokens has these and no other, so nothing in it has to be understood: no
#: ``crit``, and no key or address of one that came along (RFC 8725, section 3.10).
HEADER = frozenset({"alg", "kid", "typ"})

#: The compact form has one spelling: no padding, no white space (RFC 7515, section 2).
_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)

#: Numbers up to here are exact in every JSON parser (RFC 8259, section 6).
_MAX_NUMBER = 2**53


class Claims(Opaque):
    """What a verified token or session says.

    :ivar kind: ``auth+jwt``, ``registration+jwt`` or ``session``.
    :ivar subject: the actor's id; of a registration token the identifier.
    :ivar issued_at: seconds since the epoch, as all times here.
    :ivar auth_time: when the actor proved itself with a code.
    :ivar all: every claim, the app's own ones too.
    """

    kind: str
    actor_type: str
    subject: str
    jti: str
    issued_at: int
    expires_at: int
    auth_time: int
    all: Mapping[str, Any]

    @classmethod
    def read(cls, kind: str, claims: Mapping[str, Any]) -> "Claims":
        """Return claims by their names in Python.

        :raises Unauthorized: if any is missing or is not what it must be.
        """
        if not all(isinstance(claims.get(name), str) for name in ("aud", "sub", "jti")):
            raise Unauthorized
        if not all(_is_time(claims.get(name)) for name in ("iat", "exp", "auth_time")):
            raise Unauthorized
        return cls(
            kind,
            claims["aud"],
            claims["sub"],
            claims["jti"],
            claims["iat"],
            claims["exp"],
            claims["auth_time"],
            claims,
        )


def _is_time(value: object) -> bool:
    # Python counts true as 1, and reads NaN, which no comparison would ever call too old.
    return type(value) is int and 0 <= value <= _MAX_NUMBER


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

    @property
    def public_keys(self) -> list[Mapping[str, str]]:
        """The public keys that verify our tokens, as JWKs; none under HS256."""
        return [key.jwk for key in self._keys.values() if key.jwk is not None]

    def issue(
        self,
        kind: str,
        actor_type: str,
        subject: str,
        *,
        ttl: int,
        issued_at: int | None = None,
        auth_time: int | None = None,
        ends_at: int | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> tuple[str, str]:
        """Issue a token.

        :param ttl: seconds until it expires.
        :param issued_at: when it was decided to issue it, if not just now.
        :param auth_time: when the actor signed in, if not just now.
        :param ends_at: a moment that it must not outlive, seconds since the epoch.
        :param extra: the app's own claims.
        :raises ValueError: if one of these has the name of a claim of ours.
        :returns: the token and its ``jti``.
        """
        taken = sorted(RESERVED.intersection(extra or ()))
        if taken:
            raise ValueError(f"claims_loader must not set {', '.join(taken)}")
        now = int(time.time()) if issued_at is None else issued_at
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
            kind, key = self._header(token)
            if kind not in kinds:
                raise Unauthorized
            claims = jwt.decode(
                token,
                key.verifying,
                algorithms=[self._algorithm],
                audience=list(actor_types),
                issuer=self._issuer,
                leeway=self.leeway,
                options={"require": list(CLAIMS), "enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ArithmeticError, KeyError, RecursionError, TypeError, ValueError):
            raise Unauthorized from None
        return Claims.read(kind, claims)

    def _header(self, token: str) -> tuple[str, SigningKey]:
        if not _COMPACT.fullmatch(token):
            raise Unauthorized
        header = jwt.get_unverified_header(token)
        if header.keys() != HEADER:
            raise Unauthorized
        return header["typ"], self._keys[header["kid"]]

    def resume(self, facts: object, actor_types: Collection[str]) -> Claims:
        """Return what a session says, if it is ours, and still valid.

        :param facts: what the session holds; its signature is the session's business.
        :raises Unauthorized: in every other case.
        """
        if not isinstance(facts, dict) or facts.get("iss") != self._issuer:
            raise Unauthorized
        claims = Claims.read(SESSION, facts)
        if claims.actor_type not in actor_types or claims.expires_at <= time.time():
            raise Unauthorized
        return claims
