"""What each of the apps that share an extension has registered on it."""

from __future__ import annotations

import inspect
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, repr=False, eq=False)
class Entry(Generic[T]):
    """What was registered, by which code, and how many apps there were."""

    value: T
    origin: object
    apps: int


class OwnFunctions(Generic[T]):
    """What code of the apps' own registers, one after the other, where apps share an extension.

    An app factory registers its functions anew for each app. They are other objects of the same
    code, and take the place of those before, for this app and later ones.
    """

    def __init__(self) -> None:
        self.live: Sequence[Entry[T]] = ()
        self.apps: int = 0

    def add(self, value: T, by: object) -> None:
        """Register something.

        :param by: the function whose code counts; or what all of these have in common, if each one
            is to take the place of the one before.
        """
        origin = _code_of(by) if callable(by) else by
        self.live = (*self.live, Entry(value, origin, self.apps))

    def of_next_app(self) -> AppFunctions[T]:
        """Return what counts for the app that is initialised now."""
        former = [entry for entry in self.live if entry.apps < self.apps]
        anew = [entry for entry in self.live if entry.apps == self.apps]
        for entry in anew:
            same = [each for each in former if each.origin is entry.origin]
            if same:
                former.remove(same[-1])
        self.live = (*former, *anew)
        self.apps += 1
        return AppFunctions(self, self.live, self.apps)


class AppFunctions(Generic[T]):
    """What counts for one app; may grow, but not by what a factory registers for the next app."""

    def __init__(self, registry: OwnFunctions[T], own: Sequence[Entry[T]], number: int) -> None:
        self._registry = registry
        self._own = own
        self._number = number

    def __iter__(self) -> Iterator[T]:
        yield from (entry.value for entry in self._own)
        for entry in self._registry.live:
            if entry.apps >= self._number and not self._is_for_another(entry):
                yield entry.value

    def _is_for_another(self, entry: Entry[T]) -> bool:
        has_own = any(each.origin is entry.origin for each in self._own)
        return has_own and entry.apps < self._registry.apps


def fixed(named: Mapping[str, T]) -> Mapping[str, T]:
    """Return what is there by name now, fixed; names that come later become visible."""
    return ChainMap({**named}, named)  # type: ignore[arg-type]  # it is not written to


def _code_of(function: Any) -> object:
    """Return what two functions have in common that one place of an app's code has made."""
    while isinstance(function, partial):
        function = function.func
    function = inspect.unwrap(function)
    function = getattr(function, "__func__", function)  # an object's method
    if not hasattr(function, "__code__"):  # an object that can be called
        function = type(function).__call__
    return getattr(function, "__code__", function)
