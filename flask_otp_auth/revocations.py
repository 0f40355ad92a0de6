"""Revocations: what no longer lets in, although its signature still says so."""

import time

from .codes import short_hash
from .keys import Keys, Names
from .tokens import Claims
from .verbs import Store


class Revocations:
    """The revoked tokens and sessions of one app."""

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._names = Names(keys.names)

    def revoke(self, claims: Claims, ttl: int) -> None:
        """Revoke one token and the session that was made of it, for ``ttl`` seconds.

        :raises Unavailable: if the store can't be reached.
        """
        tag = self._names.tag("actor", claims.actor_type, claims.subject)
        self._store.put({_one(tag, claims.jti): "1"}, ttl)

    def revoke_all(self, actor_type: str, actor_id: str, ttl: int) -> None:
        """Revoke whatever was issued to an actor until now, for ``ttl`` seconds.

        :raises Unavailable: if the store can't be reached.
        """
        keys = [_all(tag) for tag in self._names.tags("actor", actor_type, actor_id)]
        # A refresh that looked before the first write dates its token before the second.
        for _ in range(2):
            # A clock that is behind must not bring back what another one has revoked.
            past = [value for value in self._store.peek(*keys) if value is not None]
            moment = max([str(int(time.time())), *past], key=_moment)
            self._store.put({keys[0]: moment}, ttl)

    def cover(self, claims: Claims) -> bool:
        """Tell whether a token or a session is revoked; one trip to the store.

        :raises Unavailable: if the store can't be reached.
        """
        # Under every key: a revocation must outlive a change of SECRET_KEY, as its token does.
        tags = self._names.tags("actor", claims.actor_type, claims.subject)
        keys = [key for tag in tags for key in (_one(tag, claims.jti), _all(tag))]
        values = self._store.peek(*keys)
        ones, alls = values[::2], values[1::2]
        if any(value is not None for value in ones):
            return True
        return any(claims.issued_at <= _moment(value) for value in alls if value is not None)


def _one(tag: str, jti: str) -> str:
    return f"{_all(tag)}:{short_hash(jti)}"


def _all(tag: str) -> str:
    # The braces keep all keys of one actor in one slot of a Redis Cluster.
    return f"otp_auth:{{{tag}}}:revoked"


def _moment(value: str) -> float:
    """Return the second until which all is revoked; what can't be read revokes everything."""
    try:
        return int(value)
    except ValueError:
        return float("inf")
