"""Attacks, counted: how often each was tried, and how often it got through.

When pytest is done, it tells both for every attack of the run, with ``-q`` as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from flask_otp_auth import codes
from flask_otp_auth.store import Store


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


class Ledger:
    """The attacks of one run of pytest."""

    def __init__(self) -> None:
        self._attacks: dict[str, Attack] = {}

    def open(self, name: str) -> Attack:
        """Begin to count an attack, or go on with it on another storage."""
        return self._attacks.setdefault(name, Attack(name))

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


def pytest_configure(config: pytest.Config) -> None:
    """Let the run have a ledger."""
    config.pluginmanager.register(Ledger(), "attacks-ledger")


@pytest.fixture
def attack(request: pytest.FixtureRequest) -> Callable[[str], Attack]:
    """Begin an attack: ``attack("what is tried")``."""
    ledger: Ledger = request.config.pluginmanager.get_plugin("attacks-ledger")
    return ledger.open


class OpenStore(Store):
    """A store whose contents lie open to whoever attacks it."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        self.items.update(items)

    def peek(self, *keys: str) -> Sequence[str | None]:
        return [self.items.get(key) for key in keys]

    def take(self, key: str) -> bool:
        return self.items.pop(key, None) is not None

    def mark(self, key: str, ttl: int) -> bool:
        return key not in self.items and not self.items.update({key: "1"})


@dataclass
class Comparisons:
    """How often a code that somebody sent was compared with one that was issued."""

    count: int = 0


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> Comparisons:
    """Counts every comparison of a code."""
    made = Comparisons()
    compare = codes.matches

    def matches(*arguments: Any) -> bool:
        made.count += 1
        return compare(*arguments)

    monkeypatch.setattr(codes, "matches", matches)
    return made


#: Limits of addresses out of the way: this attacker has as many addresses as he likes.
MANY_ADDRESSES = {
    "OTP_AUTH_IP_GENERATE_LIMITS": "10000000/hour",
    "OTP_AUTH_IP_VERIFY_LIMITS": "10000000/hour",
}
