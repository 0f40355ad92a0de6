"""Keys derived from ``SECRET_KEY``: one for each use, each rotating with the fallbacks.

A key of one use says nothing about the others, so a fault in one place stays there. Lists of
keys run from the oldest to the newest, as in itsdangerous: the last one signs, all verify.
"""

import hmac
import json
import time
from collections.abc import Sequence
from hashlib import blake2b, sha256
from typing import Any

from itsdangerous import BadSignature, TimestampSigner

from .opaque import Opaque


def pack(*parts: str) -> bytes:
    """Join texts so that no two different lists give the same bytes."""
    return "".join([f"{len(part)}:{part}" for part in parts]).encode()


def mac(key: bytes, message: bytes) -> str:
    """Return the HMAC-SHA256 of ``message`` in hex."""
    # Not hmac.digest(): that releases the interpreter's lock, and under load a switch of
    # threads costs ten times the hash.
    return hmac.new(key, message, "sha256").hexdigest()


class Keys(Opaque):
    """The derived keys of one app.

    :ivar tokens: sign tokens under HS256.
    :ivar digests: bind codes to their challenges.
    :ivar names: hide identifiers in the names of store and limiter keys.
    :ivar seals: seal what is stored.
    :ivar audit: hide identifiers in the audit log.
    """

    tokens: tuple[bytes, ...]
    digests: tuple[bytes, ...]
    names: tuple[bytes, ...]
    seals: tuple[bytes, ...]
    audit: tuple[bytes, ...]

    @classmethod
    def derive(cls, secrets: Sequence[bytes]) -> "Keys":
        """Derive the keys of each use.

        :param secrets: the app's secret keys, the newest last.
        """

        def derived(use: str) -> tuple[bytes, ...]:
            info = b"flask-otp-auth/1/" + use.encode()
            return tuple(hmac.digest(secret, info, "sha256") for secret in secrets)

        return cls(*(derived(use) for use in ("tokens", "digests", "names", "seals", "audit")))


class Names:
    """Names of keys: keyed hashes, so that no key tells whom it concerns."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(reversed(keys))

    def tag(self, *parts: str) -> str:
        """Return the name of ``parts`` under the newest key: 32 hex characters."""
        return _name(self._keys[0], pack(*parts))

    def tags(self, *parts: str) -> list[str]:
        """Return the names of ``parts`` under every key, the newest first."""
        packed = pack(*parts)
        return [_name(key, packed) for key in self._keys]


def _name(key: bytes, packed: bytes) -> str:
    # Keyed BLAKE2b (RFC 7693): several names are made for a request, each in a single call.
    return blake2b(packed, key=key, digest_size=16).hexdigest()


class Seal:
    """Texts that only we can have written, each with its deadline inside.

    :param keys: the newest last.
    :param kind: what is sealed; a seal of one kind never opens another's texts.
    """

    def __init__(self, keys: Sequence[bytes], kind: str) -> None:
        # Derived here, once: the signer would do it again for every text.
        salted = [hmac.digest(key, kind.encode(), "sha256") for key in keys]
        self._signer = TimestampSigner(salted, key_derivation="none", digest_method=sha256)

    def close(self, deadline: float, *fields: str | int | bool) -> str:
        """Seal ``fields`` until ``deadline`` (seconds since the epoch)."""
        return self._signer.sign(json.dumps([deadline, *fields])).decode()

    def open(self, text: str | None) -> tuple[float, list[Any]] | None:
        """Return the deadline and the fields, or ``None`` if the seal is not ours."""
        if text is None:
            return None
        try:
            deadline, *fields = json.loads(self._signer.unsign(text))
        except (BadSignature, UnicodeEncodeError):
            return None
        return deadline, fields


def is_past(deadline: float) -> bool:
    """Tell whether ``deadline`` (seconds since the epoch) has come."""
    return deadline <= time.time()
