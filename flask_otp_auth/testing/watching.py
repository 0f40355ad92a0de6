"""What an app does within a request: signals, look-ups, calls of its storage."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from blinker import NamedSignal
from flask import Flask

from .. import signals
from ..storage.memory import MemoryCache
from .places import place_of
from .statements import heard, tables

#: The methods of an actor store that look somebody up.
FINDERS = ("find_by_identifier", "find_by_id")

ALL_SIGNALS = tuple(each for each in vars(signals).values() if isinstance(each, NamedSignal))


@dataclass
class Work:
    """What was done within one request.

    :ivar signals: the names of the signals that were sent.
    :ivar rejections: why guesses were not right.
    :ivar look_ups: where the app's own code was when it looked somebody up, or the finder's name.
    :ivar storage: what the storage was asked for.
    """

    signals: list[str] = field(default_factory=list)
    rejections: list[str] = field(default_factory=list)
    look_ups: list[tuple[str, str]] = field(default_factory=list)
    storage: list[str] = field(default_factory=list)


class Watch:
    """Notes what an app does; :attr:`work` begins anew with each :meth:`begin`.

    A query is a look-up if it is for the identifier and reads a table that the finders read: only
    they themselves say which tables have accounts.
    """

    def __init__(self) -> None:
        self.work: Work = Work()
        self._wanted = ""
        self._finding = 0
        self._tables: set[str] = set()

    def begin(self, wanted: str = "") -> None:
        """Forget what was done until now.

        :param wanted: the identifier that is asked for next.
        """
        self.work = Work()
        self._wanted = wanted.casefold()

    @contextmanager
    def on(self, app: Flask, store: Any) -> Iterator[None]:
        """Watch an app and an actor store while a block runs."""
        with ExitStack() as stack:
            for signal in ALL_SIGNALS:
                stack.enter_context(signal.connected_to(self._hearer(signal), app))
            for finder in FINDERS:
                stack.enter_context(self._noting(store, finder))
            stack.enter_context(heard(self._hear_query))
            yield

    def _hear_query(self, statement: str, values: list[str]) -> None:
        if self._finding:
            self._tables |= tables(statement)
        elif self._wanted in map(str.casefold, values):
            found = sorted(self._tables & tables(statement))
            place = place_of(sys._getframe(1))
            self.work.look_ups += [(f"a query of {table}", place) for table in found]

    def _hearer(self, signal: NamedSignal) -> Callable[..., None]:
        def hear(sender: Flask, **facts: Any) -> None:
            self.work.signals.append(signal.name.replace("-", "_"))
            if signal is signals.otp_rejected:
                self.work.rejections.append(facts["reason"])

        return hear

    @contextmanager
    def _noting(self, store: Any, finder: str) -> Iterator[None]:
        """Have the store itself note look-ups, as the app's own code may use it as well."""
        find = getattr(store, finder)

        @wraps(find)
        def noting(wanted: str) -> Any:
            self.work.look_ups.append((finder, place_of(sys._getframe(1))))
            self._finding += 1
            try:
                return find(wanted)
            finally:
                self._finding -= 1

        with replaced(store, finder, noting):
            yield


@contextmanager
def replaced(store: Any, method: str, function: Callable[..., Any]) -> Iterator[bool]:
    """Replace a method of an object while a block runs.

    :returns: whether that can be: it can't with ``__slots__``, or where the object is frozen.
    """
    before = getattr(store, method)
    was_its_own = method in getattr(store, "__dict__", {})
    try:
        setattr(store, method, function)
    except AttributeError:
        yield False
        return
    try:
        yield True
    finally:
        if was_its_own:
            setattr(store, method, before)
        else:
            delattr(store, method)


class WatchedCache(MemoryCache):
    """A cache in memory that notes what it is asked for."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def get_many(self, *keys: str) -> list[Any]:
        """Return the values."""
        self._watch.work.storage.append(f"get {len(keys)}")
        return super().get_many(*keys)

    def set_many(self, mapping: dict[str, Any], timeout: Any = None) -> list[Any]:
        """Write all values at once."""
        self._watch.work.storage.append(f"set {len(mapping)}")
        return super().set_many(mapping, timeout)

    def add(self, key: str, value: Any, timeout: Any = None) -> bool:
        """Write a value if there is none."""
        self._watch.work.storage.append("add")
        return super().add(key, value, timeout)

    def take(self, *keys: str, value: str | None = None) -> list[bool]:
        """Delete keys and tell of each whether it was there."""
        self._watch.work.storage.append(f"take {len(keys)}")
        return super().take(*keys, value=value)


@contextmanager
def handlers_held_back(app: Flask, held: tuple[NamedSignal, ...]) -> Iterator[None]:
    """Run a block in which the app's own handlers of these signals are not called."""
    from .twins import state_of

    held_back = state_of(app).delivery.held_back
    ours = [(signal, handler) for signal in held for handler in signal.receivers_for(app)]
    held_back.extend(ours)
    try:
        yield
    finally:
        for each in ours:
            with suppress(ValueError):
                held_back.remove(each)
