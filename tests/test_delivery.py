"""Delivery: in the background, isolated, logged without a secret, and never lost silently."""

import asyncio
import logging
import os
import queue
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from blinker import NamedSignal
from flask import Flask, current_app, g, has_request_context

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.background import threads_are_missing
from flask_otp_auth.delivery import Delivery, Executor

SECONDS = 10  # until something that should happen in the background is missed

LOGIN = {"actor_type": "customer", "identifier": "ada@example.com", "otp": "314159"}
SUPPRESSED = {
    "actor_type": "customer", "identifier": "bob@example.com", "purpose": "login",
    "reason": "unknown_actor",
}  # fmt: skip

#: The signals that are sent for some identifiers only.
BACKGROUND = pytest.mark.parametrize(
    ("signal", "arguments", "purpose"),
    [
        (signals.otp_generated, LOGIN, "login"),
        (signals.pre_register_otp_generated, LOGIN, "registration"),
        (signals.otp_suppressed, SUPPRESSED, "login"),
    ],
    ids=["login", "registration", "suppressed"],
)


class Shop:
    """An app, its delivery, and handlers that are disconnected when the test is over."""

    def __init__(self, stack: ExitStack) -> None:
        self.app = Flask("shop")
        self.delivered: queue.Queue[Any] = queue.Queue()
        self._stack = stack

    def delivery(self, *, inline: bool = False, executor: Executor | None = None) -> Delivery:
        return Delivery(self.app, executor, lambda: inline)

    def on(self, signal: NamedSignal, handler: Callable[..., Any]) -> None:
        """Connect a handler for the time of the test."""
        self._stack.enter_context(signal.connected_to(handler, self.app))

    def hear(self, signal: NamedSignal, look: Callable[[], Any] = lambda: None) -> None:
        """Keep what a signal says, and what there is to see at that time."""
        self.on(signal, lambda sender, **said: self.delivered.put((said, look())))

    def heard(self) -> Any:
        """Return the next that was said, waiting for it."""
        return self.delivered.get(timeout=SECONDS)


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A shop."""
    with ExitStack() as stack:
        yield Shop(stack)


def test_what_is_not_sent_is_logged_where_handlers_run(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """A log handler that takes its time would tell a caller which identifiers exist."""
    shop.hear(signals.otp_suppressed)
    delivery = Delivery(shop.app, None, lambda: False, lambda name: name == "customer")
    delivery(signals.otp_suppressed, **SUPPRESSED)
    delivery(signals.otp_suppressed, **{**SUPPRESSED, "actor_type": "quiet"})
    shop.heard()
    shop.heard()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        "no login code sent for actor type customer: unknown_actor"
    ]
    assert warnings[0].thread != threading.get_ident()


def explode(sender: Flask, **said: Any) -> None:
    """A handler that fails, with the code in what it says."""
    raise ConnectionError(f"can't send {said.get('otp', 'it')} to {said['identifier']}")


class TestBackground:
    @BACKGROUND
    def test_what_only_some_identifiers_cause_is_handled_in_another_thread(
        self, shop: Shop, signal: NamedSignal, arguments: dict[str, str], purpose: str
    ) -> None:
        shop.hear(signal, threading.get_ident)
        shop.delivery()(signal, **arguments)
        said, thread = shop.heard()
        assert said == arguments
        assert thread != threading.get_ident()

    @BACKGROUND
    def test_a_slow_handler_does_not_hold_up_the_caller(
        self, shop: Shop, signal: NamedSignal, arguments: dict[str, str], purpose: str
    ) -> None:
        answered = threading.Event()
        shop.hear(signal, lambda: answered.wait(SECONDS))
        shop.delivery()(signal, **arguments)
        answered.set()
        assert shop.heard() == (arguments, True)

    def test_handlers_have_an_app_context_of_their_own_and_no_request(self, shop: Shop) -> None:
        def look() -> tuple[Any, ...]:
            app = current_app._get_current_object()  # type: ignore[attr-defined] # not typed
            return app, "of_request" in g, has_request_context()

        shop.hear(signals.otp_generated, look)
        with shop.app.test_request_context():
            g.of_request = True
            shop.delivery()(signals.otp_generated, **LOGIN)
            assert shop.heard()[1] == (shop.app, False, False)

    def test_the_sender_is_the_app_itself(self, shop: Shop) -> None:
        senders: queue.Queue[object] = queue.Queue()
        shop.on(signals.otp_generated, lambda sender, **_: senders.put(sender))
        shop.delivery()(signals.otp_generated, **LOGIN)
        assert senders.get(timeout=SECONDS) is shop.app

    def test_another_apps_handlers_hear_nothing(self, shop: Shop) -> None:
        other = Flask("other")
        heard: list[object] = []
        with signals.otp_generated.connected_to(lambda sender, **_: heard.append(sender), other):
            shop.hear(signals.otp_generated)
            shop.delivery(inline=True)(signals.otp_generated, **LOGIN)
        assert shop.heard() == (LOGIN, None)
        assert heard == []

    @pytest.mark.parametrize(
        "signal",
        [signals.otp_verified, signals.otp_rejected, signals.actor_authenticated,
         signals.rate_limited, signals.token_revoked],
        ids=lambda signal: signal.name,
    )  # fmt: skip
    def test_what_the_answer_tells_anyway_is_handled_before_the_answer(
        self, shop: Shop, signal: NamedSignal
    ) -> None:
        shop.hear(signal, threading.get_ident)
        shop.delivery()(signal, actor_type="customer")
        assert shop.delivered.get_nowait() == ({"actor_type": "customer"}, threading.get_ident())

    def test_inline_every_handler_runs_before_the_answer(self, shop: Shop) -> None:
        shop.hear(signals.otp_generated, threading.get_ident)
        shop.delivery(inline=True)(signals.otp_generated, **LOGIN)
        assert shop.delivered.get_nowait() == (LOGIN, threading.get_ident())

    def test_inline_or_not_is_asked_each_time(self, shop: Shop) -> None:
        answers = [True, False, True]
        delivery = Delivery(shop.app, None, lambda: answers.pop(0))
        shop.hear(signals.otp_generated, threading.get_ident)
        threads = []
        for _ in range(3):
            delivery(signals.otp_generated, **LOGIN)
            threads.append(shop.heard()[1] == threading.get_ident())
        assert threads == [True, False, True]


class TestExecutors:
    def test_an_executor_of_the_apps_own_takes_the_pools_place(self, shop: Shop) -> None:
        shop.hear(signals.otp_generated, lambda: threading.current_thread().name)
        with ThreadPoolExecutor(1, "of-the-app") as executor:
            shop.delivery(executor=executor)(signals.otp_generated, **LOGIN)
            assert shop.heard()[1].startswith("of-the-app")

    def test_anything_with_submit_is_an_executor(self, shop: Shop) -> None:
        jobs: list[Any] = []
        executor = SimpleNamespace(submit=lambda function, *args: jobs.append((function, args)))
        shop.hear(signals.otp_generated)
        shop.delivery(executor=executor)(signals.otp_generated, **LOGIN)
        assert shop.delivered.empty()
        ((function, args),) = jobs
        function(*args)
        assert shop.delivered.get_nowait() == (LOGIN, None)

    def test_an_executor_is_asked_only_for_what_runs_in_the_background(self, shop: Shop) -> None:
        shop.hear(signals.otp_verified)
        shop.hear(signals.otp_generated)
        shop.delivery(executor=SimpleNamespace())(signals.otp_verified, actor_type="customer")
        shop.delivery(executor=SimpleNamespace(), inline=True)(signals.otp_generated, **LOGIN)
        assert shop.delivered.qsize() == 2

    @BACKGROUND
    def test_an_executor_that_raises_is_a_failed_delivery_and_no_failed_request(
        self,
        shop: Shop,
        caplog: pytest.LogCaptureFixture,
        signal: NamedSignal,
        arguments: dict[str, str],
        purpose: str,
    ) -> None:
        def submit(function: Any, *args: Any) -> None:
            raise RuntimeError(f"no room for {args}")

        shop.hear(signal)
        shop.hear(signals.delivery_failed)
        shop.delivery(executor=SimpleNamespace(submit=submit))(signal, **arguments)
        said, _ = shop.delivered.get_nowait()
        assert (said["purpose"], str(said["error"])[:7]) == (purpose, "no room")
        assert shop.delivered.empty()
        assert "the executor raised RuntimeError" in caplog.text
        assert "314159" not in caplog.text


class TestFailures:
    @pytest.mark.parametrize("inline", [True, False])
    @BACKGROUND
    def test_a_handler_that_raises_stops_no_other_and_is_sent_on(
        self,
        shop: Shop,
        signal: NamedSignal,
        arguments: dict[str, str],
        purpose: str,
        inline: bool,
    ) -> None:
        shop.on(signal, explode)
        shop.hear(signal)
        shop.hear(signals.delivery_failed)
        shop.delivery(inline=inline)(signal, **arguments)
        heard = [shop.heard()[0], shop.heard()[0]]
        assert arguments in heard
        heard.remove(arguments)
        (failure,) = heard
        assert isinstance(failure.pop("error"), ConnectionError)
        assert failure == {
            "actor_type": "customer",
            "identifier": arguments["identifier"],
            "purpose": purpose,
        }

    def test_the_log_says_who_raised_what_and_where_but_not_the_text_of_the_error(
        self, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        shop.on(signals.otp_generated, explode)
        shop.delivery(inline=True)(signals.otp_generated, **LOGIN)
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("flask_otp_auth", logging.ERROR)
        text = logging.Formatter().format(record)
        assert text.startswith("explode raised ConnectionError on signal otp-generated\n")
        assert "in explode\n" in text
        assert "314159" not in text
        assert "ada@example.com" not in text

    def test_a_handler_without_a_name_is_named_by_its_class(
        self, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Mailer:
            def __call__(self, sender: Flask, **said: Any) -> None:
                raise TimeoutError

        mailer = Mailer()
        shop.on(signals.otp_generated, mailer)
        shop.delivery(inline=True)(signals.otp_generated, **LOGIN)
        assert "Mailer raised TimeoutError" in caplog.text

    def test_a_failure_that_concerned_no_identifier_is_logged_only(
        self, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(sender: Flask, **said: Any) -> None:
            raise ValueError

        shop.on(signals.token_revoked, fail)
        shop.hear(signals.delivery_failed)
        shop.delivery()(signals.token_revoked, actor_type="customer", actor_id="7")
        assert "ValueError on signal token-revoked" in caplog.text
        assert shop.delivered.empty()

    def test_a_failure_of_a_signal_with_a_purpose_is_sent_on_with_it(self, shop: Shop) -> None:
        shop.on(signals.otp_rejected, explode)
        shop.hear(signals.delivery_failed)
        said = {**SUPPRESSED, "purpose": "registration"}
        shop.delivery()(signals.otp_rejected, **said)
        assert shop.delivered.get_nowait()[0]["purpose"] == "registration"

    def test_a_handler_of_failures_that_raises_is_logged_and_goes_no_further(
        self, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        shop.on(signals.otp_generated, explode)
        shop.on(signals.delivery_failed, explode)
        shop.hear(signals.delivery_failed)
        shop.delivery(inline=True)(signals.otp_generated, **LOGIN)
        assert shop.delivered.qsize() == 1
        assert [record.getMessage().splitlines()[0] for record in caplog.records] == [
            "explode raised ConnectionError on signal otp-generated",
            "explode raised ConnectionError on signal delivery-failed",
        ]
        assert "314159" not in caplog.text

    def test_an_app_context_that_fails_is_a_failed_delivery_too(
        self, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        @shop.app.teardown_appcontext
        def fail(error: BaseException | None) -> None:
            raise OSError(f"the database went away with {LOGIN}")

        shop.hear(signals.delivery_failed)
        shop.on(signals.otp_generated, lambda sender, **said: None)
        shop.delivery()(signals.otp_generated, **LOGIN)
        said, _ = shop.heard()
        assert (said["identifier"], type(said["error"])) == (LOGIN["identifier"], OSError)
        assert "the app context raised OSError" in caplog.text
        assert "314159" not in caplog.text

    @pytest.mark.parametrize("error", [SystemExit, asyncio.CancelledError])
    def test_what_would_end_a_thread_is_a_failed_delivery_too(
        self, shop: Shop, caplog: pytest.LogCaptureFixture, error: type[BaseException]
    ) -> None:
        """The thread has other deliveries to make."""

        def leave(sender: Flask, **said: object) -> None:
            raise error(LOGIN["otp"])

        shop.hear(signals.delivery_failed)
        shop.on(signals.otp_generated, leave)
        shop.delivery()(signals.otp_generated, **LOGIN)
        said, _ = shop.heard()
        assert type(said["error"]) is error
        assert f"leave raised {error.__name__} on signal otp-generated" in caplog.text
        assert "314159" not in caplog.text

    @pytest.mark.parametrize("name", ["otp_generated", "pre_register_otp_generated"])
    @pytest.mark.parametrize("inline", [True, False])
    def test_a_code_that_nobody_delivers_is_an_error_that_says_what_to_connect(
        self, shop: Shop, caplog: pytest.LogCaptureFixture, name: str, inline: bool
    ) -> None:
        shop.delivery(inline=inline)(getattr(signals, name), **LOGIN)
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert f"flask_otp_auth.signals.{name}.connect(handler, app)" in record.getMessage()
        assert "314159" not in record.getMessage()

    def test_nobody_need_hear_that_no_code_was_sent(
        self, shop: Shop, caplog: pytest.LogCaptureFixture
    ) -> None:
        shop.delivery(inline=True)(signals.otp_suppressed, **SUPPRESSED)
        assert caplog.records == []


class TestAsyncHandlers:
    async def handler(self, sender: Flask, **said: Any) -> None:
        self.heard.put(said)

    heard: "queue.Queue[Any]" = queue.Queue()

    def test_an_async_handler_is_run_to_its_end(self, shop: Shop) -> None:
        pytest.importorskip("asgiref")
        shop.on(signals.otp_generated, self.handler)
        shop.delivery()(signals.otp_generated, **LOGIN)
        assert self.heard.get(timeout=SECONDS) == LOGIN

    def test_without_asgiref_it_is_a_failed_delivery(
        self, shop: Shop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "asgiref.sync", None)
        shop.on(signals.otp_generated, self.handler)
        shop.hear(signals.delivery_failed)
        shop.delivery()(signals.otp_generated, **LOGIN)
        assert isinstance(shop.heard()[0]["error"], RuntimeError)
        assert "raised RuntimeError on signal otp-generated" in caplog.text


def run(script: str) -> list[str]:
    """Run a script in a process of its own and return the lines that it prints, sorted."""
    setup = """
        import os, sys, threading, time
        from flask import Flask
        from flask_otp_auth import signals
        from flask_otp_auth.delivery import Delivery

        app = Flask("shop")
        delivery = Delivery(app, None, lambda: False)

        def send(number):
            delivery(signals.otp_generated, actor_type="customer", identifier=str(number), otp="1")

        def say(text):
            os.write(1, f"{text}\\n".encode())
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(setup) + textwrap.dedent(script)],
        capture_output=True, text=True, timeout=60, env=environment, check=False,
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (0, "")
    return sorted(process.stdout.split("\n")[:-1])


ROOT = Path(__file__).parent.parent


class TestProcesses:
    def test_what_is_pending_is_delivered_before_a_clean_exit(self) -> None:
        assert run(
            """
            @signals.otp_generated.connect_via(app)
            def deliver(sender, identifier, **said):
                time.sleep(0.02)  # a mail server, while the main thread has nothing left to do
                say(identifier)

            for number in range(9):
                send(number)
            """
        ) == [str(number) for number in range(9)]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
    def test_a_forked_child_delivers_too_and_so_does_its_parent(self) -> None:
        assert run(
            """
            delivered = threading.Event()

            @signals.otp_generated.connect_via(app)
            def deliver(sender, identifier, **said):
                say(f"{identifier} in the {role}")
                delivered.set()

            def send_and_wait(name):
                delivered.clear()
                send(name)
                assert delivered.wait(10)

            role = "parent"
            send_and_wait("first")  # the parent has its threads before it forks
            child = os.fork()
            if not child:
                role = "child"
                send_and_wait("second")
                send("third")
                sys.exit()
            assert os.waitpid(child, 0)[1] == 0
            send_and_wait("fourth")
            """
        ) == ["first in the parent", "fourth in the parent", "second in the child",
              "third in the child"]  # fmt: skip

    def test_nothing_is_started_before_the_first_delivery(self, shop: Shop) -> None:
        before = threading.active_count()
        shop.delivery()
        assert threading.active_count() == before


class TestServersWithoutThreads:
    @pytest.mark.parametrize(
        ("options", "missing"),
        [
            ({}, True),
            ({"master": True, "processes": b"4"}, True),
            ({"enable-threads": True}, False),
            ({"enable-threads": b"true"}, False),
            ({"threads": b"4"}, False),
        ],
        ids=str,
    )
    def test_uwsgi_has_threads_only_if_it_is_told_to(
        self, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], missing: bool
    ) -> None:
        monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt=options))
        assert threads_are_missing() is missing

    def test_every_other_server_has(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "uwsgi", raising=False)
        assert threads_are_missing() is False

    @pytest.mark.parametrize("explicit", [{}, {"OTP_AUTH_DELIVERY": "background"}])
    def test_without_threads_codes_are_delivered_within_the_request_with_a_warning(
        self,
        shop: Shop,
        make_app: Callable[..., Flask],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        explicit: dict[str, str],
    ) -> None:
        monkeypatch.setitem(sys.modules, "uwsgi", SimpleNamespace(opt={}))
        app = make_app(TESTING=False, OTP_AUTH_STORAGE_URI="memory://", **explicit)
        assert "--enable-threads" in caplog.text
        assert self.thread_of_delivery(app) == threading.get_ident()

    @pytest.mark.parametrize(
        ("config", "inline"),
        [
            ({"TESTING": True}, True),
            ({"TESTING": True, "OTP_AUTH_DELIVERY": "background"}, False),
            ({"TESTING": False}, False),
            ({"TESTING": False, "OTP_AUTH_DELIVERY": "inline"}, True),
        ],
        ids=str,
    )
    def test_tests_deliver_within_the_request_unless_they_ask_for_the_background(
        self, make_app: Callable[..., Flask], config: dict[str, Any], inline: bool
    ) -> None:
        app = make_app(OTP_AUTH_STORAGE_URI="memory://", **config)
        assert (self.thread_of_delivery(app) == threading.get_ident()) is inline

    def thread_of_delivery(self, app: Flask) -> int:
        threads: queue.Queue[int] = queue.Queue()

        def deliver(sender: Flask, **said: Any) -> None:
            threads.put(threading.get_ident())

        with signals.otp_generated.connected_to(deliver, app), app.app_context():
            OTPAuth().generate("customer", "ada@example.com")
            return threads.get(timeout=SECONDS)
