"""Registration rights: a registration token may be exchanged for a sign-in once."""

import time

from ..core.crypto import KeyHasher, Keys, Sealer, store_key
from ..storage.base import Store


class RegistrationRights:
    """The rights of one app's registration tokens.

    :param store: where they are kept.
    """

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._hasher = KeyHasher(keys.names)
        self._sealer = Sealer(keys.seals, "registration")

    def put(self, sid: str, ttl: int) -> None:
        """Put a right.

        :param sid: the ``sid`` of the registration token.
        :param ttl: seconds that the token can be used.
        :raises Unavailable: if the store can't be reached.
        """
        key = store_key(self._hasher.digest("registration", sid), "00")
        self._store.put({key: self._sealer.dumps(time.time() + ttl, key)}, ttl)

    def take(self, sid: str) -> bool:
        """Take a right; true for exactly one caller.

        :raises Unavailable: if the store can't be reached.
        """
        found = self._find(sid)
        if found is None:
            return False
        key, text = found
        (taken,) = self._store.take(key, value=text)
        return taken

    def has(self, sid: str) -> bool:
        """Tell whether a right is still there.

        :raises Unavailable: if the store can't be reached.
        """
        return self._find(sid) is not None

    def _find(self, sid: str) -> tuple[str, str] | None:
        # Under every key, so that a change of SECRET_KEY ends no registration.
        keys = [store_key(tag, "00") for tag in self._hasher.digests("registration", sid)]
        for key, text in zip(keys, self._store.peek(*keys), strict=True):
            if text is not None and self._sealer.loads(text) == [key]:
                return key, text
        return None
