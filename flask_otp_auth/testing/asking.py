"""Asking an app the same thing for two identifiers, in turns, and keeping what can be seen."""

import gc
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from flask import Flask

from ..web.state import State
from .answers import Answer
from .executors import Held
from .questions import Question
from .ranks import is_significant
from .watching import Watch, Work


@dataclass
class Sample:
    """What was seen of one identifier.

    :ivar seconds: how long each answer took.
    """

    answers: list[Answer] = field(default_factory=list)
    works: list[Work] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Pair:
    """Two identifiers, and what was seen of them when they were asked for in turns."""

    first: Sample
    second: Sample

    @property
    def gap(self) -> float:
        """By how many seconds the first one is slower; of medians."""
        return median(self.first.seconds) - median(self.second.seconds)

    @property
    def differs(self) -> bool:
        """Whether that is more than chance."""
        return is_significant(self.first.seconds, self.second.seconds)

    def differs_like(self, gap: float) -> bool:
        """Tell whether the same one is slower as in another gap."""
        return self.differs and (self.gap > 0) == (gap > 0)


class Asker:
    """Asks the questions of one comparison.

    :ivar asked: how many requests it has made.
    """

    def __init__(self, app: Flask, state: State, jobs: Held, watch: Watch, tries: int) -> None:
        self.asked: int = 0
        self._app = app
        self._state = state
        self._jobs = jobs
        self._watch = watch
        self._tries = tries

    def ask(self, question: Question, first: str, second: str) -> Pair:
        """Ask for two identifiers in turns."""
        samples = Sample(), Sample()
        self._once(question, first, Sample())  # what is made at a first call is made
        self._once(question, second, Sample())
        with _no_collector():
            for first_goes_first in _turns(self._tries):
                sides = list(zip((first, second), samples, strict=True))
                for identifier, sample in sides if first_goes_first else reversed(sides):
                    self._once(question, identifier, sample)
        return Pair(*samples)

    def call(self, question: Question, identifier: str) -> Callable[[], object]:
        """Return a function that asks once."""
        return lambda: self._once(question, identifier, Sample())

    def _once(self, question: Question, identifier: str, sample: Sample) -> None:
        self._state.forget()  # each is a first request
        self._jobs.jobs.clear()
        client = self._app.test_client()
        send = question.prepare(client, identifier)
        self._watch.begin(identifier)
        start = time.perf_counter()
        response = send()
        seconds = time.perf_counter() - start
        sample.seconds.append(seconds)
        sample.works.append(self._watch.work)
        sample.answers.append(Answer.of(response, identifier))
        response.close()
        self.asked += 1


def timed(call: Callable[[str], object], first: str, second: str, tries: int) -> Pair:
    """Call a function for two arguments in turns."""
    samples = Sample(), Sample()
    with _no_collector():
        for first_goes_first in _turns(tries):
            sides = list(zip((first, second), samples, strict=True))
            for argument, sample in sides if first_goes_first else reversed(sides):
                start = time.perf_counter()
                call(argument)
                sample.seconds.append(time.perf_counter() - start)
    return Pair(*samples)


def _turns(tries: int) -> Sequence[bool]:
    """Return who goes first, drawn: nothing else that happens in turns must keep step with it."""
    return [random.random() < 0.5 for _ in range(tries)]  # noqa: S311 - no secret


@contextmanager
def _no_collector() -> Iterator[None]:
    """Keep the garbage collector from stopping one of them and not the other."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
