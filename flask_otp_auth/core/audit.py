"""The audit log: one line for each decision, with no code and no identifier in it.

Lines are JSON on the logger ``flask_otp_auth.audit`` at level INFO. An identifier stands in them
as a keyed hash: whoever holds the key can find one person's events, and whoever holds only the
log can't tell whose they are.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blinker import NamedSignal

from .crypto import KeyHasher
from .events import Emit

logger: logging.Logger = logging.getLogger("flask_otp_auth.audit")

#: What a line may say besides the event; anything else that a signal carries stays out.
_LOGGED_FIELDS = (
    "actor_type",
    "purpose",
    "reason",
    "method",
    "actor_id",
    "new_device",
    "endpoint",
    "address",
    "limit",
    "attempts",
)


@dataclass(frozen=True, repr=False, eq=False)
class Audit:
    """Writes a line for each signal, then sends it on.

    :ivar emit: sends signals to their handlers.
    :ivar hasher: hides the identifiers.
    """

    emit: Emit
    hasher: KeyHasher

    def __call__(self, signal: NamedSignal, **arguments: object) -> None:
        """Log ``signal`` and send it."""
        self.write(signal, arguments)
        self.emit(signal, **arguments)

    def write(self, signal: NamedSignal, arguments: Mapping[str, Any]) -> None:
        """Log ``signal`` alone, for what sends it in another way."""
        self.note(signal.name.replace("-", "_"), **arguments)

    def note(self, event: str, **arguments: object) -> None:
        """Log what an operator did, of which no signal speaks."""
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s", json.dumps(self._line(event, arguments)))

    def _line(self, event: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        line = {"event": event}
        line |= {name: arguments[name] for name in _LOGGED_FIELDS if name in arguments}
        identifier = arguments.get("identifier")
        if identifier is not None:
            # A purpose of the app's own has no actor type.
            actor_type = arguments.get("actor_type") or ""
            line["identifier"] = audit_ids(self.hasher, actor_type, identifier)[0]
        return line


def audit_ids(hasher: KeyHasher, actor_type: str, identifier: str) -> list[str]:
    """Return how the log names an identifier under each key, the newest first.

    :param actor_type: empty for a purpose of the app's own.
    :param identifier: in canonical form.
    """
    return hasher.digests("audit", actor_type, identifier)
