"""The breaker: when guesses fail all over, new codes are long.

Budgets by identifier don't see somebody who tries one guess at each of a million identifiers. So
failures are counted over all identifiers of an actor type. Codes that were sent before stay good.
"""

import time
from collections.abc import Sequence

from .. import signals
from ..storage.base import Store, log_error
from .budgets import Budget, Budgets
from .crypto import KeyHasher, Keys, Sealer, is_expired, store_key
from .events import Emit
from .validators import Limit

#: Seconds for which the breaker stays open at least, so that it doesn't flutter.
STAYS_OPEN = 600

FAILURES, SENDS = "global_failure_limit", "global_send_limit"


class Breaker:
    """Counts what happens over all identifiers of an actor type."""

    def __init__(self, store: Store, keys: Keys, budgets: Budgets, emit: Emit) -> None:
        self._store = store
        self._hasher = KeyHasher(keys.names)
        self._sealer = Sealer(keys.seals, "mark")
        self._budgets = budgets
        self._emit = emit
        self._known_open: dict[tuple[str, str], float] = {}

    def key(self, namespace: str, limit: str = FAILURES) -> str:
        """Return the key that is there while the breaker is open.

        :param namespace: the actor type, or a purpose of the app's own.
        """
        digest = self._hasher.digest
        return store_key(digest("breaker", namespace), digest("breaker", limit))

    def are_open(self, namespaces: Sequence[str]) -> list[bool]:
        """Tell for each namespace whether too many guesses fail there; one look-up.

        :raises Unavailable: if the store can't be reached.
        """
        if not namespaces:
            return []
        values = self._store.peek(*map(self.key, namespaces))
        return [self._sealer.loads(value) is not None for value in values]

    def count_failure(self, namespace: str, limit: Limit, *, live: bool) -> None:
        """Count a wrong guess.

        :param live: whether a code was live that the guess could have hit. Guesses at nothing are
            counted apart, with the same work, or anybody could open the breaker without a mail.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        name = FAILURES if live else "guesses at nothing"
        taken = self._budgets.take(Budget(limit, (name, namespace)))
        if not taken.used_up:
            self._known_open.pop((namespace, name), None)
        elif self._open(namespace, name) and live:
            self._report(namespace, name)

    def count_send(self, namespace: str, limit: Limit) -> bool:
        """Count a message; false if there were too many.

        :raises Unavailable: if the store or the limiter can't be reached.
        """
        return self._budgets.take(Budget(limit, (SENDS, namespace))).refused is None

    def report_sends(self, namespace: str) -> None:
        """Say once in ten minutes that there are too many messages."""
        if self._open(namespace, SENDS):
            self._report(namespace, SENDS)

    def _open(self, namespace: str, name: str) -> bool:
        """Open for ten minutes, unless it is known to be open; true for whoever does it."""
        # Not marked by each guess: one at nothing would do more work than one at a live code while
        # the other counter has room, which would tell who has been sent a code.
        if not is_expired(self._known_open.get((namespace, name), 0)):
            return False
        key, end = self.key(namespace, name), time.time() + STAYS_OPEN
        opened = self._store.mark(key, STAYS_OPEN, self._sealer.dumps(end, end))
        if not opened:
            # If that is garbage, it is tried again until the next request for a code removes it.
            (end,) = self._sealer.loads(self._store.peek(key)[0]) or [0.0]
        self._known_open[namespace, name] = end
        return opened

    def _report(self, namespace: str, name: str) -> None:
        log_error("%s of %s is reached", f"OTP_AUTH_{name.upper()}", namespace)
        self._emit(signals.breaker_opened, limit=name)
