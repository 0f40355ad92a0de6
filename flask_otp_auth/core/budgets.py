"""Budgets: how much may be done in a window of time, counted before anything is done.

They stand on the strategies of the limits library. Keys are keyed hashes, so they are never empty
and reveal neither address nor identifier.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from limits import RateLimitItem, WindowStats
from limits.errors import StorageError
from limits.storage import MemoryStorage, Storage
from limits.strategies import MovingWindowRateLimiter, RateLimiter

from ..errors import ConfigError, Unavailable
from ..storage.base import log_error, unavailable_on
from ..storage.refusals import is_garbage
from .crypto import KeyHasher
from .validators import Limit

T = TypeVar("T")

#: The first part of every key, so that a storage can be shared with the app's own limits.
NAMESPACE = "otp_auth"

#: How much more an IPv6 /48, which one customer of a provider may hold, has than a /64.
WIDE_FACTOR = 10


@dataclass(frozen=True, repr=False)
class Budget:
    """A limit, and what it is counted for.

    :ivar parts: texts that name what is counted; no two lists of parts share a budget.
    """

    limit: Limit
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Taken:
    """What came of taking from budgets.

    :ivar refused: the budget that had none left, if any; those after it were not touched.
    :ivar used_up: whether the last budget was reached and has none left now.
    """

    refused: Budget | None = None
    used_up: bool = False


@dataclass(frozen=True)
class Room:
    """What is left of a budget.

    :ivar left: how much can be taken now.
    :ivar seconds: until there is room again; 0 where there is some.
    """

    left: int
    seconds: int


class TakesMany(Protocol):
    """A storage of limits that takes from several moving windows in one round trip."""

    def acquire_many(self, windows: Sequence[tuple[str, int, int]]) -> list[bool]:
        """Take one from each ``(key, amount, seconds)`` until one has none.

        :returns: for each that was taken whether it has room left.
        """


def address_budgets(limit: Limit, what: str, buckets: Sequence[str]) -> list[Budget]:
    """Return the budgets of a caller's address.

    :param what: what is counted.
    :param buckets: what the address counts as, the narrowest first; the others have ten times
        the limit.
    """
    budgets = [Budget(limit, ("address", what, bucket)) for bucket in buckets[:1]]
    wide = tuple(type(item)(item.amount * WIDE_FACTOR, item.multiples) for item in limit)
    return budgets + [Budget(wide, ("address", what, bucket)) for bucket in buckets[1:]]


def longest_window(limit: Limit) -> int:
    """Return the seconds after which whatever was counted is forgotten."""
    return max(item.get_expiry() for item in limit)


@dataclass(frozen=True)
class _Contact:
    """A limiter that was reached.

    :ivar at_once: its storage, if that takes from several moving windows in one round trip.
    """

    strategy: RateLimiter
    at_once: TakesMany | None
    serialised: AbstractContextManager[object]
    unavailable: unavailable_on


class Budgets:
    """Takes from budgets and tells whether there was anything left.

    :param connect: returns the strategy; called at first use, and again until it succeeds.
    :param errors: returns what the storage's driver raises in an outage.
    :param is_on: tells whether limits count; for each answer there is a strategy of its own.
    """

    def __init__(
        self,
        connect: Callable[[], RateLimiter],
        hasher: KeyHasher,
        errors: Callable[[], tuple[type[Exception], ...]] = lambda: (OSError,),
        is_on: Callable[[], bool] = lambda: True,
    ) -> None:
        self._connect = connect
        self._hasher = hasher
        self._errors = errors
        self._is_on = is_on
        self._contacts: dict[bool, _Contact] = {}

    def take(self, *budgets: Budget) -> Taken:
        """Take one from each budget in order, up to the first that has none.

        :raises Unavailable: if the limiter's storage can't be reached.
        """
        contact = self._contact()
        with contact.unavailable, contact.serialised:
            if contact.at_once is not None:
                return self._take_at_once(contact.at_once, budgets)
            return self._take_in_turn(contact.strategy, budgets)

    def retry_after(self, budget: Budget) -> int:
        """Return the seconds until a used-up budget has one again, 1 at least.

        :raises Unavailable: if the limiter's storage can't be reached.
        """
        contact = self._contact()
        with contact.unavailable, contact.serialised:
            windows = self._windows(contact.strategy, budget)
        reset = max((window.reset_time for window in windows if window.remaining < 1), default=0)
        return max(1, math.ceil(reset - time.time()))

    def room(self, budget: Budget) -> Room:
        """Tell what is left of a budget, and take nothing.

        :raises Unavailable: if the limiter's storage can't be reached.
        """
        contact = self._contact()
        with contact.unavailable, contact.serialised:
            windows = self._windows(contact.strategy, budget)
        left = max(0, min(window.remaining for window in windows))
        return Room(left, 0 if left else self.retry_after(budget))

    def give_back(self, budget: Budget) -> None:
        """Forget what was taken from a budget.

        :raises Unavailable: if the limiter's storage can't be reached.
        """
        contact, key = self._contact(), self._hasher.digest(*budget.parts)
        with contact.unavailable, contact.serialised:
            for item in budget.limit:
                contact.strategy.clear(item, NAMESPACE, key)

    @property
    def storage(self) -> Storage:
        """The limiter's storage.

        :raises Unavailable: if it can't be reached.
        """
        return self._contact().strategy.storage

    def forget(self) -> None:
        """Connect anew at the next use; a storage in memory is empty then."""
        self._contacts.clear()

    def _take_in_turn(self, strategy: RateLimiter, budgets: Sequence[Budget]) -> Taken:
        *firsts, last = budgets
        for budget in firsts:
            if not self._hit(strategy, budget):
                return Taken(refused=budget)
        has_hit = self._hit(strategy, last)
        # Looked at in any case, so that no work tells which counters are used up.
        has_none = any(window.remaining < 1 for window in self._windows(strategy, last))
        return Taken(None if has_hit else last, used_up=has_none or not has_hit)

    def _hit(self, strategy: RateLimiter, budget: Budget) -> bool:
        key = self._hasher.digest(*budget.parts)
        return all(_healed(strategy, strategy.hit, item, key) for item in budget.limit)

    def _take_at_once(self, storage: TakesMany, budgets: Sequence[Budget]) -> Taken:
        named = [(budget, self._hasher.digest(*budget.parts)) for budget in budgets]
        owners = [budget for budget in budgets for _ in budget.limit]
        room = storage.acquire_many(
            [
                (item.key_for(NAMESPACE, key), item.amount, item.get_expiry())
                for budget, key in named
                for item in budget.limit
            ]
        )
        if len(room) < len(owners):
            refused = owners[len(room)]
            return Taken(refused, used_up=refused is budgets[-1])
        return Taken(used_up=not all(room[-len(budgets[-1].limit) :]))

    def _windows(self, strategy: RateLimiter, budget: Budget) -> list[WindowStats]:
        key = self._hasher.digest(*budget.parts)
        look = strategy.get_window_stats
        return [_healed(strategy, look, item, key) for item in budget.limit]

    def _contact(self) -> _Contact:
        is_on = self._is_on()
        return self._contacts.get(is_on) or self._first_contact(is_on)

    def _first_contact(self, is_on: bool) -> _Contact:
        try:
            with unavailable_on(self._errors()):
                strategy = self._connect()
        except ConfigError as error:  # found late, as app.testing has changed
            log_error("%s", error)
            raise Unavailable from error
        storage = strategy.storage
        # limits' storage in memory starts its timer unguarded, so threads take turns at it.
        serialised = threading.Lock() if isinstance(storage, MemoryStorage) else nullcontext()
        known = storage.base_exceptions
        errors = known if isinstance(known, tuple) else (known,)
        # The storage itself doesn't know all that its driver raises.
        unavailable = unavailable_on((*errors, StorageError, *self._errors()))
        contact = _Contact(strategy, _at_once(strategy), serialised, unavailable)
        # The first one wins, or concurrent callers had a lock each.
        return self._contacts.setdefault(is_on, contact)


def _healed(
    strategy: RateLimiter,
    work: Callable[[RateLimitItem, str, str], T],
    item: RateLimitItem,
    key: str,
) -> T:
    """Work on a window; garbage in its place counts as absent, or it would refuse everybody.

    Hits of others in the same moment may be forgotten with it, as when the storage forgets.
    """
    try:
        return work(item, NAMESPACE, key)
    except Exception as error:
        if not is_garbage(error):
            raise
    strategy.clear(item, NAMESPACE, key)
    return work(item, NAMESPACE, key)


def _at_once(strategy: RateLimiter) -> TakesMany | None:
    storage: Any = strategy.storage
    moving = type(strategy) is MovingWindowRateLimiter
    return cast(TakesMany, storage) if moving and hasattr(storage, "acquire_many") else None
