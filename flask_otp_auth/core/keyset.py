"""Signing keys: those that sign tokens, those that verify them, and what is published of them."""

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Bits that an RSA key must have at least (RFC 7518, section 3.3).
MIN_RSA_BITS = 2048

#: The members of a JWK that its thumbprint is made of (RFC 7638, section 3.2; RFC 8037, section 2).
_REQUIRED = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}

#: What OpenSSL's ``ecparam -genkey`` writes before the key: the curve, which the key names, too.
_EC_PARAMETERS = "(?s)-----BEGIN EC PARAMETERS-----.*?-----END EC PARAMETERS-----"

_BEGIN_KEY = "-----BEGIN [A-Z0-9 ]*KEY-----"


@dataclass(frozen=True, repr=False, eq=False)
class SigningKey:
    """One key, and its name in the header of tokens.

    :ivar kid: the key's name (RFC 7515, section 4.1.4).
    :ivar signing: ``None`` if only the public half is known.
    :ivar verifying: the public half; of a symmetric key, the key itself.
    :ivar algorithm: the only algorithm that the key is used with (RFC 8725, section 3.1).
    :ivar jwk: the public half as it is published (RFC 7517); ``None`` for a symmetric key.
    """

    kid: str
    signing: Any
    verifying: Any
    algorithm: str = "HS256"
    jwk: Mapping[str, str] | None = None


def symmetric_keys(derived: Sequence[bytes]) -> list[SigningKey]:
    """Return the HS256 keys; a ``kid`` is derived as well, so it reveals nothing of its key."""
    return [SigningKey(hmac.digest(key, b"kid", "sha256").hex()[:16], key, key) for key in derived]


def asymmetric_key(pem: str) -> SigningKey:
    """Return the key of a PEM text; the type of the key determines its algorithm.

    :param pem: a private key, unencrypted, or the public key of one that no longer signs. Its
        line ends may be written as ``\\n``, as they are in environment variables.
    :raises ValueError: if it can't be used; the text says why and shows nothing of the key.
    """
    private, public = _parse(_cleaned(pem))
    algorithm, members = _describe(public)
    kid = thumbprint(members)
    jwk = {**members, "kid": kid, "alg": algorithm, "use": "sig"}
    return SigningKey(kid, private, public, algorithm, jwk)


def thumbprint(members: Mapping[str, str]) -> str:
    """Return the name that a public key has everywhere (RFC 7638, section 3).

    :param members: the required members of the JWK and no other.
    """
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def _cleaned(pem: str) -> str:
    """Return a PEM text of one key as parsers want it."""
    text = pem.replace("\\r", "").replace("\\n", "\n")
    # A backslash is left of a \\n that was escaped twice, empty lines of line ends that were
    # converted twice.
    stripped = (line.strip("\\").strip() for line in re.sub(_EC_PARAMETERS, "", text).splitlines())
    lines = [line for line in stripped if line]
    keys = [line for line in lines if re.match(_BEGIN_KEY, line)]
    if len(keys) > 1:
        raise ValueError("holds several keys; write each as a text of its own")
    if keys and not re.fullmatch(_BEGIN_KEY, keys[0]):
        raise ValueError("is all on one line; keep its line ends, or write them as \\n")
    return "\n".join(lines) + "\n"


def _parse(pem: str) -> tuple[Any, Any]:
    """Return the private key, if it is one, and the public key."""
    try:
        # An extra, which HS256 does without.
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
    except ImportError:
        raise ValueError("needs cryptography: pip install 'flask-otp-auth[crypto]'") from None
    if re.search(r"^(-----BEGIN|Proc-Type:).*ENCRYPTED", pem, re.MULTILINE):
        raise ValueError("is encrypted; this extension has no password for it")
    try:
        if "PUBLIC KEY" in pem:
            return None, serialization.load_pem_public_key(pem.encode())
        private = serialization.load_pem_private_key(pem.encode(), None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise ValueError("is not a key in PEM") from None
    return private, private.public_key()


def _describe(public: Any) -> tuple[str, dict[str, str]]:
    """Return a public key's algorithm and the members that define it as a JWK."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < MIN_RSA_BITS:
            raise ValueError(f"is an RSA key of less than {MIN_RSA_BITS} bits")
        return "RS256", _members(RSAAlgorithm.to_jwk(public, as_dict=True))
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        return "ES256", _members(ECAlgorithm.to_jwk(public, as_dict=True))
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "EdDSA", _members(OKPAlgorithm.to_jwk(public, as_dict=True))
    raise ValueError("is not an RSA, a P-256 or an Ed25519 key")


def _members(jwk: Mapping[str, Any]) -> dict[str, str]:
    return {name: jwk[name] for name in _REQUIRED[jwk["kty"]]}
