"""From an identifier to a code on its way: generate and pre-register.

Who asks is told the same whether a code is sent or not, and the same work is done: an unknown
identifier gets a decoy, a challenge that no code can answer.
"""

import secrets
from dataclasses import dataclass, field
from typing import Any

from . import codes, signals
from .actors import Actors, actor_id
from .breaker import Breaker
from .challenges import LOGIN, REGISTRATION, Challenge, Challenges, Subject, check_id
from .config import Settings
from .errors import (
    DuplicateError,
    InvalidIdentifier,
    NotFound,
    RateLimited,
    RequestError,
    Unavailable,
)
from .identifiers import is_allowed
from .ports import Budgets, Emit


@dataclass(frozen=True)
class Issued:
    """The answer to a request for a code; the same whether one was sent or not.

    :ivar challenge: what the client sends back with the code.
    :ivar expires_in: seconds that a code is valid.
    :ivar resend_after: seconds after which another one can be asked for.
    """

    challenge: str = field(repr=False)
    expires_in: int
    resend_after: int


class Issuing:
    """Issues the codes of one app."""

    def __init__(
        self,
        actors: Actors,
        challenges: Challenges,
        budgets: Budgets,
        emit: Emit,
        breaker: Breaker,
    ) -> None:
        self._actors = actors
        self._challenges = challenges
        self._budgets = budgets
        self._breaker = breaker
        self._emit = emit

    def generate(self, actor_type: str, identifier: str, challenge: str | None = None) -> Issued:
        """Issue a login code, if there is such an actor; tell no caller whether there is.

        :param challenge: what an earlier call returned, if the caller holds it.
        :raises NotFound: if the actor type is not registered or, in plain mode, the actor.
        :raises InvalidData: if an argument is not what it must be; in plain mode also if no
            codes are sent to the country of the phone number.
        :raises RateLimited: in plain mode, within the resend window and over a send limit.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        return self._start(LOGIN, actor_type, identifier, challenge)

    def pre_register(
        self, actor_type: str, identifier: str, challenge: str | None = None
    ) -> Issued:
        """Issue a registration code, if there is no such actor yet; tell no caller.

        Arguments and errors are those of :meth:`generate`.

        :raises DuplicateError: in plain mode, if the identifier has an actor.
        """
        return self._start(REGISTRATION, actor_type, identifier, challenge)

    def _start(
        self, purpose: str, actor_type: str, identifier: str, challenge: str | None
    ) -> Issued:
        kind, settings = self._actors.get(actor_type)
        subject = Subject(kind.name, purpose, kind.canonical(identifier))
        check_id(challenge)
        find = kind.find_by_identifier if purpose == LOGIN else kind.find_owner
        actor = find(subject.identifier)
        unwanted = _unwanted(subject, actor, settings)
        if unwanted and not settings.always_return_success:
            self._suppress(subject, unwanted)
            raise _PLAIN[unwanted]
        with self._challenges.turn():
            issued = self._issue(subject, settings, decoy=unwanted is not None)
        self._breaker.tell()
        if isinstance(issued, str):
            return self._stay_silent(subject, issued, settings, challenge)
        if unwanted:
            self._suppress(subject, unwanted)
        else:
            self._deliver(actor, *issued)
        return Issued(issued[0].id, settings.ttl, settings.resend_interval)

    def _issue(
        self, subject: Subject, settings: Settings, *, decoy: bool
    ) -> tuple[Challenge, str] | str:
        """Return a new challenge and its code, or the reason why there is none."""
        if not self._challenges.open_window(subject, settings.resend_interval):
            return "cooldown"
        try:
            if not self._take_budget(subject, settings, decoy=decoy):
                return "send_limit"
            return self._put(subject, settings, decoy=decoy)
        except Unavailable:
            # Nothing was sent, so the next request must not be met with silence.
            self._challenges.close_window(subject)
            raise

    def _take_budget(self, subject: Subject, settings: Settings, *, decoy: bool) -> bool:
        """Count a code against what may be sent; false if nothing is left.

        A decoy counts against a budget of its own, so that the limiter's work is the same but
        only codes that are really sent are taken from the identifier's. Each purpose has one:
        else who is switched off, and gets decoys for both, would run out sooner than others.
        """
        budget = ("decoy", subject.purpose) if decoy else ("send",)
        return self._budgets.hit(settings.send_limits, *budget, *subject.owner)

    def _stay_silent(
        self, subject: Subject, reason: str, settings: Settings, challenge: str | None
    ) -> Issued:
        self._suppress(subject, reason)
        if not settings.always_return_success:
            wait = settings.resend_interval
            if reason == "send_limit":
                wait = self._until_next_send(subject, settings)
            raise RateLimited(retry_after=wait)
        held = self._challenges.new_id() if challenge is None else challenge
        return Issued(held, settings.ttl, settings.resend_interval)

    def _until_next_send(self, subject: Subject, settings: Settings) -> int:
        try:
            return self._budgets.retry_after(settings.send_limits, "send", *subject.owner)
        except Unavailable:
            self._challenges.close_window(subject)
            raise

    def _put(self, subject: Subject, settings: Settings, *, decoy: bool) -> tuple[Challenge, str]:
        # Guessers are met with longer codes, not with a locked door: the owner still gets in.
        has_budget = self._budgets.has_left(settings.verify_limits, "verify", *subject.owner)
        short = has_budget and not self._breaker.is_open()
        # For code and id at once, as each read lets other threads have the interpreter, which
        # costs more than all that is made of it.
        random = secrets.token_bytes(2 * codes.ENTROPY)
        own, rest = random[: codes.ENTROPY], random[codes.ENTROPY :]
        code = codes.generate(settings.digits, own) if short else codes.generate_long(own)
        challenge = self._challenges.issue(
            subject,
            None if decoy else code,
            length=len(code),
            attempts=settings.max_attempts if short else 0,
            ttl=settings.ttl,
            challenge_id=rest.hex(),
        )
        return challenge, code

    def _deliver(self, actor: Any | None, challenge: Challenge, code: str) -> None:
        subject = challenge.subject
        arguments = {
            "actor_type": subject.actor_type,
            "identifier": subject.identifier,
            "otp": code,
            "expires_at": challenge.expires_at,
        }
        if subject.purpose == REGISTRATION:
            self._emit(signals.pre_register_otp_generated, **arguments)
        else:
            self._emit(signals.otp_generated, actor_id=actor_id(actor), **arguments)

    def _suppress(self, subject: Subject, reason: str) -> None:
        self._emit(
            signals.otp_suppressed,
            actor_type=subject.actor_type,
            identifier=subject.identifier,
            purpose=subject.purpose,
            reason=reason,
        )


#: What a caller is told in plain mode, by the reason why no code is sent.
_PLAIN: dict[str, type[RequestError]] = {
    "unknown_actor": NotFound,
    "already_registered": DuplicateError,
    "country_not_allowed": InvalidIdentifier,
}


def _unwanted(subject: Subject, actor: Any | None, settings: Settings) -> str | None:
    # The country goes first: whether there is an account must make no difference.
    if not is_allowed(subject.identifier, settings.phone_countries):
        return "country_not_allowed"
    if subject.purpose == LOGIN:
        return "unknown_actor" if actor is None else None
    return None if actor is None else "already_registered"
