"""Actor types: who signs in, where such accounts are found, and what is special to them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from .config import Settings, overrides
from .errors import ConfigError, InvalidData, NotFound
from .identifiers import Canonicaliser, Kind, canonical, canonicaliser
from .opaque import Opaque

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class ActorStore(Protocol):
    """Where an app finds the accounts of one actor type."""

    def find_by_identifier(self, identifier: str) -> Any | None:
        """Return the actor with that canonical identifier, or ``None``."""

    def find_by_id(self, actor_id: str) -> Any | None:
        """Return the actor with that id, or ``None``."""


def actor_id(actor: Any) -> str:
    """Return an actor's id: ``get_id()`` where it has one (Flask-Login), else ``id``."""
    return str(actor.get_id()) if hasattr(actor, "get_id") else str(actor.id)


def is_active(actor: Any) -> bool:
    """Tell whether an actor may sign in: its ``is_active``, if it has one."""
    active = getattr(actor, "is_active", True)
    # In old models it is a method, and a method itself is always true.
    return bool(active() if callable(active) else active)


def _active(actor: Any | None) -> Any | None:
    return actor if actor is not None and is_active(actor) else None


class ActorType(Opaque):
    """One registered actor type.

    :ivar kind: what ``identifier=`` was.
    :ivar canonicaliser: the function that it stands for.
    :ivar overrides: settings that differ from the app's, by field name.
    """

    name: str
    store: ActorStore
    kind: Kind
    canonicaliser: Canonicaliser
    overrides: Mapping[str, Any]

    @classmethod
    def build(
        cls, name: str, store: ActorStore, identifier: Kind, given: dict[str, Any]
    ) -> "ActorType":
        """Check and make an actor type.

        :raises ConfigError: if anything about it can't work.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(f"an actor type is 1 to 64 letters, digits, - or _, not {name!r}")
        for method in ("find_by_identifier", "find_by_id"):
            if not callable(getattr(store, method, None)):
                raise ConfigError(f"the store of actor type {name!r} has no method {method}()")
        return cls(name, store, identifier, canonicaliser(identifier), overrides(given))

    def canonical(self, identifier: str) -> str:
        """Return the identifier's canonical form.

        :raises InvalidIdentifier: if it is not valid for this actor type.
        """
        if not isinstance(identifier, str):
            raise InvalidData("identifier must be a text.")
        return canonical(self.canonicaliser, identifier)

    def within(self, settings: Settings) -> tuple["ActorType", Settings]:
        """Return the type as an app's settings have it, and these with its own in place."""
        own = replace(settings, **self.overrides)
        return self.replace(canonicaliser=canonicaliser(self.kind, own.phone_region)), own

    def find_by_identifier(self, identifier: str) -> Any | None:
        """Return the active actor with that canonical identifier, or ``None``."""
        return _active(self.store.find_by_identifier(identifier))

    def find_owner(self, identifier: str) -> Any | None:
        """Return the actor with that canonical identifier, though it be inactive, or ``None``.

        Who was switched off must not come back by registering anew.
        """
        return self.store.find_by_identifier(identifier)

    def find_by_id(self, wanted: str) -> Any | None:
        """Return the active actor with that id, or ``None``."""
        return _active(self.store.find_by_id(wanted))


class Actors:
    """The registered actor types, as one app's settings have them.

    :param types: by name; types may be added to it later, never replaced.
    """

    def __init__(self, types: Mapping[str, ActorType], settings: Settings) -> None:
        self._types = types
        self._settings = settings
        self._resolved: dict[str, tuple[ActorType, Settings]] = {}

    @property
    def names(self) -> list[str]:
        """The names of all registered types."""
        return list(self._types)

    def get(self, name: str) -> tuple[ActorType, Settings]:
        """Return an actor type and its settings.

        :raises NotFound: if it is not registered.
        """
        resolved = self._resolved.get(name)
        if resolved is None:
            resolved = self._resolved[name] = self._resolve(name)
        return resolved

    def warns(self, name: str) -> bool:
        """Tell whether codes of that type that are not sent are logged."""
        return self.get(name)[1].warn_on_error

    def _resolve(self, name: str) -> tuple[ActorType, Settings]:
        kind = self._types.get(name)
        if kind is None:
            raise NotFound
        kind, settings = kind.within(self._settings)
        faults = settings.type_faults()
        if faults:
            raise ConfigError(*(f"actor type {name}: {fault}" for fault in faults))
        return kind, settings
