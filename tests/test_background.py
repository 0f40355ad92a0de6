"""The background: each job is done once, soon, in another thread."""

import queue
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from servers import PATIENCE, at_once

from flask_otp_auth import background
from flask_otp_auth.background import WORKERS, ProcessPools


@pytest.fixture
def pools() -> ProcessPools:
    """The pools of this process and its children."""
    return ProcessPools()


def gathered(count: int, done: "queue.Queue[int]") -> list[int]:
    """Return what was done, in order, once it is so much."""
    return sorted(done.get(timeout=PATIENCE) for _ in range(count))


def test_each_job_is_done_once_whoever_submits_it(pools: ProcessPools) -> None:
    done: queue.Queue[int] = queue.Queue()
    for first in range(0, 2000, 80):
        numbers = [range(first + start, first + start + 10) for start in range(0, 80, 10)]
        at_once(*(lambda part=part: [pools.submit(done.put, n) for n in part] for part in numbers))
    assert gathered(2000, done) == list(range(2000))
    assert done.empty()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Jobs are gathered until this is set."""
    gate = Event()
    monkeypatch.setattr(background, "time", SimpleNamespace(sleep=lambda _: gate.wait(PATIENCE)))
    return gate


@pytest.mark.parametrize("jobs", [1, 2, 300])
def test_one_thread_gathers_the_jobs_of_a_moment(
    pools: ProcessPools, gate: Event, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    """To wake a thread for each one would cost more than the job."""
    done: queue.Queue[int] = queue.Queue()
    submit, woken = ThreadPoolExecutor.submit, []

    def wake(*arguments: Any) -> None:
        woken.append(arguments)
        submit(*arguments)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", wake)
    for number in range(jobs):
        pools.submit(done.put, number)
    assert len(woken) == 1
    assert done.empty()
    gate.set()
    assert gathered(jobs, done) == list(range(jobs))


@pytest.mark.parametrize("jobs", [1, 3])
def test_who_is_cut_short_while_it_gathers_does_the_jobs_at_once(
    pools: ProcessPools, gate: Event, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    done: queue.Queue[int] = queue.Queue()

    def wait(seconds: float) -> None:
        gate.wait(PATIENCE)
        raise MemoryError

    monkeypatch.setattr(background, "time", SimpleNamespace(sleep=wait))
    for number in range(jobs):
        pools.submit(done.put, number)
    gate.set()
    assert gathered(jobs, done) == list(range(jobs))


def test_a_slow_job_holds_up_none_of_those_it_was_gathered_with(pools: ProcessPools) -> None:
    """Each waits for the next one, so all of them must be under way at once."""
    events = [Event() for _ in range(WORKERS)]
    outcomes: queue.Queue[bool] = queue.Queue()

    def wait_for(number: int) -> None:
        events[number].set()
        following = events[(number + 1) % WORKERS]
        outcomes.put(following.wait(PATIENCE))

    for number in range(WORKERS):
        pools.submit(wait_for, number)
    assert [outcomes.get(timeout=PATIENCE) for _ in range(WORKERS)] == [True] * WORKERS


def test_a_job_that_raises_keeps_no_other_from_being_done(
    pools: ProcessPools, gate: Event, capsys: pytest.CaptureFixture[str]
) -> None:
    done: queue.Queue[int] = queue.Queue()

    def leave() -> None:
        raise SystemExit("314159")

    for number in range(3):
        pools.submit(leave)
        pools.submit(done.put, number)
    gate.set()
    assert gathered(3, done) == [0, 1, 2]
    pools.submit(done.put, 3)
    assert gathered(1, done) == [3]
    assert capsys.readouterr().err == 3 * "flask_otp_auth: a delivery raised SystemExit\n"


def test_a_job_that_comes_while_others_are_done_is_done_too(pools: ProcessPools) -> None:
    done: queue.Queue[int] = queue.Queue()

    def count_down(number: int) -> None:
        done.put(number)
        if number:
            pools.submit(count_down, number - 1)

    pools.submit(count_down, 9)
    assert gathered(10, done) == list(range(10))


def test_without_a_thread_the_caller_is_told_and_the_job_is_not_done_later(
    pools: ProcessPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: queue.Queue[int] = queue.Queue()
    with monkeypatch.context() as patch:
        patch.setattr(ThreadPoolExecutor, "submit", refuse)
        with pytest.raises(RuntimeError):
            pools.submit(done.put, 1)
    pools.submit(done.put, 2)
    assert gathered(1, done) == [2]
    assert done.empty()


def test_a_job_that_a_thread_at_work_has_taken_is_not_reported_as_refused(
    pools: ProcessPools, gate: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a code that was sent would be reported as lost."""
    done: queue.Queue[int] = queue.Queue()
    at_work, go_on, taken = Event(), Event(), Event()
    gates = iter([gate, at_work])  # of the first thread, then of the one that is to help it
    monkeypatch.setattr(
        background, "time", SimpleNamespace(sleep=lambda _: next(gates).wait(PATIENCE))
    )

    def linger() -> None:
        at_work.set()
        go_on.wait(PATIENCE)

    def refuse_too_late(*_: object) -> None:
        go_on.set()
        taken.wait(PATIENCE)
        refuse()

    pools.submit(linger)
    pools.submit(done.put, 1)
    gate.set()
    assert gathered(1, done) == [1]
    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse_too_late)
    pools.submit(taken.set)
    assert taken.is_set()


def refuse(*_: object) -> None:
    """Be a pool that can start no thread."""
    raise RuntimeError("can't start new thread")


def test_one_thread_does_it_all_if_it_can_have_no_help(
    pools: ProcessPools, gate: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: queue.Queue[int] = queue.Queue()
    pools.submit(done.put, 0)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", refuse)
    for number in range(1, 20):
        pools.submit(done.put, number)
    gate.set()
    assert gathered(20, done) == list(range(20))


def test_an_interrupted_submission_holds_up_no_later_one(
    pools: ProcessPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal handler may raise anywhere, a time-out of the server for one."""
    done: queue.Queue[int] = queue.Queue()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ThreadPoolExecutor, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pools.submit(done.put, 1)
    pools.submit(done.put, 2)
    assert gathered(2, done) == [1, 2]
