"""``GET <prefix>/openapi.json``."""

from flask import Response, current_app, request

from ..errors import NotFound
from ..web.responses import PUBLIC, json_response
from ..web.state import current_state
from .document import Document


def serve() -> Response:
    """Answer with the current app's document, or that the client's copy is up to date.

    :raises NotFound: if the app does not serve it.
    """
    state = current_state()
    if not state.settings.openapi:
        raise NotFound
    response = json_response(Document(current_app, state).whole(), PUBLIC)
    response.add_etag()
    response.make_conditional(request)
    return response
