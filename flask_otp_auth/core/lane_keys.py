"""The keys of a lane in the store: they reveal neither whose they are nor what is bound."""

from functools import lru_cache
from hashlib import sha256

from .crypto import KeyHasher, length_prefixed, store_key
from .scopes import Scope


class LaneKeys:
    """The keys that decide when a code is due for a scope, under the newest secret key."""

    def __init__(self, hasher: KeyHasher, scope: Scope) -> None:
        self.scope = scope
        self._hasher = hasher
        self._tag = hasher.digest("owner", *scope.owner)

    @property
    def short(self) -> str:
        """The resend window of short codes."""
        what, scope = ("window", "short"), self.scope
        if not scope.bound:
            return self._of_purpose(*what)
        # What is bound must not be guessed from the key.
        return store_key(self._tag, self._hasher.digest(*what, scope.purpose, scope.bound))

    # What is bound has a window of its own for short codes alone: SEND_LIMITS count over all that
    # is bound, and beyond them anybody could ask for a long code for each of a thousand amounts.

    @property
    def long(self) -> str:
        """The resend window of long codes."""
        return self._of_purpose("window", "long")

    @property
    def credit(self) -> str:
        """The right to one code more than ``SEND_LIMITS`` has."""
        return self._of_purpose("credit")

    @property
    def attacked_by_sends(self) -> str:
        """Is there while this purpose's codes are long, as too many were asked for."""
        return self._of_purpose("attacked", "sends")

    @property
    def attacked_by_guesses(self) -> str:
        """Is there while all of the owner's codes are long, as too many were guessed at."""
        return store_key(self._tag, _name("attacked", "guesses"))

    def _of_purpose(self, *what: str) -> str:
        return store_key(self._tag, _name(*what, self.scope.purpose))


def pointer_keys(hasher: KeyHasher, scope: Scope, *, long: bool) -> list[tuple[str, str]]:
    """Return tag and key of the pointer to a lane's newest codes under each secret key, the newest
    first."""
    kind = "long" if long else "short"
    tags = hasher.digests("owner", *scope.owner)
    if not scope.bound:
        return [(tag, store_key(tag, _name("newest", kind, scope.purpose))) for tag in tags]
    names = hasher.digests("newest", kind, scope.purpose, scope.bound)
    return [(tag, store_key(tag, name)) for tag, name in zip(tags, names, strict=True)]


# Cached, as there are a few for each purpose, and a request needs five: 5 us in place of 14.
@lru_cache(maxsize=1024)
def _name(*what: str) -> str:
    return sha256(length_prefixed(*what)).hexdigest()[:32]
