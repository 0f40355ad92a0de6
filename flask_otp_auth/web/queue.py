"""The queue of deliveries: threads that each process starts when it has something to deliver.

One thread dispatches while there are jobs: it lets a tick pass, then wakes the threads that do the
work. It is no daemon: a process that exits cleanly, a child of ``multiprocessing`` included, joins
it, and it finishes what is pending.
"""

import contextvars
import logging
import os
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextvars import ContextVar

from ..errors import Unavailable
from .backlog import TICK, Backlog, Entry, Step

logger: logging.Logger = logging.getLogger("flask_otp_auth")

#: Threads for deliveries in each process; most of the time they wait for a mail server.
THREADS = 8

#: Threads that messages to people who have no account leave to members.
RESERVED = 2

#: Seconds after which a thread ends that has nothing to do.
IDLE = 10.0

#: Seconds for which a step waits for a thread before that is an error, and between two reports.
PATIENCE, REPORT_INTERVAL = 10, 60

#: Seconds that an exit waits for a step that runs.
EXIT_PATIENCE = 30.0

#: Whether it is for a job that the current code runs, in whatever thread.
IN_DELIVERY: ContextVar[bool] = ContextVar("otp_auth_in_delivery", default=False)

Pause = Callable[[float], None]
Report = Callable[[str], None]


class DeliveryQueue:
    """Runs jobs in the background; each process that forks off gets threads of its own.

    :param backlog: makes the backlog of a process.
    :param threads: how many deliver at once.
    :param pause: waits for some seconds, between two ticks.
    :param report: takes the text of each report that all threads are busy.
    """

    def __init__(
        self,
        backlog: Callable[[], Backlog] = Backlog,
        threads: int = THREADS,
        *,
        pause: Pause | None = None,
        idle: float = IDLE,
        report: Report | None = None,
    ) -> None:
        def make() -> _ProcessQueue:
            # Looked up here, as gevent may have put its own in place since the import.
            return _ProcessQueue(backlog(), threads, pause or time.sleep, idle, report)

        self._make = make
        self._queues: dict[int, _ProcessQueue] = {}

    def reserve(self) -> None:
        """Take the room for a job.

        :raises Unavailable: if there is none, or if no thread can be started.
        """
        self._here().reserve()

    def release(self) -> None:
        """Give back a room that no job was submitted for."""
        self._here().release()

    def submit(self, step: Step) -> None:
        """Run a job in the room that was taken for it; it begins within a second or so."""
        self._here().submit(step)

    @property
    def pending(self) -> int:
        """How many rooms of this process are taken."""
        return self._here().pending

    def _here(self) -> "_ProcessQueue":
        # Nothing is started before the first room is taken, so one that loses here costs nothing.
        pid = os.getpid()
        return self._queues.get(pid) or self._queues.setdefault(pid, self._make())


class _ProcessQueue:
    def __init__(
        self, backlog: Backlog, threads: int, pause: Pause, idle: float, report: Report | None
    ) -> None:
        self._backlog = backlog
        self._most = threads
        # However many newcomers' messages hang, members' go out.
        self._others = max(1, threads - RESERVED)
        self._pause = pause
        self._idle_seconds = idle
        self._report = report
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._has_work = threading.Condition(self._lock)
        self._has_ended = threading.Condition(self._lock)
        self._dispatches = False
        self._workers = self._idle = 0
        self._quiet_until = 0.0

    @property
    def pending(self) -> int:
        return self._backlog.rooms

    def reserve(self) -> None:
        with self._lock:
            self._backlog.reserve()
            try:
                self._ensure_dispatcher()
            except BaseException as error:
                self._backlog.release()
                if isinstance(error, RuntimeError):  # no threads left, or the interpreter exits
                    logger.warning("no thread can be started, so no code can be sent: 503")
                    raise Unavailable from error
                raise

    def release(self) -> None:
        with self._lock:
            self._backlog.release()

    def submit(self, step: Step) -> None:
        with self._lock:
            self._backlog.add(step)

    def _ensure_dispatcher(self) -> None:
        if not self._dispatches:
            threading.Thread(target=self._dispatch, name="otp-auth-dispatch", daemon=False).start()
            self._dispatches = True

    def _dispatch(self) -> None:
        try:
            while threading.main_thread().is_alive():
                self._pause(TICK)
                if os.getpid() != self._pid:
                    return  # under gevent a fork copies this thread, too; the jobs are the parent's
                with self._lock:
                    if not self._backlog.rooms:
                        self._dispatches = False
                        return
                    missing = self._tick()
                self._start_workers(missing)
                self._report_hanging()
            self._finish()
        except BaseException:
            with self._lock:
                self._dispatches = False  # the next job starts another thread
            raise

    def _tick(self) -> int:
        """Let a tick pass, wake threads, and return how many more are to be started.

        One thread does all that is due, if it is done before the next tick; or waking the others
        would cost more than the work. If not, more of them help.
        """
        left_over = self._backlog.ready
        self._backlog.tick()
        ready = self._backlog.ready
        wanted = ready if left_over else min(ready, 1)
        self._has_work.notify(wanted)
        return min(wanted - self._idle, self._most - self._workers)

    def _start_workers(self, number: int) -> None:
        try:
            for _ in range(number):
                threading.Thread(target=self._work, name="otp-auth-delivery", daemon=True).start()
                with self._lock:
                    self._workers += 1
        except RuntimeError:  # no threads left
            if not self._workers:
                self._run_ready()

    def _work(self) -> None:
        while True:
            with self._lock:
                entry = self._await_entry()
                if entry is None:
                    self._workers -= 1
                    return
            self._run(entry)

    def _await_entry(self) -> Entry | None:
        """Return the next entry, or ``None`` if there is none for a while."""
        while (entry := self._backlog.take(self._others)) is None:
            self._idle += 1
            was_woken = self._has_work.wait(self._idle_seconds)
            self._idle -= 1
            if not was_woken:
                break
        return entry

    def _run(self, entry: Entry) -> None:
        following: Sequence[Step] = ()
        try:
            # In a context of its own, or what a handler sets would be there in the next job.
            context = contextvars.Context()
            context.run(IN_DELIVERY.set, True)
            following = context.run(entry.step.run)
        except BaseException as error:  # noqa: BLE001 - the thread has other jobs to do
            places = "".join(traceback.format_tb(error.__traceback__)).rstrip()
            kind = type(error).__qualname__
            logger.error("%s raised %s in a delivery\n%s", entry.step.name, kind, places)
        finally:
            with self._lock:
                self._backlog.done(entry, following)
                self._has_ended.notify()

    def _run_ready(self) -> None:
        while True:
            with self._lock:
                entry = self._backlog.take()
            if entry is None:
                return
            self._run(entry)

    def _finish(self) -> None:
        """Run what is left, whenever it is due, and wait for what other threads run."""
        while True:
            self._run_ready()
            with self._lock:
                self._backlog.hurry()
                if self._backlog.ready:
                    continue
                running = self._backlog.running()
                if not running or not self._has_ended.wait(EXIT_PATIENCE):
                    self._dispatches = False
                    break
        if running:
            logger.error("the process exits while deliveries hang: %s", _durations(running))

    def _report_hanging(self) -> None:
        """Say whose code keeps all threads busy; once in a while."""
        with self._lock:
            waits, now = self._backlog.longest_wait(), self._backlog.seconds
            if waits < PATIENCE or now < self._quiet_until:
                return
            self._quiet_until = now + REPORT_INTERVAL
            busy = _durations(self._backlog.running())
        text = f"deliveries wait for {waits:.0f} s, as all threads are busy: {busy}"
        logger.error("%s", text)
        if self._report is not None:
            self._report(text)


def _durations(running: dict[str, float]) -> str:
    return ", ".join(f"{name} has been running for {s:.0f} s" for name, s in running.items())
