"""What an outbox keeps: the codes that were sent, and the requests for which none was."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..core.context import Context


@dataclass(frozen=True)
class Message:
    """One code that the app was asked to deliver.

    :ivar purpose: ``login`` (to somebody who has an account), ``registration`` (to somebody who
        has none), or the name of a purpose of the app's own.
    :ivar actor_type: ``None`` for a purpose of the app's own.
    :ivar actor_id: the actor's id; ``None`` for somebody who has no account.
    :ivar link: the link that stands beside the code, if there is one.
    :ivar subject: whom a purpose of the app's own is for.
    :ivar binds: what it is for.
    """

    purpose: str
    actor_type: str | None
    identifier: str
    otp: str = field(repr=False)
    expires_at: datetime
    actor_id: str | None = None
    challenge: str | None = field(default=None, repr=False)
    context: Context | None = None
    link: str | None = field(default=None, repr=False)
    subject: str | None = None
    binds: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Suppression:
    """One code that was asked for and not sent.

    :ivar purpose: ``login``, ``registration``, ``door`` or the name of a purpose of the app's own.
    :ivar reason: why, as ``otp_suppressed`` says it: ``unknown_actor``, ``cooldown`` and so on.
    """

    purpose: str
    actor_type: str | None
    identifier: str
    reason: str
    context: Context | None = None
