"""An outbox, which keeps the codes that the app would deliver.

with Outbox(app) as outbox:
    client.post("/auth/customer/otp/generate", json={"identifier": "ada@example.com"})
    otp = outbox.last.otp
"""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from blinker import NamedSignal
from flask import Flask

from .. import signals
from ..web.state import EXTENSION, app_itself
from .messages import Message, Suppression
from .twins import finish_deliveries, state_of

Handler = Callable[..., Any]

_DELIVER_CODES = (
    signals.otp_generated,
    signals.pre_register_otp_generated,
    signals.confirmation_otp_generated,
)


class Outbox:
    """Keeps every code that an app sends while the ``with`` block runs.

    :param alone: whether it stands in place of the app's own handlers that deliver codes, so that
        a test sends no mail. These are the ones connected when the block begins; what is connected
        within it is called, and so are handlers of all other signals.

    ``len`` and iteration are over :attr:`messages`. Where codes are delivered in the background,
    whoever reads waits for those that are on their way, and so does the end of the block; not for
    those of an ``executor=`` of the app's own.
    """

    def __init__(self, app: Flask, *, alone: bool = True) -> None:
        self._app = app_itself(app)
        self._alone = alone
        self._held_back: list[tuple[NamedSignal, Handler]] = []
        self._hanging = 0
        self._messages: list[Message] = []
        self._suppressed: list[Suppression] = []

    def __enter__(self) -> "Outbox":
        if self._alone:
            self._hold_back()
        for signal, receiver in self._receivers():
            signal.connect(receiver, self._app)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._await_deliveries()  # or the app's own handlers would deliver them after all
        finally:
            for signal, receiver in self._receivers():
                signal.disconnect(receiver, self._app)
            while self._held_back:
                state_of(self._app).delivery.held_back.remove(self._held_back.pop())

    def __len__(self) -> int:
        return len(self.messages)

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    @property
    def messages(self) -> list[Message]:
        """The codes that were sent, the oldest first."""
        self._await_deliveries()
        return self._messages

    @property
    def suppressed(self) -> list[Suppression]:
        """The requests for which none was sent, the oldest first."""
        self._await_deliveries()
        return self._suppressed

    @property
    def last(self) -> Message:
        """The newest message; raises :class:`IndexError` if there is none."""
        if not self.messages:
            reasons = ", ".join(each.reason for each in self.suppressed) or "none"
            raise IndexError(f"no code was sent within the with block; suppressed: {reasons}")
        return self.messages[-1]

    def codes_to(self, identifier: str) -> list[str]:
        """Return the codes that went to an identifier (in canonical form), the oldest first."""
        return [message.otp for message in self.messages if message.identifier == identifier]

    def clear(self) -> None:
        """Forget everything that was kept until now."""
        self.messages.clear()
        self.suppressed.clear()

    def _await_deliveries(self) -> None:
        if EXTENSION in self._app.extensions:
            self._hanging = finish_deliveries(state_of(self._app), self._hanging)

    def _hold_back(self) -> None:
        self._held_back = [
            (signal, handler)
            for signal in _DELIVER_CODES
            for handler in signal.receivers_for(self._app)
            if not isinstance(getattr(handler, "__self__", None), Outbox)
        ]
        state_of(self._app).delivery.held_back.extend(self._held_back)

    def _receivers(self) -> list[tuple[NamedSignal, Handler]]:
        return [
            (signals.otp_generated, self._keep_login),
            (signals.pre_register_otp_generated, self._keep_registration),
            (signals.confirmation_otp_generated, self._keep_confirmation),
            (signals.otp_suppressed, self._keep_suppression),
        ]

    def _keep_login(self, sender: Flask, **arguments: Any) -> None:
        self._messages.append(Message(purpose="login", **arguments))

    def _keep_registration(self, sender: Flask, **arguments: Any) -> None:
        self._messages.append(Message(purpose="registration", **arguments))

    def _keep_confirmation(self, sender: Flask, **arguments: Any) -> None:
        self._messages.append(Message(actor_type=None, **arguments))

    def _keep_suppression(self, sender: Flask, **arguments: Any) -> None:
        self._suppressed.append(Suppression(**arguments))
