"""What each of the apps that share an extension has registered on it."""

from __future__ import annotations

import inspect
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, repr=False, eq=False)
class Entry(Generic[T]):
    """What was registered, from where, and how many apps there were then."""

    value: T
    origin: object
    apps: int


class OwnFunctions(Generic[T]):
    """What code of the apps' own registers, one after the other, where apps share an extension.

    An app factory registers its functions anew for each app. They are other objects, of the same
    code and registered by the same line, and take the place of those before, for this app and later
    ones. All else is kept: to drop a gate would let people through.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.entries: tuple[Entry[T], ...] = ()
        self.apps: int = 0

    def add(self, value: T, origin: object, is_same: Callable[[T], bool] = lambda _: False) -> None:
        """Register something.

        :param origin: where it comes from; see :func:`origin_of`.
        :param is_same: tells whether something is the same; then that one stays.
        """
        with self._lock:
            same = [entry for entry in self.entries if is_same(entry.value)]
            new = [replace(entry, apps=self.apps) for entry in same] or [
                Entry(value, origin, self.apps)
            ]
            kept = (
                entry
                for entry in self.entries
                if entry not in same and (entry.origin != origin or entry.apps == self.apps)
            )
            self.entries = (*kept, *new)

    def of_next_app(self) -> AppFunctions[T]:
        """Return what counts for the app that is initialised now."""
        with self._lock:
            self.apps += 1
            return AppFunctions(self, self.entries, self.apps)


class AppFunctions(Generic[T]):
    """What counts for one app; may grow, but not by what a factory registers for the next app."""

    def __init__(self, registry: OwnFunctions[T], own: tuple[Entry[T], ...], number: int) -> None:
        self._registry = registry
        self._own = own
        self._number = number

    def __iter__(self) -> Iterator[T]:
        yield from (entry.value for entry in self._own)
        for entry in self._registry.entries:
            if entry.apps >= self._number and self._counts(entry):
                yield entry.value

    def _counts(self, late: Entry[T]) -> bool:
        if any(entry.value is late.value for entry in self._own):
            return False
        is_newest = self._registry.apps == self._number
        return is_newest or all(entry.origin != late.origin for entry in self._own)


def origin_of(function: Callable[..., object]) -> object:
    """Return what the functions have in common that a factory registers at each call.

    To be called by what the app's code calls: the line of that counts as well. A function's code
    alone would not do, as several gates may be closures of one function, or methods of one class.
    """
    frame = inspect.currentframe()
    place = frame and frame.f_back and frame.f_back.f_back
    kind = type(function)
    called = function if hasattr(function, "__code__") else kind.__call__
    code = getattr(called, "__code__", kind)  # a partial has none
    return code, place and (place.f_code, place.f_lineno)


def fixed(named: Mapping[str, T]) -> Mapping[str, T]:
    """Return what is there by name now, fixed; names that come later become visible."""
    return ChainMap({**named}, named)  # type: ignore[arg-type]  # it is not written to
