"""The backlog: what is due when, and what goes first."""

import pytest

from flask_otp_auth.errors import Unavailable
from flask_otp_auth.web.backlog import LOOK_UPS, MEMBERS, OTHERS, TICK, Backlog, Step


def step(name: str = "step", priority: int = LOOK_UPS, delay: float = 0) -> Step:
    """Return a step with nothing to do."""
    return Step(name, lambda: (), priority, delay)


def backlog_with(*steps: Step, spread: float = 0) -> Backlog:
    """Return a backlog in which these steps wait."""
    backlog = Backlog(spread=lambda: spread)
    for each in steps:
        backlog.reserve()
        backlog.add(each)
    return backlog


def pass_ticks(backlog: Backlog, number: int) -> None:
    """Let some ticks pass."""
    for _ in range(number):
        backlog.tick()


def names(backlog: Backlog) -> list[str]:
    """Take all that is ready, and return its names."""
    taken = []
    while (entry := backlog.take()) is not None:
        taken.append(entry.step.name)
    return taken


class TestRooms:
    def test_a_job_beyond_the_capacity_is_refused(self) -> None:
        backlog = Backlog(capacity=2)
        backlog.reserve()
        backlog.reserve()
        with pytest.raises(Unavailable):
            backlog.reserve()
        backlog.release()
        backlog.reserve()
        assert backlog.rooms == 2

    def test_a_job_has_its_room_until_its_last_step_is_done(self) -> None:
        backlog = backlog_with(step())
        backlog.tick()
        first = backlog.take()
        assert first is not None
        backlog.done(first, [step("one"), step("two")])
        assert backlog.rooms == 1
        for rooms in (1, 0):
            entry = backlog.take()
            assert entry is not None
            backlog.done(entry)
            assert backlog.rooms == rooms


class TestDueTimes:
    @pytest.mark.parametrize(
        ("seconds", "ticks"), [(0, 1), (0.05, 1), (0.051, 2), (0.33, 7), (1, 20)]
    )
    def test_are_rounded_up_to_whole_ticks(self, seconds: float, ticks: int) -> None:
        backlog = backlog_with(step(), spread=seconds)
        pass_ticks(backlog, ticks - 1)
        assert backlog.ready == 0
        backlog.tick()
        assert backlog.ready == 1

    def test_are_spread_over_a_second(self) -> None:
        backlog = Backlog()
        for _ in range(1000):
            backlog.reserve()
            backlog.add(step())
        due = []
        for _ in range(20):
            before = backlog.ready
            backlog.tick()
            due.append(backlog.ready - before)
        assert sum(due) == 1000
        assert min(due) > 0

    def test_a_step_that_follows_is_ready_at_once_unless_it_has_a_delay(self) -> None:
        backlog = backlog_with(step())
        backlog.tick()
        entry = backlog.take()
        assert entry is not None
        backlog.done(entry, [step("now"), step("later", delay=1)])
        assert names(backlog) == ["now"]
        pass_ticks(backlog, 20)
        assert names(backlog) == ["later"]

    def test_are_ignored_in_a_hurry(self) -> None:
        backlog = backlog_with(step("one"), step("two"), spread=0.9)
        backlog.hurry()
        assert names(backlog) == ["one", "two"]


class TestOrder:
    def test_members_go_first_then_look_ups_then_all_else(self) -> None:
        order = [("newcomer", OTHERS), ("look-up", LOOK_UPS), ("member", MEMBERS)]
        backlog = backlog_with(*(step(name, priority) for name, priority in order))
        backlog.tick()
        assert names(backlog) == ["member", "look-up", "newcomer"]

    def test_threads_are_kept_for_members_however_many_messages_to_others_hang(self) -> None:
        backlog = backlog_with(*(step("newcomer", OTHERS) for _ in range(3)))
        backlog.tick()
        first, second = (backlog.take(2) for _ in range(2))
        assert first is not None
        assert second is not None
        assert backlog.take(2) is None
        backlog.reserve()
        backlog.add(step("member", MEMBERS))
        backlog.tick()
        member = backlog.take(2)
        assert member is not None
        assert member.step.name == "member"
        backlog.done(first)
        assert backlog.take(2) is not None

    def test_equals_go_in_the_order_in_which_they_came(self) -> None:
        backlog = backlog_with(*(step(str(number)) for number in range(5)))
        backlog.tick()
        assert names(backlog) == ["0", "1", "2", "3", "4"]


class TestDurations:
    def test_whose_code_runs_is_told_with_the_longest_time_of_each(self) -> None:
        backlog = backlog_with(step("mail"), step("sms"))
        backlog.tick()
        backlog.take()
        pass_ticks(backlog, 40)
        backlog.take()
        backlog.reserve()
        backlog.add(step("mail"))
        pass_ticks(backlog, 1)
        backlog.take()
        pass_ticks(backlog, 19)
        assert backlog.running() == {"mail": pytest.approx(3), "sms": pytest.approx(1)}
        assert list(backlog.running()) == ["mail", "sms"]

    def test_the_longest_wait_of_what_is_ready_is_told(self) -> None:
        backlog = backlog_with(step(priority=OTHERS))
        assert backlog.longest_wait() == 0
        backlog.tick()
        backlog.reserve()
        backlog.add(step(priority=MEMBERS))
        pass_ticks(backlog, 20)
        assert backlog.longest_wait() == pytest.approx(1)

    def test_time_is_counted_in_ticks(self) -> None:
        backlog = Backlog()
        pass_ticks(backlog, 3)
        assert backlog.seconds == pytest.approx(3 * TICK)
