"""From a view of the app's own to the sign-in page, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import Response, current_app, request, session
from flask.sansio.app import App

from ..core.actors import actor_id
from ..errors import ConfigError, Unauthorized
from . import sessions
from .destinations import current_path, page_url, referring_path
from .flow_cookies import Flow
from .state import EXTENSION, State, current_state

_SIGN_IN = "/sign-in"

#: The blueprint's own.
_IMPORT_NAME = f"{__package__}.api"


def redirect_to_sign_in(actor_types: Sequence[str], error: Unauthorized) -> Response:
    """Return the way to the sign-in page, and back to where the request was meant to go.

    :param actor_types: those that the view is for; none for any.
    :param error: why the request is not let through.
    :raises ConfigError: if none of them has pages.
    """
    state, too_old = current_state(), _too_old_session(error)
    names = [name for name in actor_types or state.actors.names if has_pages(state, name)]
    if not names:
        raise ConfigError("page_required needs an actor type with sign-in pages: OTP_AUTH_PAGES")
    name = too_old["aud"] if too_old and too_old["aud"] in names else names[0]
    place = current_path() if request.method in ("GET", "HEAD") else referring_path()
    values = {"next": place} if place else {}
    url = page_url(_sign_in_endpoint(), actor_type=name, **values)
    response = Response(status=303, headers={"Location": url, "Cache-Control": "no-store"})
    if too_old and too_old["aud"] == name:
        # Without this mark the sign-in page would send somebody who is signed in straight back.
        identifier = _kept_identifier(state, too_old)
        flow = Flow.begin(name, next=place, identifier=identifier, again=too_old["sid"])
        write_flow(response, flow, url)
    return response


def app_has_pages(app: App) -> bool:
    """Tell whether an app has pages; one that is not initialised yet may have."""
    state: State | None = app.extensions.get(EXTENSION)
    if state is None or state.settings.pages:
        return True
    return any(has_pages(state, name) for name in state.actors.names)


def has_pages(state: State, actor_type: str) -> bool:
    """Tell whether there are pages for an actor type."""
    found = state.actors.find(actor_type)
    return found is not None and found.settings.pages


def write_flow(response: Response, flow: Flow, sign_in_url: str) -> None:
    """Set the flow cookie.

    :param sign_in_url: the URL of the sign-in page, which all pages of the actor type are beside.
    """
    state = current_state()
    state.flow_cookies.write(response, flow, _path(sign_in_url), secure=_is_secure(state))


def delete_flow(response: Response, sign_in_url: str) -> None:
    """Delete the flow cookie; else as :func:`write_flow`."""
    state = current_state()
    state.flow_cookies.delete(response, _path(sign_in_url), secure=_is_secure(state))


def _sign_in_endpoint() -> str:
    """Return the endpoint of the sign-in page, wherever and under whatever name it is mounted."""
    for name, blueprint in current_app.blueprints.items():
        endpoint = f"{name}.sign_in"
        if blueprint.import_name == _IMPORT_NAME and endpoint in current_app.view_functions:
            return endpoint
    raise ConfigError("page_required needs the sign-in pages: set OTP_AUTH_PAGES")


def _path(sign_in_url: str) -> str:
    return urlsplit(sign_in_url).path.removesuffix(_SIGN_IN)


def _is_secure(state: State) -> bool:
    return (state.settings.site_url or "").startswith("https:")


def _too_old_session(error: Unauthorized) -> dict[str, Any] | None:
    """Return the claims of the session, if it was refused for its age alone."""
    claims = session.get(sessions.KEY)
    return claims if error.max_age is not None and isinstance(claims, dict) else None


def _kept_identifier(state: State, claims: dict[str, Any]) -> str | None:
    """Return what the session's sign-in was with, if it is still that actor's."""
    identifier = session.get(sessions.IDENTIFIER)
    if identifier is None:
        return None
    actor = state.actors.get(claims["aud"]).find_by_identifier(identifier)
    return identifier if actor is not None and actor_id(actor) == claims["sub"] else None
