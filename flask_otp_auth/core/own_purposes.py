"""Purposes of an app's own: to prove an address, or to confirm one action."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import ConfigError
from .identifiers import Canonicaliser, IdentifierSpec, canonicaliser
from .purposes import check_name
from .registry import Registry
from .settings import Settings, overrides
from .validators import DAY, seconds

#: Seconds that a code may live which confirms an action, and one that only confirms an address
#: (NIST SP 800-63A-4, section 3.8).
MAX_TTL, MAX_ADDRESS_TTL = 600, DAY

#: Settings of sign-ins and registrations, which follow no code of a purpose of the app's own.
_OF_ACTORS = frozenset(
    {
        "actor_limits",
        "grace_ttl",
        "max_sign_ins",
        "registration_token_ttl",
        "session_ttl",
        "token_ttl",
    }
)


@dataclass(frozen=True, repr=False, eq=False)
class OwnPurposeSpec:
    """A purpose as an app registers it.

    :ivar identifier: what the codes are sent to; ``None`` for whatever the text looks like.
    :ivar overrides: settings that differ from the app's, by field name.
    """

    name: str
    identifier: IdentifierSpec | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        name: str,
        identifier: IdentifierSpec,
        ttl: object,
        confirms_address_only: bool,
        given: Mapping[str, Any],
    ) -> "OwnPurposeSpec":
        """Check and make a purpose.

        :raises ConfigError: if anything about it can't work.
        """
        check_name(name)
        canonicaliser(identifier)  # refuses what can't be one
        own = _checked_ttl(ttl, confirms_address_only)
        return cls(name, identifier, {**_checked_overrides(given), **own})

    def resolve(
        self, settings: Settings, *, special_use: Callable[[], bool], moving: bool
    ) -> "OwnPurpose":
        """Return the purpose as an app's settings have it.

        :raises ConfigError: if its own settings contradict the app's.
        """
        own = settings.overridden(self.overrides, f"purpose {self.name}", moving)
        return OwnPurpose(self._form(own.phone_region, special_use), own)

    def _form(self, region: str | None, special_use: Callable[[], bool]) -> Canonicaliser:
        if self.identifier is not None:
            return canonicaliser(self.identifier, region, special_use=special_use)

        def either(text: str) -> str:
            spec = "email" if "@" in text else "phone"
            return canonicaliser(spec, region, special_use=special_use)(text)

        return canonicaliser(either)


def _checked_overrides(given: Mapping[str, Any]) -> Mapping[str, Any]:
    if useless := sorted(_OF_ACTORS.intersection(given)):
        names = ", ".join(useless)
        raise ConfigError(f"a purpose has no sign-ins, so it can't have {names} of its own")
    return overrides(given)


def _checked_ttl(ttl: object, confirms_address_only: bool) -> dict[str, int]:
    if ttl is None:
        return {}
    longest = MAX_ADDRESS_TTL if confirms_address_only else MAX_TTL
    try:
        return {"ttl": seconds(1, longest)(ttl)}
    except ValueError as error:
        hint = "" if confirms_address_only else "; with confirms_address_only=True up to a day"
        raise ConfigError(f"ttl= {error}{hint}") from None


@dataclass(frozen=True, repr=False, eq=False)
class OwnPurpose:
    """A purpose of one app.

    :ivar canonical: brings an identifier into its canonical form.
    :ivar settings: the app's settings with the purpose's own in place.
    """

    canonical: Canonicaliser
    settings: Settings


@dataclass(repr=False, eq=False)
class OwnPurposeRegistry(Registry[OwnPurpose]):
    """The purposes of one app; those that nobody registered have the app's settings."""

    # Apart, as they may be registered yet.
    _unregistered: dict[str, OwnPurpose] = field(default_factory=dict, init=False)

    def get(self, name: str) -> OwnPurpose:
        """Return a purpose.

        :raises ConfigError: if it was added after ``init_app`` and contradicts the app's settings.
        """
        found = self.find(name) or self._unregistered.get(name)
        if found is None:
            found = self._unregistered.setdefault(name, self._resolve(OwnPurposeSpec(name)))
        return found
