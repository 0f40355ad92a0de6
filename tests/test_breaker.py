"""The breaker: when guesses fail everywhere, short codes rest and long ones take over."""

from collections.abc import Callable

import pytest
import time_machine
from conftest import Customers
from flask import Flask
from flask.testing import FlaskClient

from flask_otp_auth import OTPAuth
from flask_otp_auth.signals import breaker_opened, otp_rejected
from flask_otp_auth.testing import Outbox

URL = "/auth/customer/otp"


@pytest.fixture
def app(make_app: Callable[..., Flask], customers: Customers) -> Flask:
    """A shop of three customers whose breaker opens after four failures."""
    customers.add("bo@example.com")
    customers.add("cy@example.com")
    return make_app(OTP_AUTH_GLOBAL_FAILURE_LIMIT="4/hour")


def ask(client: FlaskClient, identifier: str) -> None:
    assert client.post(f"{URL}/generate", json={"identifier": identifier}).status_code == 200


def answer(client: FlaskClient, identifier: str, otp: str) -> int:
    body = {"identifier": identifier, "otp": otp}
    return client.post(f"{URL}/verify", json=body).status_code


def wrong(otp: str) -> str:
    return f"{(int(otp) + 1) % 10**6:06}"


def fail(client: FlaskClient, outbox: Outbox, identifier: str, times: int) -> str:
    """Fail ``times`` guesses at a new code and return the code."""
    ask(client, identifier)
    otp = outbox.last.otp
    for _ in range(times):
        assert answer(client, identifier, wrong(otp)) == 400
    return otp


def test_past_the_limit_a_right_short_code_is_not_compared(
    client: FlaskClient, outbox: Outbox, app: Flask, clock: time_machine.Traveller
) -> None:
    reasons = []

    def note(sender: Flask, reason: str, **_: str) -> None:
        reasons.append(reason)

    ask(client, "cy@example.com")
    code = outbox.last.otp
    fail(client, outbox, "ada@example.com", 3)
    fail(client, outbox, "bo@example.com", 2)
    with otp_rejected.connected_to(note, app):
        assert answer(client, "cy@example.com", code) == 400
    assert reasons == ["budget"]


def test_new_codes_are_long_and_let_their_owner_in(
    client: FlaskClient, outbox: Outbox, clock: time_machine.Traveller
) -> None:
    fail(client, outbox, "ada@example.com", 3)
    fail(client, outbox, "bo@example.com", 2)
    ask(client, "cy@example.com")
    assert len(outbox.last.otp) == 13
    assert answer(client, "cy@example.com", outbox.last.otp) == 200


def test_it_closes_when_the_window_has_room_again(
    client: FlaskClient, outbox: Outbox, clock: time_machine.Traveller
) -> None:
    fail(client, outbox, "ada@example.com", 3)
    fail(client, outbox, "bo@example.com", 2)
    clock.shift(3601)
    ask(client, "cy@example.com")
    assert len(outbox.last.otp) == 6
    assert answer(client, "cy@example.com", outbox.last.otp) == 200


def test_a_failure_counts_at_once_though_readings_are_trusted_for_a_second(
    client: FlaskClient, outbox: Outbox, clock: time_machine.Traveller
) -> None:
    otp = fail(client, outbox, "ada@example.com", 4)
    other = fail(client, outbox, "bo@example.com", 1)
    assert answer(client, "ada@example.com", otp) == 400
    assert answer(client, "bo@example.com", other) == 400


def test_another_process_learns_of_it_within_a_second(
    make_app: Callable[..., Flask], customers: Customers, clock: time_machine.Traveller, tmp_path
) -> None:
    customers.add("bo@example.com")
    shared = {
        "OTP_AUTH_GLOBAL_FAILURE_LIMIT": "4/hour",
        "OTP_AUTH_STORAGE_URI": f"sqlite:///{tmp_path}/codes.sqlite3",
    }
    here, there = make_app(**shared), make_app(**shared)
    with Outbox(here) as outbox, Outbox(there) as elsewhere:
        ask(there.test_client(), "bo@example.com")  # so that it has a reading to trust
        fail(here.test_client(), outbox, "ada@example.com", 4)
        clock.shift(1)
        assert answer(there.test_client(), "bo@example.com", elsewhere.last.otp) == 400


def test_guesses_that_are_not_compared_do_not_count(
    client: FlaskClient, outbox: Outbox, clock: time_machine.Traveller
) -> None:
    ask(client, "ada@example.com")
    for otp in ("12345", "1234567", "not a code", "A" * 13):
        assert answer(client, "ada@example.com", otp) == 400
    for _ in range(5):
        assert answer(client, "nobody@example.com", "123456") == 400
    assert answer(client, "ada@example.com", outbox.last.otp) == 200


def test_a_signal_says_so_once(
    client: FlaskClient,
    outbox: Outbox,
    app: Flask,
    clock: time_machine.Traveller,
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = []

    def note(sender: Flask, limit: str) -> None:
        limits.append(limit)

    with breaker_opened.connected_to(note, app):
        fail(client, outbox, "bo@example.com", 2)
        fail(client, outbox, "ada@example.com", 5)
    assert limits == ["4 per 1 hour"]
    assert "short codes rest" in caplog.text


def test_a_registration_code_rests_as_well(
    make_app: Callable[..., Flask], clock: time_machine.Traveller
) -> None:
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", Customers())
    app = make_app(otp_auth, OTP_AUTH_GLOBAL_FAILURE_LIMIT="1/hour")
    with Outbox(app) as outbox:
        client = app.test_client()
        client.post(f"{URL}/pre-register", json={"identifier": "eve@example.com"})
        otp = outbox.last.otp
        body = {"identifier": "eve@example.com", "otp": wrong(otp)}
        client.post(f"{URL}/register", json=body)
        client.post(f"{URL}/register", json=body)
        answered = client.post(f"{URL}/register", json={**body, "otp": otp})
    assert answered.get_json()["type"] == "invalid_otp"
