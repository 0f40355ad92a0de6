"""Sessions: a token's facts in Flask's session, for pages that hold no token themselves."""

from collections.abc import Collection
from typing import Any

from flask import current_app, session

from .errors import Unauthorized
from .state import current_state
from .tokens import Claims

#: Where the facts are in Flask's session.
KEY = "otp_auth"


def begin(token: str) -> dict[str, Any]:
    """Begin a new session with an authentication token, and return its facts.

    Nothing of the visitor's earlier session stays, so one that somebody else has planted is
    worth nothing (OWASP ASVS 5.0, 7.2.4).

    :raises Unauthorized: if the token doesn't let in.
    :raises Unavailable: if the store can't be reached.
    """
    facts = current_state().credentials.begin_session(token)
    permanent = session.permanent
    session.clear()
    if permanent:
        session.permanent = True
    session[KEY] = facts
    # A session that is kept on the server, as Flask-Session's, needs a new id, too.
    regenerate = getattr(current_app.session_interface, "regenerate", None)
    if regenerate is not None:
        regenerate(session)
    return facts


def identify(actor_types: Collection[str], max_age: int | None) -> tuple[Claims, Any]:
    """Return what the visitor's session says, and its actor.

    Arguments and errors are those of :meth:`flask_otp_auth.credentials.Credentials.identify`.
    """
    facts = session.get(KEY)
    if facts is None:
        raise Unauthorized(None)
    return current_state().credentials.resume(facts, actor_types, max_age)


def end() -> None:
    """End the visitor's session, and every copy of its cookie.

    :raises Unavailable: if the store can't be reached; the session stays, to try again.
    """
    current_state().credentials.end_session(session.get(KEY))
    session.clear()
