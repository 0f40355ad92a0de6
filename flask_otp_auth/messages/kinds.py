"""Which message a signal's arguments ask for, told by their names alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: The reasons of ``otp_suppressed`` that the owner of an address is told of.
NOTICES = ("already_registered", "unknown_actor")


@dataclass(frozen=True)
class _Arguments:
    """The arguments of one signal.

    :ivar needs: those that tell it from the others, or that its message shows.
    :ivar may_lack: others, each of which may be ``None`` as well.
    """

    signal: str
    needs: frozenset[str]
    may_lack: frozenset[str]

    def are(self, names: frozenset[str]) -> bool:
        """Tell whether these are the arguments of this signal."""
        return self.needs <= names <= self.needs | self.may_lack


def _arguments(signal: str, needs: str, may_lack: str) -> _Arguments:
    return _Arguments(signal, frozenset(needs.split()), frozenset(may_lack.split()))


_KNOWN = (
    _arguments(
        "otp_generated", "actor_type identifier otp actor_id expires_at", "challenge context link"
    ),
    _arguments(
        "pre_register_otp_generated", "actor_type identifier otp expires_at",
        "challenge context link",
    ),
    _arguments(
        "confirmation_otp_generated", "purpose identifier otp binds expires_at",
        "subject challenge context",
    ),
    _arguments("otp_suppressed", "actor_type identifier purpose reason context", ""),
    _arguments("actor_authenticated", "actor_type actor_id identifier method new_device context",
               ""),
)  # fmt: skip


def template_of(arguments: Mapping[str, Any]) -> str | None:
    """Return the name of the template for a signal's arguments; ``None`` if nobody is told.

    :raises TypeError: if they are of no signal that has a message.
    """
    signal = _signal_of(frozenset(arguments))
    if signal == "otp_suppressed":
        return arguments["reason"] if arguments["reason"] in NOTICES else None
    if signal == "actor_authenticated":
        return "new_device" if arguments["new_device"] else None
    return "confirmation" if signal == "confirmation_otp_generated" else "code"


def _signal_of(names: frozenset[str]) -> str:
    for known in _KNOWN:
        if known.are(names):
            return known.signal
    raise TypeError(
        f"there is no message for the arguments {', '.join(sorted(names)) or '(none)'}: pass all "
        f"that one of these signals says: {', '.join(known.signal for known in _KNOWN)}"
    )
