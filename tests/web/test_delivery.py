"""Delivery: after the answer, each handler by itself, logged without a secret, never just lost."""

import asyncio
import contextvars
import io
import logging
import pickle
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from queue import Queue
from types import SimpleNamespace
from typing import Any, cast

import pytest
import time_machine
from blinker import NamedSignal
from fakes import ADA, SECRET, START
from flask import (
    Flask,
    copy_current_request_context,
    current_app,
    g,
    has_request_context,
    render_template_string,
    request,
    url_for,
)
from flask_login import current_user
from werkzeug.local import LocalProxy

from flask_otp_auth import ConfigError, OTPAuth, current_actor, signals
from flask_otp_auth.core.audit import Audit
from flask_otp_auth.core.context import Context
from flask_otp_auth.core.crypto import KeyHasher
from flask_otp_auth.core.jobs import Outgoing, Secret, SendJob, Suppressed
from flask_otp_auth.core.scopes import Scope
from flask_otp_auth.core.settings import Settings
from flask_otp_auth.errors import Unavailable
from flask_otp_auth.web.backlog import Backlog, Step
from flask_otp_auth.web.delivery import Delivery, Executor, Signaller, run_job
from flask_otp_auth.web.queue import DeliveryQueue

PATIENCE = 20  # seconds until something that should happen in another thread is missed
CODE = "314159"
CONTEXT = Context("de", START, "Firefox", "Linux", "192.0.2.7")

CODE_SIGNALS = {
    "login": signals.otp_generated,
    "registration": signals.pre_register_otp_generated,
    "contact": signals.confirmation_otp_generated,
}


class Sender:
    """Makes the messages of jobs, and tells what it was asked for.

    :ivar error: raised in place of a message.
    :ivar prepared: the purposes of the jobs, the oldest first.
    :ivar given_up: the same, of jobs whose message could not be delivered.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.prepared: list[str] = []
        self.given_up: list[str] = []
        self.reachable = True

    def prepare(self, job: SendJob) -> Outgoing:
        purpose = job.scope.purpose
        self.prepared.append(purpose)
        if self.error is not None:
            raise self.error
        if job.suppressed:
            raise Suppressed(job.suppressed)
        arguments = {**job.scope.facts(), "challenge": job.challenge, "context": job.context}
        signal = CODE_SIGNALS[purpose]
        return Outgoing(signal, arguments, Secret(CODE), purpose == "login", time.time() + 300)

    def give_up(self, job: SendJob, *, is_tried: bool) -> None:
        self.given_up.append(job.scope.purpose)
        if not self.reachable:
            raise Unavailable


class HandDrivenQueue:
    """A queue whose jobs run in the test's thread, when the test lets time pass."""

    def __init__(self) -> None:
        self.backlog = Backlog(capacity=3, spread=lambda: 0)

    @property
    def pending(self) -> int:
        return self.backlog.rooms

    def reserve(self) -> None:
        self.backlog.reserve()

    def release(self) -> None:
        self.backlog.release()

    def submit(self, step: Step) -> None:
        self.backlog.add(step)

    def run(self, seconds: float = 0.05) -> list[str]:
        """Run what is due within some seconds, and return the names of the steps."""
        names = []
        for _ in range(round(seconds / 0.05)):
            self.backlog.tick()
            while (entry := self.backlog.take()) is not None:
                names.append(entry.step.name)
                self.backlog.done(entry, contextvars.Context().run(entry.step.run))
        return names


class Shop:
    """An app, its delivery, and handlers that are disconnected when the test is over.

    :ivar heard: the name and the arguments of each signal that a handler of the test got.
    :ivar log: what was logged.
    """

    def __init__(self, stack: ExitStack, log: pytest.LogCaptureFixture) -> None:
        self.app = Flask("shop")
        self.sender = Sender()
        self.queue = HandDrivenQueue()
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.log = log
        self._stack = stack

    @property
    def levels(self) -> list[str]:
        """The levels of what was logged."""
        return [record.levelname for record in self.log.records]

    def delivery(self, executor: Executor | None = None, **config: Any) -> Delivery:
        """Return the delivery of the app with these settings."""
        settings = {f"OTP_AUTH_{name.upper()}": value for name, value in config.items()}
        self.app.config.update(settings, SECRET_KEY=SECRET)
        loaded = Settings.load(self.app.config)
        delivery = Delivery(
            self.app,
            loaded,
            lambda scope: loaded,
            self.sender,
            Audit(Signaller(self.app), KeyHasher([b"a key"])),
            executor,
            queue=cast(DeliveryQueue, self.queue),
        )
        self.app.extensions["otp_auth"] = SimpleNamespace(delivery=delivery)
        return delivery

    def deliver(self, job: SendJob | None = None, *, seconds: float = 30, **config: Any) -> None:
        """Deliver a job in the background, and let some seconds pass."""
        delivery = self.delivery(**config)
        delivery.reserve()
        delivery.submit(job or login())
        self.queue.run(seconds)

    def deliver_inline(self, job: SendJob | None = None) -> None:
        """Deliver a job in the request."""
        self.delivery(delivery="inline").submit(job or login())

    def on(self, signal: NamedSignal, handler: Callable[..., Any]) -> None:
        """Connect a handler for the time of the test."""
        self._stack.enter_context(signal.connected_to(handler, self.app))

    def hear(self, signal: NamedSignal) -> None:
        """Keep what a signal says."""
        name = signal.name
        self.on(signal, lambda sender, **said: self.heard.append((name, said)))

    def hear_failure(self) -> Callable[[], dict[str, Any]]:
        """Return a function that returns the one failure that was told, without its purpose."""
        self.hear(signals.delivery_failed)

        def failure() -> dict[str, Any]:
            ((_, said),) = [each for each in self.heard if each[0] == "delivery-failed"]
            return said

        return failure


def login(**changes: Any) -> SendJob:
    """Return a job of a login code for Ada."""
    return job_of("login", **changes)


def job_of(purpose: str, **changes: Any) -> SendJob:
    """Return a job of a code for Ada."""
    actor_type = "" if purpose == "contact" else "customer"
    scope = Scope(actor_type, purpose, ADA)
    now = time.time()
    job = SendJob(scope, False, now, now + 300, "a-challenge", CONTEXT)
    return replace(job, **changes)


def suppressed(reason: str = "unknown_actor") -> SendJob:
    """Return a job that sends no code."""
    return login(suppressed=reason)


@pytest.fixture
def shop(caplog: pytest.LogCaptureFixture) -> Iterator[Shop]:
    """A shop."""
    with ExitStack() as stack:
        yield Shop(stack, caplog)


#: What an app keeps of its requests, as for the tenant that each belongs to.
OF_REQUEST: contextvars.ContextVar[Any] = contextvars.ContextVar("of_request")


def in_a_circle() -> None:
    """Raise an error whose chain ends in itself, as where a fallback fails, too."""
    first, second = ConnectionError("no message"), ConnectionError("nor by the other server")
    try:
        raise second from first
    except ConnectionError:
        raise first from second


def instead_of_the_request() -> None:
    """Do without a request, and fail by something else."""
    try:
        request.path  # noqa: B018 - there is none
    except RuntimeError:
        raise ConnectionError("no message") from None


def wrapped() -> str:
    """Read of the request, and raise an error of the mailer's own if that fails."""
    try:
        return request.path
    except RuntimeError as error:
        raise ConnectionError("no message") from error


def explode(sender: Flask, *, identifier: str, otp: str = "", **_: Any) -> None:
    """A handler that fails, with the code in what it says."""
    raise ConnectionError(f"can't send {otp} to {identifier}")


class TestBackground:
    @pytest.mark.parametrize("purpose", CODE_SIGNALS)
    def test_a_code_is_drawn_and_sent_after_the_answer(self, shop: Shop, purpose: str) -> None:
        shop.hear(CODE_SIGNALS[purpose])
        delivery = shop.delivery()
        delivery.reserve()
        delivery.submit(job_of(purpose))
        assert (shop.sender.prepared, shop.heard) == ([], [])
        shop.queue.run()
        ((_, said),) = shop.heard
        assert said == {
            "actor_type": None if purpose == "contact" else "customer",
            "identifier": ADA,
            "purpose": purpose,
            "challenge": "a-challenge",
            "context": CONTEXT,
            "otp": CODE,
        }

    def test_why_none_is_sent_is_told_after_the_answer(self, shop: Shop) -> None:
        shop.hear(signals.otp_suppressed)
        shop.deliver(suppressed("cooldown"))
        assert shop.heard == [
            (
                "otp-suppressed",
                {
                    "actor_type": "customer",
                    "identifier": ADA,
                    "purpose": "login",
                    "reason": "cooldown",
                    "context": CONTEXT,
                },
            )
        ]

    def test_a_job_has_its_room_until_it_is_done(self, shop: Shop) -> None:
        shop.hear(signals.otp_generated)
        delivery = shop.delivery()
        delivery.reserve()
        assert delivery.pending == 1
        delivery.submit(login())
        shop.queue.run()
        assert delivery.pending == 0

    def test_members_get_their_codes_before_others(self, shop: Shop) -> None:
        shop.hear(signals.otp_generated)
        shop.hear(signals.pre_register_otp_generated)
        delivery = shop.delivery()
        for purpose in ("registration", "registration", "login"):
            delivery.reserve()
            delivery.submit(job_of(purpose))
        shop.queue.run()
        assert [name for name, _ in shop.heard] == [
            "otp-generated",
            "pre-register-otp-generated",
            "pre-register-otp-generated",
        ]

    def test_each_step_has_an_app_context_of_its_own_and_no_request(self, shop: Shop) -> None:
        seen = []

        def look(sender: Flask, **_: Any) -> None:
            seen.append((current_app == shop.app, "mine" in g, has_request_context()))
            g.mine = True

        shop.on(signals.otp_generated, look)
        shop.on(signals.otp_generated, lambda sender, **_: look(sender))
        shop.deliver()
        assert seen == [(True, False, False)] * 2

    def test_the_real_queue_delivers_as_well(self, shop: Shop) -> None:
        delivered: Queue[str] = Queue()
        shop.on(signals.otp_generated, lambda sender, otp, **_: delivered.put(otp))
        shop.queue = DeliveryQueue(lambda: Backlog(spread=lambda: 0))
        delivery = shop.delivery()
        delivery.reserve()
        delivery.submit(login())
        assert delivered.get(timeout=PATIENCE) == CODE


class TestInline:
    def test_all_is_done_before_the_answer(self, shop: Shop) -> None:
        shop.hear(signals.otp_generated)
        shop.deliver_inline()
        assert [name for name, _ in shop.heard] == ["otp-generated"]

    def test_takes_no_room(self, shop: Shop) -> None:
        delivery = shop.delivery(delivery="inline")
        delivery.reserve()
        assert delivery.pending == 0
        delivery.release()
        assert delivery.pending == 0

    def test_handlers_have_no_request_there_either(self, shop: Shop) -> None:
        variable = contextvars.ContextVar("variable", default="")
        seen: list[object] = []

        def look(sender: Flask, **_: Any) -> None:
            seen.extend([has_request_context(), "of_request" in g, variable.get()])

        shop.on(signals.otp_generated, look)
        with shop.app.test_request_context():
            g.of_request = True
            variable.set("of the request")
            shop.deliver_inline()
            assert has_request_context()
        assert seen == [False, False, ""]

    @pytest.mark.parametrize("inline", [True, False])
    @pytest.mark.parametrize(
        "use",
        [
            lambda: request.path,
            lambda: url_for("static", filename=""),
            lambda: copy_current_request_context(explode),
            lambda: g.of_request,
            lambda: current_user.is_authenticated,
            lambda: current_actor.email,
            lambda: g.pop("of_request"),
            lambda: render_template_string("{{ g.of_request.name }}"),
            lambda: OF_REQUEST.get(),
            lambda: LocalProxy(OF_REQUEST).name,
            wrapped,
        ],
        ids=[
            *("request", "url_for", "copy", "g", "current_user", "current_actor"),
            *("pop", "template", "variable", "proxy", "wrapped"),
        ],
    )
    def test_a_handler_that_needs_the_request_is_told_of_the_context(
        self, shop: Shop, inline: bool, use: Callable[[], str]
    ) -> None:
        shop.on(signals.otp_generated, lambda sender, **_: use())
        with shop.app.test_request_context():
            shop.deliver_inline() if inline else shop.deliver(delivery_retries=())
        assert "handlers run without the request context" in shop.log.text
        assert "the signal's argument `context`" in shop.log.text

    def test_a_finder_that_needs_the_request_is_told_that_there_is_none(self, shop: Shop) -> None:
        shop.sender.error = RuntimeError("Working outside of request context.")
        shop.deliver()
        assert "accounts are looked up without the request context" in shop.log.text
        assert "sign_up= need nothing of the request" in shop.log.text

    @pytest.mark.parametrize(
        ("fail", "error"),
        [
            (lambda: current_app.mailer, "AttributeError"),
            (lambda: SimpleNamespace().mailer, "AttributeError"),
            (in_a_circle, "ConnectionError"),
            (instead_of_the_request, "ConnectionError"),
        ],
        ids=["app", "own", "circle", "instead"],
    )
    def test_one_that_fails_for_another_reason_is_not(
        self, shop: Shop, fail: Callable[[], object], error: str
    ) -> None:
        """Errors may be chained in a circle, which has no end."""
        shop.on(signals.otp_generated, lambda sender, **_: fail())
        shop.deliver_inline()
        assert f"raised {error}" in shop.log.text
        assert "request context" not in shop.log.text

    def test_an_outage_is_the_callers_503(self, shop: Shop) -> None:
        shop.sender.error = Unavailable()
        shop.hear(signals.delivery_failed)
        with pytest.raises(Unavailable):
            shop.deliver_inline()
        assert (shop.sender.given_up, shop.heard) == (["login"], [])

    def test_a_finder_that_raises_changes_no_answer(self, shop: Shop) -> None:
        shop.sender.error = LookupError()
        failure = shop.hear_failure()
        shop.deliver_inline()
        assert failure()["error"] is shop.sender.error

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_what_ends_the_process_is_not_held_up(
        self, shop: Shop, error: type[BaseException]
    ) -> None:
        def leave(sender: Flask, **_: Any) -> None:
            raise error

        shop.on(signals.otp_generated, leave)
        with pytest.raises(error):
            shop.deliver_inline()


AT_ONCE = SimpleNamespace(submit=lambda run, *call: run(*call))


async def later(*job: Any) -> None:
    """An asynchronous ``submit``, whose call does nothing."""


class TestExecutors:
    def test_have_submit(self) -> None:
        app = Flask("shop")
        app.config.update(TESTING=True, SECRET_KEY="a key of a test")
        with pytest.raises(ConfigError, match=r"executor= must have submit\(\); str has none"):
            OTPAuth(app, executor=cast(Executor, "celery"))

    @pytest.mark.parametrize("executor", [ThreadPoolExecutor, SimpleNamespace(submit=later)])
    def test_that_would_take_jobs_and_run_none_are_refused(self, executor: Any) -> None:
        app = Flask("shop")
        app.config.update(TESTING=True, SECRET_KEY="a key of a test")
        with pytest.raises(ConfigError, match=r"must be an object, not a class, and .* not async"):
            OTPAuth(app, executor=executor)

    def test_are_given_what_can_be_pickled_and_holds_no_code(self, shop: Shop) -> None:
        shop.hear(signals.otp_generated)
        submitted: list[Any] = []
        executor = SimpleNamespace(submit=lambda *call: submitted.append(call))
        delivery = shop.delivery(executor)
        delivery.reserve()
        assert delivery.pending == 0  # its bound is its own
        delivery.submit(login())
        (call,) = submitted
        pickled = pickle.dumps(call)
        assert (shop.sender.prepared, CODE.encode() in pickled) == ([], False)
        function, *arguments = pickle.loads(pickled)  # noqa: S301 - our own
        function(*arguments)
        ((_, said),) = shop.heard
        assert (said["otp"], said["context"]) == (CODE, CONTEXT)

    def test_one_attempt_is_made_as_retries_are_theirs(self, shop: Shop) -> None:
        failure = shop.hear_failure()
        shop.on(signals.otp_generated, explode)
        shop.delivery(AT_ONCE).submit(login())
        assert failure()["attempts"] == 1

    def test_what_an_executor_uses_to_end_a_job_is_its_own(self, shop: Shop) -> None:
        def leave(sender: Flask, **_: Any) -> None:
            raise SystemExit

        shop.on(signals.otp_generated, leave)
        with pytest.raises(SystemExit):
            shop.delivery(AT_ONCE).submit(login())

    def test_one_that_raises_is_a_failed_delivery_and_no_failed_request(self, shop: Shop) -> None:
        def submit(function: Any, *arguments: Any) -> None:
            raise RuntimeError("no room")

        failure = shop.hear_failure()
        shop.delivery(SimpleNamespace(submit=submit)).submit(login())
        assert str(failure()["error"]) == "no room"
        assert "the executor raised RuntimeError" in shop.log.text
        assert shop.sender.given_up == ["login"]

    def test_the_job_runs_in_the_app_context_that_it_finds(self, shop: Shop) -> None:
        """As in the workers of Celery and RQ, whose app is another object."""
        seen: list[object] = []
        shop.on(signals.otp_generated, lambda sender, **_: seen.append(g.get("of_worker")))
        shop.delivery(SimpleNamespace())
        with shop.app.app_context():
            g.of_worker = True
            run_job("made in another process", login())
        assert seen == [True]

    def test_without_one_it_runs_in_that_of_its_own_app(self, shop: Shop) -> None:
        shop.hear(signals.otp_generated)
        submitted: list[Any] = []
        executor = SimpleNamespace(submit=lambda *call: submitted.append(call))
        shop.delivery(executor).submit(login())
        ((function, *arguments),) = submitted
        with Flask("of somebody else").app_context():
            function(*arguments)
        assert len(shop.heard) == 1

    def test_where_there_is_no_app_an_error_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        run_job("made in another process", login())
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "with app.app_context()" in record.getMessage()


class TestRetries:
    def test_a_handler_that_raises_is_called_again_after_1_5_and_20_s(self, shop: Shop) -> None:
        calls: list[str] = []

        def fail(sender: Flask, otp: str, **_: Any) -> None:
            calls.append(otp)
            raise ConnectionError

        failure = shop.hear_failure()
        shop.on(signals.otp_generated, fail)
        shop.deliver(seconds=0.05)
        for number, seconds in enumerate((1, 5, 20), start=1):
            shop.queue.run(seconds - 0.05)
            assert (len(calls), shop.heard) == (number, [])
            shop.queue.run(0.05)
        assert (calls, failure()["attempts"]) == ([CODE] * 4, 4)
        shop.queue.run(60)
        assert len(calls) == 4
        assert shop.sender.prepared == ["login"]

    def test_only_that_handler_is(self, shop: Shop) -> None:
        shop.on(signals.otp_generated, explode)
        shop.hear(signals.otp_generated)
        shop.deliver()
        assert len(shop.heard) == 1

    def test_end_when_it_works(self, shop: Shop) -> None:
        calls: list[str] = []

        def falter(sender: Flask, otp: str, **_: Any) -> None:
            calls.append(otp)
            if len(calls) == 1:
                raise ConnectionError

        shop.hear(signals.delivery_failed)
        shop.on(signals.otp_generated, falter)
        shop.deliver()
        assert (len(calls), shop.heard, shop.sender.given_up) == (2, [], [])
        assert shop.levels == ["WARNING"]
        assert "signal otp-generated, and is called again in 1 s\n" in shop.log.text

    def test_end_with_the_life_of_the_code(self, shop: Shop) -> None:
        failure = shop.hear_failure()
        shop.on(signals.otp_generated, explode)
        shop.deliver(delivery_retries=(1, 300))
        assert failure()["attempts"] == 2
        assert shop.levels == ["WARNING", "ERROR"]

    def test_that_come_after_the_life_of_the_code_are_dropped(self, shop: Shop) -> None:
        failure = shop.hear_failure()
        shop.on(signals.otp_generated, explode)
        with time_machine.travel(START, tick=False) as clock:
            shop.deliver(seconds=0.05)
            clock.shift(300)
            shop.queue.run(30)
        assert isinstance(failure()["error"], TimeoutError)
        assert failure()["attempts"] == 1
        assert "its code expired before it was sent" in shop.log.text

    def test_notices_are_tried_again_as_well(self, shop: Shop) -> None:
        failure = shop.hear_failure()
        shop.on(signals.otp_suppressed, explode)
        shop.deliver(suppressed())
        assert failure()["attempts"] == 4


class TestLateJobs:
    def test_a_job_that_comes_after_the_life_of_its_code_is_dropped(self, shop: Shop) -> None:
        failure = shop.hear_failure()
        shop.deliver(login(expires_at=time.time() - 1))
        assert shop.sender.prepared == shop.sender.given_up == []
        assert isinstance(failure()["error"], TimeoutError)
        assert failure()["attempts"] == 0
        assert "a login message is dropped" in shop.log.text


class TestFailures:
    @pytest.mark.parametrize(
        ("job", "signal"),
        [
            (lambda: login(), signals.otp_generated),
            (lambda: job_of("registration"), signals.pre_register_otp_generated),
            (lambda: suppressed(), signals.otp_suppressed),
        ],
        ids=["login", "registration", "suppressed"],
    )
    @pytest.mark.parametrize("inline", [True, False])
    def test_a_handler_that_raises_stops_no_other_and_is_told_of(
        self, shop: Shop, job: Callable[[], SendJob], signal: NamedSignal, inline: bool
    ) -> None:
        shop.on(signal, explode)
        shop.hear(signal)
        failure = shop.hear_failure()
        made = job()
        shop.deliver_inline(made) if inline else shop.deliver(made)
        assert signal.name in [name for name, _ in shop.heard]
        error = failure()["error"]
        assert isinstance(error, ConnectionError)
        assert failure() == {
            "actor_type": "customer",
            "identifier": ADA,
            "purpose": made.scope.purpose,
            "error": error,
            "attempts": 1 if inline else 4,
        }

    def test_a_code_that_failed_for_good_can_be_asked_for_again_at_once(self, shop: Shop) -> None:
        shop.on(signals.otp_generated, explode)
        shop.sender.reachable = False  # which must not upset the thread
        shop.deliver()
        assert shop.sender.given_up == ["login"]

    def test_a_notice_that_failed_opens_no_window(self, shop: Shop) -> None:
        shop.on(signals.otp_suppressed, explode)
        shop.deliver(suppressed("cooldown"))
        assert shop.sender.given_up == []

    @pytest.mark.parametrize(
        ("error", "level"), [(Unavailable(), "WARNING"), (LookupError(ADA), "ERROR")]
    )
    def test_a_look_up_that_raises_is_a_failed_delivery(
        self, shop: Shop, error: Exception, level: str
    ) -> None:
        shop.sender.error = error
        failure = shop.hear_failure()
        shop.deliver()
        assert (failure()["error"], failure()["attempts"]) == (error, 1)
        assert shop.sender.given_up == ["login"]
        assert shop.levels == [level]
        assert f"the look-up of customer raised {type(error).__name__}" in shop.log.text
        assert "in prepare\n" in shop.log.text
        assert ADA not in shop.log.text

    def test_a_notice_that_a_finder_kept_from_being_made_opens_no_window(self, shop: Shop) -> None:
        shop.sender.error = LookupError()
        shop.deliver(suppressed())
        assert shop.sender.given_up == []

    @pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
    def test_what_would_end_a_thread_is_a_failed_delivery_too(
        self, shop: Shop, error: type[BaseException]
    ) -> None:
        """The thread has other deliveries to make."""

        def leave(sender: Flask, otp: str, **_: Any) -> None:
            raise error(otp)

        failure = shop.hear_failure()
        shop.on(signals.otp_generated, leave)
        shop.on(signals.delivery_failed, leave)
        shop.deliver()
        assert type(failure()["error"]) is error
        assert f"leave raised {error.__name__} on signal otp-generated" in shop.log.text
        assert CODE not in shop.log.text

    def test_a_handler_of_failures_that_raises_is_logged_and_goes_no_further(
        self, shop: Shop
    ) -> None:
        shop.on(signals.otp_generated, explode)
        shop.on(signals.delivery_failed, explode)
        shop.hear_failure()
        shop.deliver_inline()
        assert len(shop.heard) == 1
        assert [record.getMessage().splitlines()[0] for record in shop.log.records] == [
            "explode raised ConnectionError on signal otp-generated",
            "explode raised ConnectionError on signal delivery-failed",
        ]
        assert CODE not in shop.log.text


class TestAppContexts:
    def test_one_that_fails_at_its_end_is_a_failed_delivery(self, shop: Shop) -> None:
        """The handler may have left its message to a transaction that is committed there."""

        @shop.app.teardown_appcontext
        def fail(error: BaseException | None) -> None:
            raise OSError(f"the database went away with {CODE}")

        failure = shop.hear_failure()
        shop.on(signals.otp_generated, lambda sender, **_: None)
        shop.deliver()
        assert isinstance(failure()["error"], OSError)
        assert "the app context raised OSError" in shop.log.text
        assert "went away" not in shop.log.messages[0].splitlines()[0]

    def test_one_that_fails_after_the_look_up_does_not_stop_the_delivery(self, shop: Shop) -> None:
        ends = iter([OSError()])

        @shop.app.teardown_appcontext
        def fail(error: BaseException | None) -> None:
            for failure in ends:
                raise failure

        shop.hear(signals.delivery_failed)
        shop.hear(signals.otp_generated)
        shop.deliver()
        assert [name for name, _ in shop.heard] == ["otp-generated"]
        assert "the app context raised OSError" in shop.log.text

    def test_an_outage_at_its_end_is_the_callers_503_inline(self, shop: Shop) -> None:
        @shop.app.teardown_appcontext
        def fail(error: BaseException | None) -> None:
            raise Unavailable

        shop.hear(signals.otp_generated)
        with pytest.raises(Unavailable):
            shop.deliver_inline()


class TestTheLog:
    def test_says_who_raised_what_and_where_but_not_the_text_of_the_error(self, shop: Shop) -> None:
        shop.on(signals.otp_generated, explode)
        shop.deliver_inline()
        (record,) = shop.log.records
        assert (record.name, record.levelno) == ("flask_otp_auth", logging.ERROR)
        text = logging.Formatter().format(record)
        assert text.startswith("explode raised ConnectionError on signal otp-generated\n")
        assert "in explode\n" in text
        assert CODE not in text
        assert ADA not in text

    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("the mail server said 535", True),
            (f"can't send {CODE}", False),
            (f"no such mailbox: {ADA}", False),
            ("bad link a-challenge", False),
            ("", False),
        ],
    )
    def test_names_the_text_in_tests_if_that_holds_no_secret(
        self, shop: Shop, text: str, shown: bool
    ) -> None:
        def fail(sender: Flask, **_: Any) -> None:
            raise ConnectionError(text)

        shop.app.testing = True
        shop.on(signals.otp_generated, fail)
        shop.deliver_inline()
        first = shop.log.messages[0].splitlines()[0]
        assert first.endswith(f"otp-generated: {text}") is shown
        assert shown or first.endswith("otp-generated")

    def test_names_a_handler_without_a_name_by_its_class(self, shop: Shop) -> None:
        class Mailer:
            def __call__(self, sender: Flask, **_: Any) -> None:
                raise TimeoutError

        mailer = Mailer()
        shop.on(signals.otp_generated, mailer)
        shop.deliver_inline()
        assert "Mailer raised TimeoutError" in shop.log.text

    def test_tells_what_is_not_sent_where_handlers_run_and_not_to_whom(self, shop: Shop) -> None:
        """A log handler that takes its time would tell a caller which identifiers exist."""
        delivery = shop.delivery()
        delivery.reserve()
        delivery.submit(suppressed())
        assert shop.log.messages == []
        shop.queue.run()
        assert shop.log.messages == ["no login code sent for actor type customer: unknown_actor"]
        assert shop.levels == ["WARNING"]

    def test_names_no_actor_type_for_a_purpose_of_the_apps_own(self, shop: Shop) -> None:
        shop.deliver(job_of("contact", suppressed="cooldown"))
        assert shop.log.messages == ["no contact code sent: cooldown"]

    def test_tells_nothing_of_it_without_warn_on_error(self, shop: Shop) -> None:
        shop.deliver(suppressed(), warn_on_error=False)
        shop.deliver(job_of("contact", suppressed="cooldown"), warn_on_error=False)
        assert shop.log.records == []

    def test_audits_a_message_once_and_its_failure(self, shop: Shop) -> None:
        shop.log.set_level(logging.INFO, "flask_otp_auth.audit")
        shop.on(signals.otp_generated, explode)
        shop.hear(signals.otp_generated)
        shop.deliver()
        audited = [r.getMessage() for r in shop.log.records if r.name == "flask_otp_auth.audit"]
        assert len(audited) == 2
        assert '"event": "otp_generated"' in audited[0]
        assert '"event": "delivery_failed"' in audited[1]
        assert CODE not in shop.log.text

    def test_names_the_handler_of_a_step_in_full(self, shop: Shop) -> None:
        shop.on(signals.otp_generated, explode)
        delivery = shop.delivery(delivery_retries=())
        delivery.reserve()
        delivery.submit(login())
        assert shop.queue.run() == ["the look-up of customer", f"{__name__}.explode"]


class TestErrorTrackers:
    def test_find_no_code_in_frames_of_ours(self, shop: Shop) -> None:
        """They keep the locals of each frame of what is logged or raised, as texts."""
        found: list[str] = []

        class Tracker(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                frame = sys._getframe()
                while frame is not None:
                    if "/flask_otp_auth/" in frame.f_code.co_filename:
                        found.append(repr(frame.f_locals))
                    frame = frame.f_back

        def look(sender: Flask, **_: Any) -> None:
            Tracker().emit(logging.makeLogRecord({}))
            explode(sender, identifier=ADA, otp=CODE)

        shop.on(signals.otp_generated, look)
        shop.on(signals.delivery_failed, look)
        tracker = Tracker()
        logging.getLogger("flask_otp_auth").addHandler(tracker)
        try:
            shop.deliver(delivery_retries=(1,))
        finally:
            logging.getLogger("flask_otp_auth").removeHandler(tracker)
        assert len(found) > 10
        assert not [text for text in found if CODE in text]


class TestMissingHandlers:
    @pytest.mark.parametrize("purpose", CODE_SIGNALS)
    @pytest.mark.parametrize("inline", [True, False])
    def test_a_code_that_nobody_delivers_is_an_error_that_says_what_to_connect(
        self, shop: Shop, purpose: str, inline: bool
    ) -> None:
        job = job_of(purpose)
        shop.deliver_inline(job) if inline else shop.deliver(job)
        (record,) = shop.log.records
        assert record.levelno == logging.ERROR
        name = CODE_SIGNALS[purpose].name.replace("-", "_")
        assert f"flask_otp_auth.signals.{name}.connect(handler, app)" in record.getMessage()

    def test_so_is_one_whose_handler_was_held_by_a_weak_reference(self, shop: Shop) -> None:
        def connect() -> None:
            def mail(sender: Flask, **_: Any) -> None: ...

            signals.otp_generated.connect(mail, shop.app)

        connect()
        shop.deliver_inline()
        (message,) = shop.log.messages
        assert "by a weak reference" in message
        assert "connect(handler, app, weak=False)" in message

    @pytest.mark.parametrize("others", [0, 1])
    def test_one_that_is_connected_to_a_proxy_is_told_of(self, shop: Shop, others: int) -> None:
        for _ in range(others):
            shop.hear(signals.otp_generated)
        with shop.app.app_context(), signals.otp_generated.connected_to(explode, current_app):
            shop.deliver_inline()
        assert "explode is connected to the proxy current_app" in shop.log.messages[0]
        assert len(shop.log.messages) == 2 - others

    def test_one_that_is_connected_to_any_sender_is_enough(self, shop: Shop) -> None:
        heard: list[str] = []

        def handler(sender: Flask, otp: str, **_: Any) -> None:
            heard.append(otp)

        with signals.otp_generated.connected_to(handler):
            shop.deliver_inline()
        assert (heard, shop.log.messages) == ([CODE], [])

    def test_one_that_is_held_back_is_not_called_nor_missed(self, shop: Shop) -> None:
        delivery = shop.delivery(delivery="inline")
        with signals.otp_generated.connected_to(explode):
            delivery.held_back.append((signals.otp_generated, explode))
            delivery.submit(login())
        assert shop.log.messages == []

    def test_a_signal_that_is_muted_is_not_sent(self, shop: Shop) -> None:
        shop.hear(signals.otp_generated)
        with signals.otp_generated.muted():
            shop.deliver_inline()
        assert (shop.heard, shop.log.messages) == ([], [])

    def test_another_apps_handlers_hear_nothing(self, shop: Shop) -> None:
        with signals.otp_generated.connected_to(explode, Flask("other")):
            shop.hear(signals.otp_generated)
            shop.hear(signals.delivery_failed)
            shop.deliver_inline()
        assert [name for name, _ in shop.heard] == ["otp-generated"]


def takes_too_little(sender: Flask, otp: str) -> None:
    """A handler without ``**_``."""


def takes_what_is_not_sent(sender: Flask, code: str, **_: Any) -> None:
    """A handler of somebody's own wording."""


def never_runs(sender: Flask, **_: Any) -> Iterator[None]:
    """A handler with a ``yield``, whose call does nothing."""
    yield


async def never_runs_either(sender: Flask, **_: Any) -> AsyncIterator[None]:
    """The same, asynchronous."""
    yield


class TestHandlersThatDontFit:
    @pytest.mark.parametrize("handler", [takes_too_little, takes_what_is_not_sent])
    def test_are_told_what_to_take_and_are_not_called_again(
        self, shop: Shop, handler: Callable[..., None]
    ) -> None:
        failure = shop.hear_failure()
        shop.on(signals.otp_generated, handler)
        shop.deliver()
        assert failure()["attempts"] == 1
        assert "add **_ for all else" in shop.log.text
        assert "what it needs of actor_type, identifier, purpose, challenge" in shop.log.text
        assert CODE not in shop.log.text

    def test_a_type_error_inside_of_a_handler_is_something_else(self, shop: Shop) -> None:
        def fail(sender: Flask, **_: Any) -> None:
            len(5)

        failure = shop.hear_failure()
        shop.on(signals.otp_generated, fail)
        shop.deliver()
        assert failure()["attempts"] == 4
        assert "**_" not in shop.log.text

    @pytest.mark.parametrize("handler", [never_runs, never_runs_either])
    def test_one_that_never_runs_is_told_of(self, shop: Shop, handler: Callable[..., Any]) -> None:
        shop.on(signals.otp_generated, handler)
        shop.deliver_inline()
        assert f"{handler.__name__} raised TypeError" in shop.log.text
        assert "a handler with a yield in it never runs" in shop.log.text

    def test_one_that_returns_the_answer_of_a_gateway_has_run(self, shop: Shop) -> None:
        """What ``urlopen`` returns is an iterator; to call the handler again would send again."""
        sent = []

        def send(sender: Flask, otp: str, **_: Any) -> io.BytesIO:
            sent.append(otp)
            return io.BytesIO(b"accepted")

        shop.on(signals.otp_generated, send)
        shop.deliver()
        assert (sent, shop.log.messages) == ([CODE], [])

    def test_one_whose_signature_is_unknown_gets_no_advice(self, shop: Shop) -> None:
        shop.on(signals.otp_generated, type)
        shop.deliver_inline()
        assert "type raised TypeError" in shop.log.text
        assert "**_" not in shop.log.text


class TestErrorsOfThisPackage:
    def test_are_logged_with_their_text_as_that_repeats_no_input(self, shop: Shop) -> None:
        from flask_otp_auth.core.actors import actor_id

        shop.sender.prepare = lambda job: actor_id(object())  # type: ignore[assignment, method-assign, return-value]
        shop.deliver()
        assert "raised TypeError: an actor must have an id" in shop.log.text


class TestAsyncHandlers:
    @pytest.fixture
    def heard(self) -> list[str]:
        """The codes that a handler got."""
        return []

    @pytest.fixture
    def handler(self, heard: list[str]) -> Callable[..., Any]:
        """A handler that is a coroutine function."""

        async def handle(sender: Flask, otp: str, **_: Any) -> None:
            await asyncio.sleep(0)
            heard.append(otp)

        return handle

    def test_are_run_to_their_end(
        self, shop: Shop, handler: Callable[..., Any], heard: list[str]
    ) -> None:
        pytest.importorskip("asgiref")
        shop.on(signals.otp_generated, handler)
        shop.on(signals.otp_generated, lambda sender, **said: handler(sender, **said))
        shop.deliver()
        assert heard == [CODE, CODE]

    def test_are_failed_deliveries_without_asgiref(
        self, shop: Shop, handler: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "asgiref.sync", None)
        failure = shop.hear_failure()
        shop.on(signals.otp_generated, handler)
        shop.deliver()
        assert isinstance(failure()["error"], RuntimeError)


class TestWhatNoAnswerWaitsFor:
    """A notice that a signal of the request asks for."""

    def test_runs_after_the_answer_in_an_app_context(self, shop: Shop) -> None:
        heard: list[object] = []
        delivery = shop.delivery()
        with shop.app.test_request_context():
            delivery.run_soon(
                "notice", lambda: heard.append((current_app.name, has_request_context()))
            )
        assert heard == []
        assert shop.queue.run() == ["notice"]
        assert heard == [("shop", False)]

    def test_runs_in_the_request_where_all_does_but_without_it(self, shop: Shop) -> None:
        heard: list[object] = []
        delivery = shop.delivery(delivery="inline")
        with shop.app.test_request_context():
            delivery.run_soon("notice", lambda: heard.append(has_request_context()))
        assert heard == [False]

    def test_is_refused_where_there_is_no_room(self, shop: Shop) -> None:
        delivery = shop.delivery()
        for _ in range(3):
            delivery.reserve()
        with pytest.raises(Unavailable):
            delivery.run_soon("notice", list)


class TestSignalsOfTheRequest:
    """What the answer tells anyway is sent before it."""

    def test_a_handler_that_raises_stops_no_other_and_is_only_logged(self, shop: Shop) -> None:
        shop.on(signals.otp_rejected, explode)
        shop.hear(signals.otp_rejected)
        shop.hear(signals.delivery_failed)
        Signaller(shop.app)(signals.otp_rejected, identifier=ADA, purpose="login", reason="wrong")
        assert [name for name, _ in shop.heard] == ["otp-rejected"]
        assert "explode raised ConnectionError on signal otp-rejected" in shop.log.text
        assert ADA not in shop.log.text
