"""Drafts: what a token is to say, with the app's own claims, before the sign-in has its slot."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.actors import ActorType, actor_id
from .jwt import AUTHENTICATION, TokenIssuer
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

    def token(self, issuer: TokenIssuer, sid: str) -> Token:
        """Return the token.

        :param sid: the sign-in that it belongs to.
        """
        name, settings = self.actor_type.name, self.actor_type.settings
        text = issuer.issue(
            AUTHENTICATION,
            name,
            actor_id(self.actor),
            sid=sid,
            auth_time=self.auth_time,
            amr=self.amr,
            expires_at=min(
                int(time.time()) + settings.token_ttl, self.auth_time + settings.session_ttl
            ),
            extra=self.extra,
        )
        return Token(text, self.actor, name, self.identifier)
