"""Who is sent a code of which purpose, and who is not."""

from dataclasses import dataclass
from typing import Any

from blinker import NamedSignal

from ..core.actors import ActorType
from ..core.identifiers import line_refusal
from ..core.purposes import DOOR, LOGIN, Purpose


@dataclass(frozen=True, repr=False, eq=False)
class Recipient:
    """What the app's table says of an identifier, under one purpose.

    :ivar actor: its active actor, or ``None``.
    :ivar signal: what delivers a code to it; ``None`` if none is sent.
    :ivar reason: why none is sent; ``None`` if one is.
    """

    actor: Any | None
    signal: NamedSignal | None
    reason: str | None

    @property
    def member(self) -> bool:
        """Whether the identifier has an active actor."""
        return self.actor is not None


def door_of(actor_type: ActorType) -> Purpose:
    """Return the purpose of the codes with which people enter, whether they are new or not."""
    return LOGIN if actor_type.sign_up == "closed" else DOOR


def look_up(purpose: Purpose, actor_type: ActorType, identifier: str) -> Recipient:
    """Ask the app's store who an identifier is; one look-up."""
    owner = actor_type.find_including_inactive(identifier)
    actor = owner if owner is not None and actor_type.is_active(owner) else None
    reason = line_refusal(identifier, actor_type.settings)
    if reason is not None:  # first, so that it makes no difference whether there is an account
        return Recipient(actor, None, reason)
    if actor is not None:
        signal, reason = purpose.to_member, purpose.no_member
    elif owner is not None:
        signal, reason = None, purpose.inactive
    elif purpose.to_newcomer is None or actor_type.may_sign_up(identifier):
        signal, reason = purpose.to_newcomer, purpose.no_newcomer
    else:
        signal, reason = None, "not_invited"
    return Recipient(actor, signal, reason if signal is None else None)
