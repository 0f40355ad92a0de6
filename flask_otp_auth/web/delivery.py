"""Delivery: from the request for a code to the handlers that send it, after the answer.

A handler that takes 400 ms to talk to a mail server must not tell a caller which identifiers exist,
so a job is looked into in the background. It runs in steps: the look-up, then each handler by
itself, which is tried again if it raises.
"""

import contextlib
import contextvars
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol
from weakref import WeakValueDictionary

from blinker import NamedSignal
from flask import Flask, current_app, has_app_context

from ..core.audit import Audit
from ..core.jobs import SendJob
from ..core.scopes import Scope
from ..core.settings import Settings
from .backlog import OTHERS, Step
from .hosts import LeaveNote, inline_policy
from .job_runs import JobRunner, Manner, Sender
from .queue import DeliveryQueue
from .signalling import Failure, Handler, Signaller

__all__ = ["Delivery", "Executor", "Signaller", "run_job"]

logger: logging.Logger = logging.getLogger("flask_otp_auth")

_numbers = itertools.count(1)
_apps: WeakValueDictionary[str, Flask] = WeakValueDictionary()


class Executor(Protocol):
    """Anything that runs a function later; what it is given can be pickled."""

    def submit(self, function: Callable[..., None], /, *args: Any) -> object:
        """Run ``function(*args)`` some time soon."""


class Delivery:
    """The way of an app's jobs to its handlers; an :class:`~flask_otp_auth.core.jobs.Outbox`.

    It stands in the app's state, where :func:`run_job` looks for it.

    :param settings_of: returns the settings that count for a scope.
    :param sender: makes the message of a job.
    :param executor: the app's own, in place of a queue in this process.
    :param leave_note: takes what ``flask otp check`` is to know of this process.
    :ivar held_back: handlers, each with its signal, that are not called; for tests.
    """

    def __init__(
        self,
        app: Flask,
        settings: Settings,
        settings_of: Callable[[Scope], Settings],
        sender: Sender,
        audit: Audit,
        executor: Executor | None = None,
        *,
        queue: DeliveryQueue | None = None,
        leave_note: LeaveNote = lambda *_: None,
    ) -> None:
        self._app = app
        self._inline = inline_policy(
            app, settings.delivery, has_executor=executor is not None, leave_note=leave_note
        )
        self._executor = executor
        self._retries = settings.delivery_retries
        self._queue = queue or DeliveryQueue(report=partial(leave_note, "handler-hangs"))
        signaller = Signaller(app)
        self.held_back: list[tuple[NamedSignal, Handler]] = signaller.held_back
        self._runner = JobRunner(sender, signaller, audit, settings_of)
        self._key = f"{app.import_name}:{next(_numbers)}"
        _apps[self._key] = app

    @property
    def pending(self) -> int:
        """How many jobs of this process are not done; an executor's are not known."""
        return self._queue.pending

    def reserve(self) -> None:
        """Take a place in the queue.

        :raises Unavailable: if there is none.
        """
        if self._uses_queue():
            self._queue.reserve()

    def release(self) -> None:
        """Give a place back that is not used."""
        if self._uses_queue():
            self._queue.release()

    def submit(self, job: SendJob) -> None:
        """Run a job, in the place that was taken before.

        :raises Unavailable: if it runs here and the store can't be reached.
        """
        enter = self._app.app_context
        if self._inline():
            # Without the request's context, so that what works here works in the background.
            step = self._runner.first_step(job, Manner(enter, raises_outages=True))
            contextvars.Context().run(_run_all, step)
        elif self._executor is not None:
            self._hand_over(self._executor, job)
        else:
            # What is meant to end a thread is meant for another one than those of our queue.
            manner = Manner(enter, caught=BaseException, retries=self._retries)
            self._queue.submit(self._runner.first_step(job, manner))

    def run_soon(self, name: str, action: Callable[[], object]) -> None:
        """Run once, in an app context without the request, what no answer should wait for.

        :param name: whose code it is, for the log.
        :raises Unavailable: if there is no room in the queue.
        """

        def run() -> list[Step]:
            with self._app.app_context():
                action()
            return []

        step = Step(name, run, OTHERS)
        if self._inline():
            contextvars.Context().run(_run_all, step)
        else:
            # In this process even if there is an executor: what that is given must be a job.
            self._queue.reserve()
            self._queue.submit(step)

    @contextlib.contextmanager
    def in_command(self) -> Iterator[None]:
        """Run jobs at once meanwhile, in this thread, wherever they run else.

        For a command that waits for the outcome, in a process that serves nobody.
        """
        former, self._inline = self._inline, lambda: True
        try:
            yield
        finally:
            self._inline = former

    def run_here(self, job: SendJob) -> None:
        """Run a job in this thread, to its end; in the app's context that is there, if it is."""
        is_there = has_app_context() and current_app == self._app
        manner = Manner(contextlib.nullcontext if is_there else self._app.app_context)
        _run_all(self._runner.first_step(job, manner))

    def _uses_queue(self) -> bool:
        return self._executor is None and not self._inline()

    def _hand_over(self, executor: Executor, job: SendJob) -> None:
        try:
            executor.submit(run_job, self._key, job)
        except Exception as error:  # noqa: BLE001 - whatever an executor raises
            failure = Failure("the executor", error)
        else:
            return
        self._runner.give_up(job, failure, Manner(self._app.app_context))


def run_job(app_key: str, job: SendJob) -> None:
    """Run a job of an app, in any process; what executors are given.

    It runs in the app context that it finds, as in a Celery or RQ worker, else in that of this
    process's own app.
    """
    for app in (current_app if has_app_context() else None, _apps.get(app_key)):
        if app is not None and "otp_auth" in app.extensions:
            app.extensions["otp_auth"].delivery.run_here(job)
            return
    logger.error(
        "a code is not delivered, as the executor's process has no app: make the app where the "
        "process starts, or run the job in an app context (with app.app_context())"
    )


def _run_all(step: Step) -> None:
    steps = deque([step])
    while steps:
        steps.extend(steps.popleft().run())
