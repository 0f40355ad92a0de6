"""The four verbs that every store knows, and the texts that stores keep."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

from .errors import Unavailable


class Store(ABC):
    """What challenges need of a storage. An app may pass its own as ``cache=``.

    Keys and values are ASCII texts; times to live are whole seconds. Each verb raises
    :class:`Unavailable` if the storage can't be reached.
    """

    @abstractmethod
    def put(self, items: Mapping[str, str], ttl: int) -> None:
        """Write all items or raise; a key is never put twice."""

    @abstractmethod
    def peek(self, *keys: str) -> Sequence[str | None]:
        """Return the value of each key, ``None`` where there is none."""

    @abstractmethod
    def take(self, key: str) -> bool:
        """Remove a key; true for exactly one caller for each time that it was put."""

    @abstractmethod
    def mark(self, key: str, ttl: int) -> bool:
        """Open a window of ``ttl`` seconds; true for exactly one caller while it is open."""

    def turn(self) -> AbstractContextManager[object]:
        """Hold together the operations of a ``with`` block, where that makes them cheaper.

        It promises nothing: each verb keeps its own promise, in a turn or out of it.
        """
        return nullcontext()


class Outages:
    """Makes of what a backend raises :class:`Unavailable`, in a ``with`` block.

    :param errors: what it raises when it can't do its work.
    """

    def __init__(self, errors: tuple[type[Exception], ...]) -> None:
        self._errors = errors

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, self._errors):
            raise Unavailable from error


def text_of(value: Any) -> str | None:
    """Return a stored value as text; anything that we don't write counts as absent."""
    if isinstance(value, bytes):
        return value.decode("ascii", "replace")
    return value if isinstance(value, str) else None


def has_ended(window: str | None) -> bool:
    """Tell whether a window is over, by its end (seconds since the epoch) as text."""
    try:
        return float(window or "inf") <= time.time()
    except ValueError:
        return False
