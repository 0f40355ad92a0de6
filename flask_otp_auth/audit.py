"""The audit log: one line for each decision, with no code and no identifier in it.

Lines are JSON on the logger ``flask_otp_auth.audit`` at level INFO. An identifier stands in
them as a keyed hash, so that whoever holds the key can find one person's events, and whoever
holds only the log can't tell whose they are.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from blinker import NamedSignal

from .keys import Names
from .ports import Emit

logger: logging.Logger = logging.getLogger("flask_otp_auth.audit")

#: What a line may say besides the event; anything else that a signal carries stays out.
_PLAIN = (
    "actor_type",
    "purpose",
    "reason",
    "method",
    "actor_id",
    "endpoint",
    "address",
    "limit",
)


class Audit:
    """Writes a line for each signal, then sends it on.

    :param emit: what sends signals to their handlers.
    """

    def __init__(self, emit: Emit, names: Names) -> None:
        self._emit = emit
        self._names = names

    def __call__(self, signal: NamedSignal, **arguments: Any) -> None:
        """Log ``signal`` and send it."""
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s", json.dumps(self._line(signal, arguments)))
        self._emit(signal, **arguments)

    def _line(self, signal: NamedSignal, arguments: Mapping[str, Any]) -> dict[str, Any]:
        line = {"event": signal.name.replace("-", "_")}
        line |= {name: arguments[name] for name in _PLAIN if name in arguments}
        if "identifier" in arguments:
            line["identifier"] = audit_ids(
                self._names, arguments["actor_type"], arguments["identifier"]
            )[0]
        return line


def audit_ids(names: Names, actor_type: str, identifier: str) -> list[str]:
    """Return how the log names an identifier under each key, the newest first.

    :param identifier: in canonical form.
    """
    return names.tags("audit", actor_type, identifier)
