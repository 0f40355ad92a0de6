"""Asking for a code: the request counts, answers and queues a job, alike for everybody."""

import pickle
import time
from typing import Any

import pytest
from fakes import ADA, BOB
from routes import LOGIN, Route, Shop, all_routes, configured

from flask_otp_auth.core.jobs import SendJob
from flask_otp_auth.errors import Unavailable


@pytest.fixture
def jobs(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[SendJob]:
    """The jobs, which nobody runs."""
    held: list[SendJob] = []
    delivery = shop.app.extensions["otp_auth"].delivery
    monkeypatch.setattr(delivery, "submit", held.append)
    return held


class TestTheAnswer:
    @all_routes
    def test_is_a_challenge_and_times_that_never_count_down(self, shop: Shop, route: Route) -> None:
        bodies = []
        for _ in range(3):
            bodies.append(getattr(shop.api, route.ask_by)(route.wanted).get_json())
            shop.clock.shift(25)
        assert [(body["expires_in"], body["resend_after"]) for body in bodies] == [(300, 60)] * 3
        assert len({body["challenge"] for body in bodies}) == 3

    @all_routes
    @configured(send_limits="2/hour", resend_interval=30)
    def test_takes_the_same_work_and_looks_nobody_up(
        self, shop: Shop, jobs: list[SendJob], route: Route
    ) -> None:
        work = []
        for identifier in (ADA, BOB):
            shop.forget_calls()
            for _ in range(9):
                route.ask(shop, identifier)
                shop.clock.shift(15)
            work.append((shop.store.verbs, shop.limits.calls[:]))
            assert shop.customers.calls == []
        assert work[0] == work[1]
        assert len(jobs) == 18


class TestJobs:
    def test_every_request_is_one_which_says_what_is_due(
        self, shop: Shop, jobs: list[SendJob]
    ) -> None:
        first, second = LOGIN.ask(shop), LOGIN.ask(shop)
        due, cooldown = jobs
        assert due.scope.parts == ("customer", "login", ADA, "")
        now = time.time()
        assert (due.long, due.suppressed, due.attacked) == (False, None, None)
        assert (due.asked_at, due.expires_at) == (now, now + 300)
        assert cooldown.suppressed == "cooldown"
        assert [job.challenge for job in jobs] == [first, second]
        assert due.context.address == "127.0.0.1"

    def test_one_can_be_pickled_and_printed(self, shop: Shop, jobs: list[SendJob]) -> None:
        LOGIN.ask(shop)
        (job,) = jobs
        assert vars(pickle.loads(pickle.dumps(job))).keys() == vars(job).keys()  # noqa: S301 - of our own making
        assert ADA not in repr(job)
        assert job.challenge not in repr(job)


class TestTheQueue:
    @pytest.fixture
    def places(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What is done with places in the queue."""
        done: list[str] = []
        delivery = shop.app.extensions["otp_auth"].delivery
        for name in ("reserve", "release"):
            monkeypatch.setattr(delivery, name, lambda name=name: done.append(name))
        return done

    @all_routes
    def test_where_it_is_full_nothing_but_the_address_is_counted(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch, route: Route
    ) -> None:
        def full() -> None:
            raise Unavailable

        monkeypatch.setattr(shop.app.extensions["otp_auth"].delivery, "reserve", full)
        assert getattr(shop.api, route.ask_by)(ADA).status_code == 503
        assert shop.store.calls == []
        assert shop.limits.calls == ["hit", "look"]

    def test_a_place_is_taken_for_each_job_and_given_back_if_there_is_none(
        self, shop: Shop, places: list[str]
    ) -> None:
        LOGIN.ask(shop)
        shop.store.reachable = False
        assert shop.api.generate().status_code == 503
        assert places == ["reserve", "reserve", "release"]


class TestTheAddress:
    @all_routes
    @configured(ip_generate_limits="2/hour")
    def test_has_its_limit_before_anything_else(self, shop: Shop, route: Route) -> None:
        for number in range(2):
            route.ask(shop, f"{number}@example.com")
        shop.forget_calls()
        answer = getattr(shop.api, route.ask_by)(route.wanted)
        assert (answer.status_code, answer.get_json()["type"]) == (429, "rate_limited")
        assert 3500 < int(answer.headers["Retry-After"]) <= 3600
        assert shop.store.calls == []
        assert [each["address"] for each in shop.recorder.of("rate_limited")] == ["127.0.0.1"]
        assert len(shop.outbox) in (0, 2)

    @configured(ip_generate_limits="1/hour")
    def test_of_a_script_there_is_none(self, shop: Shop) -> None:
        with shop.app.app_context():
            for _ in range(3):
                shop.otp_auth.generate("customer", ADA)
        assert "hit" in shop.limits.calls


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("actor_type", "identifier", "status"),
        [("robot", ADA, 404), ("customer", "ada", 400), ("customer", "", 400)],
    )
    def test_costs_nothing(self, shop: Shop, actor_type: str, identifier: str, status: int) -> None:
        shop.api.actor_type = actor_type
        for ask in (shop.api.generate, shop.api.pre_register, shop.api.start):
            assert ask(identifier).status_code == status
        assert (shop.store.calls, shop.limits.calls) == ([], [])


class TestPlainAnswers:
    """``OTP_AUTH_ALWAYS_RETURN_SUCCESS = False``, for back offices."""

    plain = configured(always_return_success=False)

    @plain
    def test_tell_who_has_no_account(self, shop: Shop) -> None:
        answer = shop.api.generate(BOB)
        assert (answer.status_code, answer.get_json()["type"]) == (404, "not_found")
        assert [each.reason for each in shop.outbox.suppressed] == ["unknown_actor"]

    @plain
    def test_tell_who_has_one(self, shop: Shop) -> None:
        answer = shop.api.pre_register(ADA)
        assert (answer.status_code, answer.get_json()["type"]) == (409, "duplicate_error")

    @plain
    @all_routes
    def test_tell_how_long_the_cooldown_lasts(self, shop: Shop, route: Route) -> None:
        route.ask(shop)
        shop.clock.shift(20)
        answer = getattr(shop.api, route.ask_by)(route.wanted)
        assert (answer.status_code, answer.get_json()["retry_after"]) == (429, 40)
        assert len(shop.outbox) == 1

    @plain
    def test_bring_one_notice_a_window_however_often_somebody_asks(self, shop: Shop) -> None:
        for _ in range(5):
            assert shop.api.generate(BOB).status_code == 404
        reasons = [each.reason for each in shop.outbox.suppressed]
        assert reasons == ["unknown_actor", *["cooldown"] * 4]

    @plain
    @pytest.mark.parametrize(
        ("identifier", "given", "status"),
        [
            ("+2348021234567", {"phone_countries": ("DE",)}, 400),
            ("+493012345678", {}, 400),
            ("+4915123456789", {"sign_up": lambda identifier: False}, 403),
        ],
    )
    def test_tell_who_may_not_have_one(
        self, shop: Shop, identifier: str, given: dict[str, Any], status: int
    ) -> None:
        shop.otp_auth.add_actor_type("driver", shop.customers, identifier="phone", **given)
        shop.api.actor_type = "driver"
        assert shop.api.pre_register(identifier).status_code == status
