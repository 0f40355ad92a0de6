"""Codes and limits in memory, for one process."""

import time
from array import array
from collections import OrderedDict
from datetime import timedelta
from typing import Any

from cachelib import SimpleCache
from cachelib.serializers import SimpleSerializer
from limits.storage import MemoryStorage

#: Keys that the cache holds before it gives up live ones.
THRESHOLD = 500_000

#: Windows that each new one looks at, to drop those that are over.
SWEEP = 2


class _Texts(SimpleSerializer):
    """Keeps texts as they are: in one process there is nothing to serialise."""

    def dumps(self, value: Any, protocol: int = 0) -> Any:
        return value

    def loads(self, bvalue: Any) -> Any:
        return bvalue


class MemoryCache(SimpleCache):
    """A SimpleCache of texts that has room for every live code."""

    serializer: SimpleSerializer = _Texts()

    def __init__(self) -> None:
        super().__init__(threshold=THRESHOLD)

    def set_many(
        self, mapping: dict[str, Any], timeout: int | timedelta | None = None
    ) -> list[Any]:
        """Set all at once, for no reader to see a part."""
        with self._lock:
            expires = self._normalize_timeout(timeout)
            self._prune()
            self._cache.update((key, (expires, value)) for key, value in mapping.items())
            return list(mapping)


class MemoryLimitStorage(MemoryStorage):
    """Moving windows in memory, dropped a few at a time; its callers take turns.

    The storage that it stands in for walks through all keys a hundred times a second, from a
    thread of its own; with ten thousand identifiers that is most of a core.
    """

    STORAGE_SCHEME: list[str] = []  # noqa: RUF012 - limits' own way to say: not to be had by a URI

    def __init__(self) -> None:
        super().__init__()
        # A window's length, then the times of its hits: an array takes an eighth of a deque's
        # memory, and the garbage collector doesn't look into it.
        self._windows: OrderedDict[str, array[float]] = OrderedDict()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take ``amount`` from the window of ``expiry`` seconds; false if it hasn't so much."""
        now = time.time()
        window = self._windows.get(key)
        if window is None:
            self._sweep(now)
            window = self._windows[key] = array("d", [expiry])
        _drop_old(window, now)
        if len(window) - 1 + amount > limit:
            return False
        window.extend([now] * amount)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the window's oldest hit was, and how many hits it holds."""
        now = time.time()
        window = self._windows.get(key)
        if window is None:
            return now, 0
        _drop_old(window, now)
        return (window[1] if len(window) > 1 else now), len(window) - 1

    def _sweep(self, now: float) -> None:
        for _ in range(min(SWEEP, len(self._windows))):
            key, window = self._windows.popitem(last=False)
            _drop_old(window, now)
            if len(window) > 1:
                self._windows[key] = window


def _drop_old(window: "array[float]", now: float) -> None:
    first, start = 1, now - window[0]
    while first < len(window) and window[first] < start:
        first += 1
    del window[1:first]
