"""Enumeration: who has an account is told by no answer, no limit and no work."""

from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from attacks import ASKING, GUESSING, MANY_ADDRESSES, Begin, MakeStanding, Standing
from fakes import ADA, BOB, Api, Customers, SignalRecorder, wrong
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from flask_otp_auth.testing import Outbox

START = 1_767_323_045

#: Somebody whose account is switched off.
OFF = "off@example.com"

#: What an attacker may do with an identifier; "deliver" lets the background catch up.
STEPS = [*ASKING.values(), *GUESSING, "wait", "deliver"]

Script = list[tuple[str, str | None]]


@pytest.fixture
def shop(make_standing: MakeStanding) -> Callable[[], tuple[Standing, Customers]]:
    """Make a shop that knows Ada, and somebody whose account is switched off."""

    def make() -> tuple[Standing, Customers]:
        customers = Customers()
        customers.add(ADA)
        customers.add(OFF).is_active = False
        config = {"OTP_AUTH_WARN_ON_ERROR": False, **MANY_ADDRESSES}
        return make_standing(customers, **config), customers

    return make


def shape(answer: TestResponse) -> tuple[Any, ...]:
    """Return all that an answer tells, but for the random text of a challenge."""
    body = dict(answer.get_json())
    if "challenge" in body:
        body["challenge"] = len(body["challenge"])
    return answer.status_code, len(answer.data), list(answer.headers), body


def play(standing: Standing, script: Script, who: str) -> list[Any]:
    """Play a script with one identifier; return what happened until each answer was out."""
    told: list[Any] = []
    held: dict[str, str] = {}
    api, recorder = Api(standing.app.test_client()), SignalRecorder(standing.app)
    with time_machine.travel(START, tick=False) as clock, Outbox(standing.app) as outbox:
        for step, challenge in script:
            if step == "wait":
                clock.shift(61)
                continue
            if step == "deliver":
                standing.jobs.run()
                continue
            guess = wrong(outbox.last.otp) if outbox.messages else "123456"
            arguments = [guess, who] if step in GUESSING else [who]
            fields = {"challenge": held[challenge]} if challenge in held else {}
            standing.work()
            recorder.heard.clear()
            answer = getattr(api, step)(*arguments, **fields)
            told.append((step, shape(answer), standing.work(), recorder.names))
            held[step] = answer.get_json().get("challenge")
    return told


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    script=st.lists(
        st.tuples(st.sampled_from(STEPS), st.sampled_from([None, *ASKING.values()])),
        min_size=1,
        max_size=25,
    )
)
def test_asvs_6_3_8_no_series_of_requests_tells_known_from_unknown(
    shop: Callable[[], tuple[Standing, Customers]], attack: Begin, script: Script
) -> None:
    """OWASP ASVS 5.0, 6.3.8: statuses, bytes, headers, signals, and the work behind them.

    Store and limiter are asked for the same things in the same order, whatever was delivered in
    between.
    """
    telling = attack("enumeration: series of requests, for a known and an unknown identifier")
    known = play(shop()[0], script, ADA)
    for who in (BOB, OFF):
        unknown = play(shop()[0], script, who)
        for ours, theirs in zip(known, unknown, strict=True):
            telling.tried(ours != theirs)
        assert known == unknown
    assert telling.failed(tries=0)


def leave(standing: Standing, state: str, who: str, route: str) -> list[str]:
    """Bring an identifier into a state, and return the codes that were sent."""
    if state == "nobody has asked":
        return []
    api = Api(standing.app.test_client())
    ask = {"verify": "generate", "authenticate": "generate", "register": "pre_register"}
    with Outbox(standing.app) as outbox:
        getattr(api, ask.get(route, "start"))(who)
        if state != "a code is on its way":
            standing.jobs.run()
        if state == "a code was used" and outbox.messages:
            assert getattr(api, route)(outbox.last.otp, who).status_code == 200
    return outbox.codes_to(who)


@pytest.mark.parametrize("guess", ["123456", "1" * 20, "not a code"])
@pytest.mark.parametrize("route", GUESSING)
def test_asvs_6_3_8_the_work_of_a_guess_is_the_same_whatever_it_could_hit(
    shop: Callable[[], tuple[Standing, Customers]], attack: Begin, route: str, guess: str
) -> None:
    """OWASP ASVS 5.0, 6.3.8: with a live code and without, with an account and without.

    Nobody is looked up, so a slow table tells nothing, either.
    """
    states = ("nobody has asked", "a code is on its way", "a code is live", "a code was used")
    telling = attack("enumeration: the work of a guess, by what there is to be hit")
    works = set()
    for state in states:
        for who in (ADA, BOB, OFF):
            standing, customers = shop()
            sent = leave(standing, state, who, route)
            standing.work()
            customers.calls.clear()
            wrong_one = wrong(guess) if guess in sent else guess
            answer = getattr(Api(standing.app.test_client()), route)(wrong_one, who)
            assert answer.status_code == 400
            works.add((shape(answer)[1], *standing.work()))
            telling.tried(len(works) > 1 or customers.calls != [])
    assert telling.failed(tries=12)
