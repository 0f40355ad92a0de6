"""A purpose of an app's own, as the app holds it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .context import current_caller
from .state import current_state

if TYPE_CHECKING:
    from ..flows.ask import Issued
    from ..flows.confirm import Proof


class Purpose:
    """Sends and checks codes for one purpose; works in an app context.

    :ivar name: the purpose's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def send(
        self,
        identifier: str,
        *,
        subject: str | None = None,
        binds: Mapping[str, Any] | None = None,
    ) -> Issued:
        """Send a code; see :meth:`flask_otp_auth.flows.confirm.Confirmations.send`."""
        return current_state().confirmations.send(
            self.name, identifier, current_caller(), subject=subject, binds=binds
        )

    def verify(
        self,
        identifier: str,
        otp: str,
        *,
        subject: str | None = None,
        binds: Mapping[str, Any] | None = None,
        challenge: str | None = None,
    ) -> Proof:
        """Use a code up; see :meth:`flask_otp_auth.flows.confirm.Confirmations.verify`."""
        return current_state().confirmations.verify(
            self.name, identifier, otp, challenge, current_caller(), subject=subject, binds=binds
        )
