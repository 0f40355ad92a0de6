"""From a code to a token: verify, register, authenticate, finish; and follow, by a link.

A guess is counted before anything is compared. The order of a right one: the actor is found, token
and claims are made ready, then the code is used; whatever raises before uses up nothing.
"""

from dataclasses import dataclass, replace
from typing import Any

from ..core import codes
from ..core.actors import ActorRegistry, ActorType
from ..core.context import Caller
from ..core.live_codes import LiveCodes, Match, Rejected
from ..core.purposes import DOOR, GRACE, LOGIN, PURPOSES, REGISTRATION, Purpose
from ..core.scopes import Scope
from ..errors import ActorNotCreated, DuplicateError
from ..tokens.credentials import Credentials
from ..tokens.token import Token
from .guess import Guesser
from .recipients import door_of


@dataclass(frozen=True, repr=False, eq=False)
class CodeRedeemer:
    """Takes the answers with codes of one app."""

    actors: ActorRegistry
    guesser: Guesser
    live_codes: LiveCodes
    credentials: Credentials

    def verify(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None, caller: Caller
    ) -> Token:
        """Redeem a login code for an authentication token.

        :param challenge: what the caller was answered when it asked, if it says so.
        :raises NotFound: if the actor type is not registered.
        :raises InvalidData: if an argument is not what it must be.
        :raises InvalidOTP: if the code is not accepted, for whatever reason.
        :raises RateLimited: if the caller's address has used up its limit.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        return self._redeem(LOGIN, self.actors.get(actor_type), identifier, otp, challenge, caller)

    def register(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None, caller: Caller
    ) -> Token:
        """Redeem a registration code for a registration token.

        The same code signs in once more, within the grace, when the actor has been created.
        Arguments and errors are those of :meth:`verify`.

        :raises DuplicateError: if the code is right but the identifier has an actor.
        """
        registered = self.actors.get(actor_type)
        return self._redeem(REGISTRATION, registered, identifier, otp, challenge, caller)

    def authenticate(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None, caller: Caller
    ) -> Token:
        """Redeem the code of a registration within its grace, or else a login code.

        Arguments and errors are those of :meth:`verify`.

        :raises ActorNotCreated: if the code is in its grace but there is no actor yet; the
            grace stays.
        """
        registered = self.actors.get(actor_type)
        return self._redeem(LOGIN, registered, identifier, otp, challenge, caller, or_grace=True)

    def finish(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None, caller: Caller
    ) -> Token:
        """Redeem a code of the one door: for an authentication token, or for a registration token
        if the identifier has no actor yet.

        Arguments and errors are those of :meth:`authenticate`.
        """
        registered = self.actors.get(actor_type)
        door = door_of(registered)
        return self._redeem(
            door, registered, identifier, otp, challenge, caller, or_grace=door is DOOR
        )

    def opens(
        self, actor_type: str, identifier: str, token: str, *, purpose: str | None = None
    ) -> bool:
        """Tell whether a link belongs to a live code.

        It changes nothing and counts nothing, and does the same work whatever is there. It tells
        only somebody who holds the link of a code whether the code is still there.

        :param token: the end of the link.
        :param purpose: what the code was asked for; by default that of ``start``.
        :raises NotFound: if the actor type is not registered.
        :raises InvalidData: if an argument is not what it must be.
        :raises Unavailable: if the store can't be reached.
        """
        registered = self.actors.get(actor_type)
        try:
            self.live_codes.match_link(_scope(registered, identifier, purpose), token)
        except Rejected:
            return False
        return True

    def follow(
        self,
        actor_type: str,
        identifier: str,
        token: str,
        challenge: str,
        caller: Caller,
        *,
        purpose: str | None = None,
    ) -> Token:
        """Redeem the link beside a code, in place of the code.

        Both are one right: whoever comes first uses it. Somebody new gets a registration token
        without a grace, which stands on a code that was typed; who calls this completes the
        registration with the token. Arguments and errors are those of :meth:`verify`.

        :param token: the end of the link.
        :param challenge: what the caller was answered when it asked; always needed.
        :param purpose: what the code was asked for; by default that of ``start``.
        """
        registered = self.actors.get(actor_type)
        scope = _scope(registered, identifier, purpose)
        with self.guesser.rejecting(scope):
            match = self.guesser.follow(scope, registered.settings, token, challenge, caller)
            return self._admit(registered, scope, match, None, caller)

    def answer_any(
        self, actor_type: str, identifier: str, otp: str, caller: Caller, *, admit: bool
    ) -> tuple[str, Token | None]:
        """Use up a code of whatever purpose, for an operator who was told it; no challenge is
        needed.

        :param admit: whether it is redeemed for a token; if not, nobody is signed in.
        :returns: the purpose of the code, and the token.

        Errors are those of :meth:`register` and :meth:`authenticate`.
        """
        registered = self.actors.get(actor_type)
        settings = replace(registered.settings, require_challenge=False)
        canonical = registered.canonical(identifier)
        scopes = [Scope(registered.name, name, canonical) for name in (GRACE, *PURPOSES)]
        with self.guesser.rejecting(scopes[-1]):
            match = self.guesser.guess(scopes, settings, otp, None, caller)
            scope = match.code.scope
            if not admit:
                self.guesser.use(scope, settings, match)
                return scope.purpose, None
            return scope.purpose, self._admit(registered, scope, match, otp, caller)

    def _redeem(
        self,
        purpose: Purpose,
        actor_type: ActorType,
        identifier: str,
        otp: str,
        challenge: str | None,
        caller: Caller,
        *,
        or_grace: bool = False,
    ) -> Token:
        """Redeem a code of a purpose.

        :param or_grace: whether the code of a registration within its grace will do, too.
        """
        scope = Scope(actor_type.name, purpose.name, actor_type.canonical(identifier))
        scopes = (_grace(scope), scope) if or_grace else (scope,)
        with self.guesser.rejecting(scope):
            match = self.guesser.guess(scopes, actor_type.settings, otp, challenge, caller)
            return self._admit(actor_type, scope, match, otp, caller)

    def _admit(
        self, actor_type: ActorType, scope: Scope, match: Match, otp: str | None, caller: Caller
    ) -> Token:
        """Give what a right code gives: somebody's sign-in, or a registration to somebody new.

        :param otp: the code; ``None`` if it was used by its link.
        """
        owner = actor_type.find_including_inactive(scope.identifier)
        purpose = PURPOSES.get(match.code.scope.purpose)
        if purpose is None:  # within its grace
            if owner is None or not actor_type.is_active(owner):
                raise ActorNotCreated
            return self._sign_in(actor_type, scope, match, owner, caller, "grace")
        if owner is None:
            if purpose.to_newcomer is None or not actor_type.may_sign_up(scope.identifier):
                raise Rejected("unknown")  # not any more
            return self._register(actor_type, scope, match, otp)
        if purpose.to_member is None:
            self.guesser.use(scope, actor_type.settings, match)
            raise DuplicateError
        if not actor_type.is_active(owner):
            raise Rejected("unknown")  # deactivated since the code was sent
        method = "otp" if otp is not None else "link"
        return self._sign_in(actor_type, scope, match, owner, caller, method)

    def _sign_in(
        self,
        actor_type: ActorType,
        scope: Scope,
        match: Match,
        actor: Any,
        caller: Caller,
        method: str,
    ) -> Token:
        prepared = self.credentials.prepare(
            actor_type, actor, identifier=scope.identifier, method=method, caller=caller
        )
        self.guesser.use(scope, actor_type.settings, match)
        return self.credentials.begin(prepared)

    def _register(
        self, actor_type: ActorType, scope: Scope, match: Match, otp: str | None
    ) -> Token:
        prepared = self.credentials.prepare_registration(actor_type, scope.identifier)
        self.guesser.use(scope, actor_type.settings, match)
        if otp is not None:
            self.live_codes.put(
                _grace(scope),
                codes.normalise(otp) or "",
                long=match.long,
                ttl=actor_type.settings.grace_ttl,
                alone=True,
            )
        return self.credentials.begin_registration(prepared)


def _scope(actor_type: ActorType, identifier: str, purpose: str | None) -> Scope:
    """Return the scope of the codes of a purpose; by default of those that ``start`` sends."""
    name = door_of(actor_type).name if purpose is None else purpose
    return Scope(actor_type.name, name, actor_type.canonical(identifier))


def _grace(scope: Scope) -> Scope:
    """Return the scope of the grace that a registration of ``scope`` leaves."""
    return Scope(scope.actor_type, GRACE, scope.identifier)
