"""Gates: what an app asks of whoever wants a code, such as a captcha's answer."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Asked:
    """A request for a code, before anything is looked up or counted by identifier.

    :ivar actor_type: its name; ``None`` for a purpose of the app's own.
    :ivar purpose: ``login``, ``registration``, ``door``, or a purpose of the app's own.
    :ivar identifier: in canonical form.
    :ivar address: where the request came from; ``None`` behind a Unix socket.
    :ivar proof: the body's field ``proof``, or the header ``OTP-Proof``; ``None`` if neither.
    """

    actor_type: str | None
    purpose: str
    identifier: str
    address: str | None
    proof: str | None


#: Returns, or raises :class:`~flask_otp_auth.errors.Refused`.
Gate = Callable[[Asked], None]
