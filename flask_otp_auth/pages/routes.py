"""The routes of pages, and what goes around each of them."""

from pathlib import Path
from typing import Any

from flask import Response, current_app, request
from flask.blueprints import BlueprintSetupState

from ..messages.own_templates import own_loader
from . import static_files, views
from .visits import MAX_BODY

_TEMPLATES = Path(__file__).with_name("templates")

_BOTH = ("GET", "POST")

#: Rule and methods by the name of the endpoint.
PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "sign_in": ("/<actor_type>/sign-in", _BOTH),
    "code": ("/<actor_type>/code", _BOTH),
    "resend": ("/<actor_type>/code/resend", ("POST",)),
    "join": ("/<actor_type>/join", _BOTH),
    "link": ("/<actor_type>/link/<token>", _BOTH),
    "sign_out": ("/<actor_type>/sign-out", _BOTH),
    "devices": ("/<actor_type>/devices", _BOTH),
}

_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; "
    "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


def add_pages(state: BlueprintSetupState) -> None:
    """Add the routes of pages where the blueprint is mounted."""
    for endpoint, (rule, methods) in PAGES.items():
        state.add_url_rule(rule, endpoint, show_page, methods=methods)
    state.add_url_rule("/static/<path:filename>", "static", show_static)
    state.blueprint.jinja_loader = own_loader(_TEMPLATES)
    name = f"{state.name_prefix}.{state.name}".lstrip(".")
    state.app.url_value_preprocessors[name].append(_prepare)
    state.app.after_request_funcs[name].append(_harden)


def show_page(actor_type: str, token: str = "", **_: Any) -> Response:
    """Answer a request for a page.

    :param token: the end of a link.
    """
    return views.answer(_endpoint(), actor_type, token)


def show_static(filename: str, **_: Any) -> Response:
    """Answer a request for a style sheet or a script."""
    return static_files.answer(filename)


def _endpoint() -> str:
    return (request.endpoint or "").rpartition(".")[2]


def _prepare(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Get ready for a request, before the app's own functions that run before each request."""
    if _endpoint() not in PAGES:
        return
    # One byte more, as Werkzeug truncates a chunked body at its limit without an error.
    request.max_content_length = min(request.max_content_length or MAX_BODY, MAX_BODY) + 1
    # Flask-WTF would look for a token of its own in our forms, and over TLS for a Referer, which
    # our pages forbid. They have tokens that are bound more closely.
    exempt = getattr(current_app.extensions.get("csrf"), "exempt", None)
    if exempt is not None:
        exempt(show_page)


def _harden(response: Response) -> Response:
    if _endpoint() in PAGES:
        response.headers.update(_HEADERS)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    return response
