"""Sessions: a sign-in's claims in Flask's session, for pages that hold no token themselves."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from blinker import Signal
from flask import current_app, has_request_context, request, session

from ..errors import Unauthorized
from .bearer import bearer_token, find_bearer_token
from .state import current_state

if TYPE_CHECKING:
    from ..tokens.jwt import Claims

#: Where the claims are in Flask's session.
KEY = "otp_auth"

#: Where the identifier of a sign-in at a page is, for when a code is asked for again.
IDENTIFIER = "otp_auth_identifier"

#: Sent with ``actor`` and ``actor_type`` when a page has begun a session; for bridges to others.
begun_at_page: Signal = Signal()

# Names of attributes of the request: several requests share g where a test has an app context open.
_IDENTITY = "_otp_auth_identity"
_REGISTRATION = "_otp_auth_registration"
_BEGUN = "_otp_auth_begun"


def begin(token: str, *, keep: Collection[str] = (), is_fresh: bool = False) -> dict[str, Any]:
    """Begin a new session with an authentication token, and return its claims.

    If the browser has a session of another sign-in, that sign-in ends. Nothing else of the
    earlier session stays but what ``OTP_AUTH_SESSION_KEEP`` names, unless it was somebody else's:
    that prevents session fixation (OWASP ASVS 5.0, 7.2.4).

    :param keep: more keys to carry over, which were just written.
    :param is_fresh: whether the token's sign-in has begun in this request; then it is not counted.
    :raises Unauthorized: if the token is not valid.
    :raises RateLimited: if the actor has used up ``ACTOR_LIMITS``.
    :raises Unavailable: if the store or the limiter can't be reached.
    """
    state = current_state()
    claims = state.credentials.begin_session(token, is_fresh=is_fresh)
    former = session.get(KEY)
    if not isinstance(former, dict) or former.get("sid") != claims["sid"]:
        state.credentials.end_session(former)
    names = keep if _was_of_another(former, claims) else (*state.settings.session_keep, *keep)
    kept = {name: session[name] for name in names if name in session}
    permanent = session.permanent
    session.clear()
    session.update(kept)
    if permanent:
        session.permanent = True
    session[KEY] = claims
    # A session that is kept on the server, such as Flask-Session's, needs a new id as well.
    regenerate = getattr(current_app.session_interface, "regenerate", None)
    if regenerate is not None:
        regenerate(session)
    setattr(request, _BEGUN, claims["sid"])
    return claims


def _was_of_another(former: object, claims: dict[str, Any]) -> bool:
    """Tell whether a session was somebody else's, whether that sign-in has ended or not."""
    if not isinstance(former, dict):
        return False
    return any(former.get(name) != claims[name] for name in ("aud", "sub"))


def has_begun_for(actor_type: str, actor_id: str) -> bool:
    """Tell whether it is in this very request that the session of that actor has begun."""
    claims = session.get(KEY)
    if not isinstance(claims, dict) or claims.get("sid") != getattr(request, _BEGUN, None):
        return False
    return (claims["aud"], claims["sub"]) == (actor_type, actor_id)


def is_of(actor_type: str) -> bool:
    """Tell whether there is a session of that actor type, whether it has ended or not."""
    claims = session.get(KEY)
    return isinstance(claims, dict) and claims.get("aud") == actor_type


def end() -> None:
    """End the current session, and every copy of its cookie. Idempotent.

    :raises Unavailable: if the store can't be reached; the session stays, to try again.
    """
    current_state().credentials.end_session(session.get(KEY))
    session.clear()


def identify_request(
    actor_types: Collection[str] = (), *, max_age: int | None = None, session: bool = True
) -> tuple[Claims, Any]:
    """Return the claims and the actor of the request's token, or else of its session.

    :param actor_types: those that they may be for; none for any.
    :param max_age: seconds since the sign-in at most (RFC 9470).
    :param session: whether a session counts where no token comes.
    :raises Unauthorized: if there is neither, or it is not valid.
    :raises Unavailable: if the store can't be reached.
    """
    # A session never stands in for a token that is refused.
    if session and find_bearer_token() is None:
        identity = identify_session(actor_types, max_age)
    else:
        credentials = current_state().credentials
        identity = credentials.identify(bearer_token(), actor_types, max_age)
    remember_identity(identity)
    return identity


def identify_session(
    actor_types: Collection[str], max_age: int | None = None
) -> tuple[Claims, Any]:
    """Return the claims and the actor of the request's session; else as `identify_request`."""
    claims = session.get(KEY)
    if claims is None:
        raise Unauthorized(None)
    return current_state().credentials.verify_session(claims, actor_types, max_age)


def remember_identity(identity: tuple[Claims, Any] | tuple[None, None]) -> None:
    """Keep, for the rest of the request, who it comes from; nobody, for a guest."""
    setattr(request, _IDENTITY, identity)


def current_identity() -> tuple[Claims, Any] | tuple[None, None] | None:
    """Return who the request comes from; ``None`` if nothing has asked yet."""
    identity: tuple[Claims, Any] | None = getattr(request, _IDENTITY, None)
    return identity


def current_sid() -> str | None:
    """Return the id of the sign-in that the request belongs to, if that is known."""
    if not has_request_context():
        return None
    claims, _ = current_identity() or (None, None)
    if claims is not None:
        return claims.sid
    kept = session.get(KEY)
    return kept.get("sid") if isinstance(kept, dict) else None


def remember_registration(claims: Claims) -> None:
    """Keep, for the rest of the request, the claims of its registration token."""
    setattr(request, _REGISTRATION, claims)


def registration_claims() -> Claims:
    """Return the claims of the current registration token.

    :raises RuntimeError: if no ``registration_required`` guards the view.
    """
    claims: Claims | None = getattr(request, _REGISTRATION, None)
    if claims is None:
        raise RuntimeError("no registration_required guards this view")
    return claims


def check_max_age(max_age: object) -> None:
    """Refuse a ``max_age`` that is no whole number of seconds.

    :raises TypeError: if it is not.
    """
    if max_age is not None and (type(max_age) is not int or max_age < 0):
        raise TypeError("max_age is a whole number of seconds, 0 or more")
