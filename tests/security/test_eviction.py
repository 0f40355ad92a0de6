"""Eviction: a server that is short of memory forgets rights, and so refuses; it never adds any."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymemcache
import pytest
import redis
from attacks import NO_LIMITS, Begin
from fakes import SECRET, Api, Customers, MakeApp, SignalRecorder, bearer, wrong
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from stores import Memcached, Redis

from flask_otp_auth import OTPAuth
from flask_otp_auth.testing import Outbox

PEOPLE = 25

VERIFY_LIMIT = 8


class SmallRedis(Redis):
    """A Redis that throws away what was not used for longest."""

    sizes, chunk = (2000,), 300

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")
        self.sign_ins = self.uri

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
        self.sign_ins = f"sqlite:///{folder}/sign_ins.sqlite3"  # kept there they would be lost

    def fill(self, values: dict[str, str]) -> None:
        client = pymemcache.Client(("127.0.0.1", self.port))
        client.set_many(values)
        client.close()

    def evicted(self) -> int:
        client = pymemcache.Client(("127.0.0.1", self.port))
        evictions = client.stats()[b"evictions"]
        client.close()
        return int(evictions)


@pytest.fixture(params=[SmallRedis, SmallMemcached])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with request.param(tmp_path / "small") as server:
        yield server


def test_asvs_6_5_1_a_flood_brings_back_no_code_and_no_sign_in(
    server: Any, customers: Customers, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 6.5.1, 6.6.3 and 7.4.1: all that eviction does is refuse.

    Limits are elsewhere, as the manual says of a storage that evicts.
    """
    app = Flask("shop")
    app.config.update({"TESTING": True, "SECRET_KEY": SECRET, **NO_LIMITS})
    app.config.update(OTP_AUTH_STORAGE_URI=server.uri, OTP_AUTH_SIGN_INS_URI=server.sign_ins)
    app.config.update(OTP_AUTH_VERIFY_LIMITS=f"{VERIFY_LIMIT}/day")
    limiter = Limiter(
        get_remote_address, app=app, storage_uri="memory://", strategy="moving-window"
    )
    otp_auth = OTPAuth(limiter=limiter)
    otp_auth.add_actor_type("customer", customers)
    otp_auth.init_app(app)
    flood, recorder, api = iter(range(10**9)), SignalRecorder(app), Api(app.test_client())
    reviving = attack("eviction: used codes and ended sign-ins that might come back")
    over: list[str] = []

    def forget(times: int) -> None:
        """Forget nothing, a part or nearly all."""
        for _ in range(times):
            names = [f"{next(flood):092}" for _ in range(server.chunk)]
            server.fill({name: "x" * random.choice(server.sizes) for name in names})

    with Outbox(app) as outbox:
        for number in range(PEOPLE):
            identifier = f"{number}@example.com"
            customers.add(identifier)
            assert api.generate(identifier).status_code == 200
            otp = outbox.last.otp
            for times in (0, 0, number % 5)[: number % 4]:
                assert api.verify(wrong(otp), identifier).status_code == 400
                forget(times)
            first, second = (api.verify(otp, identifier) for _ in range(2))
            reviving.tried(second.status_code == 200)
            if first.status_code == 200:
                over.append(first.get_json()["token"])
                assert api.revoke(over[-1]).status_code == 200
            forget(number % 3)
            for token in over:
                reviving.tried(api.refresh(token).status_code != 401)
        for _ in range(2 * VERIFY_LIMIT):
            api.verify(wrong(otp), identifier)
    assert server.evicted() > 5_000
    refused = recorder.of("otp_rejected")
    compared = Counter(one["identifier"] for one in refused if one["reason"] == "wrong")
    assert max(compared.values()) <= VERIFY_LIMIT
    # Of each kind there was something, or else nothing was tried.
    assert {one["reason"] for one in refused} >= {"wrong", "unknown", "budget"}
    assert reviving.failed(tries=60)


@pytest.mark.parametrize("loss", ["a file deleted", "a flushed server"])
def test_asvs_7_4_1_a_storage_that_is_lost_signs_everybody_out(
    make_guarded: MakeApp, tmp_path: Path, attack: Begin, loss: str
) -> None:
    """OWASP ASVS 5.0, 7.4.1: it never lets anybody back in: not by token, session or code."""
    with Redis(tmp_path / "redis") as server:
        on_server = loss == "a flushed server"
        uri = server.uri if on_server else f"sqlite:///{tmp_path}/codes.sqlite3"
        app = make_guarded(OTP_AUTH_STORAGE_URI=uri, **NO_LIMITS)
        lose_and_come_back(app, server if on_server else tmp_path, attack)


def lose_and_come_back(app: Flask, kept: Redis | Path, attack: Begin) -> None:
    """Lose what is kept while codes and sign-ins are live, then try them all."""
    api, browser = Api(app.test_client()), app.test_client()
    with Outbox(app) as outbox:
        api.generate()
        token = api.verify(outbox.last.otp).get_json()["token"]
        assert browser.post("/auth/session", headers=bearer(token)).status_code == 200
        api.generate()
        api.pre_register()
    if isinstance(kept, Redis):
        kept.ask("FLUSHALL")
    else:
        for file in kept.glob("codes.sqlite3*"):
            file.unlink()
    losing = attack("eviction: codes, tokens and sessions of before the storage was lost")
    for _ in range(2):
        for message in outbox:
            losing.tried(api.verify(message.otp, message.identifier).status_code == 200)
            losing.tried(api.register(message.otp, message.identifier).status_code == 200)
        for client, head in ((browser, {}), (app.test_client(), bearer(token))):
            losing.tried(client.get("/me", headers=head).status_code not in (401, 503))
    assert app.test_client().get("/me", headers=bearer(token)).status_code == 401
    assert losing.failed(tries=16)
