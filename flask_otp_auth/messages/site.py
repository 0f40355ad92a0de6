"""The site that a message speaks of, as its settings say."""

from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from werkzeug.exceptions import HTTPException

from ..core.settings import Settings
from ..errors import ConfigError

#: The key of the app's state in ``app.extensions``, and the name of the blueprint.
_EXTENSION = "otp_auth"


def settings_of(app: Flask) -> Settings:
    """Return the settings of an app.

    :raises ConfigError: if the extension was not initialised with it.
    """
    settings: Settings = _state(app).settings
    return settings


def host_of(app: Flask) -> str | None:
    """Return the host in ``SITE_URL``, without port and path."""
    return urlsplit(settings_of(app).site_url or "").hostname


def page_url(app: Flask, actor_type: str, page: str) -> str | None:
    """Return the address of one of our pages; where there are none, that of the site.

    :param page: its path below the actor type, such as ``sign-in``.
    :returns: ``None`` without ``SITE_URL``, as no address is made from what a request says.
    """
    settings = settings_of(app)
    path = f"{settings.url_prefix}/{actor_type}/{page}"
    if settings.site_url is None or not _has_page(app, actor_type, path):
        return settings.site_url
    return settings.site_url + path


def _has_page(app: Flask, actor_type: str, path: str) -> bool:
    found = _state(app).actors.find(actor_type)
    if found is None or not found.settings.pages:
        return False
    try:
        endpoint, _ = app.url_map.bind("").match(path, "GET")
    except HTTPException:  # mounted by hand, under another prefix
        return False
    return _EXTENSION in endpoint.split(".")


def _state(app: Flask) -> Any:
    # `web` has its type, and stands beside this package.
    if _EXTENSION not in app.extensions:
        raise ConfigError("the app has no OTPAuth: call otp_auth.init_app(app)")
    return app.extensions[_EXTENSION]
