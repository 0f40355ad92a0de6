"""JSON Web Tokens of two types, each pinned to its type, issuer and audience.

What a token must be follows RFC 8725 (best current practices for JWTs).
"""

import json
import re
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jwt

from ..core.crypto import is_expired
from ..core.keyset import SigningKey
from ..errors import Unauthorized

AUTHENTICATION = "auth+jwt"
REGISTRATION = "registration+jwt"

#: The type of a session's claims, which no token has.
SESSION = "session"

CLAIMS = ("iss", "sub", "aud", "iat", "exp", "jti", "sid", "auth_time", "amr")

#: Names that an app's own claims can't have; ``nbf`` is one because it affects validation.
RESERVED = frozenset({*CLAIMS, "nbf"})

#: The header of our tokens has these members and no other, so there is nothing in it to obey: no
#: ``crit``, no key and no address of a key (RFC 8725, section 3.10).
HEADER = frozenset({"alg", "kid", "typ"})

#: The compact form has one spelling: no padding, no white space (RFC 7515, section 2).
_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)

#: Numbers up to here are exact in every JSON parser (RFC 8259, section 6).
_MAX_NUMBER = 2**53


@dataclass(frozen=True, repr=False)
class Claims:
    """What a verified token or session says.

    :ivar typ: ``auth+jwt``, ``registration+jwt`` or ``session``.
    :ivar subject: the actor's id; of a registration token the identifier.
    :ivar expires_at: seconds since the epoch, as all times here.
    :ivar sid: the sign-in's id; of a registration token the registration's.
    :ivar auth_time: when the actor proved its identity.
    :ivar amr: how it did so (RFC 8176).
    :ivar all: every claim, the app's own ones too.
    """

    typ: str
    actor_type: str
    subject: str
    expires_at: int
    sid: str
    auth_time: int
    amr: tuple[str, ...]
    all: Mapping[str, Any]

    @classmethod
    def from_payload(cls, typ: str, payload: Mapping[str, Any]) -> "Claims":
        """Return claims by their names in Python.

        :raises Unauthorized: if any is missing or is not what it must be.
        """
        texts = [payload.get(name) for name in ("aud", "sub", "jti", "sid")]
        times = [payload.get(name) for name in ("iat", "exp", "auth_time")]
        amr = payload.get("amr")
        if not (all(map(_is_text, texts)) and all(map(_is_time, times)) and _is_amr(amr)):
            raise Unauthorized
        return cls(
            typ,
            actor_type=payload["aud"],
            subject=payload["sub"],
            expires_at=payload["exp"],
            sid=payload["sid"],
            auth_time=payload["auth_time"],
            amr=tuple(payload["amr"]),
            all=payload,
        )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_time(value: object) -> bool:
    # Python counts true as 1, and reads NaN, which compares false with every deadline.
    return type(value) is int and 0 <= value <= _MAX_NUMBER


def _is_amr(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


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
    def public_keys(self) -> list[dict[str, str]]:
        """The public keys that verify our tokens, as JWKs; none under HS256."""
        return [dict(key.jwk) for key in self._keys.values() if key.jwk is not None]

    def issue(
        self,
        typ: str,
        actor_type: str,
        subject: str,
        *,
        sid: str,
        auth_time: int,
        amr: tuple[str, ...],
        expires_at: int,
        extra: Mapping[str, Any] | None = None,
    ) -> str:
        """Issue a token.

        Parameters are as in :class:`Claims`.

        :param extra: the app's own claims, see :func:`check_extra`.
        """
        claims = {
            **(extra or {}),
            "iss": self._issuer,
            "sub": subject,
            "aud": actor_type,
            "iat": int(time.time()),
            "exp": expires_at,
            "jti": secrets.token_hex(16),
            "sid": sid,
            "auth_time": auth_time,
            "amr": list(amr),
        }
        headers = {"typ": typ, "kid": self._newest.kid}
        return jwt.encode(claims, self._newest.signing, self._algorithm, headers)

    def verify(self, token: str, types: Collection[str], actor_types: Collection[str]) -> Claims:
        """Return what a token says, if it is ours, of one of these types, and not expired.

        :raises Unauthorized: in every other case, without saying which.
        """
        try:
            typ, key = self._header(token)
            if typ not in types:
                raise Unauthorized
            payload = jwt.decode(
                token,
                key.verifying,
                algorithms=[self._algorithm],
                audience=list(actor_types),
                issuer=self._issuer,
                leeway=self.leeway,
                options={"enforce_minimum_key_length": True},
            )
        except (jwt.PyJWTError, ArithmeticError, KeyError, RecursionError, TypeError, ValueError):
            raise Unauthorized from None
        return Claims.from_payload(typ, payload)

    def _header(self, token: str) -> tuple[str, SigningKey]:
        if not _COMPACT.fullmatch(token):
            raise Unauthorized
        header = jwt.get_unverified_header(token)
        if header.keys() != HEADER:
            raise Unauthorized
        return header["typ"], self._keys[header["kid"]]

    def verify_session(self, payload: object, actor_types: Collection[str]) -> Claims:
        """Return what a session says, if it is ours, and not expired.

        :param payload: what the session holds; its signature is Flask's business.
        :raises Unauthorized: in every other case.
        """
        if not isinstance(payload, dict) or payload.get("iss") != self._issuer:
            raise Unauthorized
        claims = Claims.from_payload(SESSION, payload)
        if claims.actor_type not in actor_types or is_expired(claims.expires_at):
            raise Unauthorized
        return claims


def check_extra(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return claims of an app's own, if a token can hold them.

    :raises ValueError: if one has the name of a claim of ours, or a value that JSON doesn't have.
    :raises TypeError: if they are no dictionary, or one is no JSON value.
    """
    if not isinstance(claims, Mapping):
        raise TypeError(f"claims_loader must return a dict, not {type(claims).__name__}")
    taken = sorted(RESERVED.intersection(claims))
    if taken:
        raise ValueError(f"claims_loader must not set {', '.join(taken)}")
    try:
        json.dumps(dict(claims), allow_nan=False)  # by default it writes NaN, which is no JSON
    except (TypeError, ValueError) as error:
        raise type(error)(f"claims_loader must return JSON values: {error}") from None
    return dict(claims)
