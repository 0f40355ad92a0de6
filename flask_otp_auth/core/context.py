"""What is known of the request that a flow serves, caught while there is one."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True)
class Context:
    """What a message may say of the request that asked for it, and nothing that it need not.

    It can be pickled, as handlers run in the background.

    :ivar locale: the language of the request, such as ``"de"`` or ``"pt_BR"``.
    :ivar requested_at: when it came, an aware time in UTC.
    :ivar browser: in words, such as ``"Firefox"``; ``None`` if unknown.
    :ivar platform: in words, such as ``"Linux"``; ``None`` if unknown.
    :ivar address: the address that it came from; ``None`` behind a Unix socket.
    """

    locale: str | None
    requested_at: datetime
    browser: str | None
    platform: str | None
    address: str | None


class Caller(Protocol):
    """Who calls a flow."""

    @property
    def buckets(self) -> tuple[str, ...]:
        """What its address counts as: the narrowest first; none outside of a request."""

    @property
    def address(self) -> str | None:
        """The address as it is."""

    @property
    def endpoint(self) -> str | None:
        """The endpoint that was called."""

    @property
    def proof(self) -> str | None:
        """What the caller shows to the app's gates."""

    @property
    def context(self) -> Context | None:
        """What messages may say of the request; ``None`` outside of one."""


@dataclass(frozen=True)
class NoCaller:
    """A script, a shell or a test: there is no request, so no address counts."""

    buckets: tuple[str, ...] = ()
    address: str | None = None
    endpoint: str | None = None
    proof: str | None = None
    context: Context | None = None


#: The caller of a flow outside of a request.
NO_CALLER: Caller = NoCaller()
