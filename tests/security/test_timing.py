"""Timing: no time tells who has an account, though to look somebody up takes 50 ms.

Each sample is of an identifier of its own, known and unknown ones in pairs and in random order, so
whatever else the machine does meets both. A rank test tells whether one kind is slower.
"""

import math
import random
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pytest
from attacks import ASKING, GUESSING, NO_LIMITS, Begin, MakeStanding, Standing, guesses
from fakes import Api, Somebody

from flask_otp_auth.testing import Outbox

SAMPLES = 400

#: Standard deviations that a rank sum is off by chance once in a million times, in either
#: direction; all tests of this file together fail less than once in 60,000 runs.
SIGNIFICANT = 4.9

LIMITS = {**NO_LIMITS, "OTP_AUTH_RESEND_INTERVAL": 60}


@dataclass
class SlowTable:
    """An actor store that takes its time for rows that exist."""

    seconds: float = 0

    def find_by_identifier(self, identifier: str) -> Somebody | None:
        if not identifier.startswith("known"):
            return None
        time.sleep(self.seconds)
        return Somebody(identifier)

    find_by_id = find_by_identifier


def deviation(first: list[float], second: list[float]) -> float:
    """Return by how many standard deviations the first ones are greater (Mann and Whitney's U)."""
    n, m = len(first), len(second)
    ranked = sorted([(value, True) for value in first] + [(value, False) for value in second])
    ranks = sum(rank for rank, (_, is_first) in enumerate(ranked, start=1) if is_first)
    above = ranks - n * (n + 1) / 2
    return (above - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def measure(
    standing: Standing, route: str, sent: Collection[str] = (), samples: int = SAMPLES
) -> float:
    """Send a request for each identifier; return how much slower known ones are answered.

    :param sent: the codes that no guess may be.
    """
    api = Api(standing.app.test_client())
    seconds: dict[str, list[float]] = {"known": [], "other": []}
    guess = guesses(1, *sent) if route in GUESSING else []
    for number in range(samples):
        for who in random.sample(sorted(seconds), 2):
            arguments = [*guess, f"{who}{number:03}@example.com"]
            start = time.perf_counter()
            answer = getattr(api, route)(*arguments)
            seconds[who].append(time.perf_counter() - start)
            assert answer.status_code == (400 if guess else 200)
    return deviation(seconds["known"], seconds["other"])


@pytest.mark.parametrize(
    ("purpose", "storage"),
    [*((purpose, "memory://") for purpose in ASKING), ("login", "sqlite:///{}/codes.sqlite3")],
    ids=[*ASKING, "login on SQLite"],
)
def test_asvs_6_3_8_to_ask_for_a_code_takes_as_long_for_anybody(
    make_standing: MakeStanding, attack: Begin, tmp_path: Path, purpose: str, storage: str
) -> None:
    """OWASP ASVS 5.0, 6.3.8: for a first request, and for one within the resend window."""
    uri = storage.format(tmp_path)
    standing = make_standing(SlowTable(seconds=0.05), OTP_AUTH_STORAGE_URI=uri, **LIMITS)
    timing = attack(f"timing: requests for a code, {SAMPLES} for known and for unknown identifiers")
    for _ in range(2):
        timing.tried(abs(measure(standing, ASKING[purpose])) > SIGNIFICANT)
    assert timing.failed(tries=2)


@pytest.mark.parametrize("route", GUESSING)
def test_asvs_6_3_8_a_guess_takes_as_long_where_a_code_is_live(
    make_standing: MakeStanding, attack: Begin, route: str
) -> None:
    """OWASP ASVS 5.0, 6.3.8: who asks in somebody's name and guesses learns nothing by it."""
    table = SlowTable()
    standing = make_standing(table, OTP_AUTH_STORAGE_URI="memory://", **LIMITS)
    api = Api(standing.app.test_client())
    ask = {"register": "pre_register", "finish": "start"}.get(route, "generate")
    with Outbox(standing.app) as outbox:
        for number in range(SAMPLES):
            for who in ("known", "other"):
                getattr(api, ask)(f"{who}{number:03}@example.com")
        standing.jobs.run()
    assert len(outbox) >= SAMPLES
    table.seconds = 0.05
    timing = attack(f"timing: guesses, {SAMPLES} at known and at unknown identifiers")
    sent = {message.otp for message in outbox}
    timing.tried(abs(measure(standing, route, sent)) > SIGNIFICANT)
    assert timing.failed(tries=1)


def test_with_delivery_in_the_request_the_time_tells(make_standing: MakeStanding) -> None:
    """Not prevented: whoever delivers inline tells by the time whom he knows.

    It shows as well that the measurement would notice.
    """
    standing = make_standing(
        SlowTable(seconds=0.05),
        OTP_AUTH_STORAGE_URI="memory://",
        **{**LIMITS, "OTP_AUTH_DELIVERY": "inline"},
    )
    with Outbox(standing.app):
        assert measure(standing, "generate", samples=40) > SIGNIFICANT
