"""Enumeration: who has an account is told by no answer, no limit and no time."""

import http.client
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import time_machine
from attacks import MANY_ADDRESSES, Attack
from conftest import ADA, BOB, START, Api, Customers, Watched, wrong
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import PATIENCE, Server, free_port
from werkzeug.test import TestResponse

from flask_otp_auth.testing import Outbox

MINE = "a challenge of the caller's own"

#: What an attacker may do with an identifier, and in which order he likes.
steps = st.lists(
    st.tuples(
        st.sampled_from(["generate", "pre_register", "verify", "register", "authenticate", "wait"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


def shape(answer: TestResponse) -> tuple[Any, ...]:
    """Return all that an answer tells, but for the random ids of challenges."""
    body = dict(answer.get_json())
    if body.get("challenge") not in (None, MINE):
        body["challenge"] = (
            len(body["challenge"]),
            set(body["challenge"]) <= set("0123456789abcdef"),
        )
    headers = [(name, value) for name, value in answer.headers if name != "Content-Length"]
    return answer.status_code, len(answer.data), headers, body


def play(watched: Watched, script: list[tuple[str, bool]], who: str) -> list[Any]:
    """Play a script with one identifier; return all that happened, in the caller's eyes or not."""
    told: list[Any] = []
    api = Api(watched.app.test_client())
    with time_machine.travel(START, tick=False) as clock, Outbox(watched.app) as outbox:
        for verb, with_challenge in script:
            if verb == "wait":
                clock.shift(61)
                continue
            guess = wrong(outbox.messages[-1].otp) if outbox.messages else "123456"
            fields = {"challenge": MINE} if with_challenge else {}
            arguments = [who] if verb in ("generate", "pre_register") else [guess, who]
            watched.forget()
            answer = getattr(api, verb)(*arguments, **fields)
            told.append((shape(answer), list(watched.store.calls), list(watched.limits.calls)))
    return told


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(script=steps)
def test_asvs_6_3_8_no_series_of_requests_tells_known_from_unknown(
    make_watched: Callable[..., Watched], attack: Callable[[str], Attack], script: Any
) -> None:
    """OWASP ASVS 5.0, 6.3.8: statuses, bodies, headers, limits, and the work behind them.

    The store and the limiter are asked for the same things in the same order, so their time
    tells nothing, either.
    """
    config = {"OTP_AUTH_WARN_ON_ERROR": False, **MANY_ADDRESSES}
    known = play(make_watched(**config), script, ADA)
    unknown = play(make_watched(**config), script, BOB)
    telling = attack("enumeration: series of requests for a known and an unknown identifier")
    for ours, theirs in zip(known, unknown, strict=True):
        telling.tried(ours != theirs)
    assert telling.failed(tries=0)
    assert known == unknown


def test_asvs_6_3_8_an_inactive_account_looks_like_none(
    app: Flask, customers: Customers, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.3.8: who was switched off can't be told from a stranger."""
    customers.add("off@example.com").is_active = False
    api = Api(app.test_client())
    telling = attack("enumeration: somebody who was switched off")
    for verb in ("generate", "pre_register"):
        answers = [shape(getattr(api, verb)(who)) for who in ("off@example.com", BOB, ADA)]
        telling.tried(answers[0] != answers[1])
        telling.tried(answers[0] != answers[2])
    assert telling.failed(tries=4)


def test_asvs_6_3_8_an_inactive_account_runs_out_of_decoys_no_sooner(
    app: Flask,
    customers: Customers,
    attack: Callable[[str], Attack],
    clock: time_machine.Traveller,
) -> None:
    """OWASP ASVS 5.0, 6.3.8: who is switched off gets decoys for both purposes."""
    customers.add("off@example.com").is_active = False
    api = Api(app.test_client())
    telling = attack("enumeration: decoys used up by somebody who was switched off")
    verbs = ["generate"] * 5 + ["pre_register"]
    held = "what the client holds"
    seen: dict[str, list[bool]] = {who: [] for who in ("off@example.com", BOB, ADA)}
    for verb in verbs:
        for who, echoes in seen.items():
            answer = getattr(api, verb)(who, challenge=held).get_json()
            echoes.append(answer["challenge"] == held)
        clock.shift(60)
    telling.tried(seen["off@example.com"] != seen[BOB])
    telling.tried(seen["off@example.com"] != seen[ADA])
    assert telling.failed(tries=2)


def test_who_keeps_asking_can_tell_that_somebody_has_just_joined(
    make_app: Callable[..., Flask], customers: Customers, clock: time_machine.Traveller
) -> None:
    """Not prevented: decoys have a budget of their own, which begins anew with an account.

    Only codes that are sent count against ``SEND_LIMITS``. So who has used up the decoys of an
    address learns from the next answer that it has joined within the hour; and it gets a code.
    """
    app = make_app(**MANY_ADDRESSES)
    api = Api(app.test_client())

    def is_answered_anew() -> bool:
        clock.shift(61)
        return bool(api.generate(BOB, challenge=MINE).get_json()["challenge"] != MINE)

    with Outbox(app) as outbox:
        assert [is_answered_anew() for _ in range(6)] == [True] * 5 + [False]
        customers.add(BOB)
        assert is_answered_anew()
        assert len(outbox) == 1


APP = """
import logging, time
from types import SimpleNamespace

from flask import Flask
from flask_otp_auth import OTPAuth, signals

class Customers:
    def find_by_identifier(self, identifier):
        return SimpleNamespace(id=identifier) if identifier.startswith("known") else None

    find_by_id = find_by_identifier

app = Flask(__name__)
app.config.update(
    SECRET_KEY="s" * 32,
    OTP_AUTH_IP_GENERATE_LIMITS="1000000/hour",
    OTP_AUTH_IP_VERIFY_LIMITS="1000000/hour",
    OTP_AUTH_WARN_ON_ERROR=False,
)
app.config.from_prefixed_env()
otp_auth = OTPAuth()
otp_auth.add_actor_type("customer", Customers())
otp_auth.init_app(app)

def deliver(sender, **_):
    time.sleep(0.4)  # a mail server takes its time

signals.otp_generated.connect(deliver, app)
signals.pre_register_otp_generated.connect(deliver, app)
"""

#: Seconds by which the medians of known and unknown identifiers may differ.
TOLERANCE = 0.005


class Stopwatch:
    """Times a request, and the next one on the same connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._connection.connect()
        self._socket = self._connection.sock
        self.close = self._connection.close

    def time(self, path: str, body: dict[str, str]) -> float:
        """Send a request; return the seconds until its answer has been read."""
        data, headers = json.dumps(body), {"Content-Type": "application/json"}
        start = time.perf_counter()
        self._connection.request("POST", f"/auth/customer{path}", data, headers)
        answer = self._connection.getresponse()
        answer.read()
        seconds = time.perf_counter() - start
        assert self._connection.sock is self._socket, "the connection was not kept"
        assert answer.status in (200, 400)
        return seconds


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Stopwatch]]:
    """Serve the shop by gunicorn, with settings of the test's own."""
    running = ExitStack()

    def start(**variables: str) -> Stopwatch:
        (tmp_path / "shop.py").write_text(APP)
        port = free_port()
        gunicorn = ["gunicorn", "--worker-class=gthread", "--threads=2", "--graceful-timeout=1"]
        command = [*gunicorn, f"--bind=127.0.0.1:{port}", "shop:app"]
        running.enter_context(Server(command, tmp_path, port, **variables))
        return running.enter_context(closing(Stopwatch(port)))

    with running:
        yield start


def gaps(stopwatch: Stopwatch, path: str, rounds: int) -> tuple[float, float]:
    """Return by how much known identifiers take longer: the answer, and the next one.

    Known and unknown ones take turns, so that whatever else the machine does meets both.
    """
    first: dict[str, list[float]] = {"known": [], "other": []}
    second: dict[str, list[float]] = {"known": [], "other": []}
    for number in range(rounds):
        for who in ("known", "other") if number % 2 else ("other", "known"):
            body = {"identifier": f"{who}{number}@example.com", "otp": "123456"}
            first[who].append(stopwatch.time(path, body))
            second[who].append(stopwatch.time("/otp/verify", {**body, "identifier": BOB}))
    medians = [
        {who: statistics.median(seconds) for who, seconds in times.items()}
        for times in (first, second)
    ]
    return (
        medians[0]["known"] - medians[0]["other"],
        medians[1]["known"] - medians[1]["other"],
    )


def test_asvs_6_3_8_no_time_tells_known_from_unknown(
    serve: Callable[..., Stopwatch], attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.3.8: response times, though to send a code takes 400 ms.

    Sent are requests for a code of either purpose, and then guesses at those codes.
    """
    stopwatch = serve()
    timing = attack("enumeration: response times under gunicorn, medians within 5 ms")
    for path in ("/otp/generate", "/otp/pre-register", "/otp/verify"):
        for gap in gaps(stopwatch, path, rounds=25):
            timing.tried(abs(gap) > TOLERANCE)
    assert timing.failed(tries=6)


def test_with_inline_delivery_the_time_tells(serve: Callable[..., Stopwatch]) -> None:
    """Not prevented: who delivers within the request tells by its time whom he knows.

    This shows as well that the stopwatch would see it.
    """
    gap, _ = gaps(serve(FLASK_OTP_AUTH_DELIVERY="inline"), "/otp/generate", rounds=3)
    assert gap > 0.3
