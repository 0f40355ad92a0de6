"""The bridge to Flask-Login (the extra ``login``): ``login_required`` after a code.

Each login is a sign-in: it has its slot, it is listed, it lasts ``OTP_AUTH_SESSION_TTL`` at most,
and it ends with ``logout_user()``, ``DELETE /auth/session`` or ``revoke_all``. A browser's session
belongs to one person, so a login ends the sign-in that was there before.
"""

from typing import Any
from weakref import WeakKeyDictionary

from flask import Flask, Request, current_app, request, session
from flask_login import login_fresh, login_user, logout_user, user_logged_in, user_logged_out

from .core.actors import actor_id
from .errors import ConfigError, Unauthorized
from .extension import OTPAuth
from .web import sessions
from .web.context import current_caller
from .web.state import current_state

# Flask-Login has no public way to write these, nor names for them.
_USER_ID, _FRESH, _BROWSER = "_user_id", "_fresh", "_id"
_REMEMBER, _REMEMBER_SECONDS = "_remember", "_remember_seconds"


def init_login_manager(
    login_manager: Any, otp_auth: OTPAuth, actor_type: str | None = None
) -> None:
    """Let Flask-Login know the actors of one type.

    ``current_user`` is then the actor of the request's bearer token, or else of the session's
    sign-in, however that began: with ``POST /auth/session``, :func:`login_with_token`, or
    :func:`flask_login.login_user` after a password. The actors need what
    :class:`flask_login.UserMixin` has.

    ``login_required`` knows nothing of actor types, and ids of two types may be equal. So a
    login manager serves one type, and nobody of another one is logged in; guard the others'
    views with :func:`~flask_otp_auth.token_required`.

    This sets the manager's ``user_loader`` and ``request_loader``. With its
    ``session_protection`` at ``"strong"``, Flask-Login refuses every session that it didn't
    begin itself, so :func:`login_with_token` is needed in place of ``POST /auth/session``.
    ``login_user(remember=True)`` is refused: a login lasts ``OTP_AUTH_SESSION_TTL``.

    :param login_manager: the app's :class:`flask_login.LoginManager`, which has no types.
    :param actor_type: whose pages these are; needed if several types are registered.
    :raises ConfigError: if it is not one of the registered types, or missing.
    """
    bridge = _Bridge(_chosen(otp_auth.actor_types, actor_type))
    login_manager.user_loader(bridge.load_from_session)
    login_manager.request_loader(bridge.load_from_request)
    user_logged_in.connect(bridge.begin)  # weakly; the manager keeps the bridge
    user_logged_out.connect(bridge.end)
    sessions.begun_at_page.connect(bridge.log_in)
    _bridges[login_manager] = bridge


def login_with_token(token: str, **options: Any) -> Any:
    """Log in the actor of an authentication token, in a new session.

    :param options: those of :func:`flask_login.login_user`, but for ``remember``.
    :returns: the actor.
    :raises Unauthorized: if the token is not valid, or is of another actor type.
    :raises RateLimited: if the actor has used up ``ACTOR_LIMITS``.
    :raises Unavailable: if the store or the limiter can't be reached.
    :raises ConfigError: if the app has no bridge, or with ``remember=True``.
    """
    bridge = _bridge_of(current_app)
    if bridge is None:
        raise ConfigError("call init_login_manager() with the login manager of this app")
    if options.get("remember"):
        raise _remember_refused()
    _, actor = current_state().credentials.identify(token, (bridge.actor_type,))
    sessions.begin(token)
    login_user(actor, **options)
    return actor


class _Bridge:
    """What a login manager calls, and what its logins and logouts do."""

    def __init__(self, actor_type: str) -> None:
        self.actor_type = actor_type

    def load_from_session(self, user_id: str) -> Any | None:
        """Return the current user. The id is not enough: only a live sign-in is a login."""
        return self.load_from_request(request)

    def load_from_request(self, request: Request) -> Any | None:
        """Return the actor of the request's token, or else of its session."""
        try:
            _, actor = sessions.identify_request((self.actor_type,))
        except Unauthorized:
            return None
        if login_fresh() and session.get(_USER_ID) != actor_id(actor):
            session[_FRESH] = False  # another user's fresh login says nothing about this one
        return actor

    def begin(self, sender: Flask, user: Any, **_: Any) -> None:
        """Make a sign-in of a login."""
        if _bridge_of(sender) is not self:
            return
        if session.get(_REMEMBER) == "set":
            session.pop(_REMEMBER)
            session.pop(_REMEMBER_SECONDS, None)
            logout_user()
            raise _remember_refused()
        if sessions.has_begun_for(self.actor_type, actor_id(user)):  # login_with_token()
            return
        credentials = current_state().credentials
        token = credentials.sign_in(self.actor_type, user, ("pwd",), current_caller())
        sessions.begin(token, keep=(_USER_ID, _FRESH, _BROWSER), is_fresh=True)

    def log_in(self, sender: Flask, actor_type: str, actor: Any) -> None:
        """Make a login of a sign-in at a page."""
        if _bridge_of(sender) is self and actor_type == self.actor_type:
            login_user(actor)

    def end(self, sender: Flask, **_: Any) -> None:
        """End the sign-in of a logout."""
        if _bridge_of(sender) is self and sessions.KEY in session:
            current_state().credentials.end_session(session[sessions.KEY])
            del session[sessions.KEY]


#: By login manager: an object that isn't ours, so that nothing is written on it.
_bridges: WeakKeyDictionary[Any, _Bridge] = WeakKeyDictionary()


def _bridge_of(app: Flask) -> _Bridge | None:
    manager = getattr(app, "login_manager", None)
    return None if manager is None else _bridges.get(manager)


def _chosen(registered: tuple[str, ...], actor_type: str | None) -> str:
    if actor_type is None and len(registered) == 1:
        return registered[0]
    if actor_type not in registered:
        raise ConfigError(
            "init_login_manager() comes after add_actor_type(), and with several actor types "
            f"needs actor_type=, one of {', '.join(registered) or 'none yet'}, not {actor_type!r}"
        )
    return actor_type


def _remember_refused() -> ConfigError:
    return ConfigError(
        "remember=True would log in without a sign-in, even after revoke_all(); a login lasts "
        "OTP_AUTH_SESSION_TTL, and session.permanent = True keeps its cookie that long"
    )
