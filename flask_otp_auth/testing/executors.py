"""Executors for tests: one that delivers on the spot, and one that holds what it is given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Job = tuple[Callable[..., None], tuple[Any, ...]]


class AtOnce:
    """Does what it is given on the spot."""

    def submit(self, function: Callable[..., None], /, *args: Any) -> None:
        """Do it."""
        function(*args)


@dataclass(eq=False)
class Held:
    """Does nothing before it is told to.

    :ivar jobs: what it was given, the oldest first.
    """

    jobs: list[Job] = field(default_factory=list)

    def submit(self, function: Callable[..., None], /, *args: Any) -> None:
        """Keep it."""
        self.jobs.append((function, args))

    def run(self) -> None:
        """Do all that was held."""
        while self.jobs:
            function, args = self.jobs.pop(0)
            function(*args)
