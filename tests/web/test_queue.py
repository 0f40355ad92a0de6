"""The queue: each job is done once, soon, in another thread, and before the process ends."""

import contextvars
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from flask_otp_auth.errors import Unavailable
from flask_otp_auth.web.backlog import LOOK_UPS, TICK, Backlog, Step
from flask_otp_auth.web.queue import DeliveryQueue

PATIENCE = 20  # seconds until something that should happen in another thread is missed
ROOT = Path(__file__).parents[2]


class Ticker:
    """Holds the dispatcher between two ticks until the test lets it go on."""

    def __init__(self) -> None:
        self._paused = threading.Semaphore(0)
        self._go_on = threading.Semaphore(0)
        self._is_free = False

    def __call__(self, seconds: float) -> None:
        assert seconds == TICK
        if self._is_free:
            time.sleep(0.001)
            return
        self._paused.release()
        assert self._go_on.acquire(timeout=PATIENCE)

    def tick(self, number: int = 1) -> None:
        """Let some ticks pass; the last one is over when this returns."""
        for _ in range(number):
            assert self._paused.acquire(timeout=PATIENCE)
            self._go_on.release()
        assert self._paused.acquire(timeout=PATIENCE)
        self._paused.release()

    def release(self) -> None:
        """Let the dispatcher go on for good."""
        self._is_free = True
        self._go_on.release()


class Queues:
    """Makes queues whose jobs are due at the next tick, and lets them end with the test."""

    def __init__(self, ticker: Ticker) -> None:
        self.ticker = ticker
        self.done: Queue[Any] = Queue()
        self.gate = threading.Event()
        self.release_all: Callable[[], None] = lambda: None

    def make(self, threads: int = 8, *, kept: bool = True, **options: Any) -> DeliveryQueue:
        """Return a queue, with a room taken that keeps its dispatcher alive."""
        queue = DeliveryQueue(
            lambda: Backlog(spread=lambda: 0), threads, pause=self.ticker, **options
        )
        if kept:
            queue.reserve()
            self.release_all = queue.release
        return queue

    def job(self, result: Callable[[], Any], name: str = "mail") -> Step:
        """Return a job that puts a result where the test gets it."""

        def run() -> Sequence[Step]:
            self.done.put(result())
            return ()

        return Step(name, run, LOOK_UPS)

    def results(self, number: int) -> list[Any]:
        """Return so many results, waiting for them."""
        return [self.done.get(timeout=PATIENCE) for _ in range(number)]


def submit(queue: DeliveryQueue, *steps: Step) -> None:
    """Submit jobs, each in a room of its own."""
    for step in steps:
        queue.reserve()
        queue.submit(step)


@pytest.fixture
def queues() -> Iterator[Queues]:
    """Queues whose time the test lets pass."""
    queues = Queues(Ticker())
    yield queues
    queues.gate.set()
    queues.release_all()
    queues.ticker.release()


class TestThreads:
    def test_none_is_started_before_the_first_room_is_taken(self, queues: Queues) -> None:
        before = threading.active_count()
        queue = queues.make(kept=False)
        assert (queue.pending, threading.active_count()) == (0, before)

    def test_a_job_runs_in_another_thread_when_it_is_due(self, queues: Queues) -> None:
        queue = queues.make()
        submit(queue, queues.job(threading.current_thread))
        assert queues.done.empty()
        queues.ticker.tick()
        (thread,) = queues.results(1)
        assert thread.name == "otp-auth-delivery"
        assert thread.daemon

    def test_one_thread_does_all_that_is_due_if_it_is_quick(self, queues: Queues) -> None:
        """To wake a thread for each one would cost more than the job."""
        submit(queues.make(), *(queues.job(threading.get_ident) for _ in range(50)))
        queues.ticker.tick()
        assert len(set(queues.results(50))) == 1

    def test_a_slow_job_holds_up_no_other(self, queues: Queues) -> None:
        """Each waits for all others, so all of them must be under way at once."""
        barrier = threading.Barrier(8)
        jobs = [queues.job(lambda: barrier.wait(PATIENCE)) for _ in range(8)]
        submit(queues.make(), *jobs)
        queues.ticker.tick(2)
        assert sorted(queues.results(8)) == list(range(8))

    def test_there_are_no_more_of_them_than_allowed(self, queues: Queues) -> None:
        queue = queues.make(threads=2)
        for _ in range(5):
            submit(queue, *(queues.job(threading.get_ident) for _ in range(5)))
            queues.ticker.tick(2)
        assert len(set(queues.results(25))) <= 2

    def test_one_that_is_there_takes_the_next_job(
        self, queues: Queues, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = queues.make()
        submit(queue, queues.job(threading.get_ident))
        queues.ticker.tick()
        first = queues.results(1)
        monkeypatch.setattr(threading.Thread, "start", refuse)
        submit(queue, queues.job(threading.get_ident))
        queues.ticker.tick()
        assert queues.results(1) == first

    def test_those_with_nothing_to_do_end(self, queues: Queues) -> None:
        queue = queues.make(idle=0.01)
        threads = []
        for _ in range(2):
            submit(queue, queues.job(threading.current_thread))
            queues.ticker.tick()
            (thread,) = queues.results(1)
            thread.join(PATIENCE)
            assert not thread.is_alive()
            threads.append(thread)
        assert threads[0] is not threads[1]

    def test_the_dispatcher_ends_when_no_room_is_taken(self, queues: Queues) -> None:
        before = dispatchers()
        queue = queues.make(kept=False)
        queue.reserve()
        (dispatcher,) = dispatchers() - before
        assert not dispatcher.daemon
        queue.release()
        queues.ticker.release()
        dispatcher.join(PATIENCE)
        assert not dispatcher.is_alive()

    def test_one_that_a_fork_has_copied_leaves_the_jobs_to_the_parent(
        self, queues: Queues, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Under gevent threads are copied, as they are no threads of the system."""
        before = dispatchers()
        submit(queues.make(kept=False), queues.job(lambda: "done"))
        (dispatcher,) = dispatchers() - before
        monkeypatch.setattr(os, "getpid", lambda: -1)
        queues.ticker.release()
        dispatcher.join(PATIENCE)
        assert not dispatcher.is_alive()
        assert queues.done.empty()

    def test_what_a_job_sets_in_its_context_is_not_there_in_the_next(self, queues: Queues) -> None:
        variable = contextvars.ContextVar("variable", default=0)

        def count() -> int:
            variable.set(variable.get() + 1)
            return variable.get()

        submit(queues.make(), queues.job(count), queues.job(count))
        queues.ticker.tick()
        assert queues.results(2) == [1, 1]

    def test_each_job_is_done_once_whoever_submits_it(self) -> None:
        done: Queue[int] = Queue()
        queue = DeliveryQueue(lambda: Backlog(spread=lambda: 0), pause=lambda _: time.sleep(0))

        def submit_some(first: int) -> None:
            for number in range(first, first + 50):
                job = Step("put", lambda number=number: done.put(number) or (), LOOK_UPS)
                submit(queue, job)

        threads = [threading.Thread(target=submit_some, args=(n,)) for n in range(0, 400, 50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert sorted(done.get(timeout=PATIENCE) for _ in range(400)) == list(range(400))
        assert done.empty()


class TestFollowingSteps:
    def test_run_after_the_step_that_returned_them(self, queues: Queues) -> None:
        queue = queues.make()
        submit(queue, Step("first", lambda: [queues.job(lambda: "second")], LOOK_UPS))
        queues.ticker.tick()
        assert queues.results(1) == ["second"]

    def test_with_a_delay_keep_no_thread(self, queues: Queues) -> None:
        queue = queues.make(threads=1)
        later = Step("later", queues.job(lambda: "later").run, LOOK_UPS, delay=1)
        submit(queue, Step("first", lambda: [later], LOOK_UPS))
        queues.ticker.tick()
        submit(queue, queues.job(lambda: "other"))
        queues.ticker.tick()
        assert queues.results(1) == ["other"]
        queues.ticker.tick(20)
        assert queues.results(1) == ["later"]


class TestFaults:
    def test_a_job_that_raises_is_logged_and_keeps_no_other_from_being_done(
        self, queues: Queues, caplog: pytest.LogCaptureFixture
    ) -> None:
        code = "314159"

        def leave() -> None:
            raise SystemExit(code)

        queue = queues.make()
        submit(queue, queues.job(leave, "shop.mail"), queues.job(lambda: "done"))
        queues.ticker.tick()
        assert queues.results(1) == ["done"]
        (record,) = caplog.records
        assert record.getMessage().startswith("shop.mail raised SystemExit in a delivery\n")
        assert code not in caplog.text

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (RuntimeError("can't start new thread"), Unavailable),
            (KeyboardInterrupt(), KeyboardInterrupt),  # a signal handler may raise anywhere
        ],
        ids=["no thread", "interrupted"],
    )
    def test_a_reservation_that_fails_holds_up_no_later_one(
        self,
        queues: Queues,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        error: BaseException,
        told: type[BaseException],
    ) -> None:
        def fail(thread: threading.Thread) -> None:
            raise error

        queue = queues.make(kept=False)
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", fail)
            with pytest.raises(told):
                queue.reserve()
        assert queue.pending == 0
        assert ("no thread can be started" in caplog.text) is (told is Unavailable)
        queue.reserve()
        submit(queue, queues.job(lambda: "done"))
        queues.ticker.tick()
        assert queues.results(1) == ["done"]
        queue.release()

    def test_the_dispatcher_does_it_all_if_it_can_have_no_help(
        self, queues: Queues, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = queues.make()
        monkeypatch.setattr(threading.Thread, "start", refuse)
        queue.reserve()
        queue.submit(queues.job(lambda: threading.current_thread().name))
        queues.ticker.tick()
        assert queues.results(1) == ["otp-auth-dispatch"]

    def test_those_that_are_there_do_it_all_if_there_can_be_no_more(
        self, queues: Queues, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        queue = queues.make()
        submit(queue, queues.job(lambda: queues.gate.wait(PATIENCE)))
        queues.ticker.tick()
        monkeypatch.setattr(threading.Thread, "start", refuse)
        submit(queue, *(queues.job(lambda: "done") for _ in range(3)))
        queues.ticker.tick(3)
        assert queues.done.empty()
        queues.gate.set()
        assert queues.results(4) == [True, "done", "done", "done"]

    def test_the_next_job_starts_a_dispatcher_in_place_of_one_that_failed(
        self, queues: Queues, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        failures: Queue[Any] = Queue()
        monkeypatch.setattr(threading, "excepthook", failures.put)

        def fail(seconds: float) -> None:
            if failures.empty():
                raise MemoryError
            time.sleep(0.001)

        queue = DeliveryQueue(lambda: Backlog(spread=lambda: 0), pause=fail)
        queue.reserve()
        failure = failures.get(timeout=PATIENCE)
        failures.put(failure)
        failure.thread.join(PATIENCE)
        queue.submit(queues.job(lambda: "first"))
        submit(queue, queues.job(lambda: "second"))
        assert queues.results(2) == ["first", "second"]


class TestHangingJobs:
    def hang(self, queues: Queues, **options: Any) -> DeliveryQueue:
        """Return a queue whose only thread is busy, while another job waits for it."""
        queue = queues.make(threads=1, **options)
        submit(queue, queues.job(lambda: queues.gate.wait(PATIENCE), "shop.mail"))
        queues.ticker.tick()
        submit(queue, queues.job(lambda: "late"))
        return queue

    def test_are_named_when_a_job_has_waited_for_ten_seconds(
        self, queues: Queues, caplog: pytest.LogCaptureFixture
    ) -> None:
        reports: list[str] = []
        self.hang(queues, report=reports.append)
        queues.ticker.tick(200)
        assert caplog.records == []
        queues.ticker.tick(1)
        (record,) = caplog.records
        assert (record.name, record.levelno) == ("flask_otp_auth", logging.ERROR)
        assert (
            record.getMessage()
            == reports[0]
            == (
                "deliveries wait for 10 s, as all threads are busy: "
                "shop.mail has been running for 10 s"
            )
        )

    def test_are_named_again_once_a_minute(
        self, queues: Queues, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.hang(queues)
        queues.ticker.tick(201 + 1199)
        assert len(caplog.records) == 1
        queues.ticker.tick(1)
        assert "shop.mail has been running for 70 s" in caplog.records[1].getMessage()

    def test_hold_the_others_up_no_longer_than_they_hang(self, queues: Queues) -> None:
        self.hang(queues)
        queues.ticker.tick()
        queues.gate.set()
        assert queues.results(2) == [True, "late"]


class TestProcesses:
    def test_what_is_pending_is_done_before_a_clean_exit_whenever_it_is_due(self) -> None:
        assert run(
            """
            for number in range(9):
                send(number)
            """
        ) == [str(number) for number in range(9)]

    def test_what_runs_is_done_before_a_clean_exit(self) -> None:
        assert run(
            """
            begun = threading.Event()

            def deliver():
                begun.set()
                threading.main_thread().join()  # the exit has begun
                time.sleep(0.2)  # a mail server
                say("done")
                return [Step("later", lambda: say("done later") or (), 0, delay=60)]

            queue.reserve()
            queue.submit(Step("slow", deliver, 0))
            begun.wait(20)
            """,
            spread=0,
        ) == ["done", "done later"]

    def test_an_exit_does_not_wait_for_ever(self) -> None:
        lines = run(
            """
            import logging
            from flask_otp_auth.web import queue as module

            logging.basicConfig(stream=sys.stdout, format="%(message)s")
            module.EXIT_PATIENCE = 0.01
            begun = threading.Event()

            def hang():
                begun.set()
                threading.Event().wait()

            queue.reserve()
            queue.submit(Step("shop.mail", hang, 0))
            begun.wait(20)
            """,
            spread=0,
        )
        assert len(lines) == 1
        assert "the process exits while deliveries hang: shop.mail has been running" in lines[0]

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")
    @pytest.mark.parametrize(
        "fork",
        [
            """
            child = os.fork()
            if not child:
                in_child()
                sys.exit()
            assert os.waitpid(child, 0)[1] == 0
            """,
            """
            child = multiprocessing.get_context("fork").Process(target=in_child)
            child.start()
            child.join()
            assert child.exitcode == 0
            """,
        ],
        ids=["os.fork", "multiprocessing"],
    )
    @pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
    def test_a_forked_child_delivers_too_and_so_does_its_parent(
        self, fork: str, patch: str
    ) -> None:
        if patch:
            pytest.importorskip("gevent")
        script = f"""
            role = " in the parent"

            def in_child():
                global role
                role = " in the child"
                send("second")

            send("first")  # the parent has a thread before it forks
            {textwrap.indent(textwrap.dedent(fork), " " * 12).strip()}
            send("third")
        """
        lines = run(script, patch)
        assert lines == ["first in the parent", "second in the child", "third in the parent"]


def run(script: str, first: str = "", *, spread: float = 60) -> list[str]:
    """Run a script in a process of its own and return the lines that it prints, sorted."""
    setup = f"""
        {first}
        import multiprocessing, os, sys, threading, time
        from flask_otp_auth.web.backlog import Backlog, Step
        from flask_otp_auth.web.queue import DeliveryQueue

        queue = DeliveryQueue(lambda: Backlog(spread=lambda: {spread}))
        role = ""

        def say(text):
            os.write(1, f"{{text}}\\n".encode())

        def send(name):
            queue.reserve()
            queue.submit(Step("mail", lambda: say(f"{{name}}{{role}}") or (), 0))
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(setup) + textwrap.dedent(script)],
        capture_output=True, text=True, timeout=60, env=environment, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    # gevent misses the parent's threads in a child, and says so.
    assert process.stderr == "" or "gevent" in first
    return sorted(process.stdout.split("\n")[:-1])


def dispatchers() -> set[threading.Thread]:
    """Return the threads that dispatch."""
    return {thread for thread in threading.enumerate() if thread.name == "otp-auth-dispatch"}


def refuse(thread: threading.Thread) -> None:
    """Start no thread."""
    raise RuntimeError("can't start new thread")
