"""From a code to a token: verify, register, authenticate.

Like the issuing of codes, this knows neither Flask nor requests: views, scripts and tests
call the same functions, and all are held to the same limits by identifier.
"""

from typing import Any, NoReturn

from . import codes, signals
from .actors import Actors, ActorType
from .breaker import Breaker
from .challenges import (
    GRACE,
    GRACE_ATTEMPTS,
    LOGIN,
    REGISTRATION,
    Challenge,
    Challenges,
    Subject,
    check_id,
)
from .config import Settings
from .credentials import Credentials
from .errors import ActorNotCreated, DuplicateError, InvalidData, InvalidOTP
from .ports import Budgets, Emit
from .values import Limit

#: Characters that a pasted code may have at most, with all that is forgiven around it.
MAX_OTP_LENGTH = 128


class Flows:
    """The answers to the challenges of one app."""

    def __init__(
        self,
        actors: Actors,
        challenges: Challenges,
        budgets: Budgets,
        credentials: Credentials,
        emit: Emit,
        breaker: Breaker,
    ) -> None:
        self._actors = actors
        self._challenges = challenges
        self._budgets = budgets
        self._breaker = breaker
        self._credentials = credentials
        self._emit = emit

    def verify(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None = None
    ) -> str:
        """Redeem a login code for an authentication token.

        :param challenge: the challenge that is answered; by default the newest.
        :raises NotFound: if the actor type is not registered.
        :raises InvalidData: if an argument is not what it must be.
        :raises InvalidOTP: if the code doesn't let in, for whatever reason.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        kind, settings = self._actors.get(actor_type)
        subject = Subject(kind.name, LOGIN, kind.canonical(identifier))
        code = self._code(subject, otp, challenge, settings)
        with self._challenges.turn():
            (found,) = self._challenges.find(challenge, subject)
            reason = self._redeem(found, code, settings)
        self._breaker.tell()
        return self._log_in(kind, settings, subject, reason)

    def register(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None = None
    ) -> str:
        """Redeem a registration code for a registration token.

        The same code lets in once more, within the grace, when the actor has been created.
        Arguments and errors are those of :meth:`verify`.

        :raises DuplicateError: if the code is right but the identifier has an actor.
        """
        kind, settings = self._actors.get(actor_type)
        subject = Subject(kind.name, REGISTRATION, kind.canonical(identifier))
        code = self._code(subject, otp, challenge, settings)
        with self._challenges.turn():
            (found,) = self._challenges.find(challenge, subject)
            reason = self._redeem(found, code, settings)
        self._breaker.tell()
        if found is None or reason is not None:
            self._reject(subject, reason or "unknown")
        if kind.find_owner(subject.identifier) is not None:
            self._verified(subject)
            raise DuplicateError
        self._challenges.issue(
            Subject(kind.name, GRACE, subject.identifier),
            code,
            length=found.length,
            attempts=0 if found.long else GRACE_ATTEMPTS,
            ttl=settings.grace_ttl,
            challenge_id=found.id,
        )
        token = self._credentials.for_registration(kind, settings, subject.identifier)
        self._verified(subject)
        return token

    def authenticate(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None = None
    ) -> str:
        """Redeem the code of a registration within its grace, or else a login code.

        Arguments and errors are those of :meth:`verify`.

        :raises ActorNotCreated: if the code is in its grace but there is no actor yet; the
            grace stays.
        """
        kind, settings = self._actors.get(actor_type)
        subject = Subject(kind.name, LOGIN, kind.canonical(identifier))
        code = self._code(subject, otp, challenge, settings)
        in_grace = Subject(kind.name, GRACE, subject.identifier)
        with self._challenges.turn():
            grace, login = self._challenges.find(challenge, in_grace, subject)
            if grace is not None and self._guess(grace, code, settings) is not None:
                grace = None
            reason = self._redeem(login, code, settings) if grace is None else None
        self._breaker.tell()
        if grace is None:
            return self._log_in(kind, settings, subject, reason)
        actor = kind.find_by_identifier(subject.identifier)
        if actor is None:
            raise ActorNotCreated
        if not self._challenges.redeem(grace):
            self._reject(subject, "unknown")
        return self._admit(kind, settings, subject, actor, "grace")

    def _code(self, subject: Subject, otp: str, challenge: str | None, settings: Settings) -> str:
        """Check the arguments of an answer and return the code that was meant."""
        if not isinstance(otp, str) or len(otp) > MAX_OTP_LENGTH:
            raise InvalidData(f"otp must be a text of at most {MAX_OTP_LENGTH} characters.")
        check_id(challenge, required=settings.require_challenge)
        code = codes.normalise(otp)
        if code is None:
            self._reject(subject, "wrong")
        return code

    def _log_in(
        self, kind: ActorType, settings: Settings, subject: Subject, reason: str | None
    ) -> str:
        if reason is not None:
            self._reject(subject, reason)
        actor = kind.find_by_identifier(subject.identifier)
        if actor is None:  # deleted or switched off since the code was sent
            self._reject(subject, "unknown")
        return self._admit(kind, settings, subject, actor, "otp")

    def _redeem(self, found: Challenge | None, code: str, settings: Settings) -> str | None:
        """Use a challenge up with its code. Returns the reason of a refusal."""
        if found is None:
            return "unknown"
        reason = self._guess(found, code, settings)
        if reason is not None:
            return reason
        return None if self._challenges.redeem(found) else "unknown"

    def _guess(self, found: Challenge, code: str, settings: Settings) -> str | None:
        if not found.long and self._breaker.is_open():
            return "budget"
        budget = _Budget(self._budgets, settings.verify_limits, found.subject.owner)
        reason = self._challenges.guess(found, code, budget.spend)
        if reason == "wrong" and budget.spent:
            self._breaker.count_failure()
        return reason

    def _admit(
        self, kind: ActorType, settings: Settings, subject: Subject, actor: Any, method: str
    ) -> str:
        token = self._credentials.for_actor(kind, settings, actor)
        self._verified(subject)
        self._credentials.announce(kind, actor, method)
        return token

    def _verified(self, subject: Subject) -> None:
        self._emit(
            signals.otp_verified,
            actor_type=subject.actor_type,
            identifier=subject.identifier,
            purpose=subject.purpose,
        )

    def _reject(self, subject: Subject, reason: str) -> NoReturn:
        self._emit(
            signals.otp_rejected,
            actor_type=subject.actor_type,
            identifier=subject.identifier,
            purpose=subject.purpose,
            reason=reason,
        )
        raise InvalidOTP


class _Budget:
    """An identifier's budget, and whether this guess took from it, so was compared."""

    def __init__(self, budgets: Budgets, limit: Limit, owner: tuple[str, str]) -> None:
        self._budgets = budgets
        self._limit = limit
        self._owner = owner
        self.spent = False

    def spend(self) -> bool:
        self.spent = self._budgets.hit(self._limit, "verify", *self._owner)
        return self.spent
