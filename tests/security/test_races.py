"""Races: what many ask for at the same moment is granted once.

The contests of ``tests/concurrency.py`` race thousands of rounds on every storage; these are the
attacks that somebody would mount on a running shop, over HTTP.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from attacks import MANY_ADDRESSES, Attack, Comparisons
from conftest import ADA, BOB, Api, Customers, wrong
from flask import Flask
from servers import at_once

from flask_otp_auth.testing import Outbox

#: Requests that are on their way at the same moment, and how often that is tried.
AT_ONCE, ROUNDS = 12, 8

Race = Callable[..., list[int]]


@pytest.fixture(params=["memory://", "sqlite:///{folder}/codes.sqlite3"], ids=["memory", "SQLite"])
def app(request: pytest.FixtureRequest, make_app: Callable[..., Flask], tmp_path: Path) -> Flask:
    """A shop that lets the same customer have code after code."""
    return make_app(
        OTP_AUTH_STORAGE_URI=request.param.format(folder=tmp_path),
        OTP_AUTH_RESEND_INTERVAL=0,
        OTP_AUTH_SEND_LIMITS="1000/hour",
        OTP_AUTH_VERIFY_LIMITS="100/day",
        **MANY_ADDRESSES,
    )


def race(app: Flask, verb: str, *arguments: str) -> list[int]:
    """Send the same request many times at once; return the statuses."""

    def send() -> int:
        return int(getattr(Api(app.test_client()), verb)(*arguments).status_code)

    return at_once(*[send] * AT_ONCE)


def guess_often(app: Flask, guess: str) -> set[int]:
    """Send the same guess five times; return the statuses."""
    return {Api(app.test_client()).verify(guess).status_code for _ in range(5)}


def count_beyond_one(attack: Attack, statuses: list[int]) -> None:
    """Count each success but the first as one that got through."""
    for number, status in enumerate(sorted(statuses)):
        attack.tried(number > 0 and status == 200)


def test_asvs_6_5_1_a_code_gives_one_token(
    app: Flask, api: Api, outbox: Outbox, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.5.1: out-of-band codes are successfully usable once."""
    double_spend = attack("races: the right code, twelve times at once")
    for _ in range(ROUNDS):
        api.generate()
        statuses = race(app, "verify", outbox.last.otp)
        assert statuses.count(200) == 1
        count_beyond_one(double_spend, statuses)
    assert double_spend.failed(tries=AT_ONCE * ROUNDS)


def test_asvs_2_3_4_a_grace_gives_one_token(
    app: Flask, api: Api, outbox: Outbox, customers: Customers, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 2.3.4: no limited resource is given out twice by racing for it."""
    double_grace = attack("races: the code of a registration in its grace")
    for number in range(ROUNDS):
        who = f"{number}.{BOB}"
        api.pre_register(who)
        api.register(outbox.last.otp, who)
        customers.add(who)
        statuses = race(app, "authenticate", outbox.last.otp, who)
        assert statuses.count(200) == 1
        count_beyond_one(double_grace, statuses)
    assert double_grace.failed(tries=AT_ONCE * ROUNDS)


def test_asvs_2_3_4_a_registration_token_is_refreshed_once(
    app: Flask, api: Api, outbox: Outbox, customers: Customers, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 2.3.4: the right to one refresh is taken once."""
    double_refresh = attack("races: the refresh of a registration token")
    for number in range(ROUNDS):
        who = f"{number}.{BOB}"
        api.pre_register(who)
        token = api.register(outbox.last.otp, who).get_json()["token"]
        customers.add(who)
        statuses = race(app, "refresh", token)
        assert statuses.count(200) == 1
        count_beyond_one(double_refresh, statuses)
    assert double_refresh.failed(tries=AT_ONCE * ROUNDS)


def test_asvs_15_4_2_parallel_guesses_are_five_guesses(
    app: Flask,
    api: Api,
    outbox: Outbox,
    attack: Callable[[str], Attack],
    comparisons: Comparisons,
) -> None:
    """OWASP ASVS 5.0, 15.4.2: the check for a ticket and its use are one step."""
    parallel = attack("races: sixty wrong codes at once, then the right one")
    for number in range(ROUNDS):
        before = comparisons.count
        api.generate()
        otp = outbox.last.otp
        assert at_once(*[partial(guess_often, app, wrong(otp))] * AT_ONCE) == [{400}] * AT_ONCE
        parallel.tried(api.verify(otp).status_code == 200)
        assert comparisons.count - before == 5, number
    assert parallel.failed(tries=ROUNDS)


def test_asvs_6_6_3_one_code_is_sent_per_window(
    make_app: Callable[..., Flask], attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.6.3: nobody's mailbox is flooded by asking for many codes at once."""
    app = make_app(**MANY_ADDRESSES)
    flood = attack("races: a code for the same person, twelve times at once")
    with Outbox(app) as outbox:
        assert race(app, "generate", ADA) == [200] * AT_ONCE
        for number in range(AT_ONCE):
            flood.tried(number > 0 and len(outbox) > number)
    assert flood.failed(tries=AT_ONCE)
    assert len(outbox) == 1
