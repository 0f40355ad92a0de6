"""What the lower half needs of the upper one, so that flows run without Flask."""

from typing import Any, Protocol

from blinker import NamedSignal

from .values import Limit


class Emit(Protocol):
    """Sends a signal for the app."""

    def __call__(self, signal: NamedSignal, **arguments: Any) -> None:
        """Send ``signal`` with these arguments."""


class Budgets(Protocol):
    """Budgets by identifier; see :class:`flask_otp_auth.limits.Limits`."""

    def hit(self, limit: Limit, *parts: str) -> bool:
        """Take one; false if there was none left."""

    def has_left(self, limit: Limit, *parts: str) -> bool:
        """Tell whether there is any left."""

    def retry_after(self, limit: Limit, *parts: str) -> int:
        """Return the seconds until there is one again."""
