"""What is done after the answer: a request for a code becomes a job, and a job a message."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from blinker import NamedSignal

from .context import Context
from .scopes import Scope


class Suppressed(Exception):
    """No code is sent.

    :ivar reason: why, as handlers of ``otp_suppressed`` are told.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Secret:
    """A text that nothing prints: no repr, no log, no error tracker."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text


@dataclass(frozen=True, repr=False, eq=False)
class SendJob:
    """A request for a code, to be looked into after the answer. It can be pickled.

    It holds no code: that is drawn when it is sent.

    :ivar long: whether the code is to be a long one.
    :ivar asked_at: seconds since the epoch.
    :ivar expires_at: after that moment nobody waits for the message any more.
    :ivar suppressed: why no code is due, if none is.
    :ivar attacked: what begins an attack on the lane: ``"sends"``, or ``None``.
    :ivar challenge: what the caller was answered.
    :ivar step_up: whether it is for somebody who is signed in, and so counts against no limit over
        all identifiers.
    :ivar link_to: what the link beside the code begins with, if there is to be one; its end is made
        of the code, when that is sent.
    """

    scope: Scope
    long: bool
    asked_at: float
    expires_at: float
    challenge: str
    context: Context | None
    suppressed: str | None = None
    attacked: str | None = None
    step_up: bool = False
    link_to: str | None = None


@dataclass(frozen=True, repr=False, eq=False)
class Outgoing:
    """A message to deliver.

    :ivar arguments: those of the signal, without what may show the code.
    :ivar member: whether it goes to somebody who has an account: such go before others.
    :ivar expires_at: when its code expires, seconds since the epoch.
    :ivar link: the link beside the code, which is as secret.
    """

    signal: NamedSignal
    arguments: Mapping[str, Any]
    otp: Secret
    member: bool
    expires_at: float
    link: Secret | None = None


class Outbox(Protocol):
    """Takes the jobs of flows; see :class:`flask_otp_auth.web.delivery.Delivery`."""

    def reserve(self) -> None:
        """Take a place in the queue.

        :raises Unavailable: if there is none.
        """

    def release(self) -> None:
        """Give a place back that is not used."""

    def submit(self, job: SendJob) -> None:
        """Run a job, in the place that was taken before."""
