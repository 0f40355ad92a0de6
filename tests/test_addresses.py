"""Limits by address: counted before anything is done, and told."""

from collections.abc import Callable

import pytest
import time_machine
from conftest import ADA, BOB, Api, Ear, Watched
from flask import Flask
from werkzeug.test import TestResponse

from flask_otp_auth.testing import Outbox

IPV4 = "192.0.2.1"


def api_from(app: Flask, address: str | None = IPV4) -> Api:
    """Return the routes as they are called from an address."""
    client = app.test_client()
    if address is None:
        client.environ_base.pop("REMOTE_ADDR", None)
    else:
        client.environ_base["REMOTE_ADDR"] = address
    return Api(client)


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
def app(make_app: Callable[..., Flask]) -> Flask:
    """A shop that takes two requests of each kind from an address."""
    return make_app(OTP_AUTH_IP_GENERATE_LIMITS="2/hour", OTP_AUTH_IP_VERIFY_LIMITS="2/hour")


def test_requests_for_codes_are_limited(clock: time_machine.Traveller, app: Flask) -> None:
    api = api_from(app)
    assert not limited(api.generate(ADA))
    assert not limited(api.pre_register(BOB))
    assert limited(api.generate(ADA))
    assert limited(api.pre_register("carol@example.com"))
    clock.shift(3601)
    assert not limited(api.generate(ADA))


def test_guesses_are_limited(clock: time_machine.Traveller, app: Flask) -> None:
    api = api_from(app)
    assert not limited(api.verify("123456"))
    assert not limited(api.register("123456"))
    assert limited(api.verify("123456"))
    assert limited(api.register("123456"))
    assert limited(api.authenticate("123456"))
    clock.shift(3601)
    assert not limited(api.authenticate("123456"))


def test_both_are_limited_apart(app: Flask) -> None:
    api = api_from(app)
    answers = [api.generate(ADA) for _ in range(3)]
    assert limited(answers[-1])
    assert not limited(api.verify("123456"))
    answers = [api.verify("123456") for _ in range(2)]
    assert limited(answers[-1])


def test_a_right_code_does_not_pass_the_limit_and_is_not_spent(
    clock: time_machine.Traveller, app: Flask, outbox: Outbox, ear: Ear
) -> None:
    api = api_from(app)
    api.generate(ADA)
    for _ in range(2):
        api.verify("000", ADA)
    assert limited(api.verify(outbox.last.otp, ADA))
    assert ear.reasons() == ["wrong", "wrong"]
    assert api_from(app, "192.0.2.2").verify(outbox.last.otp, ADA).status_code == 200


def test_nothing_is_done_for_who_is_over_the_limit(
    make_watched: Callable[..., Watched],
) -> None:
    shop = make_watched(OTP_AUTH_IP_GENERATE_LIMITS="1/hour", OTP_AUTH_IP_VERIFY_LIMITS="1/hour")
    api = api_from(shop.app)
    with Outbox(shop.app) as outbox:
        api.generate(ADA)
        api.verify("000", ADA)
        shop.forget()
        assert limited(api.generate(BOB))
        assert limited(api.verify(outbox.last.otp, ADA))
        assert len(outbox) == 1
    assert shop.store.calls == []
    assert shop.limits.calls == ["hit", "test"] * 2


def test_a_body_that_is_refused_is_not_counted(app: Flask) -> None:
    api = api_from(app)
    for _ in range(5):
        assert not limited(api.post("/otp/generate"))
    assert not limited(api.generate(ADA))


def test_tokens_are_not_limited(app: Flask, outbox: Outbox) -> None:
    api = api_from(app)
    api.generate(ADA)
    token = api.verify(outbox.last.otp).get_json()["token"]
    assert {api.refresh(token).status_code for _ in range(5)} == {200}


def test_what_is_told_is_how_long_to_wait(clock: time_machine.Traveller, app: Flask) -> None:
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
    def api(self, make_app: Callable[..., Flask]) -> Api:
        return api_from(make_app(OTP_AUTH_IP_GENERATE_LIMITS="2/minute;3/hour"))

    def test_the_short_one_holds(self, clock: time_machine.Traveller, api: Api) -> None:
        assert [limited(api.generate(ADA)) for _ in range(3)] == [False, False, True]
        assert api.generate(ADA).headers["Retry-After"] == "60"

    def test_the_long_one_holds(self, clock: time_machine.Traveller, api: Api) -> None:
        answers = []
        for _ in range(4):
            answers.append(limited(api.generate(ADA)))
            clock.shift(61)
        assert answers == [False, False, False, True]
        assert api.generate(ADA).headers["Retry-After"] == str(3600 - 4 * 61)


class TestWhatCountsAsOneAddress:
    """An IPv4 address, or an IPv6 /64."""

    def shares(self, app: Flask, one: str | None, other: str | None) -> bool:
        for _ in range(2):
            assert not limited(api_from(app, one).generate(ADA))
        return limited(api_from(app, other).generate(ADA))

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1", "::ffff:192.0.2.1"),
            ("::ffff:192.0.2.1", "::ffff:c000:201"),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
            ("2001:db8:1:2::1", "2001:DB8:1:2::2"),
            ("fe80::1%eth0", "fe80::2"),
            (None, None),
            ("unix:", "unix:"),
        ],
    )
    def test_these_do(self, app: Flask, one: str | None, other: str | None) -> None:
        assert self.shares(app, one, other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("192.0.2.1", "192.0.2.2"),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
            ("2001:db8:1:2::1", "2001:db8:1:3::1"),
            (None, "192.0.2.1"),
        ],
    )
    def test_these_do_not(self, app: Flask, one: str | None, other: str | None) -> None:
        assert not self.shares(app, one, other)

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
    def test_what_a_client_says_of_itself_does_not_count(self, app: Flask, header: str) -> None:
        api = api_from(app)
        answers = [
            api.client.post(
                "/auth/customer/otp/generate",
                json={"identifier": ADA},
                headers={header: f"198.51.100.{number}"},
            )
            for number in range(3)
        ]
        assert limited(answers[-1])


def test_the_signal_tells_the_address_in_full(app: Flask, ear: Ear) -> None:
    for last in (1, 2, 3):
        api_from(app, f"2001:db8::{last}").verify("123456", ADA)
    assert ear.of("rate_limited") == [{"endpoint": "otp_auth.verify", "address": "2001:db8::3"}]


def test_no_address_stands_in_the_storage(make_watched: Callable[..., Watched]) -> None:
    shop = make_watched()
    api_from(shop.app).generate(ADA)
    keys = " ".join(shop.limits.events)
    assert "otp_auth" in keys
    assert IPV4 not in keys
    assert ADA not in keys
