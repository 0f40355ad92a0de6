"""The steps of a job: the look-up, then each handler by itself."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from .. import signals
from ..core.audit import Audit
from ..core.crypto import is_expired
from ..core.jobs import Outgoing, SendJob, Suppressed
from ..core.scopes import Scope
from ..core.settings import Settings
from ..errors import Unavailable
from .backlog import LOOK_UPS, MEMBERS, OTHERS, Step
from .signalling import Failure, Handler, Message, Signaller, name_of, needs_request

logger: logging.Logger = logging.getLogger("flask_otp_auth")

_OF_REQUEST = (
    "accounts are looked up without the request context, as the answer may be out already: let the "
    "actor store, is_active and sign_up= need nothing of the request"
)


class Sender(Protocol):
    """Makes the messages; see :class:`flask_otp_auth.flows.send.CodeSender`."""

    def prepare(self, job: SendJob) -> Outgoing:
        """Look the actor up, draw and store a code, and return its message.

        :raises Suppressed: if none is to be sent.
        :raises Unavailable: if the store or the limiter can't be reached.
        """

    def give_up(self, job: SendJob, *, is_tried: bool) -> None:
        """Let another code be asked for at once, as this one could not be delivered.

        :param is_tried: whether a handler was called; if not, nothing was sent.
        :raises Unavailable: if the store can't be reached.
        """


@dataclass(frozen=True)
class Manner:
    """How a job runs.

    :ivar enter: opens the app context of a step.
    :ivar caught: what stops at a step; all else is for whoever owns the thread.
    :ivar retries: seconds after which a handler that raised is called again.
    :ivar raises_outages: whether somebody waits to be told that the store can't be reached.
    """

    enter: Callable[[], AbstractContextManager[object]]
    caught: type[BaseException] = Exception
    retries: tuple[float, ...] = ()
    raises_outages: bool = False


@dataclass(frozen=True, repr=False, eq=False)
class Call:
    """A call of one handler.

    :ivar deadline: after that moment the message is of no use, seconds since the epoch.
    :ivar number: how often it was called, this time included.
    """

    job: SendJob
    message: Message
    handler: Handler
    deadline: float
    priority: int
    number: int = 1


class JobRunner:
    """Makes the steps of jobs.

    :param settings_of: returns the settings that count for a scope.
    """

    def __init__(
        self,
        sender: Sender,
        signaller: Signaller,
        audit: Audit,
        settings_of: Callable[[Scope], Settings],
    ) -> None:
        self._sender = sender
        self._signaller = signaller
        self._audit = audit
        self._settings_of = settings_of

    def first_step(self, job: SendJob, manner: Manner) -> Step:
        """Return the step with which a job begins."""
        name = f"the look-up of {job.scope.owner[0]}"
        return Step(name, partial(self._look_up, job, manner), LOOK_UPS)

    def give_up(
        self,
        job: SendJob,
        failure: Failure,
        manner: Manner,
        *,
        message: Message | None = None,
        attempts: int = 1,
    ) -> None:
        """Log a failure, send ``delivery_failed``, and let another code be asked for.

        :param message: what could not be delivered; ``None`` if there was none yet.
        """
        if message is None:
            self._report(job, failure)
        else:
            self._signaller.report(failure, message)
        self._announce(job, failure, manner, attempts)
        is_notice = job.suppressed or (message is not None and message.otp is None)
        if not is_notice:
            self._reopen(job, is_tried=message is not None)

    def _report(self, job: SendJob, failure: Failure) -> None:
        """Log what was raised elsewhere than in a handler; an outage is no fault of the app's."""
        level = logging.WARNING if isinstance(failure.error, Unavailable) else logging.ERROR
        message = Message(signals.delivery_failed, job.scope.facts())
        self._signaller.report(failure, message, level=level, where="")

    def _reopen(self, job: SendJob, *, is_tried: bool) -> None:
        with suppress(Unavailable):
            self._sender.give_up(job, is_tried=is_tried)

    def _look_up(self, job: SendJob, manner: Manner) -> list[Step]:
        return self._within(job, manner, lambda: self._prepare(job, manner))

    def _prepare(self, job: SendJob, manner: Manner) -> list[Step]:
        if is_expired(job.expires_at):
            self._drop(job, manner, attempts=0)
            return []
        # Reported after the block: an error tracker would show the error that is handled.
        failure: Failure | None = None
        try:
            outgoing = self._sender.prepare(job)
        except Suppressed as stop:
            reason = stop.reason
        except manner.caught as error:
            advice = _OF_REQUEST if needs_request(error) else ""
            failure = Failure(f"the look-up of {job.scope.owner[0]}", error, advice=advice)
        else:
            message = Message(outgoing.signal, outgoing.arguments, outgoing.otp, link=outgoing.link)
            priority = MEMBERS if outgoing.member else OTHERS
            return self._calls(job, manner, message, priority, outgoing.expires_at)
        if failure is None:
            return self._calls(job, manner, self._notice(job, reason), OTHERS, job.expires_at)
        if manner.raises_outages and isinstance(failure.error, Unavailable):
            self._reopen(job, is_tried=False)
            raise failure.error
        self.give_up(job, failure, manner)
        return []

    def _notice(self, job: SendJob, reason: str) -> Message:
        scope = job.scope
        if self._settings_of(scope).warn_on_error:
            whose = f" for actor type {scope.actor_type}" if scope.actor_type else ""
            logger.warning("no %s code sent%s: %s", scope.purpose, whose, reason)
        arguments = {**scope.facts(), "reason": reason, "context": job.context}
        return Message(signals.otp_suppressed, arguments)

    def _calls(
        self, job: SendJob, manner: Manner, message: Message, priority: int, deadline: float
    ) -> list[Step]:
        self._audit.write(message.signal, message.arguments)
        return [
            self._step(Call(job, message, handler, deadline, priority), manner)
            for handler in self._signaller.handlers(message)
        ]

    def _step(self, call: Call, manner: Manner, delay: float = 0) -> Step:
        name = f"{getattr(call.handler, '__module__', '?')}.{name_of(call.handler)}"
        return Step(name, partial(self._deliver, call, manner), call.priority, delay)

    def _deliver(self, call: Call, manner: Manner) -> list[Step]:
        return self._within(call.job, manner, lambda: self._call(call, manner), call.message)

    def _call(self, call: Call, manner: Manner) -> list[Step]:
        if is_expired(call.deadline):
            self._drop(call.job, manner, attempts=call.number - 1)
            return []
        failure = self._signaller.call(call.handler, call.message, manner.caught)
        if failure is None:
            return []
        delay = _retry_delay(call, failure, manner)
        if delay is None:
            self.give_up(call.job, failure, manner, message=call.message, attempts=call.number)
            return []
        then = f", and is called again in {delay:g} s"
        self._signaller.report(failure, call.message, level=logging.WARNING, then=then)
        return [self._step(replace(call, number=call.number + 1), manner, delay)]

    def _drop(self, job: SendJob, manner: Manner, *, attempts: int) -> None:
        purpose = job.scope.purpose
        logger.error("a %s message is dropped: its code expired before it was sent", purpose)
        error = TimeoutError("the code expired before it was sent")
        self._announce(job, Failure("the queue", error), manner, attempts)

    def _announce(self, job: SendJob, failure: Failure, manner: Manner, attempts: int) -> None:
        facts = {**job.scope.facts(), "attempts": attempts}
        self._audit.write(signals.delivery_failed, facts)
        message = Message(signals.delivery_failed, facts, error=failure.error)
        self._signaller.send(message, manner.caught)

    def _within(
        self,
        job: SendJob,
        manner: Manner,
        action: Callable[[], list[Step]],
        message: Message | None = None,
    ) -> list[Step]:
        """Run ``action`` in an app context; what the app does as that begins or ends may raise.

        :param message: what ``action`` delivers: it may have been sent before the context ends.
        """
        following: list[Step] = []
        failure: Failure | None = None
        try:
            with manner.enter():
                following = action()
        except manner.caught as error:
            if manner.raises_outages and isinstance(error, Unavailable):
                raise
            failure = Failure("the app context", error)
        if failure is not None and following:
            self._report(job, failure)
        elif failure is not None:
            self.give_up(job, failure, manner, message=message)
        return following


def _retry_delay(call: Call, failure: Failure, manner: Manner) -> float | None:
    """Return the seconds until a handler is called again, or ``None`` if it isn't."""
    if failure.is_final or call.number > len(manner.retries):
        return None
    delay = manner.retries[call.number - 1]
    return None if is_expired(call.deadline - delay) else delay
