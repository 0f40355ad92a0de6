"""Codes for purposes of an app's own: this address is somebody's, this action is meant."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..core.bindings import canonical_binding, read_binding
from ..core.context import Caller
from ..core.identifiers import line_refusal
from ..core.own_purposes import MAX_TTL, OwnPurposeRegistry
from ..core.scopes import Scope
from ..core.settings import Settings
from ..errors import ConfigError, InvalidIdentifier
from .ask import Asker, Issued
from .guess import Guesser


@dataclass(frozen=True, repr=False)
class Proof:
    """What a right code proved. A plain value: an app's session may keep it between two steps.

    A session in a cookie, as Flask's own, gives a dict back, with ``at`` as an HTTP date (RFC 9110,
    5.6.7).

    :ivar identifier: in canonical form.
    :ivar subject: whom the code was for.
    :ivar binds: what it was for, as the message showed it.
    :ivar at: when it was proved, an aware time in UTC.
    """

    identifier: str
    subject: str | None
    binds: Mapping[str, Any] | None
    at: datetime


@dataclass(frozen=True, repr=False, eq=False)
class Confirmations:
    """Sends and checks the codes of an app's own purposes."""

    purposes: OwnPurposeRegistry
    asker: Asker
    guesser: Guesser

    def send(
        self,
        name: str,
        identifier: str,
        caller: Caller,
        *,
        subject: str | None = None,
        binds: Mapping[str, Any] | None = None,
        step_up: bool = False,
    ) -> Issued:
        """Send a code that fits for the same subject and the same binds alone.

        :param subject: whom it is for, such as an actor's id.
        :param binds: what it is for; see :func:`flask_otp_auth.core.bindings.canonical_binding`.
        :param step_up: whether it is for somebody who is signed in.
        :raises InvalidData: if the identifier is not valid, or the message could not show what is
            bound; with plain answers also if no codes are sent to such phone numbers.
        :raises TypeError: if ``subject`` or ``binds`` can't be bound.
        :raises RateLimited: if the caller's address has used up its limit; with plain answers
            also if no code is due yet.
        :raises Refused: if a gate of the app's own refuses.
        :raises Unavailable: if store, limiter or delivery can't take it.
        :raises ConfigError: if the purpose's codes live too long to confirm an action.
        """
        scope, settings = self._scope(name, identifier, subject, binds)
        if step_up and settings.ttl > MAX_TTL:
            raise ConfigError(f"purpose {name} confirms addresses only, and no action")
        self.asker.admit(scope, settings, caller)
        refusal = None
        if not settings.always_return_success and line_refusal(scope.identifier, settings):
            refusal = InvalidIdentifier
        return self.asker.ask(scope, settings, caller, refusal=refusal, step_up=step_up)

    def verify(
        self,
        name: str,
        identifier: str,
        otp: str,
        challenge: str | None,
        caller: Caller,
        *,
        subject: str | None = None,
        binds: Mapping[str, Any] | None = None,
    ) -> Proof:
        """Use a code up, and return what it proved.

        Arguments and errors are those of :meth:`send`.

        :param challenge: what :meth:`send` returned, if the caller holds it.
        :raises InvalidOTP: if the code is not accepted, for whatever reason.
        """
        scope, settings = self._scope(name, identifier, subject, binds)
        with self.guesser.rejecting(scope):
            match = self.guesser.guess((scope,), settings, otp, challenge, caller)
            self.guesser.use(scope, settings, match)
        return Proof(scope.identifier, *read_binding(scope.bound), datetime.now(UTC))

    def _scope(
        self,
        name: str,
        identifier: str,
        subject: str | None,
        binds: Mapping[str, Any] | None,
    ) -> tuple[Scope, Settings]:
        purpose = self.purposes.get(name)
        bound = canonical_binding(subject, binds)
        return Scope("", name, purpose.canonical(identifier), bound), purpose.settings
