"""From an identifier to a job that sends a code: generate, pre-register, start."""

from dataclasses import dataclass

from ..core.actors import ActorRegistry, ActorType
from ..core.context import Caller
from ..core.purposes import LOGIN, REGISTRATION, Purpose
from ..core.scopes import Scope
from ..errors import DuplicateError, InvalidIdentifier, NotFound, Refused, RequestError
from .ask import Asker, Issued
from .recipients import door_of, look_up

#: What a caller is told with plain answers, by the reason why no code is sent.
_PLAIN_ERRORS: dict[str | None, type[RequestError] | None] = {
    None: None,
    "unknown_actor": NotFound,
    "already_registered": DuplicateError,
    "country_not_allowed": InvalidIdentifier,
    "line_not_allowed": InvalidIdentifier,
    "not_invited": Refused,
}


@dataclass(frozen=True, repr=False, eq=False)
class CodeIssuer:
    """Takes the requests for codes to sign in and to register with."""

    actors: ActorRegistry
    asker: Asker

    def generate(
        self, actor_type: str, identifier: str, caller: Caller, *, link_to: str | None = None
    ) -> Issued:
        """Send a login code, if there is such an actor; tell no caller whether there is.

        :param link_to: what the link beside the code begins with, if there is to be one: a URL that
            ends in a slash.
        :raises NotFound: if the actor type is not registered or, with plain answers, the actor.
        :raises InvalidData: if the identifier is not valid; with plain answers also if no codes
            are sent to such phone numbers.
        :raises RateLimited: if the caller's address has used up its limit; with plain answers
            also if no code is due yet.
        :raises Refused: if a gate of the app's own refuses.
        :raises Unavailable: if store, limiter or delivery can't take it.
        """
        return self._ask(LOGIN, self.actors.get(actor_type), identifier, caller, link_to)

    def pre_register(
        self, actor_type: str, identifier: str, caller: Caller, *, link_to: str | None = None
    ) -> Issued:
        """Send a registration code, if there is no such actor yet; tell no caller.

        Arguments and errors are those of :meth:`generate`.

        :raises DuplicateError: with plain answers, if the identifier has an actor.
        """
        return self._ask(REGISTRATION, self.actors.get(actor_type), identifier, caller, link_to)

    def start(
        self, actor_type: str, identifier: str, caller: Caller, *, link_to: str | None = None
    ) -> Issued:
        """Send a code to sign in with or to join with, whichever it is to be.

        Arguments and errors are those of :meth:`generate`.
        """
        registered = self.actors.get(actor_type)
        return self._ask(door_of(registered), registered, identifier, caller, link_to)

    def _ask(
        self,
        purpose: Purpose,
        actor_type: ActorType,
        identifier: str,
        caller: Caller,
        link_to: str | None,
    ) -> Issued:
        settings = actor_type.settings
        scope = Scope(actor_type.name, purpose.name, actor_type.canonical(identifier))
        self.asker.admit(scope, settings, caller)
        refusal = None
        if not settings.always_return_success:
            refusal = _PLAIN_ERRORS[look_up(purpose, actor_type, scope.identifier).reason]
        return self.asker.ask(scope, settings, caller, refusal=refusal, link_to=link_to)
