"""Scopes: what a code is good for, and what else is kept apart by that."""

from dataclasses import dataclass


@dataclass(frozen=True, repr=False)
class Scope:
    """What a code is good for; a code of one scope never works for another.

    :ivar actor_type: the name of the actor type; empty for a purpose of the app's own.
    :ivar purpose: the name of the purpose.
    :ivar identifier: in canonical form.
    :ivar bound: what else the code is bound to, in canonical form.
    """

    actor_type: str
    purpose: str
    identifier: str
    bound: str = ""

    @property
    def owner(self) -> tuple[str, str]:
        """Whose code it is: guesses are counted by that, and all keys of one owner share a tag."""
        # No actor type has a colon in its name.
        return self.actor_type or f"purpose:{self.purpose}", self.identifier

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """All that a code is bound to."""
        return self.actor_type, self.purpose, self.identifier, self.bound

    def facts(self) -> dict[str, str | None]:
        """Return what signals say of it; a purpose of the app's own has no actor type."""
        return {
            "actor_type": self.actor_type or None,
            "identifier": self.identifier,
            "purpose": self.purpose,
        }
