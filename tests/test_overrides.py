"""Settings of an actor type's own: each acts on that type, and on no other."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import time_machine
from conftest import ADA, BOB, Api, Customers
from flask import Flask
from forging import parts, register, sign_in

from flask_otp_auth import ConfigError, OTPAuth
from flask_otp_auth.testing import Outbox


@dataclass
class Shop:
    """An app whose customers have the app's settings, and whose staff has its own."""

    app: Flask
    staff: Api
    customers: Api


@pytest.fixture
def make_shop(make_app: Callable[..., Flask], customers: Customers) -> Callable[..., Shop]:
    """Make a shop with settings for the staff."""

    def make(**overrides: Any) -> Shop:
        staff = Customers()
        staff.add(ADA)
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("staff", staff, **overrides)
        otp_auth.add_actor_type("customer", customers)
        app = make_app(otp_auth)
        client = app.test_client()
        return Shop(app, Api(client, actor_type="staff"), Api(client))

    return make


@pytest.mark.parametrize("digits", [8, 10])
def test_digits(make_shop: Callable[..., Shop], digits: int) -> None:
    shop = make_shop(digits=digits)
    with Outbox(shop.app) as outbox:
        shop.staff.generate()
        shop.customers.generate()
    assert [len(message.otp) for message in outbox.messages] == [digits, 6]
    assert shop.staff.verify(outbox.messages[0].otp).status_code == 200


def test_lives_of_codes(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(ttl=120, resend_interval=30)
    staff, customers = shop.staff.generate().get_json(), shop.customers.generate().get_json()
    assert (staff["expires_in"], staff["resend_after"]) == (120, 30)
    assert (customers["expires_in"], customers["resend_after"]) == (300, 60)


def test_lives_of_tokens(clock: time_machine.Traveller, make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(token_ttl=60, registration_token_ttl=90)
    for actor_type, lives in (("staff", (60, 90)), ("customer", (3600, 600))):
        signed_in = parts(sign_in(shop.app, ADA, actor_type))[1]
        registered = parts(register(shop.app, BOB, actor_type))[1]
        found = tuple(claims["exp"] - claims["iat"] for claims in (signed_in, registered))
        assert found == lives


def test_the_life_of_a_session(
    clock: time_machine.Traveller, make_shop: Callable[..., Shop]
) -> None:
    shop = make_shop(token_ttl=60, session_ttl=60)
    staff, customer = sign_in(shop.app, ADA, "staff"), sign_in(shop.app)
    clock.shift(60)
    assert shop.staff.refresh(staff).status_code == 401
    assert shop.customers.refresh(customer).status_code == 200


def test_the_life_of_a_session_that_begins_with_a_registration(
    clock: time_machine.Traveller, make_app: Callable[..., Flask], customers: Customers
) -> None:
    app = make_app(OTP_AUTH_TOKEN_TTL=60, OTP_AUTH_SESSION_TTL=60)
    token = register(app)
    customers.add(BOB)
    clock.shift(60)
    assert Api(app.test_client()).refresh(token).status_code == 401
    clock.shift(-1)
    assert Api(app.test_client()).refresh(token).status_code == 200


def test_attempts(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(max_attempts=1)
    for api, answers in ((shop.staff, [400, 400]), (shop.customers, [400, 200])):
        with Outbox(shop.app) as outbox:
            api.generate()
        otp = outbox.last.otp
        wrong = f"{(int(otp) + 1) % 1_000_000:06}"
        assert [api.verify(code).status_code for code in (wrong, otp)] == answers


def test_the_need_of_a_challenge(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(require_challenge=True)
    for api, status in ((shop.staff, 400), (shop.customers, 200)):
        with Outbox(shop.app) as outbox:
            api.generate()
        assert api.verify(outbox.last.otp).status_code == status


def test_limits_by_address(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(ip_generate_limits="1/hour", ip_verify_limits="2/hour")
    assert [shop.staff.generate().status_code for _ in range(2)] == [200, 429]
    assert [shop.customers.generate().status_code for _ in range(2)] == [200, 200]
    assert [shop.staff.verify("000000").status_code for _ in range(3)] == [400, 400, 429]
    assert [shop.customers.verify("000000").status_code for _ in range(3)] == [400, 400, 400]


def test_limits_by_address_of_the_app_are_one_for_all_types(
    make_app: Callable[..., Flask], customers: Customers
) -> None:
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("staff", customers)
    otp_auth.add_actor_type("customer", customers)
    client = make_app(otp_auth, OTP_AUTH_IP_GENERATE_LIMITS="2/hour").test_client()
    types = ("staff", "customer", "staff")
    statuses = [Api(client, actor_type=name).generate().status_code for name in types]
    assert statuses == [200, 200, 429]


def test_plain_answers(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(always_return_success=False)
    assert shop.staff.generate(BOB).get_json()["type"] == "not_found"
    assert shop.staff.pre_register(ADA).get_json()["type"] == "duplicate_error"
    assert shop.customers.generate(BOB).status_code == 200
    assert shop.customers.pre_register(ADA).status_code == 200


def test_silence_in_the_log(
    make_shop: Callable[..., Shop], caplog: pytest.LogCaptureFixture
) -> None:
    shop = make_shop(warn_on_error=False)
    with caplog.at_level(logging.WARNING, "flask_otp_auth"):
        shop.staff.generate(BOB)
        assert caplog.messages == []
        shop.customers.generate(BOB)
    assert caplog.messages == ["no login code sent for actor type customer: unknown_actor"]


def test_a_token_must_not_outlive_its_session(make_shop: Callable[..., Shop]) -> None:
    with pytest.raises(ConfigError, match="actor type staff: OTP_AUTH_TOKEN_TTL must not"):
        make_shop(session_ttl=600)
    assert make_shop(session_ttl=600, token_ttl=600).staff.generate().status_code == 200
