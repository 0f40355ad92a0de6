"""Templates of messages, the app's own before the package's, in the reader's language."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from flask import Flask, current_app, has_app_context, has_request_context
from jinja2 import ChoiceLoader, Environment

from ..core.context import Context
from .own_templates import own_loader
from .translation import gettext, has_babel, in_language, ngettext

#: Where the package's own templates are.
TEMPLATES: Path = Path(__file__).parent / "templates"

#: Where an app's environment is kept.
_EXTENSION = "otp_auth_messages"


@contextmanager
def written_for(app: Flask, context: Context | None) -> Iterator[None]:
    """Render in the language of whoever asked, in the app's context."""
    # A context of our own would end what the app keeps in the one that is there.
    is_there = has_app_context() and current_app == app
    locale = None if context is None else context.locale
    with (
        nullcontext() if is_there else app.app_context(),
        in_language(_default_language()),
        in_language(locale),
    ):
        yield


def render(app: Flask, name: str, values: Mapping[str, Any]) -> str:
    """Render a template, such as ``code.txt``.

    :param values: its variables; ``_`` and ``ngettext`` come on top.
    """
    template = _environment(app).get_template(f"otp_auth/messages/{name}")
    return template.render({**values, "_": gettext, "ngettext": ngettext}).strip()


def _environment(app: Flask) -> Environment:
    if _EXTENSION not in app.extensions:
        loaders = [app.jinja_env.loader, own_loader(TEMPLATES)]
        app.extensions[_EXTENSION] = app.jinja_env.overlay(
            loader=ChoiceLoader([loader for loader in loaders if loader]),
            autoescape=_is_html,
            trim_blocks=True,
            lstrip_blocks=True,
        )
    environment: Environment = app.extensions[_EXTENSION]
    return environment


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith(".html")


def _default_language() -> str | None:
    """Return the app's language where its selector can't ask a request for another one."""
    if has_request_context() or not has_babel():
        return None
    from flask_babel import get_babel  # here: not each app has it

    return str(get_babel().default_locale)
