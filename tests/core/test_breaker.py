"""The breaker: when guesses fail all over an actor type, its new codes are long for a while."""

import logging

import pytest
from engine import LOGIN, Engine, MakeEngine
from fakes import FakeStore
from time_machine import Traveller

from flask_otp_auth.core.scopes import Scope
from flask_otp_auth.core.validators import limit
from flask_otp_auth.errors import Unavailable

FOUR = limit("4/hour")
STAFF = Scope("user", "login", "bo@example.com")


def fail(engine: Engine, times: int, *, live: bool = True) -> None:
    for _ in range(times):
        engine.breaker.count_failure("customer", FOUR, live=live)


def makes_long_codes(engine: Engine, scope: Scope = LOGIN) -> bool:
    """Tell whether a code that is due now is a long one."""
    engine.lanes.open_window(scope, long=False)
    engine.lanes.open_window(scope, long=True)
    return engine.lanes.take_turn(scope, engine.settings).long


class TestFailures:
    def test_too_many_make_new_codes_long(self, engine: Engine) -> None:
        fail(engine, 3)
        assert not makes_long_codes(engine)
        fail(engine, 1)
        assert makes_long_codes(engine)

    def test_those_of_another_actor_type_stay_short(self, engine: Engine) -> None:
        fail(engine, 4)
        assert not makes_long_codes(engine, STAFF)

    def test_failures_at_nothing_make_none_long(self, engine: Engine) -> None:
        """Or anybody could open the breaker without a single mail."""
        fail(engine, 9, live=False)
        assert not makes_long_codes(engine)
        assert engine.heard == []
        fail(engine, 3)
        assert not makes_long_codes(engine)

    def test_a_signal_and_an_error_say_so_once(
        self, engine: Engine, caplog: pytest.LogCaptureFixture
    ) -> None:
        fail(engine, 9)
        assert engine.heard == [("breaker-opened", {"limit": "global_failure_limit"})]
        assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
            (logging.ERROR, "OTP_AUTH_GLOBAL_FAILURE_LIMIT of customer is reached")
        ]

    def test_another_process_sees_it_and_says_nothing(self, make_engine: MakeEngine) -> None:
        here, there = make_engine(), make_engine()
        fail(here, 4)
        assert makes_long_codes(there)
        assert there.lanes.marks(LOGIN).breaker == 600
        fail(there, 2)
        assert there.heard == []

    def test_it_can_be_asked_of_several_at_once(self, engine: Engine, store: FakeStore) -> None:
        fail(engine, 4)
        store.calls.clear()
        assert engine.breaker.are_open(["user", "customer", "user"]) == [False, True, False]
        assert engine.breaker.are_open([]) == []
        assert store.verbs == ["peek"]


class TestStayingOpen:
    def test_it_stays_open_for_ten_minutes_at_least(self, engine: Engine, clock: Traveller) -> None:
        fail(engine, 4)
        clock.shift(599)
        assert makes_long_codes(engine)
        clock.shift(1)
        assert not makes_long_codes(engine)

    def test_failures_keep_it_open_and_say_so_again(self, engine: Engine, clock: Traveller) -> None:
        fail(engine, 4)
        clock.shift(600)
        fail(engine, 1)
        assert makes_long_codes(engine)
        assert len(engine.heard) == 2

    def test_failures_keep_it_open_though_another_process_opened_it(
        self, make_engine: MakeEngine, clock: Traveller
    ) -> None:
        here, there = make_engine(), make_engine()
        fail(here, 4)
        clock.shift(400)
        fail(there, 1)
        clock.shift(200)
        assert not makes_long_codes(there)
        fail(there, 1)
        assert makes_long_codes(there)

    def test_when_the_window_has_moved_on_a_failure_opens_nothing(
        self, engine: Engine, clock: Traveller
    ) -> None:
        fail(engine, 4)
        clock.shift(3601)
        fail(engine, 1)
        assert not makes_long_codes(engine)

    def test_an_upgrade_still_sees_that_it_is_open(self, engine: Engine, store: FakeStore) -> None:
        fail(engine, 4)
        assert engine.breaker.key("customer") in store.items
        assert engine.breaker.key("customer") == (
            "otp_auth:{f57460ced293a4600cc057a058d3e74a}:bf35c56db42ffa00caa1b535a6069904"
        )

    def test_a_storage_that_was_cleared_begins_anew(self, engine: Engine) -> None:
        fail(engine, 4)
        engine.store.items.clear()
        engine.limits.reset()
        fail(engine, 3)
        assert not makes_long_codes(engine)
        fail(engine, 1)
        assert makes_long_codes(engine)

    def test_garbage_in_its_place_counts_as_absent(self, engine: Engine) -> None:
        engine.store.items[engine.breaker.key("customer")] = ("1", 9e9)
        fail(engine, 5)
        assert engine.heard == []
        assert not makes_long_codes(engine)
        fail(engine, 1)
        assert makes_long_codes(engine)


class TestSends:
    def test_they_are_counted_and_make_no_code_long(self, engine: Engine) -> None:
        counted = [engine.breaker.count_send("customer", limit("2/hour")) for _ in range(3)]
        assert counted == [True, True, False]
        engine.breaker.report_sends("customer")
        assert not makes_long_codes(engine)

    def test_a_flood_is_reported_once_in_ten_minutes(
        self, engine: Engine, clock: Traveller
    ) -> None:
        for _ in range(3):
            engine.breaker.report_sends("customer")
        assert engine.heard == [("breaker-opened", {"limit": "global_send_limit"})]
        clock.shift(600)
        engine.breaker.report_sends("customer")
        assert len(engine.heard) == 2


def test_in_an_outage_a_failure_is_not_forgotten_to_be_marked(
    engine: Engine, store: FakeStore
) -> None:
    fail(engine, 3)
    store.reachable = False
    with pytest.raises(Unavailable):
        fail(engine, 1)
    store.reachable = True
    fail(engine, 1)
    assert makes_long_codes(engine)
