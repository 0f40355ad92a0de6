"""Where a browser is sent after signing in or out: never to another site."""

from __future__ import annotations

import unicodedata
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from flask import current_app, request, url_for
from werkzeug.routing import BuildError

from ..errors import ConfigError
from .state import current_state

#: Bytes that ``next`` may have at most.
MAX_NEXT = 1000

#: How often a path may be encoded: each time is looked at, and 1,000 bytes have room for hundreds.
MAX_ENCODINGS = 5

#: Categories of characters that a URL never has as they are: browsers drop some of these, and read
#: what remains as another URL.
_CONTROLS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

#: What stays as it is in a path (RFC 3986, 3.3).
_PATH_SAFE = "/:@!$&'()*+,;=~"


def safe_next(text: str | None) -> str | None:
    """Return a path of this site as it is, and ``None`` for everything else.

    It has no scheme and no host, however often it is decoded: some servers and proxies do so, and
    a browser takes ``//`` and ``/\\`` for the beginning of a host.

    :param text: a path, and maybe a query, as the browser sees them.
    """
    if not text or not text.startswith("/") or _has_controls(text):
        return None
    if len(text.encode()) > MAX_NEXT or "\\" in text:
        return None
    path = text.partition("?")[0].partition("#")[0]
    for _ in range(MAX_ENCODINGS + 1):
        if not _is_local(path):
            return None
        decoded = unquote(path)
        if decoded == path:
            return text
        path = decoded
    return None


def _is_local(path: str) -> bool:
    if "\\" in path or _has_controls(path):
        return False
    _, *segments = path.split("/")
    while segments and segments[0] in (".", ".."):  # browsers remove them (RFC 3986, 5.2.4)
        del segments[0]
    return len(segments) < 2 or segments[0] != ""


def _has_controls(text: str) -> bool:
    return any(unicodedata.category(character) in _CONTROLS for character in text)


def current_path() -> str | None:
    """Return the request's own path and query, as the browser sees them, if it is safe."""
    path = quote(request.root_path.rstrip("/") + request.path, safe=_PATH_SAFE)
    query = request.query_string.decode(errors="replace")
    return safe_next(f"{path}?{query}" if query else path)


def referring_path() -> str | None:
    """Return the path and query of the page that the request comes from, if it is this site's."""
    try:
        parts = urlsplit(request.referrer or "")
    except ValueError:
        return None
    if not is_own_host(parts.netloc):
        return None
    return safe_next(f"{parts.path}?{parts.query}" if parts.query else parts.path)


def is_own_host(netloc: str) -> bool:
    """Tell whether host and port are those of this site.

    They are compared with the Host header, and nothing is made of it. A proxy that doesn't pass it
    on is no obstacle where ``OTP_AUTH_SITE_URL`` says what people see.
    """
    site_url = current_state().settings.site_url
    own = {request.host.lower(), urlsplit(site_url or "").netloc.lower()}
    return bool(netloc) and netloc.lower() in own


def destination(setting: str, place: str) -> str:
    """Return the URL of a place on this site.

    :param setting: the setting that names it, for the error's text.
    :param place: a path below SCRIPT_NAME, or an endpoint.
    :raises ConfigError: if the app has no such endpoint, or its URL needs values.
    """
    if place.startswith("/"):
        return quote(request.root_path.rstrip("/")) + place
    try:
        return url_for(place, **prefix_values(place))
    except BuildError:
        raise ConfigError(
            f"{setting} names {place!r}, which is no endpoint of the app, or one that needs values"
        ) from None


def prefix_values(endpoint: str) -> dict[str, Any]:
    """Return what the request's URL says that an endpoint needs, too: ``<lang>`` of a prefix."""
    given = request.view_args or {}
    expecting = current_app.url_map.is_endpoint_expecting
    try:
        return {name: given[name] for name in given if expecting(endpoint, name)}
    except KeyError:  # there is no such endpoint
        return {}


def page_url(endpoint: str, **values: str) -> str:
    """Return the URL of a page, as the browser sees it.

    :param endpoint: the page's endpoint, with the name that the blueprint is mounted under.
    """
    return url_for(endpoint, **{**prefix_values(endpoint), **values})
