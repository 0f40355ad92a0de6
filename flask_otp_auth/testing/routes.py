"""Where an app has the routes of the blueprint, however it has mounted them."""

from flask import Flask
from werkzeug.routing import BuildError

from ..errors import ConfigError


def path_of(app: Flask, name: str, **values: str) -> str:
    """Return the path of a route.

    :param name: its endpoint within the blueprint, such as ``generate``.
    :raises ConfigError: if the app has it nowhere, or its prefix has parts of its own.
    """
    found = find_path(app, name, **values)
    if found is None:
        raise ConfigError(
            f"the app has no route {name!r} whose path is known: mount otp_auth.blueprint, once at "
            "least under a prefix without parts such as <lang>"
        )
    return found


def find_path(app: Flask, name: str, **values: str) -> str | None:
    """Return the path of a route, or ``None`` if the app has it nowhere."""
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        if f".{rule.endpoint}".endswith(f".otp_auth.{name}"):
            try:
                return adapter.build(rule.endpoint, values)
            except BuildError:
                continue
    return None
