"""What attackers came to, as a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import NamedTuple

#: Characters of a line.
_WIDTH = 80


class Row(NamedTuple):
    """What one attacker came to.

    :ivar tries: how often it was tried.
    :ivar through: how often it came to what is counted.
    :ivar bound: how often it may.
    """

    attacker: str
    tries: int
    through: int
    bound: int


@dataclass(frozen=True)
class Report:
    """What all attackers came to.

    :ivar leaks: each broken bound: whose it is, what leaked, and where.
    """

    rows: Sequence[Row]
    leaks: Sequence[str]

    @property
    def ok(self) -> bool:
        """Whether every bound holds."""
        return not self.leaks and all(row.through <= row.bound for row in self.rows)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{'attacker':<30}{'tries':>10}{'through':>12}{'bound':>10}"
        for row in self.rows:
            mark = "" if row.through <= row.bound else "  broken"
            yield (f"{row.attacker:<30}{row.tries:>10,}{row.through:>12,}{row.bound:>10,}{mark}")
        for leak in self.leaks:
            yield from wrap(leak, _WIDTH, initial_indent="- ", subsequent_indent="  ")
        yield "every bound holds" if self.ok else "not every bound holds"
