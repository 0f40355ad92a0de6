"""What tests count for the end of a run: attacks that were tried, and rounds that were raced.

Each worker of pytest-xdist hands its figures over when it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest


class Tally:
    """Figures of one run of pytest."""

    def rows(self) -> list[tuple[Any, ...]]:
        """Return what was counted, in plain values."""
        raise NotImplementedError

    def add(self, row: tuple[Any, ...]) -> None:
        """Count what a worker has counted."""
        raise NotImplementedError

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand the figures over, if this process is a worker."""
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput[type(self).__name__] = self.rows()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take a worker's figures; one that was killed has none."""
        for row in getattr(node, "workeroutput", {}).get(type(self).__name__, []):
            self.add(tuple(row))


@dataclass
class Attack:
    """One attack.

    :ivar tries: how often it was tried.
    :ivar got_through: how often it came to what it must not come to.
    """

    name: str
    tries: int = 0
    got_through: int = 0

    def tried(self, succeeded: bool) -> None:
        """Count one try."""
        self.tries += 1
        self.got_through += succeeded

    def failed(self, *, tries: int) -> bool:
        """Tell whether it was tried at least so often, and never got through."""
        return self.tries >= tries and self.got_through == 0


class Ledger(Tally):
    """The attacks; shown with ``-q`` as well."""

    def __init__(self) -> None:
        self._attacks: dict[str, Attack] = {}

    def open(self, name: str) -> Attack:
        """Begin to count an attack, or go on with it."""
        return self._attacks.setdefault(name, Attack(name))

    def rows(self) -> list[tuple[Any, ...]]:
        attacks = self._attacks.values()
        return [(attack.name, attack.tries, attack.got_through) for attack in attacks]

    def add(self, row: tuple[Any, ...]) -> None:
        name, tries, got_through = row
        attack = self.open(name)
        attack.tries += tries
        attack.got_through += got_through

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show a line for each attack."""
        if not self._attacks:
            return
        terminalreporter.section("attacks: tries, and what got through")
        tries = sum(attack.tries for attack in self._attacks.values())
        got_through = sum(attack.got_through for attack in self._attacks.values())
        lines = [self._attacks[name] for name in sorted(self._attacks)]
        for line in (*lines, Attack("in all", tries, got_through)):
            terminalreporter.write_line(f"{line.tries:>8,} {line.got_through:>3}  {line.name}")


class Race(NamedTuple):
    """What a contest came to."""

    crew: str
    contest: str
    violations: int
    rounds: int
    attempts: int
    seconds: float


class Races(Tally):
    """The contests."""

    def __init__(self) -> None:
        self._races: list[Race] = []

    def rows(self) -> list[tuple[Any, ...]]:
        return [tuple(race) for race in self._races]

    def add(self, row: tuple[Any, ...]) -> None:
        self._races.append(Race(*row))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show a line for each crew and, with ``-v``, for each of its contests."""
        if not self._races:
            return
        terminalreporter.section("concurrency")
        for crew in dict.fromkeys(race.crew for race in self._races):
            of_crew = [race for race in self._races if race.crew == crew]
            terminalreporter.write_line(f"{crew}: {_sum(of_crew)}")
            if terminalreporter.verbosity > 0:
                for race in of_crew:
                    terminalreporter.write_line(f"  {race.contest}: {_sum([race])}")


def _sum(races: Sequence[Race]) -> str:
    violations = sum(race.violations for race in races)
    rounds = sum(race.rounds for race in races)
    attempts = sum(race.attempts for race in races)
    seconds = sum(race.seconds for race in races)
    return f"{violations} violations in {rounds} rounds, {attempts} attempts, {seconds:.1f} s"


def pytest_configure(config: pytest.Config) -> None:
    """Let the run have both."""
    for tally in (Ledger(), Races()):
        config.pluginmanager.register(tally, type(tally).__name__)


@pytest.fixture(scope="session")
def ledger(pytestconfig: pytest.Config) -> Ledger:
    """The attacks of this run."""
    return pytestconfig.pluginmanager.get_plugin(Ledger.__name__)


@pytest.fixture(scope="session")
def races(pytestconfig: pytest.Config) -> Races:
    """The races of this run."""
    return pytestconfig.pluginmanager.get_plugin(Races.__name__)
