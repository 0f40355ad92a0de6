"""What every request for a code goes through: limits by address, gates, its turn, a job.

The request looks nobody up and stores no code, so it does the same for every identifier, and no
time or error tells who has an account.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import signals
from ..core import codes
from ..core.budgets import Budgets, address_budgets
from ..core.challenges import Challenges
from ..core.context import Caller
from ..core.events import Emit
from ..core.gates import Asked, Gate
from ..core.jobs import Outbox, SendJob, Suppressed
from ..core.lanes import Lanes, Turn
from ..core.scopes import Scope
from ..core.settings import Settings
from ..core.test_identities import FixedCodes
from ..errors import RateLimited, RequestError


@dataclass(frozen=True)
class Issued:
    """The answer to a request for a code; the same whether one is sent or not.

    :ivar challenge: what the client may send back with the code.
    :ivar expires_in: seconds that a code is valid.
    :ivar resend_after: seconds after which another one can be asked for.
    """

    challenge: str = field(repr=False)
    expires_in: int
    resend_after: int

    def json(self) -> dict[str, Any]:
        """Return it as the body of an answer."""
        return asdict(self)


class NotDue(RateLimited):
    """No code is due yet, which callers are told with plain answers alone.

    :ivar issued: what the answer would have been; it goes with the code that was sent before.
    """

    def __init__(self, issued: Issued, *, retry_after: int) -> None:
        self.issued = issued
        super().__init__(retry_after=retry_after)


@dataclass(frozen=True, repr=False, eq=False)
class Asker:
    """Takes the requests for codes of one app.

    :ivar gates: the app's own; may grow.
    """

    lanes: Lanes
    challenges: Challenges
    budgets: Budgets
    outbox: Outbox
    emit: Emit
    gates: Sequence[Gate]
    fixed_codes: FixedCodes

    def admit(self, scope: Scope, settings: Settings, caller: Caller) -> None:
        """Count a request against its address, then ask the app's gates.

        :raises RateLimited: if the address has used up its limit.
        :raises Refused: if a gate refuses.
        :raises Unavailable: if the limiter can't be reached.
        """
        if not caller.buckets:  # a script, without a request
            return
        budgets = address_budgets(settings.ip_generate_limits, "generate", caller.buckets)
        refused = self.budgets.take(*budgets).refused
        if refused is not None:
            self.emit(signals.rate_limited, endpoint=caller.endpoint, address=caller.address)
            raise RateLimited(retry_after=self.budgets.retry_after(refused))
        for gate in self.gates:
            gate(
                Asked(
                    actor_type=scope.actor_type or None,
                    purpose=scope.purpose,
                    identifier=scope.identifier,
                    address=caller.address,
                    proof=caller.proof,
                )
            )

    def ask(
        self,
        scope: Scope,
        settings: Settings,
        caller: Caller,
        *,
        refusal: type[RequestError] | None = None,
        step_up: bool = False,
        link_to: str | None = None,
    ) -> Issued:
        """Queue a job that sends a code, if one is due; to a test identity nothing is sent.

        :param refusal: what the caller is told with plain answers if no code is sent; the job
            finds out by itself, and the app's notice counts as a code does.
        :param step_up: whether the code is for somebody who is signed in.
        :param link_to: what the link beside the code begins with: a URL that ends in a slash.
        :raises RequestError: the refusal, if there is one.
        :raises NotDue: with plain answers, if no code is due yet.
        :raises Unavailable: if store, limiter or delivery can't take it.
        """
        self.outbox.reserve()
        try:
            job = self._job(scope, settings, caller, step_up, link_to)
        except BaseException:
            self.outbox.release()
            raise
        if self.fixed_codes.has(scope):
            self.outbox.release()
        else:
            self.outbox.submit(job)
        if refusal is not None:
            raise refusal
        issued = Issued(job.challenge, settings.ttl, settings.resend_interval)
        if job.suppressed and not settings.always_return_success:
            raise NotDue(issued, retry_after=self.lanes.seconds_until_turn(scope))
        return issued

    def _job(
        self,
        scope: Scope,
        settings: Settings,
        caller: Caller,
        step_up: bool,
        link_to: str | None,
    ) -> SendJob:
        turn, suppressed = Turn(long=False), None
        try:
            turn = self.lanes.take_turn(scope, settings)
        except Suppressed as stop:
            suppressed = stop.reason
        now = time.time()
        return SendJob(
            scope=scope,
            long=turn.long,
            asked_at=now,
            expires_at=now + codes.life(settings.ttl, long=turn.long),
            challenge=self.challenges.new(scope, settings.ttl),
            context=caller.context,
            suppressed=suppressed,
            attacked=turn.attacked,
            step_up=step_up,
            link_to=link_to,
        )
