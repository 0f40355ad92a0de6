"""Codes and limits in the memory of one process."""

import itertools
import threading
import time
from array import array
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from limits.storage import MovingWindowSupport, Storage

from .base import TextCache

#: Keys that the cache has room for.
ROOM = 500_000

#: Keys or windows that each new one looks at, to drop those that are over.
SWEEP = 2


class _Item(NamedTuple):
    value: Any
    end: float
    number: int  # counted through all that were written
    queue: int


class MemoryCache(TextCache):
    """A cachelib cache in memory that has room for every live code.

    Where there is none left, the oldest key goes. Keys whose time to live is about as long queue
    together, so what has expired is found at the head of a queue.

    :param default_timeout: seconds or a ``timedelta``; 0 means never.
    :param room: keys that it holds at most.
    """

    def __init__(self, default_timeout: int | timedelta = 300, room: int = ROOM) -> None:
        super().__init__(default_timeout)
        self._room = room
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._items: dict[str, _Item] = {}
        self._queues: defaultdict[int, OrderedDict[str, None]] = defaultdict(OrderedDict)

    def get(self, key: str) -> Any:
        """Return the value, ``None`` if there is none."""
        return self.get_many(key)[0]

    def get_many(self, *keys: str) -> list[Any]:
        """Return the values as of one moment, ``None`` where there is none."""
        with self._lock:
            now = time.time()
            return [self._items[key].value if self._is_live(key, now) else None for key in keys]

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Write a value."""
        return bool(self.set_many({key: value}, timeout))

    def set_many(
        self, mapping: dict[str, Any], timeout: int | timedelta | None = None
    ) -> list[Any]:
        """Write all values at once. Returns the keys."""
        with self._lock:
            now, end = time.time(), self.deadline(timeout)
            for key, value in mapping.items():
                self._write(key, value, now, end)
        return list(mapping)

    def add(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Write a value if there is none; true for one caller until it expires or is deleted."""
        with self._lock:
            now = time.time()
            if self._is_live(key, now):
                return False
            self._write(key, value, now, self.deadline(timeout))
            return True

    def delete(self, key: str) -> bool:
        """Delete a value; true for one caller."""
        return self.take(key)[0]

    def take(self, *keys: str, value: str | None = None) -> list[bool]:
        """Delete keys and tell of each whether it was there."""
        with self._lock:
            now = time.time()
            return [self._take(key, value, now) for key in keys]

    def clear(self) -> bool:
        """Delete all values."""
        with self._lock:
            self._items.clear()
            self._queues.clear()
        return True

    def _take(self, key: str, value: str | None, now: float) -> bool:
        if not self._is_live(key, now):
            return False
        if value is not None and self._items[key].value != value:
            return False
        self._drop(key)
        return True

    def _is_live(self, key: str, now: float) -> bool:
        item = self._items.get(key)
        return item is not None and item.end > now

    def _write(self, key: str, value: Any, now: float, end: float) -> None:
        if key in self._items:
            self._drop(key)
        queue = 0 if end == float("inf") else max(0, int(end - now)).bit_length()
        self._sweep(queue, now)
        while len(self._items) >= self._room:
            self._drop(self._oldest(now))
        self._items[key] = _Item(value, end, next(self._numbers), queue)
        self._queues[queue][key] = None

    def _drop(self, key: str) -> None:
        del self._queues[self._items.pop(key).queue][key]

    def _sweep(self, number: int, now: float) -> None:
        queue = self._queues[number]
        for _ in range(min(SWEEP, len(queue))):
            head = next(iter(queue))
            if self._is_live(head, now):
                break
            self._drop(head)

    def _oldest(self, now: float) -> str:
        """Return the key to give up: one that has expired, else the one that was written first."""
        heads = [next(iter(queue)) for queue in self._queues.values() if queue]
        return min(heads, key=lambda key: (self._is_live(key, now), self._items[key].number))


class MemoryLimitStorage(Storage, MovingWindowSupport):
    """A storage of the limits library in memory, dropped a few windows at a time.

    limits' own one walks through all keys a hundred times a second, from a timer thread; with
    ten thousand identifiers that is most of a core.
    """

    STORAGE_SCHEME: list[str] | None = None

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        # A window's length, then the times of its hits: an array takes an eighth of a deque's
        # memory, and the garbage collector doesn't look into it.
        self._windows: OrderedDict[str, array[float]] = OrderedDict()
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """Nothing is out of reach here."""
        return ()

    def acquire_many(self, windows: Sequence[tuple[str, int, int]]) -> list[bool]:
        """Take one from each moving window in order, up to the first that has none.

        :param windows: of each its key, its amount and its seconds.
        :returns: for each that was taken whether it has room left.
        """
        room: list[bool] = []
        with self._lock:
            for key, limit, expiry in windows:
                window = self._window(key, expiry)
                if not _take(window, limit, 1):
                    break
                room.append(len(window) - 1 < limit)
        return room

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take ``amount`` from the window of ``expiry`` seconds; false if it hasn't so much."""
        with self._lock:
            return _take(self._window(key, expiry), limit, amount)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the window's oldest hit was, and how many hits it holds."""
        now = time.time()
        with self._lock:
            window = self._windows.get(key)
            if window is None:
                return now, 0
            _drop_old(window, now)
            return (window[1] if len(window) > 1 else now), len(window) - 1

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to the count of a fixed window, which the first one opens, and return it."""
        now = time.time()
        with self._lock:
            end, count = self._counts.pop(key, (0.0, 0))
            if end <= now:
                end, count = now + expiry, 0
            self._counts[key] = end, count + amount
            for _ in range(SWEEP):  # at least the one just written is there
                oldest, counted = self._counts.popitem(last=False)
                if counted[0] > now:
                    self._counts[oldest] = counted
            return count + amount

    def get(self, key: str) -> int:
        """Return the count of a fixed window, 0 if none is open."""
        end, count = self._counts.get(key, (0.0, 0))
        return count if end > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """Return when a fixed window ends, seconds since the epoch; now, if none is open."""
        return max(time.time(), self._counts.get(key, (0.0, 0))[0])

    def check(self) -> bool:
        """Tell that it works."""
        return True

    def reset(self) -> int:
        """Delete all limits, and return how many there were."""
        with self._lock:
            count = len(self._windows) + len(self._counts)
            self._windows.clear()
            self._counts.clear()
            return count

    def clear(self, key: str) -> None:
        """Delete the windows of a key."""
        with self._lock:
            self._windows.pop(key, None)
            self._counts.pop(key, None)

    def _window(self, key: str, expiry: int) -> "array[float]":
        now = time.time()
        window = self._windows.get(key)
        if window is None:
            self._sweep(now)
            window = self._windows[key] = array("d", [expiry])
        _drop_old(window, now)
        return window

    def _sweep(self, now: float) -> None:
        for _ in range(min(SWEEP, len(self._windows))):
            key, window = self._windows.popitem(last=False)
            _drop_old(window, now)
            if len(window) > 1:
                self._windows[key] = window


def _take(window: "array[float]", limit: int, amount: int) -> bool:
    if len(window) - 1 + amount > limit:
        return False
    window.extend([time.time()] * amount)
    return True


def _drop_old(window: "array[float]", now: float) -> None:
    first, start = 1, now - window[0]
    while first < len(window) and window[first] < start:
        first += 1
    del window[1:first]
