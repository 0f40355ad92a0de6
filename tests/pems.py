"""Keys in PEM, made once for all tests: the private one and its public half."""

from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ALGORITHMS = ("ES256", "EdDSA", "RS256")

MAKERS: dict[str, Callable[[], Any]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
}


def private_pem(key: Any, password: bytes | None = None) -> str:
    """Return a private key as a PEM text (PKCS #8)."""
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


def public_pem(pem: str) -> str:
    """Return the public half of a private key."""
    public = serialization.load_pem_private_key(pem.encode(), None).public_key()
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


@cache
def pem(algorithm: str, name: str = "one") -> str:
    """Return the private key of that name for an algorithm; always the same in one run."""
    return private_pem(MAKERS[algorithm]())
