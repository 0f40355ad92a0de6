"""Work in the background: a small thread pool that each process makes for itself.

A thread that is woken takes the interpreter from the request that woke it, which costs more than
most handlers do, and costs it only where there is something to deliver. So jobs are gathered for
some milliseconds, and a thread or two are woken for all of them.
"""

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

Job = Callable[[], None]

#: Threads for deliveries in each process.
WORKERS = 4

#: Seconds for which jobs are gathered.
GATHERING = 0.02


class ProcessPools:
    """The thread pool of each process, made at its first job.

    A pool that was made before a fork has no threads in the child, so each process has its
    own. The interpreter finishes what is pending when it exits cleanly.
    """

    def __init__(self) -> None:
        self._pools: dict[int, _Pool] = {}

    def submit(self, function: Callable[..., None], /, *args: Any) -> None:
        """Run ``function(*args)`` soon, in another thread.

        :raises RuntimeError: if there can be no more threads, or the interpreter is at its end.
        """
        # A pool starts no thread before its first job, so one that loses here costs nothing.
        pool = self._pools.get(os.getpid()) or self._pools.setdefault(os.getpid(), _Pool())
        pool.submit(partial(function, *args))


class _Pool:
    def __init__(self) -> None:
        from concurrent.futures import ThreadPoolExecutor  # here: many processes deliver nothing

        self._threads: ThreadPoolExecutor = ThreadPoolExecutor(WORKERS, "otp-auth-delivery")
        self._jobs: deque[Job] = deque()
        self._gathering = False
        # Looked up here, as gevent may have put its own in place since the import.
        self._lock = threading.Lock()

    def submit(self, job: Job) -> None:
        with self._lock:
            self._jobs.append(job)
            if self._gathering:
                return
            try:
                self._begin_to_gather()
            except RuntimeError:
                with suppress(IndexError):  # a thread that is at work already may have it
                    self._jobs.pop()
                    raise

    def _begin_to_gather(self) -> None:
        self._threads.submit(self._gather)
        self._gathering = True

    def _gather(self) -> None:
        try:
            time.sleep(GATHERING)
        finally:  # whatever cuts it short
            self._work(self._end_gathering())

    def _work(self, count: int) -> None:
        for _ in range(count):
            try:
                job = self._jobs.popleft()
            except IndexError:
                return  # others have done the rest
            _run(job)

    def _end_gathering(self) -> int:
        """Return how many jobs there are.

        What comes from now on is for another thread: this one would otherwise go on for as long
        as there are requests, in step with them.
        """
        with self._lock:
            self._gathering = False
            count = len(self._jobs)
            if count > 1:
                # Should the first be slow, the next thread takes over the others.
                with suppress(RuntimeError):  # at the interpreter's end this thread is enough
                    self._begin_to_gather()
        return count


def _run(job: Job) -> None:
    try:
        job()
    except BaseException as error:  # noqa: BLE001 - else nobody would do what others have submitted
        # Not to the log, as that may be what has raised.
        sys.stderr.write(f"flask_otp_auth: a delivery raised {type(error).__qualname__}\n")


def threads_are_missing() -> bool:
    """Tell whether this is uWSGI started without threads, where a pool would never run."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        return False
    options = uwsgi.opt
    return not (options.get("enable-threads") or options.get("threads"))
