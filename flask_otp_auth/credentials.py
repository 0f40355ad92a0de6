"""Credentials: tokens and sessions with what gives them meaning: actors and revocation."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from . import signals
from .actors import Actors, ActorType, actor_id
from .challenges import Rights
from .config import Settings
from .errors import ActorNotCreated, NotFound, Unauthorized
from .ports import Emit
from .revocations import Revocations
from .tokens import AUTHENTICATION, CLAIMS, REGISTRATION, Claims, TokenIssuer

ClaimsLoader = Callable[[str, Any], Mapping[str, Any]]


class Credentials:
    """Issues, checks, refreshes and revokes the tokens and sessions of one app.

    :param own_claims: returns the app's own claims for an actor.
    """

    def __init__(
        self,
        actors: Actors,
        issuer: TokenIssuer,
        rights: Rights,
        revocations: Revocations,
        emit: Emit,
        own_claims: ClaimsLoader,
    ) -> None:
        self._actors = actors
        self._issuer = issuer
        self._rights = rights
        self._revocations = revocations
        self._emit = emit
        self._own_claims = own_claims

    def for_actor(
        self,
        kind: ActorType,
        settings: Settings,
        actor: Any,
        *,
        auth_time: int | None = None,
        issued_at: int | None = None,
    ) -> str:
        """Issue an authentication token.

        :param auth_time: when the actor proved itself, if not just now.
        :param issued_at: when it was decided to issue it, if not just now.
        """
        since = int(time.time()) if auth_time is None else auth_time
        token, _ = self._issuer.issue(
            AUTHENTICATION,
            kind.name,
            actor_id(actor),
            ttl=settings.token_ttl,
            issued_at=issued_at,
            auth_time=since,
            ends_at=since + settings.session_ttl,
            extra=self._own_claims(kind.name, actor),
        )
        return token

    def for_registration(self, kind: ActorType, settings: Settings, identifier: str) -> str:
        """Issue a registration token, and with it the right to one refresh."""
        ttl = settings.registration_token_ttl
        token, jti = self._issuer.issue(REGISTRATION, kind.name, identifier, ttl=ttl)
        self._rights.put(ttl + self._issuer.leeway, "refresh", jti)
        return token

    def announce(self, kind: ActorType, actor: Any, method: str) -> None:
        """Signal that an actor has its token."""
        self._emit(
            signals.actor_authenticated,
            actor_type=kind.name,
            actor_id=actor_id(actor),
            method=method,
        )

    def registration(self, token: str, actor_types: Collection[str]) -> Claims:
        """Return what a registration token says.

        :param actor_types: those that it may be for; none for any.
        :raises Unauthorized: if it doesn't let in.
        """
        return self._issuer.verify(token, {REGISTRATION}, actor_types or self._actors.names)

    def identify(
        self, token: str, actor_types: Collection[str], max_age: int | None = None
    ) -> tuple[Claims, Any]:
        """Return what an authentication token says, and its actor.

        :param actor_types: those that it may be for; none for any.
        :param max_age: seconds that the sign-in may lie back at most.
        :raises Unauthorized: if it doesn't let in.
        :raises Unavailable: if the store can't be reached.
        """
        claims = self._issuer.verify(token, {AUTHENTICATION}, actor_types or self._actors.names)
        return claims, self._actor_of(claims, max_age)

    def _actor_of(self, claims: Claims, max_age: int | None = None) -> Any:
        if self._revocations.cover(claims):
            raise Unauthorized
        if max_age is not None and time.time() - claims.auth_time > max_age:
            raise Unauthorized("insufficient_user_authentication", max_age=max_age)
        kind, settings = self._type_of(claims)
        if _is_over(claims, settings):
            raise Unauthorized
        actor = kind.find_by_id(claims.subject)
        if actor is None:
            raise Unauthorized
        return actor

    def _type_of(self, claims: Claims) -> tuple[ActorType, Settings]:
        try:
            return self._actors.get(claims.actor_type)
        except NotFound:
            raise Unauthorized from None

    def refresh(self, token: str) -> str:
        """Return a fresh token for a valid one; of a registration token, once.

        :raises Unauthorized: if it doesn't let in, or the session has lasted long enough.
        :raises ActorNotCreated: if it is a registration token whose actor doesn't exist yet;
            the token keeps its right to one refresh.
        :raises Unavailable: if the store can't be reached.
        """
        now = int(time.time())  # before revocations are looked up; see Revocations.revoke_all
        kinds = (AUTHENTICATION, REGISTRATION)
        claims = self._issuer.verify(token, kinds, self._actors.names)
        kind, settings = self._type_of(claims)
        if claims.kind == REGISTRATION:
            actor = self._registered(kind, settings, claims)
        else:
            actor = self._actor_of(claims)
        fresh = self.for_actor(kind, settings, actor, auth_time=claims.auth_time, issued_at=now)
        self.announce(kind, actor, "refresh")
        return fresh

    def _registered(self, kind: ActorType, settings: Settings, claims: Claims) -> Any:
        if _is_over(claims, settings):
            raise Unauthorized
        actor = kind.find_by_identifier(claims.subject)
        if actor is None:
            raise ActorNotCreated
        # What was revoked is the actor's, while this token names its identifier.
        if self._revocations.cover(claims.replace(subject=actor_id(actor))):
            raise Unauthorized
        if not self._rights.take("refresh", claims.jti):
            raise Unauthorized
        return actor

    def revoke(self, token: str) -> None:
        """Revoke an authentication token, and the session that was made of it.

        :raises Unauthorized: if it is not valid, or revoked already.
        :raises Unavailable: if the store can't be reached.
        """
        # Though its actor be switched off: it must not come back to life with the actor.
        claims = self._issuer.verify(token, {AUTHENTICATION}, self._actors.names)
        if self._revocations.cover(claims):
            raise Unauthorized
        self._revoke(claims)

    def revoke_all(self, actor_type: str, actor_id: object) -> None:
        """Revoke every token and session that an actor has, as of this second.

        :param actor_id: the actor's id, as a text or as what ``str`` makes that text of.
        :raises NotFound: if the actor type is not registered.
        :raises Unavailable: if the store can't be reached.
        """
        kind, settings = self._actors.get(actor_type)
        subject = str(actor_id)
        ttl = settings.session_ttl + self._issuer.leeway
        self._revocations.revoke_all(kind.name, subject, ttl)
        self._emit(signals.token_revoked, actor_type=kind.name, actor_id=subject)

    def _revoke(self, claims: Claims) -> None:
        # For as long as a session may last that was made of the token.
        _, settings = self._type_of(claims)
        end = claims.auth_time + settings.session_ttl + self._issuer.leeway
        self._revocations.revoke(claims, max(1, end - int(time.time())))
        self._emit(signals.token_revoked, actor_type=claims.actor_type, actor_id=claims.subject)

    def begin_session(self, token: str) -> dict[str, Any]:
        """Return the facts of a session that begins with an authentication token.

        They are the token's own, but for their end and without the app's own claims.

        :raises Unauthorized: if the token doesn't let in.
        :raises Unavailable: if the store can't be reached.
        """
        claims, _ = self.identify(token, ())
        _, settings = self._type_of(claims)
        facts = {name: claims.all[name] for name in CLAIMS}
        return {**facts, "exp": claims.auth_time + settings.session_ttl}

    def resume(
        self, facts: object, actor_types: Collection[str], max_age: int | None = None
    ) -> tuple[Claims, Any]:
        """Return what a session says, and its actor; else as :meth:`identify`.

        :param facts: what :meth:`begin_session` returned.
        """
        claims = self._issuer.resume(facts, actor_types or self._actors.names)
        return claims, self._actor_of(claims, max_age)

    def end_session(self, facts: object) -> None:
        """Revoke a session, and the token that it was made of; nothing if it has ended.

        :param facts: what :meth:`begin_session` returned.
        :raises Unavailable: if the store can't be reached.
        """
        try:
            claims = self._issuer.resume(facts, self._actors.names)
        except Unauthorized:
            return
        if not self._revocations.cover(claims):
            self._revoke(claims)

    @property
    def public_keys(self) -> list[Mapping[str, str]]:
        """The public keys that verify our tokens, as JWKs; none under HS256."""
        return self._issuer.public_keys


def _is_over(claims: Claims, settings: Settings) -> bool:
    return claims.auth_time + settings.session_ttl <= time.time()
