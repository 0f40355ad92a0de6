"""How the lower modules send signals, so that they need not know the app."""

from typing import Protocol

from blinker import NamedSignal


class Emit(Protocol):
    """Sends a signal for the app, with an entry in the audit log."""

    def __call__(self, signal: NamedSignal, **arguments: object) -> None:
        """Send ``signal`` with these arguments."""
