"""Lanes: when a code is due, and whether it is a short or a long one.

A lane belongs to one scope and one kind of code. Its window and its credit are rights that somebody
takes. An attack mark makes codes long instead of locking their owner out: there is always either
a live code or room to send one.
"""

import math
import time
from contextlib import suppress
from dataclasses import dataclass

from ..errors import Unavailable
from ..storage.base import Store
from . import codes
from .breaker import Breaker
from .budgets import Budget, Budgets, longest_window
from .crypto import KeyHasher, Keys, Sealer
from .jobs import Suppressed
from .lane_keys import LaneKeys
from .purposes import PURPOSES
from .scopes import Scope
from .settings import Settings


@dataclass(frozen=True)
class Turn:
    """A code is due.

    :ivar long: whether it is to be a long one.
    :ivar attacked: what begins an attack on the lane: ``"sends"``, or ``None``.
    """

    long: bool
    attacked: str | None = None


@dataclass(frozen=True)
class LaneMarks:
    """What holds a lane's codes back or makes them long, in seconds until it ends; 0 if nothing.

    :ivar short: the resend window of short codes.
    :ivar long: the resend window of long codes.
    :ivar sends: too many codes were asked for.
    :ivar guesses: too many codes were guessed at.
    :ivar breaker: guesses fail all over.
    """

    short: int
    long: int
    sends: int
    guesses: int
    breaker: int


def send_budget(scope: Scope, settings: Settings) -> Budget:
    """Return what the short codes of a lane are counted against."""
    return Budget(settings.send_limits, ("send", *scope.parts[:3]))


class Lanes:
    """The lanes of one app."""

    def __init__(self, store: Store, keys: Keys, budgets: Budgets, breaker: Breaker) -> None:
        self._store = store
        self._budgets = budgets
        self._breaker = breaker
        self._hasher = KeyHasher(keys.names)
        self._sealer = Sealer(keys.seals, "mark")

    def take_turn(self, scope: Scope, settings: Settings) -> Turn:
        """Take the turn to send a code.

        :raises Suppressed: if none is due.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        keys = LaneKeys(self._hasher, scope)
        attacked, credit = self._look(keys)
        if attacked:
            return self._take_long_turn(keys)
        if settings.resend_interval and not self._mark(keys.short, settings.resend_interval):
            raise Suppressed("cooldown")
        try:
            if self._has_room(keys, settings, credit):
                return Turn(long=False)
            return self._take_long_turn(keys, attacked="sends")
        except Unavailable:
            # No code was sent, so the next request must not be met with silence. Mostly the store
            # can't be reached either: then the window ends by itself.
            with suppress(Unavailable):
                self.open_window(scope, long=False)
            raise

    def _take_long_turn(self, keys: LaneKeys, attacked: str | None = None) -> Turn:
        if not self._mark(keys.long, codes.LONG_INTERVAL):
            raise Suppressed("cooldown")
        return Turn(long=True, attacked=attacked)

    def seconds_until_turn(self, scope: Scope) -> int:
        """Return the seconds until the next code is due, 1 at least.

        :raises Unavailable: if the store can't be reached.
        """
        marks = self.marks(scope)
        attacked = marks.sends or marks.guesses or marks.breaker
        return max(1, marks.long if attacked else marks.short)

    def marks(self, scope: Scope) -> LaneMarks:
        """Tell what is marked for a scope; nothing is changed.

        :raises Unavailable: if the store can't be reached.
        """
        keys = LaneKeys(self._hasher, scope)
        breaker = self._breaker.key(scope.owner[0])
        attacks = keys.attacked_by_sends, keys.attacked_by_guesses, breaker
        values = self._store.peek(keys.short, keys.long, *attacks)
        return LaneMarks(*map(self._seconds_left, values))

    def unmark(self, scope: Scope) -> None:
        """Open both windows of a lane and let its codes be short, whatever was asked and guessed.

        :raises Unavailable: if the store can't be reached.
        """
        keys = LaneKeys(self._hasher, scope)
        marks = keys.short, keys.long, keys.attacked_by_sends, keys.attacked_by_guesses
        self._store.take(*marks)

    def _seconds_left(self, value: str | None) -> int:
        end: float = (self._sealer.loads(value) or [0.0])[0]
        return max(0, math.ceil(end - time.time()))

    def _look(self, keys: LaneKeys) -> tuple[bool, str | None]:
        """Tell whether codes are to be long, and return the credit as it stands; one look-up."""
        marks = (
            keys.attacked_by_sends,
            keys.attacked_by_guesses,
            self._breaker.key(keys.scope.owner[0]),
            keys.short,
            keys.long,
        )
        *values, credit = self._store.peek(*marks, keys.credit)
        ours = [self._sealer.loads(value) is not None for value in values]
        for key, value, is_ours in zip(marks, values, ours, strict=True):
            if value is not None and not is_ours:
                # Garbage counts as absent, so it must not be in the way of a mark.
                self._store.take(key, value=value)
        return any(ours[:3]), credit

    def _has_room(self, keys: LaneKeys, settings: Settings, credit: str | None) -> bool:
        if self._budgets.take(send_budget(keys.scope, settings)).refused is None:
            return True
        # Not unsealed before: the time would tell of each request who has signed in.
        has_credit = self._sealer.loads(credit) is not None
        return has_credit and self._store.take(keys.credit)[0]

    def open_window(self, scope: Scope, *, long: bool) -> None:
        """Let the next code be due at once, as the last one was not sent."""
        self._store.take(self.window(scope, long=long))

    def mark_attacked_by_sends(self, scope: Scope, settings: Settings) -> bool:
        """Let the lane's codes be long; true for the one caller that begins it."""
        key = LaneKeys(self._hasher, scope).attacked_by_sends
        return self._mark(key, longest_window(settings.send_limits))

    def mark_attacked_by_guesses(self, scope: Scope, settings: Settings) -> bool:
        """Let the identifier's codes be long, from the next request on.

        :returns: true for the one caller that begins it.
        """
        key = LaneKeys(self._hasher, scope).attacked_by_guesses
        if not self._mark(key, longest_window(settings.verify_limits)):
            return False
        self._store.take(*(self.window(each, long=True) for each in _siblings(scope)))
        return True

    def leave_credit(self, scope: Scope, settings: Settings) -> None:
        """Leave the right to one code more than ``SEND_LIMITS`` has; for whoever used one."""
        key = LaneKeys(self._hasher, scope).credit
        self._mark(key, longest_window(settings.send_limits))

    def window(self, scope: Scope, *, long: bool) -> str:
        """Return the key of the lane's resend window."""
        keys = LaneKeys(self._hasher, scope)
        return keys.long if long else keys.short

    def _mark(self, key: str, seconds: int) -> bool:
        end = time.time() + seconds
        return self._store.mark(key, seconds, self._sealer.dumps(end, end))


def _siblings(scope: Scope) -> list[Scope]:
    """Return the scopes whose guesses are counted together with those of ``scope``."""
    if not scope.actor_type:
        return [scope]
    return [Scope(scope.actor_type, name, scope.identifier) for name in PURPOSES]
