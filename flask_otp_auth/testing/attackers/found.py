"""What one attacker came to."""

from dataclasses import dataclass, field

from ..report import Row


@dataclass
class Found:
    """Counts tries; what got through, and what leaked.

    :ivar leaks: what leaked, and where.
    """

    attacker: str
    bound: int = 0
    tries: int = 0
    through: int = 0
    leaks: list[str] = field(default_factory=list)

    def tried(self, succeeded: bool, leak: str = "") -> None:
        """Count one try.

        :param leak: what it means if it succeeded.
        """
        self.tries += 1
        self.through += succeeded
        if succeeded and leak and leak not in self.leaks:
            self.leaks.append(leak)

    @property
    def row(self) -> Row:
        """The row of the report."""
        return Row(self.attacker, self.tries, self.through, self.bound)

    @property
    def lines(self) -> list[str]:
        """The leaks, with whose they are."""
        return [f"{self.attacker}: {leak}" for leak in self.leaks]
