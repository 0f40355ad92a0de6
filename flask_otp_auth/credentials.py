"""Credentials: tokens with the state that gives them meaning: actors and revocation."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from . import signals
from .actors import Actors, ActorType, actor_id
from .challenges import Rights
from .config import Settings
from .errors import ActorNotCreated, NotFound, Unauthorized
from .issuing import Emit
from .tokens import AUTHENTICATION, REGISTRATION, Claims, TokenIssuer

ClaimsLoader = Callable[[str, Any], Mapping[str, Any]]


class Credentials:
    """Issues, checks, refreshes and revokes the tokens of one app.

    :param own_claims: returns the app's own claims for an actor.
    """

    def __init__(
        self,
        actors: Actors,
        issuer: TokenIssuer,
        rights: Rights,
        emit: Emit,
        own_claims: ClaimsLoader,
    ) -> None:
        self._actors = actors
        self._issuer = issuer
        self._rights = rights
        self._emit = emit
        self._own_claims = own_claims

    def for_actor(
        self, kind: ActorType, settings: Settings, actor: Any, auth_time: int | None = None
    ) -> str:
        """Issue an authentication token.

        :param auth_time: when the actor proved itself, if not just now.
        """
        since = int(time.time()) if auth_time is None else auth_time
        token, _ = self._issuer.issue(
            AUTHENTICATION,
            kind.name,
            actor_id(actor),
            ttl=settings.token_ttl,
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
        if self._rights.stands("revoked", claims.jti):
            raise Unauthorized
        if max_age is not None and time.time() - claims.auth_time > max_age:
            raise Unauthorized("insufficient_user_authentication", max_age=max_age)
        kind, _ = self._type_of(claims)
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
        kinds = (AUTHENTICATION, REGISTRATION)
        claims = self._issuer.verify(token, kinds, self._actors.names)
        kind, settings = self._type_of(claims)
        if claims.kind == REGISTRATION:
            actor = self._registered(kind, claims)
        else:
            actor = self._actor_of(claims)
        if claims.auth_time + settings.session_ttl <= time.time():
            raise Unauthorized
        fresh = self.for_actor(kind, settings, actor, claims.auth_time)
        self.announce(kind, actor, "refresh")
        return fresh

    def _registered(self, kind: ActorType, claims: Claims) -> Any:
        actor = kind.find_by_identifier(claims.subject)
        if actor is None:
            raise ActorNotCreated
        if not self._rights.take("refresh", claims.jti):
            raise Unauthorized
        return actor

    def revoke(self, token: str) -> None:
        """Revoke an authentication token until it would have expired.

        :raises Unauthorized: if it is not valid, or revoked already.
        :raises Unavailable: if the store can't be reached.
        """
        claims, _ = self.identify(token, ())
        remaining = claims.expires_at + self._issuer.leeway - int(time.time())
        self._rights.put(max(1, remaining), "revoked", claims.jti)
        self._emit(signals.token_revoked, actor_type=claims.actor_type, actor_id=claims.subject)

    @property
    def public_keys(self) -> list[Mapping[str, str]]:
        """The public keys that verify our tokens, as JWKs; none under HS256."""
        return self._issuer.public_keys
