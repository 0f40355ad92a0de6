"""The package's own templates, whatever syntax the app has chosen for its templates."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, PrefixLoader

#: What our templates are called as well, so that an app's own can extend the one that it replaces:
#: ``otp_auth_original/base.html``, ``otp_auth_original/messages/code.html``.
ORIGINAL = "otp_auth_original"

#: What our templates are written in.
_OURS = Environment(autoescape=True, keep_trailing_newline=True)

#: The environment's attribute that a token of a template is written as.
_DELIMITERS = {
    f"{kind}_{edge}": f"{kind}_{side}_string"
    for kind in ("block", "variable", "comment")
    for edge, side in (("begin", "start"), ("end", "end"))
}


class OwnTemplates(FileSystemLoader):
    """Loads them in the syntax of the environment that asks.

    Apps choose other delimiters where a script on their pages has those of Jinja. Without this,
    people would get the templates themselves.
    """

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str, Callable[[], bool]]:
        """Return a template's text, its file and what tells whether it is as it was."""
        source, filename, is_current = super().get_source(environment, template)
        if _syntax(environment) != _syntax(_OURS):
            source = _translated(source, environment)
        return source, filename, is_current


def own_loader(folder: Path) -> BaseLoader:
    """Return what loads the package's templates by both of their names.

    :param folder: has them in its folder ``otp_auth``.
    """
    originals = PrefixLoader({ORIGINAL: OwnTemplates(folder / "otp_auth")})
    return ChoiceLoader([OwnTemplates(folder), originals])


def _syntax(environment: Environment) -> list[str]:
    return [getattr(environment, name) for name in _DELIMITERS.values()]


def _translated(source: str, environment: Environment) -> str:
    parts = []
    for _, token, text in _OURS.lex(source):
        name = _DELIMITERS.get(token)
        if name is not None:
            text = text.replace(getattr(_OURS, name), getattr(environment, name))
        parts.append(text)
    return "".join(parts)
