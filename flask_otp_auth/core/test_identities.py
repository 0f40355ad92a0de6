"""Test identities: who signs in with a code that stays the same, such as an app store's reviewer.

A line of the configuration names the identifier and holds a keyed digest of its code, so that the
line gives the code to nobody. The code is drawn by us and has 20 digits, so that nobody guesses it.
"""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from . import codes
from .crypto import Keys, hmac_hex, length_prefixed
from .scopes import Scope
from .validators import items, numbered

#: Days that a line is good for at most.
MOST_DAYS = 90

#: Seconds by which the clock of the machine that made a line may be ahead of ours.
SKEW = 300

#: How beginning and end are written: in UTC, as RFC 3339 has it.
_TIME = "%Y-%m-%dT%H:%M:%SZ"

#: Actor type, identifier, beginning, end, and the digest with the seal, 128 bits each.
_LINE = re.compile(r"([A-Za-z0-9_-]{1,64}) (.+) (\S+) (\S+) ([0-9a-f]{32})([0-9a-f]{32})")


@dataclass(frozen=True, repr=False, eq=False)
class IdentityLine:
    """One line of ``OTP_AUTH_TEST_IDENTITIES``.

    :ivar identifier: in canonical form.
    :ivar begin: an aware time in UTC; so is ``end``.
    :ivar digest: an HMAC over the code and all of the above.
    :ivar seal: an HMAC over the line, so that a changed one is refused before anybody needs it.
    """

    actor_type: str
    identifier: str
    begin: datetime
    end: datetime
    digest: str = ""
    seal: str = ""

    @classmethod
    def parse(cls, text: object) -> "IdentityLine":
        """Return the line that a text is.

        :raises ValueError: if it is none.
        """
        found = _LINE.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise ValueError("is no line that `flask otp test-identity` has printed")
        actor_type, identifier, begin, end, digest, seal = found.groups()
        return cls(actor_type, identifier, _parsed(begin), _parsed(end), digest, seal)

    def __str__(self) -> str:
        return " ".join([*self.facts, self.digest + self.seal])

    @property
    def facts(self) -> tuple[str, str, str, str]:
        """What the line says in words."""
        begin, end = (moment.strftime(_TIME) for moment in (self.begin, self.end))
        return self.actor_type, self.identifier, begin, end

    @property
    def has_ended(self) -> bool:
        """Whether the identifier is an ordinary one again."""
        return self.end.timestamp() <= time.time()

    @property
    def is_live(self) -> bool:
        """Whether the code is good now."""
        return self.begin.timestamp() <= time.time() and not self.has_ended


class FixedCodes:
    """The codes of one app's test identities.

    Only for such an identifier a request queues no job, and a guess of 20 digits is compared once
    more. So time may tell whose identifier stands in the configuration, which helps nobody: its
    code can't be guessed, and none is ever sent.

    :param lines: those of the configuration.
    """

    def __init__(self, keys: Keys, lines: Sequence[IdentityLine]) -> None:
        self._keys = keys.test_identities
        self._lines = lines

    def has(self, scope: Scope) -> bool:
        """Tell whether the identifier is a test identity now."""
        return bool(self._live(scope))

    def fits(self, scope: Scope, code: str) -> bool:
        """Tell whether a code is that of a test identity; it may be so any number of times."""
        hits = [
            codes.matches([_digest(key, line, code) for key in self._keys], line.digest)
            for line in self._live(scope)
        ]
        return any(hits)

    def new(self, actor_type: str, identifier: str, days: int) -> tuple[IdentityLine, str]:
        """Return a new line, and the code that is kept nowhere.

        :param identifier: in canonical form.
        :param days: how long it is good for, 1 to 90.
        """
        begin = datetime.now(UTC).replace(microsecond=0)
        line = IdentityLine(actor_type, identifier, begin, begin + timedelta(days=days))
        code = codes.draw(codes.LONG_DIGITS)
        line = replace(line, digest=_digest(self._keys[-1], line, code))
        return replace(line, seal=_seal(self._keys[-1], line)), code

    def _live(self, scope: Scope) -> list[IdentityLine]:
        wanted = (scope.actor_type, scope.identifier)
        return [
            line
            for line in self._lines
            if (line.actor_type, line.identifier) == wanted and line.is_live
        ]


def lines(value: object) -> tuple[IdentityLine, ...]:
    """Check the setting, as far as that can be done without the secret key.

    :raises ValueError: if it is no list of lines.
    """
    found = items(value)
    if found is None:
        raise ValueError("must be a list of lines that `flask otp test-identity` has printed")
    parsed, faults = numbered(IdentityLine.parse, found)
    if faults:
        raise ValueError(f"must be lines of test identities: {', '.join(faults)}")
    return tuple(parsed)


def line_faults(lines: Iterable[IdentityLine], keys: Keys) -> list[str]:
    """Return what is wrong with lines, which are told by their number."""
    return [
        f"OTP_AUTH_TEST_IDENTITIES: number {number} {fault}; `flask otp test-identity` prints a "
        "new one"
        for number, line in enumerate(lines, 1)
        if (fault := _fault(line, keys.test_identities))
    ]


def _fault(line: IdentityLine, keys: Sequence[bytes]) -> str | None:
    if not codes.matches([_seal(key, line) for key in keys], line.seal):
        return "was changed, or was not made with this SECRET_KEY"
    longest = timedelta(days=MOST_DAYS)
    if not line.begin < line.end <= line.begin + longest:
        return f"must be good for {MOST_DAYS} days at most"
    if line.end.timestamp() > time.time() + longest.total_seconds() + SKEW:
        return f"must end in {MOST_DAYS} days at the latest"
    return None


def _digest(key: bytes, line: IdentityLine, code: str) -> str:
    return hmac_hex(key, length_prefixed("code", *line.facts, code))[:32]


def _seal(key: bytes, line: IdentityLine) -> str:
    return hmac_hex(key, length_prefixed("line", *line.facts, line.digest))[:32]


def _parsed(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"has a time that is none such as {_TIME}") from None
