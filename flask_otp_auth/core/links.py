"""Links: the second way to use a code, for a person who opens its message. Nothing is stored.

A link ends in a token: an HMAC over the actor type, the purpose, the identifier and the code's id.
So it belongs to one code and ends with it, and no identifier stands in it. It is as secret as the
code.
"""

import hmac

from .crypto import Keys, hmac_hex, length_prefixed
from .scopes import Scope

#: Characters of a token: 128 bits in hex, which no mail program cuts and no URL quotes.
LENGTH = 32


class Links:
    """Makes and recognises the tokens of one app's links."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys.links

    def token(self, scope: Scope, code_id: str) -> str:
        """Return the token of a code's link.

        :param code_id: the code's id in hex.
        """
        return _token(self._keys[-1], scope, code_id)

    def belongs(self, token: str, scope: Scope, code_id: str) -> bool:
        """Tell whether a token is that of a code's link, under any key, in constant time."""
        given = token.encode("utf-8", "surrogatepass")  # a URL may hold anything
        found = False
        for key in self._keys:
            found |= hmac.compare_digest(_token(key, scope, code_id).encode(), given)
        return found


def _token(key: bytes, scope: Scope, code_id: str) -> str:
    return hmac_hex(key, length_prefixed(*scope.parts, code_id))[:LENGTH]
