"""What a look at a deployment found."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or might be.

    :ivar id: stable, for scripts and for ``--silence``.
    :ivar problem: what is wrong, in plain words and without personal data.
    :ivar mend: how to mend it; empty if ``problem`` says so.
    """

    id: str
    level: Level
    problem: str
    mend: str
