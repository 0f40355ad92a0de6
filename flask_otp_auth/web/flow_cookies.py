"""The flow cookie: it keeps a browser's place between the pages of a sign-in.

One cookie for each actor type, sealed, with its deadline inside. Tokens against forged requests
(CSRF) belong to its random id, or to a session.
"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from flask import Response, current_app, request
from itsdangerous import URLSafeSerializer

from ..core.crypto import KeyHasher, Keys, Sealer

NAME = "otp_auth_flow"

#: Seconds that a flow lasts, as a challenge does.
TTL = 900

#: Seconds that a form of somebody who is signed in can be sent.
SESSION_FORM_TTL = 86_400

#: Bytes of the cookie's value at most: browsers take 4,096, name and attributes included.
MAX_BYTES = 4000


@dataclass(frozen=True, repr=False)
class Flow:
    """A browser's place between the pages of a sign-in.

    :ivar id: random; new whenever a code is asked for, so that whoever planted an earlier cookie
        has no token for this one.
    :ivar next: where to go after it, a path of this site.
    :ivar purpose: of the code that was asked for.
    :ivar identifier: in canonical form; ``None`` until a code was asked for.
    :ivar challenge: the newest that this browser was answered with.
    :ivar asked_at: when it asked last, in seconds since the epoch.
    :ivar sent_again: whether that was by "send again".
    :ivar proof: the registration token of somebody who has yet to join.
    :ivar again: the ``sid`` of a sign-in that is too old for what was asked; its identifier is
        fixed.
    :ivar ttl: seconds that this place is kept.
    """

    id: str
    actor_type: str
    next: str | None = None
    purpose: str | None = None
    identifier: str | None = None
    challenge: str | None = None
    asked_at: int = 0
    sent_again: bool = False
    proof: str | None = None
    again: str | None = None
    ttl: int = TTL

    @classmethod
    def begin(cls, actor_type: str, **facts: Any) -> Flow:
        """Return a new flow."""
        return cls(new_id(), actor_type, **facts)


def new_id() -> str:
    """Return a random id of 128 bits."""
    return secrets.token_urlsafe(16)


class FlowCookies:
    """Reads and writes the flow cookies of one app, and makes the tokens of its forms."""

    def __init__(self, keys: Keys) -> None:
        self._flows = Sealer(keys.cookies, "flow", URLSafeSerializer)
        self._tokens = Sealer(keys.cookies, "csrf", URLSafeSerializer)
        self._hasher = KeyHasher(keys.cookies)

    def read(self, actor_type: str) -> Flow | None:
        """Return the request's flow, if it has one of that actor type that is not over.

        Each cookie of that name counts, or garbage that a neighbouring host has planted would
        keep people out for good.
        """
        flows = map(self._flow, request.cookies.getlist(NAME))
        return next((flow for flow in flows if flow and flow.actor_type == actor_type), None)

    def _flow(self, text: str) -> Flow | None:
        match self._flows.loads(text):
            case [dict() as facts]:
                try:
                    return Flow(**facts)
                except TypeError:  # of another version of this package
                    return None
        return None

    def write(self, response: Response, flow: Flow, path: str, *, secure: bool) -> None:
        """Set the cookie; ``next`` is left out where it would make it too long.

        :param path: where the pages of the actor type are, as the browser sees it.
        """
        deadline = time.time() + flow.ttl
        text = self._flows.dumps(deadline, asdict(flow))
        if len(text) > MAX_BYTES:
            text = self._flows.dumps(deadline, asdict(replace(flow, next=None)))
        response.set_cookie(NAME, text, max_age=flow.ttl, **_attributes(path, secure=secure))

    def delete(self, response: Response, path: str, *, secure: bool) -> None:
        """Delete the cookie."""
        response.delete_cookie(NAME, **_attributes(path, secure=secure))

    def token(self, *holder: str, ttl: int) -> str:
        """Return a CSRF token.

        :param holder: what it belongs to: a flow or a session.
        :param ttl: seconds that it can be used.
        """
        return self._tokens.dumps(time.time() + ttl, *holder)

    def is_token(self, text: str | None, *holder: str) -> bool:
        """Tell whether a text is a CSRF token of that holder."""
        return self._tokens.loads(text) == list(holder)

    def tag(self, flow: Flow) -> str:
        """Return the keyed hash of whom a flow is for: two tabs may be for different people."""
        return self._hasher.digest("flow", flow.actor_type, flow.identifier or "")

    def is_tag(self, text: str | None, flow: Flow) -> bool:
        """Tell whether a text is the hash of whom a flow is for."""
        given = (text or "").encode()
        tags = self._hasher.digests("flow", flow.actor_type, flow.identifier or "")
        return any(hmac.compare_digest(given, tag.encode()) for tag in tags)


def _attributes(path: str, *, secure: bool) -> dict[str, Any]:
    secure = secure or bool(current_app.config["SESSION_COOKIE_SECURE"])
    return {"path": path, "secure": secure, "httponly": True, "samesite": "Lax"}
