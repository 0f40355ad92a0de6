"""The end of a sign-in at a page: a session, and the way to where the person wanted to go."""

from flask import Response, current_app, session

from ..tokens.token import Token
from ..web import sessions
from ..web.state import app_itself
from .visits import Visit, redirect


def enter(visit: Visit, token: Token) -> Response:
    """Begin a session, and go on.

    :raises Unavailable: if the store can't be reached.
    """
    place = visit.after_sign_in()
    sessions.begin(token, is_fresh=True)
    session[sessions.IDENTIFIER] = token.identifier
    app = app_itself(current_app)
    sessions.begun_at_page.send(app, actor_type=visit.name, actor=token.actor)
    return visit.forget(redirect(place))
