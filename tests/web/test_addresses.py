"""Limits by address: counted before anything is done, and told."""

import pytest
from fakes import ADA, BOB, Api, Customers, MakeApp, MakeWatched, Watched
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from time_machine import Traveller
from werkzeug.test import TestResponse

from flask_otp_auth import OTPAuth
from flask_otp_auth.testing import Outbox

IPV4 = "192.0.2.1"


def api_from(app: Flask, address: str | None = IPV4) -> Api:
    """Return the routes as they are called from an address; ``None``: from a Unix socket."""
    return Api(app.test_client(), address=address or "")


def limited(answer: TestResponse) -> bool:
    """Tell whether an answer is that of a limit."""
    if answer.status_code != 429:
        assert "Retry-After" not in answer.headers
        return False
    body = answer.get_json()
    assert body == {
        "type": "rate_limited",
        "message": "Too many requests",
        "retry_after": int(answer.headers["Retry-After"]),
    }
    return True


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """A shop that takes two requests of each kind from an address."""
    return make_app(OTP_AUTH_IP_GENERATE_LIMITS="2/hour", OTP_AUTH_IP_VERIFY_LIMITS="2/hour")


def test_requests_for_codes_are_limited(clock: Traveller, app: Flask) -> None:
    api = api_from(app)
    assert not limited(api.generate(ADA))
    assert not limited(api.pre_register(BOB))
    assert limited(api.generate(ADA))
    assert limited(api.pre_register("carol@example.com"))
    assert limited(api.start(ADA))
    clock.shift(3601)
    assert not limited(api.start(ADA))


def test_guesses_are_limited(clock: Traveller, app: Flask) -> None:
    api = api_from(app)
    assert not limited(api.verify("123456"))
    assert not limited(api.register("123456"))
    assert limited(api.verify("123456"))
    assert limited(api.register("123456"))
    assert limited(api.authenticate("123456"))
    assert limited(api.finish("123456"))
    clock.shift(3601)
    assert not limited(api.finish("123456"))


def test_what_can_be_no_code_is_limited_as_any_guess(app: Flask) -> None:
    api = api_from(app)
    assert [limited(api.verify("no code")) for _ in range(3)] == [False, False, True]


def test_both_are_limited_apart(app: Flask) -> None:
    api = api_from(app)
    answers = [api.generate(ADA) for _ in range(3)]
    assert limited(answers[-1])
    assert not limited(api.verify("123456"))


def test_a_right_code_does_not_pass_the_limit_and_is_not_used(app: Flask, outbox: Outbox) -> None:
    api = api_from(app)
    api.generate(ADA)
    for _ in range(2):
        api.verify("000", ADA)
    assert limited(api.verify(outbox.last.otp, ADA))
    assert api_from(app, "192.0.2.2").verify(outbox.last.otp, ADA).status_code == 200


def test_nothing_is_done_over_the_limit(make_watched: MakeWatched) -> None:
    shop = make_watched(OTP_AUTH_IP_GENERATE_LIMITS="1/hour", OTP_AUTH_IP_VERIFY_LIMITS="1/hour")
    api = api_from(shop.app)
    with Outbox(shop.app) as outbox:
        api.generate(ADA)
        api.verify("000", ADA)
        shop.forget_calls()
        assert limited(api.generate(BOB))
        assert limited(api.verify(outbox.last.otp, ADA))
        assert len(outbox) == 1
    assert shop.store.calls == []
    assert shop.customers.calls == []
    assert shop.limits.calls.count("hit") == 2  # the addresses


def test_tokens_are_not_limited_by_address(app: Flask, outbox: Outbox) -> None:
    api = api_from(app)
    api.generate(ADA)
    token = api.verify(outbox.last.otp).get_json()["token"]
    assert {api.refresh(token).status_code for _ in range(5)} == {200}


def test_the_answer_tells_how_long_to_wait(clock: Traveller, app: Flask) -> None:
    api = api_from(app)
    api.generate(ADA)
    clock.shift(1000)
    api.generate(ADA)
    answer = api.generate(ADA)
    assert limited(answer)
    assert answer.headers["Retry-After"] == "2600"
    clock.shift(2599)
    answer = api.generate(ADA)
    assert limited(answer)
    assert answer.headers["Retry-After"] == "1"
    clock.shift(1.001)
    assert not limited(api.generate(ADA))


class TestSeveralWindows:
    """A limit may list several, and all of them hold."""

    @pytest.fixture
    def api(self, make_app: MakeApp) -> Api:
        return api_from(make_app(OTP_AUTH_IP_GENERATE_LIMITS="2/minute;3/hour"))

    def test_the_short_one_holds(self, clock: Traveller, api: Api) -> None:
        assert [limited(api.generate(ADA)) for _ in range(3)] == [False, False, True]
        assert api.generate(ADA).headers["Retry-After"] == "60"

    def test_the_long_one_holds(self, clock: Traveller, api: Api) -> None:
        answers = []
        for _ in range(4):
            answers.append(limited(api.generate(ADA)))
            clock.shift(61)
        assert answers == [False, False, False, True]
        assert api.generate(ADA).headers["Retry-After"] == str(3600 - 4 * 61)


class TestWhatCountsAsOneAddress:
    """An IPv4 address, or an IPv6 /64; ``test_limits`` has each way to write one."""

    def shares(self, app: Flask, one: str | None, other: str | None) -> bool:
        for _ in range(2):
            assert not limited(api_from(app, one).generate(ADA))
        return limited(api_from(app, other).generate(ADA))

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
            (None, "unix:"),
        ],
    )
    def test_these_do(self, app: Flask, one: str | None, other: str | None) -> None:
        assert self.shares(app, one, other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("192.0.2.1", "192.0.2.2"),
            ("2001:db8:1:2::1", "2001:db8:1:3::1"),
            (None, "192.0.2.1"),
        ],
    )
    def test_these_do_not(self, app: Flask, one: str | None, other: str | None) -> None:
        assert not self.shares(app, one, other)

    def test_a_48_has_ten_times_as_many(self, app: Flask) -> None:
        for network in range(10):
            for _ in range(2):
                assert not limited(api_from(app, f"2001:db8:1:{network}::1").generate(ADA))
        assert limited(api_from(app, "2001:db8:1:ffff::1").generate(ADA))
        assert not limited(api_from(app, "2001:db8:2::1").generate(ADA))


def test_no_address_stands_in_the_storage(watched: Watched) -> None:
    api_from(watched.app).generate(ADA)
    keys = " ".join(watched.limits.events)
    assert "otp_auth" in keys
    assert IPV4 not in keys
    assert ADA not in keys


def test_a_limiter_that_the_test_configuration_switches_off_switches_all_limits_off(
    make_app: MakeApp, customers: Customers
) -> None:
    limiter = Limiter(get_remote_address, enabled=False)
    otp_auth = OTPAuth(limiter=limiter)
    otp_auth.add_actor_type("customer", customers)
    app = make_app(otp_auth, OTP_AUTH_IP_VERIFY_LIMITS="1/hour")
    assert not any(limited(api_from(app).verify("123456")) for _ in range(3))


def test_a_proxy_that_is_not_trusted_is_told_by_views_of_the_app_s_own_as_well(
    make_app: MakeApp, otp_auth: OTPAuth, caplog: pytest.LogCaptureFixture
) -> None:
    """An app may have no other ones. Each app says so, once."""
    for _ in range(2):
        app = make_app(otp_auth)
        app.add_url_rule("/ask", "ask", lambda: otp_auth.start("customer", ADA).json())
        for _ in range(2):
            headers = {"X-Forwarded-For": "198.51.100.7"}
            assert app.test_client().get("/ask", headers=headers).status_code == 200
    assert len([text for text in caplog.messages if "ProxyFix" in text]) == 2
