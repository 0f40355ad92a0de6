"""The bridge to Flask-Login (the extra ``login``): ``login_required`` after a code.

A browser's session belongs to one person: who logs in ends the session that somebody else had
begun with a code, and who logs out ends both.
"""

from typing import Any

from flask import Flask, Request, current_app, request, session
from flask_login import login_user, user_logged_in, user_logged_out

from . import sessions
from .actors import actor_id
from .errors import ConfigError, Unauthorized
from .extension import OTPAuth
from .guards import bearer_token, identify_request
from .state import current_state


def init_login_manager(
    login_manager: Any, otp_auth: OTPAuth, actor_type: str | None = None
) -> None:
    """Let Flask-Login know the actors of one type, by whatever they signed in with.

    ``current_user`` is then the actor of the request's bearer token, or else of a session that
    was begun with ``POST /auth/session`` or :func:`login_with_token`, or else whom the app
    logged in with :func:`flask_login.login_user`. The actors need what
    :class:`flask_login.UserMixin` has.

    ``login_required`` knows nothing of actor types, and ids of two types may be equal. So a
    login manager serves one type, and nobody of another one is logged in; guard the others'
    views with :func:`~flask_otp_auth.token_required`.

    This sets the manager's ``user_loader`` and ``request_loader``. With its
    ``session_protection`` at ``"strong"``, Flask-Login turns away every session that it didn't
    begin itself, so that :func:`login_with_token` is needed in place of ``POST /auth/session``.

    :param login_manager: the app's :class:`flask_login.LoginManager`, which has no types.
    :param actor_type: whose pages these are; needed if several types are registered.
    :raises ConfigError: if it is not one of the registered types, or missing.
    """
    login_manager.otp_auth_actor_type = _chosen(otp_auth.actor_types, actor_type)
    login_manager.user_loader(_load_from_session)
    login_manager.request_loader(_load_from_request)


def _chosen(registered: tuple[str, ...], actor_type: str | None) -> str:
    if actor_type is None and len(registered) == 1:
        return registered[0]
    if actor_type not in registered:
        raise ConfigError(
            "init_login_manager() comes after add_actor_type(), and with several actor types "
            f"needs actor_type=, one of {', '.join(registered) or 'none yet'}, not {actor_type!r}"
        )
    return actor_type


def login_with_token(token: str, **options: Any) -> Any:
    """Log in the actor of an authentication token, in a new session.

    The login ends like a session of ``POST /auth/session``: after ``SESSION_TTL``, or when the
    token or all of the actor's are revoked.

    :param options: those of :func:`flask_login.login_user`, such as ``remember=True``, which
        makes the login outlast the browser, and then the session's end.
    :returns: the actor.
    :raises Unauthorized: if the token doesn't let in, or is of another actor type.
    :raises Unavailable: if the store can't be reached.
    """
    _, actor = current_state().credentials.identify(token, (_actor_type(),))
    sessions.begin(token)
    login_user(actor, **options)
    return actor


def _served(app: Flask) -> str | None:
    """Return the actor type that the app's login manager serves; none without this bridge."""
    manager = getattr(app, "login_manager", None)
    return getattr(manager, "otp_auth_actor_type", None)


def _actor_type() -> str:
    served = _served(current_app)
    if served is None:
        raise ConfigError("call init_login_manager() with the login manager of this app")
    return served


def _load_from_session(user_id: str) -> Any | None:
    if _has_token() or sessions.KEY in session:
        # A token and a session of ours decide alone, as at our own guards. Flask-Login itself
        # does not ask the request loader when there is a remember cookie.
        return _load_from_request(request)
    kind, _ = current_state().actors.get(_actor_type())
    return kind.find_by_id(str(user_id))


def _load_from_request(request: Request) -> Any | None:
    try:
        actor = identify_request((_actor_type(),), session=True)
    except Unauthorized:
        return None
    if session.get("_fresh") and session.get("_user_id") != actor_id(actor):
        session["_fresh"] = False  # somebody else's fresh login says nothing about this one
    return actor


def _has_token() -> bool:
    try:
        bearer_token()
    except Unauthorized:
        return False
    return True


def _end_session_of_another(sender: Flask, user: Any, **_: Any) -> None:
    if _served(sender) is None or sessions.KEY not in session:
        return
    try:
        actor = sessions.identify((_actor_type(),), None)[1]
    except Unauthorized:  # it is over, and would keep the new login from counting
        actor = None
    if actor is None or actor_id(actor) != actor_id(user):
        _end_session(sender)


def _end_session(sender: Flask, **_: Any) -> None:
    if _served(sender) is not None and sessions.KEY in session:
        current_state().credentials.end_session(session[sessions.KEY])
        del session[sessions.KEY]


user_logged_in.connect(_end_session_of_another)
user_logged_out.connect(_end_session)
