"""Drafts: what a token is to say, with the app's own claims, before the sign-in has its slot."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.actors import ActorType, actor_id
from .jwt import AUTHENTICATION, REGISTRATION, TokenIssuer, check_extra
from .token import Token

#: Returns an app's own claims: ``(actor_type, actor) -> dict``.
ClaimsLoader = Callable[[str, Any], Mapping[str, Any]]


@dataclass(frozen=True, repr=False, eq=False)
class Draft:
    """What an authentication token is to say, but for the sign-in's id.

    :ivar identifier: what the code was sent to, in canonical form; ``None`` if none was.
    :ivar auth_time: when the actor proved its identity, in seconds since the epoch.
    :ivar amr: how it did so (RFC 8176).
    :ivar extra: the app's own claims.
    """

    actor_type: ActorType
    actor: Any
    identifier: str | None
    auth_time: int
    amr: tuple[str, ...]
    extra: Mapping[str, Any]


class TokenWriter:
    """Drafts tokens and writes them.

    :param own_claims: returns the app's own claims for an actor.
    """

    def __init__(self, issuer: TokenIssuer, own_claims: ClaimsLoader) -> None:
        self._issuer = issuer
        self._own_claims = own_claims

    def draft(
        self,
        actor_type: ActorType,
        actor: Any,
        *,
        identifier: str | None,
        auth_time: int,
        amr: tuple[str, ...],
    ) -> Draft:
        """Draft an authentication token.

        :raises ValueError: if the app's own claims can't be in a token; a ``TypeError``, too.
        """
        extra = check_extra(self._own_claims(actor_type.name, actor))
        return Draft(actor_type, actor, identifier, auth_time, amr, extra)

    def write(self, draft: Draft, sid: str) -> Token:
        """Write an authentication token.

        :param sid: the sign-in that it belongs to.
        """
        name, settings = draft.actor_type.name, draft.actor_type.settings
        text = self._issuer.issue(
            AUTHENTICATION,
            name,
            actor_id(draft.actor),
            sid=sid,
            auth_time=draft.auth_time,
            amr=draft.amr,
            expires_at=min(
                int(time.time()) + settings.token_ttl, draft.auth_time + settings.session_ttl
            ),
            extra=draft.extra,
        )
        return Token(text, draft.actor, name, draft.identifier)

    def write_registration(self, actor_type: ActorType, identifier: str) -> tuple[Token, str]:
        """Write a registration token.

        :param identifier: in canonical form.
        :returns: the token and its ``sid``.
        """
        now, sid = int(time.time()), secrets.token_hex(16)
        text = self._issuer.issue(
            REGISTRATION,
            actor_type.name,
            identifier,
            sid=sid,
            auth_time=now,
            amr=("otp",),
            expires_at=now + actor_type.settings.registration_token_ttl,
        )
        return Token(text, None, actor_type.name, identifier, registration=True), sid
