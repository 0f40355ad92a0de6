"""Where an app has the routes of the blueprint, however it has mounted them."""

from collections.abc import Iterator
from contextlib import suppress

from flask import Flask
from werkzeug.routing import BuildError

from ..errors import ConfigError

#: What stands in a path for its parts of these names.
_LIKELY = dict.fromkeys(("lang", "lang_code", "language", "locale"), "en")


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


def paths(app: Flask, actor_type: str, *methods: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the endpoint of each route that takes one of some methods.

    Parts of a path, such as ``<lang>``, are filled in with what is likely.
    """
    likely = {**_LIKELY, "actor_type": actor_type}
    adapter = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        values = {name: likely.get(name, "1") for name in rule.arguments}
        for method in rule.methods.intersection(methods) if rule.methods else ():
            with suppress(BuildError, ValueError):  # a part of another kind
                yield adapter.build(rule.endpoint, values, method), rule.endpoint
