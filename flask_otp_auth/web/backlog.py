"""The backlog of deliveries: which step of which job is next. No threads and no clock of its own.

Time is counted in ticks: whoever drives the backlog calls :meth:`Backlog.tick` some twenty times a
second. Due times are whole ticks, so that the thread which dispatches wakes once for all that is
due, as each wake-up makes the threads that serve requests wait for the GIL.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import SystemRandom

from ..errors import Unavailable

#: Seconds between two ticks.
TICK = 0.05

#: Jobs of one process, those that are under way included.
CAPACITY = 1000

#: What goes first: messages to people who have an account, then look-ups, then all else. So no
#: flood of newcomers keeps members waiting.
MEMBERS, LOOK_UPS, OTHERS = range(3)

_random = SystemRandom()  # one that nobody can predict


@dataclass(frozen=True, repr=False, eq=False)
class Step:
    """A part of a job.

    :ivar name: whose code runs, for the log.
    :ivar run: does it, and returns the steps that follow.
    :ivar priority: the lowest goes first.
    :ivar delay: seconds until it is due.
    """

    name: str
    run: Callable[[], Sequence["Step"]]
    priority: int
    delay: float = 0


@dataclass(eq=False, repr=False)
class Room:
    """The room of one job, with the number of its steps that aren't done."""

    steps: int = 1


@dataclass(eq=False, repr=False)
class Entry:
    """A step in the backlog.

    :ivar since: the tick since which it is ready, then since which it runs.
    """

    step: Step
    room: Room = field(default_factory=Room)
    since: int = 0


class Backlog:
    """The steps that wait, that are ready and that run; whoever shares it holds a lock.

    :param capacity: jobs that it takes.
    :param spread: returns the seconds that a job waits before its first step, which keep callers
        from measuring what it does.
    """

    def __init__(
        self, capacity: int = CAPACITY, spread: Callable[[], float] = _random.random
    ) -> None:
        self.rooms: int = 0
        self._capacity = capacity
        self._spread = spread
        self._now = 0
        self._sequence = count()  # so that no two entries of a heap are compared
        self._waiting: list[tuple[int, int, Entry]] = []
        self._ready: list[tuple[int, int, Entry]] = []
        self._running: set[Entry] = set()

    @property
    def ready(self) -> int:
        """How many steps are ready."""
        return len(self._ready)

    @property
    def seconds(self) -> float:
        """The time that has passed, by its ticks."""
        return self._now * TICK

    def reserve(self) -> None:
        """Take the room for a job.

        :raises Unavailable: if there is none.
        """
        if self.rooms >= self._capacity:
            raise Unavailable
        self.rooms += 1

    def release(self) -> None:
        """Give back the room for a job."""
        self.rooms -= 1

    def add(self, step: Step) -> None:
        """Add the first step of a job whose room is taken."""
        self._wait(Entry(step), self._spread())

    def tick(self) -> None:
        """Let one tick pass; what is due then is ready."""
        self._now += 1
        while self._waiting and self._waiting[0][0] <= self._now:
            self._make_ready(heappop(self._waiting)[2])

    def hurry(self) -> None:
        """Make everything ready, whenever it is due."""
        while self._waiting:
            self._make_ready(heappop(self._waiting)[2])

    def take(self, others: int | None = None) -> Entry | None:
        """Return the next entry to run, or ``None``.

        :param others: how many messages to people who have no account may be under way at once.
        """
        if not self._ready:
            return None
        is_for_others = self._ready[0][0] == OTHERS
        if is_for_others and others is not None and self._busy_with_others() >= others:
            return None
        entry = heappop(self._ready)[2]
        entry.since = self._now
        self._running.add(entry)
        return entry

    def _busy_with_others(self) -> int:
        return sum(entry.step.priority == OTHERS for entry in self._running)

    def done(self, entry: Entry, following: Sequence[Step] = ()) -> None:
        """Replace an entry that has run by the steps that follow."""
        self._running.discard(entry)
        for step in following:
            follower = Entry(step, entry.room)
            if step.delay:
                self._wait(follower, step.delay)
            else:
                self._make_ready(follower)
        entry.room.steps += len(following) - 1
        if not entry.room.steps:
            self.release()

    def longest_wait(self) -> float:
        """Return the seconds for which a step has been ready, the greatest of all."""
        return max((self._seconds_since(entry) for _, _, entry in self._ready), default=0)

    def running(self) -> dict[str, float]:
        """Return whose code runs, and for how many seconds; the longest first."""
        longest: dict[str, float] = {}
        for entry in sorted(self._running, key=lambda entry: entry.since):
            longest.setdefault(entry.step.name, self._seconds_since(entry))
        return longest

    def _seconds_since(self, entry: Entry) -> float:
        return (self._now - entry.since) * TICK

    def _wait(self, entry: Entry, seconds: float) -> None:
        due = self._now + max(1, math.ceil(seconds / TICK))
        heappush(self._waiting, (due, next(self._sequence), entry))

    def _make_ready(self, entry: Entry) -> None:
        entry.since = self._now
        heappush(self._ready, (entry.step.priority, next(self._sequence), entry))
