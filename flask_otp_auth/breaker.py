"""The breaker: when guesses fail everywhere at once, short codes rest.

Budgets by identifier don't see somebody who tries one guess at each of a million identifiers.
So failures are counted over all of them; past the limit, new codes are long ones and short
ones are not compared, until the window has room again.
"""

import logging
import time

from . import signals
from .ports import Budgets, Emit
from .values import Limit

logger: logging.Logger = logging.getLogger("flask_otp_auth")

#: Seconds for which a process trusts its last reading, to save a round trip per request.
TRUST = 1.0


class Breaker:
    """Counts the failures of one app and tells whether short codes rest.

    :param limit: the failures in its windows after which it opens.
    """

    def __init__(self, budgets: Budgets, limit: Limit, emit: Emit) -> None:
        self._budgets = budgets
        self._limit = limit
        self._emit = emit
        self._open = False
        self._read_at = 0.0
        self._untold = False

    def is_open(self) -> bool:
        """Tell whether short codes rest; a reading of this process is good for a second.

        :raises Unavailable: if the limiter can't be reached.
        """
        if not 0 <= time.time() - self._read_at < TRUST:
            self._read(not self._budgets.has_left(self._limit, "failures"))
        return self._open

    def count_failure(self) -> None:
        """Count a guess that was compared and wrong.

        :raises Unavailable: if the limiter can't be reached.
        """
        if not self._budgets.hit(self._limit, "failures"):
            self._read(True)

    def _read(self, is_open: bool) -> None:
        self._untold |= is_open and not self._open
        self._open, self._read_at = is_open, time.time()

    def tell(self) -> None:
        """Log and signal that it has opened; not before the store's turn is over."""
        if self._untold:
            self._untold = False
            logger.error("too many guesses fail: short codes rest, new codes are long")
            self._emit(signals.breaker_opened, limit="; ".join(map(str, self._limit)))
