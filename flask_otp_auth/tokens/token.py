"""The token as an app gets it: a text that knows whose it is."""

from typing import Any


class Token(str):
    """A token, with what an app would decode it for.

    It is a ``str``: it goes into JSON, headers and comparisons as it is. Only its ``repr`` does
    not show it, so that a log of objects gives nobody access; ``str(token)`` is the token.

    :ivar actor: the actor as the store returned it; ``None`` for a registration token.
    :ivar actor_type: the name of the actor type.
    :ivar identifier: the identifier that the code was sent to, in canonical form; ``None`` where
        no code was, as for a refreshed token.
    :ivar registration: whether it is a registration token.
    """

    actor: Any
    actor_type: str
    identifier: str | None
    registration: bool

    def __new__(
        cls,
        text: str,
        actor: Any = None,
        actor_type: str = "",
        identifier: str | None = None,
        *,
        registration: bool = False,
    ) -> "Token":
        """Return a token of that text."""
        self = super().__new__(cls, text)
        self.actor = actor
        self.actor_type = actor_type
        self.identifier = identifier
        self.registration = registration
        return self

    def __repr__(self) -> str:
        return f"<Token for {self.actor_type}>"
