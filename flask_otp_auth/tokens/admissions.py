"""Admissions: from a proof of identity to a sign-in and its first token.

What the app contributes (its claims) is asked for before the right to sign in is taken, and the
sign-in begins after that: an error of the app uses up nothing.
"""

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .. import signals
from ..core.actors import ActorRegistry, ActorType, actor_id
from ..core.context import Caller, Context
from ..core.events import Emit
from ..errors import Unauthorized
from .drafts import ClaimsLoader, Draft
from .jwt import REGISTRATION, TokenIssuer, check_extra
from .registrations import RegistrationRights
from .sign_ins import Owner, Proposal, SignIns
from .token import Token

#: The methods of ``actor_authenticated`` that go without a code, and so without an identifier.
_WITHOUT_CODE = ("refresh", "app")


@dataclass(frozen=True, repr=False, eq=False)
class Prepared:
    """A sign-in that is ready to begin; all that can fail on the app's part is done."""

    draft: Draft
    method: str
    proposal: Proposal
    token: Token


@dataclass(frozen=True, repr=False, eq=False)
class PreparedRegistration:
    """A registration token, whose right to one exchange has yet to be put."""

    token: Token
    sid: str
    ttl: int


@dataclass(frozen=True, repr=False, eq=False)
class Admissions:
    """Begins the sign-ins and registrations of one app.

    :ivar own_claims: returns the app's own claims for an actor.
    """

    actors: ActorRegistry
    issuer: TokenIssuer
    slots: SignIns
    rights: RegistrationRights
    emit: Emit
    own_claims: ClaimsLoader

    def prepare(
        self,
        actor_type: ActorType,
        actor: Any,
        *,
        identifier: str | None,
        method: str,
        caller: Caller,
        amr: tuple[str, ...] = ("otp",),
        auth_time: int | None = None,
    ) -> Prepared:
        """Make a sign-in ready: claims, slot and token. Nothing is written.

        :param identifier: what the code was sent to, in canonical form.
        :param method: what ``actor_authenticated`` says: ``otp``, ``grace`` and so on.
        :param amr: how the actor proved its identity (RFC 8176).
        :param auth_time: when it did so, in seconds since the epoch; by default now.
        :raises ValueError: if the app's own claims can't be in a token; a ``TypeError``, too.
        :raises Unavailable: if the store can't be reached.
        """
        since = int(time.time()) if auth_time is None else auth_time
        draft = self._draft(actor_type, actor, identifier, since, amr)
        owner = owner_of(actor_type, actor_id(actor))
        proposal = self.slots.propose(owner, since, caller.context)
        return Prepared(draft, method, proposal, draft.token(self.issuer, proposal.sid))

    def begin(self, prepared: Prepared) -> Token:
        """Begin a sign-in, after the right to it was taken.

        :raises Unavailable: if the store can't be reached.
        """
        proposal, token = self.slots.begin(prepared.proposal), prepared.token
        if proposal is not prepared.proposal:  # another sign-in took the slot
            token = prepared.draft.token(self.issuer, proposal.sid)
        self._announce(token, prepared.method, proposal.new_device, proposal.context)
        return token

    def prepare_registration(self, actor_type: ActorType, identifier: str) -> PreparedRegistration:
        """Make a registration token. Nothing is written.

        :param identifier: in canonical form.
        """
        now, sid = int(time.time()), secrets.token_hex(16)
        ttl = actor_type.settings.registration_token_ttl
        text = self.issuer.issue(
            REGISTRATION,
            actor_type.name,
            identifier,
            sid=sid,
            auth_time=now,
            amr=("otp",),
            expires_at=now + ttl,
        )
        token = Token(text, None, actor_type.name, identifier, registration=True)
        return PreparedRegistration(token, sid, ttl + self.issuer.leeway)

    def begin_registration(self, prepared: PreparedRegistration) -> Token:
        """Put the right to exchange a registration token once, and return the token.

        :raises Unavailable: if the store can't be reached.
        """
        self.rights.put(prepared.sid, prepared.ttl)
        return prepared.token

    def sign_in(self, actor_type: str, actor: Any, amr: Iterable[str], caller: Caller) -> Token:
        """Sign an actor in who proved its identity to the app itself.

        :param amr: how it did so (RFC 8176), such as ``("pwd",)``.
        :raises NotFound: if the actor type is not registered.
        :raises Unauthorized: if the actor is not active.
        :raises TypeError: if an argument is not what it must be.
        :raises Unavailable: if the store can't be reached.
        """
        methods = () if isinstance(amr, str) else tuple(amr)
        if not methods or not all(isinstance(method, str) for method in methods):
            raise TypeError('amr must be a tuple of texts, such as ("pwd",)')
        registered = self.actors.get(actor_type)
        if not registered.is_active(actor):
            raise Unauthorized
        prepared = self.prepare(
            registered, actor, identifier=None, method="app", caller=caller, amr=methods
        )
        return self.begin(prepared)

    def _draft(
        self,
        actor_type: ActorType,
        actor: Any,
        identifier: str | None,
        auth_time: int,
        amr: tuple[str, ...],
    ) -> Draft:
        extra = check_extra(self.own_claims(actor_type.name, actor))
        return Draft(actor_type, actor, identifier, auth_time, amr, extra)

    def _announce(
        self, token: Token, method: str, new_device: bool | None, context: Context | None
    ) -> None:
        self.emit(
            signals.actor_authenticated,
            actor_type=token.actor_type,
            actor_id=actor_id(token.actor),
            identifier=None if method in _WITHOUT_CODE else token.identifier,
            method=method,
            new_device=new_device,
            context=context,
        )


def owner_of(actor_type: ActorType, actor_id: str) -> Owner:
    """Return whose sign-ins are meant, with the limits of the actor type."""
    settings = actor_type.settings
    return Owner(actor_type.name, actor_id, settings.max_sign_ins, settings.session_ttl)
