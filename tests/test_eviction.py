"""Eviction: a server that is short of memory forgets rights, and so refuses; it never adds any."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pymemcache
import pytest
import redis
from conftest import Api, Customers, Ear, wrong
from flask import Flask
from stores import Memcached, Redis

from flask_otp_auth.testing import Outbox

CODES = 25
MAX_ATTEMPTS = 5


class SmallRedis(Redis):
    """A Redis that throws away what was not used for longest."""

    sizes, chunk = (2000,), 300

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")

    def fill(self, values: dict[str, str]) -> None:
        with redis.Redis(port=self.port) as client:
            client.mset(values)

    def evicted(self) -> int:
        return int(self.ask("INFO", "stats")["evicted_keys"])


class SmallMemcached(Memcached):
    """A Memcached of 3 MB, which keeps values of a kind apart by their size."""

    sizes, chunk = (1, 200), 2000

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "-m", "3")

    def fill(self, values: dict[str, str]) -> None:
        client = pymemcache.Client(("127.0.0.1", self.port))
        client.set_many(values)
        client.close()

    def evicted(self) -> int:
        return int(self.statistics()["evictions"])


@pytest.fixture(params=[SmallRedis, SmallMemcached])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with request.param(tmp_path / "small") as server:
        yield server


@pytest.fixture
def app(make_app: Callable[..., Flask], server: Any, customers: Customers) -> Flask:
    """A shop of many customers, all at one address."""
    customers.accounts.clear()
    for number in range(CODES):
        customers.add(f"{number}@example.com")
    plenty = "100000/hour"
    return make_app(
        OTP_AUTH_STORAGE_URI=server.uri,
        OTP_AUTH_IP_GENERATE_LIMITS=plenty,
        OTP_AUTH_IP_VERIFY_LIMITS=plenty,
        OTP_AUTH_GLOBAL_FAILURE_LIMIT=plenty,
    )


def test_no_code_is_compared_too_often_or_used_twice(
    server: Any, api: Api, outbox: Outbox, ear: Ear
) -> None:
    dice = random.Random(0)
    flood = iter(range(10**9))

    def forget() -> None:
        """Forget nothing, a part or nearly all."""
        for _ in range(dice.choice((0, 0, 1, 4))):
            names = [f"{next(flood):092}" for _ in range(server.chunk)]
            server.fill({name: "x" * dice.choice(server.sizes) for name in names})

    for number in range(CODES):
        identifier = f"{number}@example.com"
        assert api.generate(identifier).status_code == 200
        otp = outbox.last.otp
        for _ in range(dice.randrange(3 * MAX_ATTEMPTS)):
            forget()
            assert api.verify(wrong(otp), identifier).status_code == 400
        forget()
        for _ in range(2):
            assert api.verify(otp, identifier).status_code in (200, 400)
    assert server.evicted() > 5_000
    verified = Counter(one["identifier"] for one in ear.of("otp_verified"))
    refused = ear.of("otp_rejected")
    compared = verified + Counter(one["identifier"] for one in refused if one["reason"] == "wrong")
    assert max(compared.values()) <= MAX_ATTEMPTS
    assert max(verified.values()) == 1
    # Of each kind there was something, or else nothing was tried.
    assert {one["reason"] for one in refused} >= {"wrong", "unknown", "exhausted"}
