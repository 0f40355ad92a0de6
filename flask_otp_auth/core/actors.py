"""Actor types: who signs in, where such accounts are found, and what is special to them.

What an app's store returns is checked here, once, so that a store that is no store (``async def``
finders, a list in place of an actor) ends in an error and never in a sign-in.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import getattr_static
from typing import Any, Literal, Protocol

from ..errors import ConfigError, NotFound
from ..storage.base import log_error
from .identifiers import Canonicaliser, IdentifierSpec, canonicaliser
from .registry import Registry
from .settings import Settings, overrides
from .store_checks import check_store, class_name, described, is_async, refuse_awaitable, truth

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

#: Names that routes of the blueprint have in the place of an actor type; those with a dot
#: (``openapi.json``, ``.well-known``) are none anyway.
RESERVED_NAMES = frozenset({"token", "session", "sign-ins", "static"})

#: Who may register: everybody, nobody, or whom a function lets through.
SignUp = Literal["open", "closed"] | Callable[[str], bool]


class ActorStore(Protocol):
    """Where an app finds the accounts of one actor type.

    It may also have ``is_active(actor)``, which counts in place of the actor's own ``is_active``,
    and for pages ``create(identifier, fields)``, which returns the new actor or raises
    :class:`~flask_otp_auth.errors.DuplicateError`.
    """

    def find_by_identifier(self, identifier: str) -> Any | None:
        """Return the actor with that canonical identifier, or ``None``."""

    def find_by_id(self, actor_id: str) -> Any | None:
        """Return the actor with that id, or ``None``."""


def actor_id(actor: Any) -> str:
    """Return an actor's id: ``get_id()`` where it has one (Flask-Login), else ``id``.

    :raises TypeError: if it has no id, or one that is ``None`` or empty.
    :raises ValueError: if it is bytes.
    """
    own = None if isinstance(actor, type) else _own_id(actor)
    refuse_awaitable(own, f"{class_name(actor)}.get_id")
    if isinstance(own, bytes):  # their text is "b'…'", by which no store finds anybody again
        raise ValueError(
            f"the id of this {class_name(actor)} is bytes; give it a get_id() that makes a text of "
            "them, such as their hex()"
        )
    # Flask-Login's UserMixin makes the text "None" of an id that the database has yet to give.
    # A method in place of a value would be another text at each start.
    if own is None or callable(own) or str(own) in ("", "None"):
        raise TypeError(f"an actor must have an id; this {class_name(actor)} has none (yet)")
    return str(own)


def _own_id(actor: Any) -> Any:
    try:
        return actor.get_id() if hasattr(actor, "get_id") else actor.id
    except (AttributeError, NotImplementedError):  # UserMixin raises the other
        return None


def is_active(actor: Any) -> bool:
    """Tell whether an actor may sign in: its ``is_active``, if it has one.

    :raises TypeError: if ``is_active`` is a text, bytes or a coroutine, which are always true.
    """
    try:
        active = actor.is_active
    except AttributeError:
        if getattr_static(actor, "is_active", None) is not None:
            raise  # a property has read what is not there: it has not said that the actor is active
        return True
    # In old models it is a method, and a method itself is always true.
    return truth(active() if callable(active) else active, f"{class_name(actor)}.is_active")


@dataclass(frozen=True, repr=False, eq=False)
class ActorTypeSpec:
    """An actor type as an app registers it; :meth:`resolve` makes an :class:`ActorType` of it.

    :ivar identifier: what ``identifier=`` was.
    :ivar overrides: settings that differ from the app's, by field name.
    """

    name: str
    store: ActorStore
    identifier: IdentifierSpec
    sign_up: SignUp
    overrides: Mapping[str, Any]

    @classmethod
    def build(
        cls,
        name: str,
        store: ActorStore,
        identifier: IdentifierSpec = "email",
        sign_up: SignUp = "open",
        given: Mapping[str, Any] | None = None,
    ) -> "ActorTypeSpec":
        """Check and make an actor type.

        :param given: settings that differ from the app's, as they are given to ``add_actor_type``.
        :raises ConfigError: if anything about it can't work.
        """
        _check_name(name)
        check_store(name, store)
        canonicaliser(identifier)  # refuses what it is not, and says so if its package is missing
        if not (sign_up in ("open", "closed") or callable(sign_up)):
            raise ConfigError(f'sign_up= must be "open", "closed" or a callable, not {sign_up!r}')
        if is_async(sign_up):
            raise ConfigError("sign_up= must be a plain function, not async def")
        return cls(name, store, identifier, sign_up, overrides(given or {}))

    def resolve(
        self, settings: Settings, *, special_use: Callable[[], bool], moving: bool = True
    ) -> "ActorType":
        """Return the type as an app's settings have it.

        :param special_use: as in :func:`~flask_otp_auth.core.identifiers.canonicaliser`.
        :param moving: whether the windows of limits move (see :meth:`Settings.overridden`).
        :raises ConfigError: if its own settings contradict the app's.
        """
        own = settings.overridden(self.overrides, f"actor type {self.name}", moving)
        form = canonicaliser(self.identifier, own.phone_region, special_use=special_use)
        return ActorType(self.name, self.store, self.sign_up, form, own, self.identifier)


@dataclass(frozen=True, repr=False, eq=False)
class ActorType:
    """One actor type of one app.

    :ivar canonical: brings an identifier into its canonical form.
    :ivar settings: the app's settings with the type's own in place.
    :ivar identifier: what ``identifier=`` was.
    """

    name: str
    store: ActorStore
    sign_up: SignUp
    canonical: Canonicaliser
    settings: Settings
    identifier: IdentifierSpec

    def find_by_identifier(self, identifier: str) -> Any | None:
        """Return the active actor with that canonical identifier, or ``None``.

        :raises TypeError: if the store returns anything but an actor or ``None``.
        """
        return self._if_active(self.find_including_inactive(identifier))

    def find_including_inactive(self, identifier: str) -> Any | None:
        """Return the actor with that canonical identifier, even an inactive one, or ``None``.

        A deactivated user must not be able to register again.

        :raises TypeError: as :meth:`find_by_identifier`.
        """
        found = self.store.find_by_identifier(identifier)
        return self._checked(found, "find_by_identifier")

    @property
    def has_create(self) -> bool:
        """Whether the store can create actors, so that people can join at the pages."""
        return callable(getattr(self.store, "create", None))

    def create(self, identifier: str, fields: Mapping[str, Any]) -> Any:
        """Create the actor with that canonical identifier, and return it.

        :raises DuplicateError: if there is one.
        :raises SignUpRefused: if the app refuses.
        :raises TypeError: if the store returns anything but an actor.
        """
        # Not each store has it, so its protocol doesn't name it.
        created = self._checked(self.store.create(identifier, fields), "create")  # type: ignore[attr-defined]
        if created is None:
            raise TypeError(f"{class_name(self.store)}.create() must return an actor, not None")
        return created

    def find_by_id(self, wanted: str) -> Any | None:
        """Return the active actor with that id, or ``None``.

        One with another id counts as unknown: a token would sign in somebody else.

        :raises TypeError: as :meth:`find_by_identifier`.
        """
        found = self._checked(self.store.find_by_id(wanted), "find_by_id")
        if found is not None and actor_id(found) != wanted:
            log_error(
                "%s.find_by_id() must return the actor whose id it is asked for, which is what "
                "get_id() of %s says, or else its id: what it found counts as unknown",
                class_name(self.store), class_name(found),
            )  # fmt: skip
            return None
        return self._if_active(found)

    def is_active(self, actor: Any) -> bool:
        """Tell whether an actor may sign in: what the store says, else the actor's ``is_active``.

        :raises TypeError: if the answer is a text, bytes or a coroutine, which are always true.
        """
        ask = getattr(self.store, "is_active", None)
        if not callable(ask):
            return is_active(actor)
        return truth(ask(actor), f"{class_name(self.store)}.is_active()")

    def may_sign_up(self, identifier: str) -> bool:
        """Tell whether somebody new with that canonical identifier may register.

        :raises TypeError: if the app's function returns a coroutine, which is always true.
        """
        if not callable(self.sign_up):
            return self.sign_up == "open"
        answer = self.sign_up(identifier)
        refuse_awaitable(answer, f"sign_up= of actor type {self.name!r}")
        return bool(answer)

    def _if_active(self, actor: Any | None) -> Any | None:
        return actor if actor is not None and self.is_active(actor) else None

    def _checked(self, found: Any, method: str) -> Any:
        if found is None:
            return None
        place = f"{class_name(self.store)}.{method}()"
        refuse_awaitable(found, place)
        try:
            actor_id(found)
        except TypeError:
            raise TypeError(
                f"{place} must return an actor (an object with an id that is not empty) or None, "
                f"not {described(found)}"
            ) from None
        return found


class ActorRegistry(Registry[ActorType]):
    """The actor types of one app."""

    def get(self, name: str) -> ActorType:
        """Return an actor type.

        :raises NotFound: if it is not registered.
        :raises ConfigError: if it was added after ``init_app`` and contradicts the app's settings.
        """
        found = self.find(name)
        if found is None:
            raise NotFound
        return found


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"an actor type is 1 to 64 letters, digits, - or _, not {name!r}")
    if name in RESERVED_NAMES:
        raise ConfigError(f"{name!r} is the name of a route, so it can't be an actor type")
