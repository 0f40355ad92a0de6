"""What an app contributes to its pages: sign-up forms, and variables for templates."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError

if TYPE_CHECKING:
    from ..core.actors import ActorRegistry

logger: logging.Logger = logging.getLogger("flask_otp_auth")

#: Returns variables of the app's own for the templates of pages.
PageContext = Callable[[], Mapping[str, Any]]


class PageParts:
    """What is registered for pages; may grow.

    :ivar forms: the classes of sign-up forms, by actor type.
    :ivar contexts: the functions that return variables.
    """

    def __init__(self) -> None:
        self.forms: dict[str, type[Any]] = {}
        self.contexts: list[PageContext] = []

    def add_form(self, actor_type: str, form: type[Any]) -> None:
        """Register a sign-up form.

        :raises ConfigError: if it is no class of WTForms.
        """
        if not isinstance(form, type) or not hasattr(form, "populate_obj"):
            raise ConfigError(
                f"the sign-up form of {actor_type!r} must be a class of WTForms, not {form!r}"
            )
        self.forms[actor_type] = form

    def checked(self, actors: ActorRegistry) -> PageParts:
        """Return it, if each store with a sign-up form can create actors.

        :raises ConfigError: if one can't.
        """
        for name in self.forms:
            actor_type = actors.find(name)
            if actor_type is None:
                logger.warning(
                    "a sign-up form is for %r, which is no actor type yet: under another name "
                    "people join without the form", name,
                )  # fmt: skip
            elif not actor_type.has_create:
                raise ConfigError(
                    f"actor type {name!r} has a sign-up form, so its store needs a method "
                    "create(identifier, fields)"
                )
        return self
