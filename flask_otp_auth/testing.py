"""For an app's own tests: an outbox that keeps the codes which the app would deliver.

with Outbox(app) as outbox:
    client.post("/auth/customer/otp/generate", json={"identifier": "ada@example.com"})
    otp = outbox.last.otp
"""

from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any

from flask import Flask

from . import signals


@dataclass(frozen=True)
class Message:
    """One code that the app was asked to deliver.

    :ivar purpose: ``login`` or ``registration``.
    :ivar actor_id: the actor's id; ``None`` at a registration.
    """

    purpose: str
    actor_type: str
    identifier: str
    otp: str = field(repr=False)
    expires_at: datetime
    actor_id: str | None = None


class Outbox:
    """Keeps every code that an app sends while the ``with`` block runs.

    :ivar messages: the messages, the oldest first.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self.messages: list[Message] = []

    def __enter__(self) -> "Outbox":
        signals.otp_generated.connect(self._login, self._app)
        signals.pre_register_otp_generated.connect(self._registration, self._app)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        signals.otp_generated.disconnect(self._login, self._app)
        signals.pre_register_otp_generated.disconnect(self._registration, self._app)

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def last(self) -> Message:
        """The newest message; raises :class:`IndexError` if there is none."""
        return self.messages[-1]

    def _login(self, sender: Flask, **arguments: Any) -> None:
        self.messages.append(Message(purpose="login", **arguments))

    def _registration(self, sender: Flask, **arguments: Any) -> None:
        self.messages.append(Message(purpose="registration", **arguments))
