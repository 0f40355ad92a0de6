"""Notes: what only a serving process can know, left in the store for whoever looks later.

A note holds no personal data, and neither does its key.
"""

import logging
import time

from ..storage.base import Store
from .crypto import KeyHasher, Keys, Sealer, is_expired, store_key

logger: logging.Logger = logging.getLogger("flask_otp_auth")

#: Seconds that a note is kept.
KEPT = 86_400

#: Seconds after which a process leaves the same note again, if it still has reason to.
REPEAT = 3600

#: Characters of a note at most.
LONGEST = 1000


class Notes:
    """The notes of one app, one for each kind.

    :param store: where they are kept.
    """

    def __init__(self, store: Store, keys: Keys) -> None:
        self._store = store
        self._hasher = KeyHasher(keys.names)
        self._sealer = Sealer(keys.seals, "note")
        self._quiet_until: dict[str, float] = {}

    def leave(self, kind: str, text: str) -> None:
        """Leave a note, which replaces the last one of its kind. It never raises."""
        if not is_expired(self._quiet_until.get(kind, 0)):
            return
        now = time.time()
        self._quiet_until[kind] = now + REPEAT
        sealed = self._sealer.dumps(now + KEPT, kind, text[:LONGEST])
        try:
            self._store.put({self._key(kind): sealed}, KEPT)
        except Exception as error:  # noqa: BLE001 - a request must not fail for a note
            logger.debug("no note of %s could be left: %s", kind, type(error).__name__)

    def read(self, *kinds: str) -> dict[str, str]:
        """Return the text of each kind that there is a note of.

        :raises Unavailable: if the store can't be reached.
        """
        values = self._store.peek(*map(self._key, kinds))
        notes = [self._sealer.loads(value) or ("", "") for value in values]
        # The kind is sealed in, so that a value copied to another key is garbage there.
        found = zip(kinds, notes, strict=True)
        return {kind: text for kind, (sealed, text) in found if sealed == kind}

    def _key(self, kind: str) -> str:
        return store_key(self._hasher.digest("notes"), self._hasher.digest("note", kind))
