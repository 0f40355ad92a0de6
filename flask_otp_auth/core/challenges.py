"""Challenges: what somebody holds who asked for a code. Nothing is stored for them.

A challenge is a random id and a deadline, with an HMAC over these, the actor type, the purpose and
the identifier. So every request is answered with a fresh one, whether a code was sent or not.
"""

import base64
import hmac
import re
import secrets
import time
from collections.abc import Iterable

from ..errors import InvalidData
from .crypto import Keys, length_prefixed
from .scopes import Scope

#: Characters that a caller's challenge may have at most.
MAX_LENGTH = 64

#: Seconds that a challenge is good for.
TTL = 900

#: Bytes of the deadline, of the id and of the HMAC: together 56 letters and digits of base32
#: (RFC 4648, section 6), without padding and with one spelling.
_DEADLINE, _ID, _MAC = 5, 14, 16

_SPELLING = re.compile(r"[A-Z2-7]{56}")


def check_challenge(challenge: object, *, required: bool = False) -> None:
    """Refuse what can't be a challenge.

    :raises InvalidData: if it is not a text, too long, or missing though it is required.
    """
    if challenge is None:
        if required:
            raise InvalidData("challenge is missing.")
        return
    if not isinstance(challenge, str) or len(challenge) > MAX_LENGTH:
        raise InvalidData(f"challenge must be a text of at most {MAX_LENGTH} characters.")


class Challenges:
    """Makes and checks the challenges of one app."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.challenges

    def new(self, scope: Scope, life: int = 0) -> str:
        """Return a fresh challenge for ``scope``, good for 15 minutes.

        :param life: seconds that the code lives, if that is longer.
        """
        deadline = int(time.time()) + max(TTL, life)
        body = deadline.to_bytes(_DEADLINE, "big") + secrets.token_bytes(_ID)
        return base64.b32encode(body + _mac(self._keys[-1], scope, body)).decode()

    def fitting(self, challenge: str, scopes: Iterable[Scope]) -> list[Scope]:
        """Return those of ``scopes`` that a challenge was made for; none if it has expired."""
        if not _SPELLING.fullmatch(challenge):
            return []
        packed = base64.b32decode(challenge)
        body, mac = packed[: _DEADLINE + _ID], packed[_DEADLINE + _ID :]
        if int.from_bytes(body[:_DEADLINE], "big") <= time.time():
            return []
        return [scope for scope in scopes if self._is_ours(scope, body, mac)]

    def _is_ours(self, scope: Scope, body: bytes, mac: bytes) -> bool:
        return any(hmac.compare_digest(_mac(key, scope, body), mac) for key in self._keys)


def _mac(key: bytes, scope: Scope, body: bytes) -> bytes:
    # Not hmac.digest(): it releases the GIL, which costs more than the hash under load.
    message = length_prefixed(*scope.parts) + body
    return hmac.new(key, message, "sha256").digest()[:_MAC]
