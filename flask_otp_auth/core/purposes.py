"""Purposes: what codes are for, each a record that says how it differs from the others."""

import re
from dataclasses import dataclass

from blinker import NamedSignal

from .. import signals
from ..errors import ConfigError


@dataclass(frozen=True)
class Purpose:
    """One purpose of codes.

    :ivar to_member: the signal that delivers a code to somebody who has an account; if none,
        ``no_member`` says why none is sent.
    :ivar to_newcomer: the signal for somebody who has none; if none, ``no_newcomer`` says why.
    :ivar inactive: why none is sent to somebody whose account is switched off.
    :ivar counts_members: whether what is sent to members counts against ``GLOBAL_SEND_LIMIT``.
    """

    name: str
    to_member: NamedSignal | None = None
    to_newcomer: NamedSignal | None = None
    no_member: str = "already_registered"
    no_newcomer: str = "unknown_actor"
    inactive: str = "unknown_actor"
    counts_members: bool = True


LOGIN = Purpose("login", to_member=signals.otp_generated, counts_members=False)

#: A deactivated user must not be able to register again.
REGISTRATION = Purpose(
    "registration",
    to_newcomer=signals.pre_register_otp_generated,
    inactive="already_registered",
)

#: One form for both: who has an account signs in, who has none joins.
DOOR = Purpose(
    "door",
    to_member=signals.otp_generated,
    to_newcomer=signals.pre_register_otp_generated,
)

#: The purposes whose codes people ask for, by name.
PURPOSES = {purpose.name: purpose for purpose in (LOGIN, REGISTRATION, DOOR)}

#: What a registration leaves behind: the right to sign in once with the same code.
GRACE = "grace"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def check_name(name: object) -> None:
    """Refuse what is no name of a purpose of the app's own.

    :raises ConfigError: if it is one of ours, or has characters that no name has.
    """
    ours = (*PURPOSES, GRACE)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in ours:
        raise ConfigError(
            "a purpose is 1 to 64 letters, digits, - or _, and none of "
            f"{', '.join(ours)}, not {name!r}"
        )
