"""Signing keys: what signs tokens, what verifies them, and what the world may know of them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .opaque import Opaque

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

#: Bits that an RSA key must have at least (RFC 7518, section 3.3).
MIN_RSA_BITS = 2048


class SigningKey(Opaque):
    """One key, and its name in the header of tokens.

    :ivar algorithm: the only one that it is used with (RFC 8725, section 3.1).
    :ivar signing: ``None`` where only the public half is known.
    :ivar jwk: the public half for all to read (RFC 7517); none of a symmetric key.
    """

    kid: str
    signing: Any
    verifying: Any
    algorithm: str = "HS256"
    jwk: Mapping[str, str] | None = None


def symmetric_keys(derived: Sequence[bytes]) -> list[SigningKey]:
    """Return the HS256 keys; a ``kid`` is derived as well, so it tells nothing of its key."""
    return [SigningKey(hmac.digest(key, b"kid", "sha256").hex()[:16], key, key) for key in derived]


def asymmetric_key(pem: str) -> SigningKey:
    """Return the key of a PEM text; the kind of key settles its algorithm.

    :param pem: a private key, unencrypted, or the public key of one that no longer signs.
    :raises ValueError: if it can't be used; the text says why, and nothing of the key.
    """
    private, public = _parse(pem)
    algorithm, members = _describe(public)
    kid = thumbprint(members)
    jwk = {**members, "kid": kid, "alg": algorithm, "use": "sig"}
    return SigningKey(kid, private, public, algorithm, jwk)


def thumbprint(members: Mapping[str, str]) -> str:
    """Return the name that a public key has everywhere (RFC 7638, section 3).

    :param members: the required members of the JWK, and no other.
    """
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _parse(pem: str) -> tuple[Any, Any]:
    """Return the private key, if it is one, and the public key."""
    try:
        # An extra, which HS256 does without.
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise ValueError("needs cryptography: pip install 'flask-otp-auth[crypto]'") from None
    try:
        if "PUBLIC KEY" in pem:
            return None, serialization.load_pem_public_key(pem.encode())
        private = serialization.load_pem_private_key(pem.encode(), None)
    except TypeError:
        raise ValueError("is encrypted; this extension has no password for it") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a key in PEM") from None
    return private, private.public_key()


def _describe(public: Any) -> tuple[str, dict[str, str]]:
    """Return a public key's algorithm and the members that define it as a JWK."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public, rsa.RSAPublicKey):
        return "RS256", _rsa_members(public)
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        point = public.public_numbers()
        # Of full length, with leading zeros (RFC 7518, section 6.2.1.2).
        x, y = (_base64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
        return "ES256", {"kty": "EC", "crv": "P-256", "x": x, "y": y}
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "EdDSA", {"kty": "OKP", "crv": "Ed25519", "x": _base64url(public.public_bytes_raw())}
    raise ValueError("is not an RSA, a P-256 or an Ed25519 key")


def _rsa_members(public: "RSAPublicKey") -> dict[str, str]:
    if public.key_size < MIN_RSA_BITS:
        raise ValueError(f"is an RSA key of less than {MIN_RSA_BITS} bits")
    numbers = public.public_numbers()
    n, e = (
        _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
        for number in (numbers.n, numbers.e)
    )
    return {"kty": "RSA", "n": n, "e": e}


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
