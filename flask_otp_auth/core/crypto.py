"""Keys derived from ``SECRET_KEY``, one for each use, and what is done with them.

A key of one use says nothing about the others, so a fault in one place stays there. Lists of keys
run from the oldest to the newest, as in itsdangerous: the last one signs, all verify.
"""

import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b, sha256
from typing import Any

from itsdangerous import BadData, Serializer


def length_prefixed(*parts: str) -> bytes:
    """Join texts so that no two different lists give the same bytes."""
    # Lone surrogates are kept: a text of an app's own, such as an actor's id, must not raise here.
    return "".join([f"{len(part)}:{part}" for part in parts]).encode("utf-8", "surrogatepass")


def hmac_hex(key: bytes, message: bytes) -> str:
    """Return the HMAC-SHA256 of ``message``: 64 hex characters."""
    # Not hmac.digest(): it releases the GIL, and under load a switch of threads costs ten times
    # the hash.
    return hmac.new(key, message, "sha256").hexdigest()


def is_expired(deadline: float) -> bool:
    """Tell whether ``deadline`` (seconds since the epoch) has come."""
    return deadline <= time.time()


@dataclass(frozen=True, repr=False, eq=False)
class Keys:
    """The derived keys of one app, 32 bytes each.

    :ivar tokens: sign tokens under HS256.
    :ivar digests: bind codes to what they are for.
    :ivar names: hide identifiers in the keys of store and limiter.
    :ivar slots: hide actors in the keys of sign-ins.
    :ivar seals: seal what is stored.
    :ivar audit: hide identifiers in the audit log.
    :ivar challenges: seal challenges, which callers hold.
    :ivar cookies: seal cookies of our own.
    :ivar links: seal links in messages.
    :ivar test_identities: bind the codes of test identities.
    """

    tokens: tuple[bytes, ...]
    digests: tuple[bytes, ...]
    names: tuple[bytes, ...]
    slots: tuple[bytes, ...]
    seals: tuple[bytes, ...]
    audit: tuple[bytes, ...]
    challenges: tuple[bytes, ...]
    cookies: tuple[bytes, ...]
    links: tuple[bytes, ...]
    test_identities: tuple[bytes, ...]

    @classmethod
    def derive(cls, secrets: Sequence[bytes], issuer: str) -> "Keys":
        """Derive the keys of each use.

        :param secrets: the app's secret keys, the newest last.
        :param issuer: the ``iss`` of tokens. It goes into the keys that sign them, so that two
            apps with one secret key don't take each other's tokens, and into those of sign-ins, so
            that in one storage an actor of the other, with the same id, can't see or end them.
        """
        issuers = {"tokens": (issuer,), "slots": (issuer,)}
        uses = [(item.name, *issuers.get(item.name, ())) for item in fields(cls)]
        return cls(*(tuple(_derived(secret, *use) for secret in secrets) for use in uses))


def _derived(secret: bytes, *use: str) -> bytes:
    return hmac.digest(secret, length_prefixed("flask-otp-auth/1", *use), "sha256")


def store_key(tag: str, name: str) -> str:
    """Return a key of the store; all keys with one tag are in one slot of a Redis Cluster."""
    return f"otp_auth:{{{tag}}}:{name}"


class KeyHasher:
    """Keyed hashes, so that the keys of store and limiter reveal no identifier.

    :param keys: the newest last.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = tuple(reversed(keys))

    def digest(self, *parts: str) -> str:
        """Return the hash of ``parts`` under the newest key: 32 hex characters."""
        return _hashed(self._keys[0], length_prefixed(*parts))

    def digests(self, *parts: str) -> list[str]:
        """Return the hashes of ``parts`` under every key, the newest first."""
        joined = length_prefixed(*parts)
        return [_hashed(key, joined) for key in self._keys]


def _hashed(key: bytes, joined: bytes) -> str:
    # Keyed BLAKE2b (RFC 7693): a request needs several hashes, and this is a single call each.
    return blake2b(joined, key=key, digest_size=16).hexdigest()


class Sealer:
    """Texts that only this app can have written, each with its deadline inside.

    The deadline is inside because storages round their TTLs and sweep late.

    :param keys: the newest last.
    :param salt: what is sealed; a text sealed under one salt is never taken under another.
    :param kind: how the text is written: by default as it is, in JSON.
    """

    def __init__(
        self, keys: Sequence[bytes], salt: str, kind: type[Serializer[str]] = Serializer
    ) -> None:
        self._serializer = kind(
            list(keys),
            salt=salt,
            signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
        )

    def dumps(self, deadline: float, *fields: Any) -> str:
        """Return an ASCII text that holds ``fields`` until ``deadline``.

        :param deadline: seconds since the epoch.
        :param fields: JSON values.
        """
        return self._serializer.dumps([deadline, *fields])

    def loads(self, text: object) -> list[Any] | None:
        """Return the fields, without the deadline.

        :param text: what was found where a sealed text should be; ``None`` if nothing was.
        :returns: ``None`` if that is not a text of ours or its deadline is past.
        """
        # Garbage may be of any type, and a text that isn't ASCII is none of ours.
        if not isinstance(text, str) or not text.isascii():
            return None
        try:
            payload = self._serializer.loads(text)
        except BadData:
            return None
        match payload:
            case [int() | float() as deadline, *found] if not is_expired(deadline):
                return found
        return None
