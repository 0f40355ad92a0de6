"""From a job to a message: the actor is looked up, the code drawn and stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from blinker import NamedSignal

from .. import signals
from ..core import codes
from ..core.actors import ActorRegistry, actor_id
from ..core.bindings import read_binding
from ..core.breaker import Breaker
from ..core.budgets import Budget, Budgets
from ..core.crypto import is_expired
from ..core.events import Emit
from ..core.identifiers import destination, line_refusal
from ..core.jobs import Outgoing, Secret, SendJob, Suppressed
from ..core.lanes import Lanes
from ..core.live_codes import LiveCodes
from ..core.own_purposes import OwnPurposeRegistry
from ..core.purposes import PURPOSES
from ..core.scopes import Scope
from ..core.settings import Settings
from ..core.validators import limit
from .recipients import look_up

#: Messages to one mailbox that has no account, however its address is spelt.
DESTINATION_LIMIT = limit("40/day")

#: Reasons for which an app sends no notice either.
SILENT = frozenset({"country_not_allowed", "line_not_allowed", "not_invited"})


def mailbox_budget(identifier: str) -> Budget:
    """Return what messages to a mailbox or phone that has no account are counted against."""
    return Budget(DESTINATION_LIMIT, ("destination", destination(identifier)))


@dataclass(frozen=True, repr=False, eq=False)
class CodeSender:
    """Makes the messages of one app, after the answers."""

    actors: ActorRegistry
    own_purposes: OwnPurposeRegistry
    lanes: Lanes
    live_codes: LiveCodes
    budgets: Budgets
    breaker: Breaker
    emit: Emit

    def prepare(self, job: SendJob) -> Outgoing:
        """Look the actor up, draw and store a code, and return its message.

        A code exists if and only if it is sent.

        :raises Suppressed: if none is to be sent.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        if job.suppressed:
            raise Suppressed(job.suppressed)
        scope = job.scope
        settings = self.settings_of(scope)
        if job.attacked and self.lanes.mark_attacked_by_sends(scope, settings):
            self.emit(signals.identifier_attacked, **scope.facts(), limit=job.attacked)
        return self._to_actor(job) if scope.actor_type else self._confirmation(job, settings)

    def settings_of(self, scope: Scope) -> Settings:
        """Return the settings of a scope's actor type, or of its purpose."""
        if scope.actor_type:
            return self.actors.get(scope.actor_type).settings
        return self.own_purposes.get(scope.purpose).settings

    def _to_actor(self, job: SendJob) -> Outgoing:
        """Make the message to somebody who wants to sign in or to register."""
        scope, purpose = job.scope, PURPOSES[job.scope.purpose]
        actor_type = self.actors.get(scope.actor_type)
        recipient = look_up(purpose, actor_type, scope.identifier)
        if recipient.reason in SILENT:
            raise Suppressed(recipient.reason)
        if not recipient.member or purpose.counts_members:
            # Of login only notices count, so they have a counter of their own: in that of all else
            # it would show whether somebody is a member.
            namespace = scope.owner[0] + ("" if purpose.counts_members else ":notices")
            self._count(scope, actor_type.settings, namespace, enforced=not recipient.member)
        if recipient.signal is None:
            # The app may send a notice now, which was counted as a code is.
            raise Suppressed(recipient.reason or "")
        arguments: dict[str, Any] = {"actor_type": actor_type.name, "link": None}
        if recipient.actor is not None:
            arguments["actor_id"] = actor_id(recipient.actor)
        return self._draw(
            job, actor_type.settings, recipient.signal, arguments, member=recipient.member
        )

    def _confirmation(self, job: SendJob, settings: Settings) -> Outgoing:
        """Make the message for a purpose of the app's own."""
        scope = job.scope
        refused = line_refusal(scope.identifier, settings)
        if refused is not None:
            raise Suppressed(refused)
        if not job.step_up:
            self._count(scope, settings, scope.owner[0], enforced=True)
        subject, binds = read_binding(scope.bound)
        arguments = {"purpose": scope.purpose, "subject": subject, "binds": binds}
        signal = signals.confirmation_otp_generated
        return self._draw(job, settings, signal, arguments, member=job.step_up)

    def give_up(self, job: SendJob, *, is_tried: bool) -> None:
        """Let another code be asked for at once, as this one could not be delivered.

        It gives no send back: a mail server may have timed out after it had accepted. Long codes
        have no limit but their window, so that is opened as often as ``SEND_LIMITS`` say.

        :param is_tried: whether a handler was called; if not, nothing was sent.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        settings = self.settings_of(job.scope)
        interval = codes.LONG_INTERVAL if job.long else settings.resend_interval
        if is_expired(job.asked_at + interval):  # the window is a newer request's
            return
        budget = Budget(settings.send_limits, ("opened", *job.scope.parts[:3]))
        if not (job.long and is_tried) or self.budgets.take(budget).refused is None:
            self.lanes.open_window(job.scope, long=job.long)
            # It took both windows, the short one for less time; the lane may not be marked yet.
            if job.attacked and not is_expired(job.asked_at + settings.resend_interval):
                self.lanes.open_window(job.scope, long=False)

    def _count(self, scope: Scope, settings: Settings, namespace: str, *, enforced: bool) -> None:
        """Count a message against what may be sent in all, and to one mailbox.

        :param namespace: what the messages are counted under.
        :param enforced: whether it goes to somebody who has no account: what keeps newcomers
            waiting must not keep members waiting.
        """
        has_room = self.breaker.count_send(namespace, settings.global_send_limit)
        if not enforced:
            return
        if not has_room:
            self.breaker.report_sends(namespace)
            raise Suppressed("global_limit")
        if self.budgets.take(mailbox_budget(scope.identifier)).refused is not None:
            raise Suppressed("destination_limit")

    def _draw(
        self,
        job: SendJob,
        settings: Settings,
        signal: NamedSignal,
        arguments: Mapping[str, Any],
        *,
        member: bool,
    ) -> Outgoing:
        digits = codes.LONG_DIGITS if job.long else settings.digits
        ttl = codes.life(settings.ttl, long=job.long)
        otp = Secret(codes.draw(digits))
        sent = self.live_codes.put(job.scope, otp.reveal(), long=job.long, ttl=ttl)
        common = {
            "identifier": job.scope.identifier,
            "expires_at": datetime.fromtimestamp(sent.deadline, UTC),
            "challenge": job.challenge,
            "context": job.context,
        }
        link = None
        if job.link_to is not None:
            link = Secret(job.link_to + self.live_codes.link_token(sent))
        return Outgoing(signal, {**arguments, **common}, otp, member, sent.deadline, link)
