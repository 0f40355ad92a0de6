"""A guess: counted before anything is compared, with the same work whatever is there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .. import signals
from ..core import codes
from ..core.breaker import Breaker
from ..core.budgets import Budget, Budgets, Taken, address_budgets
from ..core.challenges import Challenges, check_challenge
from ..core.context import Caller
from ..core.events import Emit
from ..core.lanes import Lanes
from ..core.live_codes import LiveCodes, Match, NothingLive, Rejected
from ..core.purposes import DOOR, GRACE, PURPOSES, REGISTRATION
from ..core.scopes import Scope
from ..core.settings import Settings
from ..core.test_identities import FixedCodes
from ..errors import InvalidData, InvalidOTP, RateLimited

#: Characters that a pasted code may have at most, with all that is forgiven around it.
MAX_OTP_LENGTH = 128


def guess_budget(scope: Scope, settings: Settings) -> Budget:
    """Return what guesses at the short codes of a scope's owner are counted against."""
    return Budget(settings.verify_limits, ("verify", *scope.owner))


@dataclass(frozen=True, repr=False, eq=False)
class Guesser:
    """Takes the guesses at the codes of one app."""

    lanes: Lanes
    live_codes: LiveCodes
    fixed_codes: FixedCodes
    challenges: Challenges
    budgets: Budgets
    breaker: Breaker
    emit: Emit

    @contextmanager
    def rejecting(self, scope: Scope) -> Iterator[None]:
        """Answer whatever refuses a code with one and the same error.

        :raises InvalidOTP: in place of each :class:`Rejected`.
        """
        try:
            yield
        except Rejected as rejected:
            self.emit(signals.otp_rejected, **scope.facts(), reason=rejected.reason)
            raise InvalidOTP from None

    def guess(
        self,
        scopes: Sequence[Scope],
        settings: Settings,
        otp: str,
        challenge: str | None,
        caller: Caller,
    ) -> Match:
        """Count a guess, then compare it; the code is not used by that.

        :param scopes: what the code may be good for; all have one owner, and the last is what the
            guess counts as.
        :raises Rejected: if it is not right.
        :raises InvalidData: if an argument is not what it must be.
        :raises RateLimited: if the caller's address has used up its limit.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        if not isinstance(otp, str) or len(otp) > MAX_OTP_LENGTH:
            raise InvalidData(f"otp must be a text of at most {MAX_OTP_LENGTH} characters.")
        check_challenge(challenge, required=settings.require_challenge)
        code, counted = codes.normalise(otp), scopes[-1]
        if challenge is not None:
            scopes = self._answerable(challenge, scopes)
        if code is None or len(code) not in (settings.digits, codes.LONG_DIGITS) or not scopes:
            self._count(settings, caller)
            raise Rejected("wrong" if scopes else "challenge")
        if len(code) == codes.LONG_DIGITS:
            self._count(settings, caller)
            return self._compare_long(scopes, counted, code)
        self._count_short(counted, settings, caller)
        return self._compare_short(scopes, settings, code)

    def follow(
        self, scope: Scope, settings: Settings, token: str, challenge: str, caller: Caller
    ) -> Match:
        """Find the code that a link belongs to; the code is not used by that.

        It takes no guess, as nobody guesses 128 bits, but counts against the caller's address.
        Errors are those of :meth:`guess`.

        :param token: the end of the link.
        :param challenge: what the caller was answered when it asked. It is always needed, or
            whoever opens the link, a scanner of mails for one, could use it.
        """
        check_challenge(challenge, required=True)
        self._count(settings, caller)
        if not self._answerable(challenge, (scope,)):
            raise Rejected("challenge")
        return self.live_codes.match_link(scope, token)

    def use(self, scope: Scope, settings: Settings, match: Match) -> None:
        """Use up a code that was right.

        :raises Rejected: if somebody else did so first.
        :raises Unavailable: if the store can't be reached.
        """
        if match.is_fixed:
            facts = {"actor_type": scope.actor_type, "identifier": scope.identifier}
            self.emit(signals.test_identity_used, **facts)
        elif not self.live_codes.use(match, settings):
            raise Rejected("unknown")
        self.emit(signals.otp_verified, **scope.facts())

    def _answerable(self, challenge: str, scopes: Sequence[Scope]) -> list[Scope]:
        """Return the scopes that a caller may answer with this challenge."""
        return [scope for scope in scopes if self.challenges.fitting(challenge, _asked_as(scope))]

    def _count(self, settings: Settings, caller: Caller, *more: Budget) -> Taken:
        """Count against the caller's address, and then against ``more``.

        :returns: what came of the last budget.
        :raises RateLimited: if the address has used up its limit; ``more`` is not touched then.
        """
        addresses = address_budgets(settings.ip_verify_limits, "verify", caller.buckets)
        if not addresses and not more:
            return Taken()
        taken = self.budgets.take(*addresses, *more)
        if taken.refused in addresses:
            self.emit(signals.rate_limited, endpoint=caller.endpoint, address=caller.address)
            raise RateLimited(retry_after=self.budgets.retry_after(taken.refused))
        return taken

    def _count_short(self, scope: Scope, settings: Settings, caller: Caller) -> None:
        """Count a guess at short codes; who takes the last one lets the codes become long.

        :raises Rejected: if the identifier has none left.
        """
        taken = self._count(settings, caller, guess_budget(scope, settings))
        used_up = taken.refused is not None or taken.used_up
        if used_up and self.lanes.mark_attacked_by_guesses(scope, settings):
            self.emit(signals.identifier_attacked, **scope.facts(), limit="guesses")
        if taken.refused is not None:
            raise Rejected("budget")

    def _compare_long(self, scopes: Sequence[Scope], counted: Scope, code: str) -> Match:
        is_fixed = counted in scopes and self.fixed_codes.fits(counted, code)
        try:
            match = self.live_codes.match(scopes, code, long=True)
        except Rejected:
            if not is_fixed:
                raise
            return Match.fixed(counted)
        # A grace holds the same code and goes before it, but not at the door: a grace waits for an
        # account, and would refuse somebody new who begins again.
        is_door = is_fixed and PURPOSES[counted.purpose].to_newcomer is not None
        return Match.fixed(counted) if is_door else match

    def _compare_short(self, scopes: Sequence[Scope], settings: Settings, code: str) -> Match:
        try:
            return self.live_codes.match(scopes, code, long=False)
        except Rejected as rejected:
            live = not isinstance(rejected, NothingLive)
            limit = settings.global_failure_limit
            self.breaker.count_failure(scopes[-1].owner[0], limit, live=live)
            raise


def _asked_as(scope: Scope) -> list[Scope]:
    """Return the scopes whose challenges a code of ``scope`` may be answered with.

    A grace begins with a code of a registration or of the door.
    """
    if scope.purpose != GRACE:
        return [scope]
    names = (REGISTRATION.name, DOOR.name)
    return [Scope(scope.actor_type, name, scope.identifier) for name in names]
