"""Work in the background: a small thread pool that each process makes for itself.

A thread that is woken takes the interpreter from the request that woke it, which costs more than
most handlers do, and costs it only where there is something to deliver. So jobs are gathered for
some milliseconds and a thread is woken once for all of them.
"""

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

Job = Callable[[], None]
_Jobs = deque[Job]

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
        self._jobs: _Jobs = deque()
        self._gathering = False

    def submit(self, job: Job) -> None:
        self._jobs.append(job)
        if self._gathering:
            return
        self._gathering = True
        try:
            self._threads.submit(self._gather)
        except RuntimeError:
            self._gathering = False
            self._jobs.remove(job)
            raise

    def _gather(self) -> None:
        time.sleep(GATHERING)
        # Before a job is taken: who still counts on this thread has added its job.
        self._gathering = False
        # What comes from now on is for the next thread: this one would otherwise go on for as
        # long as there are requests, in step with them.
        batch: _Jobs = deque()
        for _ in range(len(self._jobs)):
            batch.extend(_next(self._jobs))
        self._work(batch)

    def _work(self, batch: _Jobs) -> None:
        jobs = _next(batch)
        if batch:
            # One of the jobs may be slow, and must not hold up the others.
            with suppress(RuntimeError):  # at the interpreter's end this thread is enough
                self._threads.submit(self._work, batch)
        while jobs:
            jobs[0]()
            jobs = _next(batch)


def _next(jobs: _Jobs) -> list[Job]:
    """Take the next job, if there is one."""
    with suppress(IndexError):
        return [jobs.popleft()]
    return []


def threads_are_missing() -> bool:
    """Tell whether this is uWSGI started without threads, where a pool would never run."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None:
        return False
    options = uwsgi.opt
    return not (options.get("enable-threads") or options.get("threads"))
