"""Guards: decorators for an app's own views, and proxies for who came through."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, cast

from flask import current_app, g, request
from flask.typing import ResponseReturnValue
from werkzeug.local import LocalProxy

from . import sessions
from .errors import Unauthorized
from .state import current_state
from .tokens import Claims

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]


class Registration:
    """Whose registration a view completes.

    :ivar actor_type: the actor type that is registered for.
    :ivar identifier: the identifier that the code was sent to, in canonical form.
    """

    def __init__(self, actor_type: str, identifier: str) -> None:
        self.actor_type = actor_type
        self.identifier = identifier


def bearer_token() -> str:
    """Return the request's bearer token (RFC 6750, section 2.1).

    :raises Unauthorized: if there is none.
    """
    token = _bearer_token()
    if not token:
        raise Unauthorized(None)
    return token


def _bearer_token() -> str | None:
    """Return the request's bearer token, or ``None`` if it doesn't speak of one at all."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def token_required(
    *actor_types: str, max_age: int | None = None, session: bool = False
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Let a view be called with an authentication token only.

    :param actor_types: those that may call it; none for any.
    :param max_age: seconds that the sign-in may lie back at most (RFC 9470).
    :param session: whether a session does as well, where no token comes. Guard such a view
        against forged requests (CSRF): browsers send the session's cookie on their own.
    """
    _check_names(actor_types)
    if max_age is not None and (type(max_age) is not int or max_age < 0):
        raise TypeError("max_age is a whole number of seconds, 0 or more")
    return _guard(lambda: identify_request(actor_types, max_age=max_age, session=session))


def identify_request(
    actor_types: tuple[str, ...] = (), *, max_age: int | None = None, session: bool = False
) -> Any:
    """Return the actor whose token, or whose session, came with the request.

    From then on it is :data:`current_actor`. Arguments are those of :func:`token_required`.

    :raises Unauthorized: if nothing lets in.
    :raises Unavailable: if the store can't be reached.
    """
    # A token that is refused is not made up for by a session.
    if session and _bearer_token() is None:
        claims, actor = sessions.identify(actor_types, max_age)
    else:
        claims, actor = current_state().credentials.identify(bearer_token(), actor_types, max_age)
    g._otp_auth_actor = actor
    g._otp_auth_claims = claims
    return actor


def registration_required(
    *actor_types: str,
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Let a view be called with a registration token only.

    :param actor_types: those that it may register; none for any.
    """
    _check_names(actor_types)

    def admit() -> None:
        claims = current_state().credentials.registration(bearer_token(), actor_types)
        g._otp_auth_registration = Registration(claims.actor_type, claims.subject)

    return _guard(admit)


def _guard(admit: Callable[[], object]) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    def decorate(view: Callable[P, Any]) -> Callable[P, Any]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            admit()
            return current_app.ensure_sync(view)(*args, **kwargs)

        return guarded

    return decorate


def _check_names(actor_types: tuple[str, ...]) -> None:
    if not all(isinstance(name, str) for name in actor_types):
        raise TypeError("a guard is called with names of actor types: @token_required()")


def _from_context(name: str, guard: str) -> Any:
    try:
        return getattr(g, name)
    except AttributeError:
        raise RuntimeError(f"no {guard} guards this view") from None


#: The actor whose token or session let the request in, as the app's store returned it.
current_actor: Any = LocalProxy(lambda: _from_context("_otp_auth_actor", "token_required"))

#: The claims of the token or the session that let the request in.
current_claims: Claims = cast(
    Claims, LocalProxy(lambda: _from_context("_otp_auth_claims", "token_required").all)
)

#: The :class:`Registration` whose token let the request in.
current_registration: Registration = cast(
    Registration,
    LocalProxy(lambda: _from_context("_otp_auth_registration", "registration_required")),
)
