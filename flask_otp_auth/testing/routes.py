"""Where an app has the routes of the blueprint, however it has mounted them."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from flask import Flask
from werkzeug.routing import BuildError, MapAdapter, Rule

from ..errors import ConfigError

#: What stands in a path for its parts of these names.
_LIKELY = dict.fromkeys(("lang", "lang_code", "language", "locale"), "en")


def path_of(app: Flask, name: str, **values: str) -> str:
    """Return the path of a route.

    :param name: its endpoint within the blueprint, such as ``generate``.
    :raises ConfigError: if the app has it nowhere, or under a part that can't be guessed alone.
    """
    found = find_path(app, name, **values)
    if found is None:
        raise ConfigError(
            f"the app has no route {name!r} whose path is known: mount otp_auth.blueprint, once at "
            "least under a prefix whose parts are texts or numbers, such as <lang>"
        )
    return found


def find_path(app: Flask, name: str, **values: str) -> str | None:
    """Return the path of a route, or ``None`` if the app has it nowhere.

    One without parts of its own is preferred; else they are filled in with what is likely.
    """
    adapter = _adapter(app)
    rules = [
        rule
        for rule in app.url_map.iter_rules()
        if f".{rule.endpoint}".endswith(f".otp_auth.{name}")
    ]
    for rule in sorted(rules, key=lambda rule: len(_parts(rule))):
        with suppress(BuildError, ValueError):  # a part of another kind
            return adapter.build(rule.endpoint, _filled(rule, values))
    return None


def _adapter(app: Flask) -> MapAdapter:
    # Below the server's name, routes on a subdomain have URLs that a test client can call.
    return app.url_map.bind(app.config["SERVER_NAME"] or "localhost")


def _parts(rule: Rule) -> set[str]:
    return rule.arguments - set(rule.defaults or ())


def _filled(rule: Rule, values: Mapping[str, str]) -> dict[str, str]:
    likely = {**_LIKELY, **values}
    return {name: likely.get(name, "1") for name in _parts(rule)}


def paths(app: Flask, actor_type: str, *methods: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the endpoint of each route that takes one of some methods.

    Parts of a path, such as ``<lang>``, are filled in with what is likely.
    """
    adapter = _adapter(app)
    for rule in app.url_map.iter_rules():
        values = _filled(rule, {"actor_type": actor_type})
        for method in rule.methods.intersection(methods) if rule.methods else ():
            with suppress(BuildError, ValueError):  # a part of another kind
                yield adapter.build(rule.endpoint, values, method), rule.endpoint
