"""Credentials: tokens and sessions with what gives them meaning: actors and sign-ins."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from .. import signals
from ..core.actors import ActorType, actor_id
from ..core.budgets import Budget, Budgets
from ..core.context import Caller
from ..core.crypto import is_expired
from ..errors import ActorNotCreated, DuplicateError, NotFound, RateLimited, Unauthorized
from .admissions import Admissions, owner_of
from .jwt import AUTHENTICATION, CLAIMS, REGISTRATION, Claims
from .sign_ins import MAX_SLOTS, MAX_TTL, Held, Owner, SignIn
from .token import Token as Token


@dataclass(frozen=True, repr=False, eq=False)
class Credentials(Admissions):
    """Issues, checks, refreshes and ends the tokens and sessions of one app."""

    budgets: Budgets

    @property
    def public_keys(self) -> list[dict[str, str]]:
        """The public keys that verify our tokens, as JWKs; none under HS256."""
        return self.issuer.public_keys

    # -- checking -------------------------------------------------------------------------

    def identify(
        self, token: str, actor_types: Collection[str] = (), max_age: int | None = None
    ) -> tuple[Claims, Any]:
        """Return what an authentication token says, and its actor. One round trip.

        :param actor_types: those that it may be for; none for any.
        :param max_age: seconds since the sign-in at most (RFC 9470).
        :raises Unauthorized: if the token is not valid, or its sign-in or its actor is not.
        :raises Unavailable: if the store can't be reached.
        """
        claims = self.issuer.verify(token, {AUTHENTICATION}, actor_types or self.actors.names)
        return claims, self._actor_of(claims, max_age)

    def verify_session(
        self, payload: object, actor_types: Collection[str] = (), max_age: int | None = None
    ) -> tuple[Claims, Any]:
        """Return what a session says, and its actor; else as :meth:`identify`.

        :param payload: what :meth:`begin_session` returned.
        """
        claims = self.issuer.verify_session(payload, actor_types or self.actors.names)
        return claims, self._actor_of(claims, max_age)

    def registration(
        self, token: str, actor_types: Collection[str] = (), *, unused: bool = False
    ) -> Claims:
        """Return what a registration token says, while its actor has yet to be created.

        :param actor_types: those that it may be for; none for any.
        :param unused: whether to refuse a token whose actor was created, and then deleted.
        :raises Unauthorized: if the token is not valid.
        :raises DuplicateError: if there is an actor.
        """
        claims = self.issuer.verify(token, {REGISTRATION}, actor_types or self.actors.names)
        if unused and not self.rights.has(claims.sid):
            raise Unauthorized
        actor_type = self._type_of(claims)
        if actor_type.find_including_inactive(claims.subject) is not None:
            raise DuplicateError
        return claims

    def _actor_of(self, claims: Claims, max_age: int | None) -> Any:
        actor_type, _ = self._live(claims)
        if max_age is not None and time.time() - claims.auth_time > max_age:
            raise Unauthorized("insufficient_user_authentication", max_age=max_age)
        return _found(actor_type, claims)

    def _live(self, claims: Claims) -> tuple[ActorType, Held]:
        actor_type = self._type_of(claims)
        held = self.slots.find(owner_of(actor_type, claims.subject), claims.sid)
        if held is None:
            raise Unauthorized
        return actor_type, held

    def _type_of(self, claims: Claims) -> ActorType:
        try:
            actor_type = self.actors.get(claims.actor_type)
        except NotFound:
            raise Unauthorized from None
        if is_expired(claims.auth_time + actor_type.settings.session_ttl):
            raise Unauthorized
        return actor_type

    # -- refreshing -----------------------------------------------------------------------

    def refresh(self, token: str, caller: Caller) -> Token:
        """Return a fresh token of the same sign-in; of a registration token, begin one, once.

        :raises Unauthorized: if the token is not valid, or its sign-in or its actor is not.
        :raises ActorNotCreated: if it is a registration token whose actor doesn't exist yet;
            the token can still be exchanged.
        :raises RateLimited: if the actor has used up ``ACTOR_LIMITS``.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        types = (AUTHENTICATION, REGISTRATION)
        claims = self.issuer.verify(token, types, self.actors.names)
        if claims.typ == REGISTRATION:
            return self._refresh_registration(claims, caller)
        actor_type, held = self._live(claims)
        self._count(actor_type, claims)
        actor = _found(actor_type, claims)
        draft = self._draft(actor_type, actor, None, claims.auth_time, claims.amr)
        fresh = draft.token(self.issuer, claims.sid)
        new_device = self.slots.is_new_device(held, caller.context)
        self._announce(fresh, "refresh", new_device, caller.context)
        return fresh

    def _refresh_registration(self, claims: Claims, caller: Caller) -> Token:
        actor_type = self._type_of(claims)
        self._count(actor_type, claims)
        actor = actor_type.find_by_identifier(claims.subject)
        if actor is None:
            raise ActorNotCreated
        return self.complete(claims, actor, caller)

    def complete(self, claims: Claims, actor: Any, caller: Caller) -> Token:
        """Begin the sign-in of an actor that was just created.

        It takes the same right as a refresh of the registration token.

        :param claims: what :meth:`registration` returned.
        :raises Unauthorized: if the registration was completed before.
        :raises ActorNotCreated: if the actor is not active.
        :raises Unavailable: if the store can't be reached.
        """
        actor_type = self._type_of(claims)
        if not actor_type.is_active(actor):
            raise ActorNotCreated
        prepared = self.prepare(
            actor_type,
            actor,
            identifier=claims.subject,
            method="refresh",
            caller=caller,
            amr=claims.amr,
            auth_time=claims.auth_time,
        )
        if not self.rights.take(claims.sid):
            raise Unauthorized
        return self.begin(prepared)

    # -- ending ---------------------------------------------------------------------------

    def revoke(self, token: str) -> None:
        """End the sign-in of an authentication token: all its tokens and sessions.

        :raises Unauthorized: if the token is not valid, or its sign-in has ended.
        :raises RateLimited: if the actor has used up ``ACTOR_LIMITS``.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        # Even if the actor is inactive, or the token would work again on reactivation.
        claims = self.issuer.verify(token, {AUTHENTICATION}, self.actors.names)
        held = self._held_of(claims)
        if held is None:
            raise Unauthorized
        self._count(self.actors.get(claims.actor_type), claims)
        if not self._end(held):
            raise Unauthorized

    def revoke_all(self, actor_type: str, actor: Any) -> None:
        """End every sign-in of an actor.

        :param actor: the actor, or its id.
        :raises NotFound: if the actor type is not registered.
        :raises Unavailable: if the store can't be reached.
        """
        owner = self._owner(actor_type, actor)
        self.slots.end_all(owner)
        self._announce_end(owner)

    def sign_ins(self, actor_type: str, actor: Any, current: str | None = None) -> list[SignIn]:
        """Return the live sign-ins of an actor, the newest first.

        :param actor: the actor, or its id.
        :param current: the ``sid`` of the current request.
        :raises NotFound: if the actor type is not registered.
        :raises Unavailable: if the store can't be reached.
        """
        return self.slots.all(self._owner(actor_type, actor), current)

    def end_sign_in(self, actor_type: str, actor: Any, sign_in_id: str) -> bool:
        """End one sign-in of an actor; false if it is not live.

        Errors are those of :meth:`sign_ins`.
        """
        held = self._find_to_end(self._owner(actor_type, actor), sign_in_id)
        return held is not None and self._end(held)

    def end_other_sign_ins(self, actor_type: str, actor: Any, current: str) -> int:
        """End all sign-ins of an actor but one, and return how many that were.

        :param current: the ``sid`` of the one to keep.

        Errors are those of :meth:`sign_ins`.
        """
        owner = self._owner(actor_type, actor)
        ended = self.slots.end_all(owner, but=current)
        if ended:
            self._announce_end(owner)
        return ended

    def _owner(self, actor_type: str, actor: Any) -> Owner:
        return owner_of(self.actors.get(actor_type), _id_of(actor))

    def _held_of(self, claims: Claims) -> Held | None:
        owner = owner_of(self.actors.get(claims.actor_type), claims.subject)
        return self._find_to_end(owner, claims.sid)

    def _find_to_end(self, owner: Owner, sid: str) -> Held | None:
        # Whatever the settings are: what no longer counts would, once they are changed back.
        return self.slots.find(replace(owner, most=MAX_SLOTS, ttl=MAX_TTL), sid)

    def _end(self, held: Held) -> bool:
        ended = self.slots.end(held)
        if ended:
            self._announce_end(held.owner)
        return ended

    def _announce_end(self, owner: Owner) -> None:
        facts = {"actor_type": owner.actor_type, "actor_id": owner.actor_id}
        self.emit(signals.token_revoked, **facts)

    # -- sessions -------------------------------------------------------------------------

    def begin_session(self, token: str, *, is_fresh: bool = False) -> dict[str, Any]:
        """Return the claims of a session that begins with an authentication token.

        They are the token's own, but for their end and without the app's own claims.

        :param is_fresh: whether its sign-in has begun in this request. Then it is not counted, or
            somebody else's session could keep the actor out by using up ``ACTOR_LIMITS``; nor is
            its actor looked up again, as what the store raises would cost the person the code.
        :raises Unauthorized: if the token is not valid, or its sign-in or its actor is not.
        :raises RateLimited: if the actor has used up ``ACTOR_LIMITS``.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        if is_fresh:
            claims = self.issuer.verify(token, {AUTHENTICATION}, self.actors.names)
        else:
            claims, _ = self.identify(token)
            self._count(self._type_of(claims), claims)
        actor_type = self._type_of(claims)
        payload = {name: claims.all[name] for name in CLAIMS}
        return {**payload, "exp": claims.auth_time + actor_type.settings.session_ttl}

    def end_session(self, payload: object) -> None:
        """End the sign-in of a session. Idempotent.

        :param payload: what :meth:`begin_session` returned.
        :raises Unavailable: if the store can't be reached.
        """
        try:
            claims = self.issuer.verify_session(payload, self.actors.names)
        except Unauthorized:
            return
        held = self._held_of(claims)
        if held is not None:
            self._end(held)

    def _count(self, actor_type: ActorType, claims: Claims) -> None:
        """Count a request against its actor, before anything is done for it.

        :raises RateLimited: if the actor has none left.
        """
        # A registration counts by its identifier, which may look like somebody else's id.
        who = "registration" if claims.typ == REGISTRATION else "actor"
        parts = (who, actor_type.name, claims.subject)
        budget = Budget(actor_type.settings.actor_limits, parts)
        if self.budgets.take(budget).refused is not None:
            raise RateLimited(retry_after=self.budgets.retry_after(budget))


def _found(actor_type: ActorType, claims: Claims) -> Any:
    actor = actor_type.find_by_id(claims.subject)
    if actor is None:
        raise Unauthorized
    return actor


def _id_of(actor: Any) -> str:
    """Return the id of an actor, or the id that was given in its place."""
    if hasattr(actor, "get_id") or hasattr(actor, "id"):
        return actor_id(actor)
    # Also of a proxy, such as a guest's current_actor; by the text of the others nobody is found.
    if str(actor) in ("", "None") or isinstance(actor, bytes | list | set | Mapping):
        raise TypeError(f"an actor or its id is needed, not {actor!r}")
    return str(actor)
