"""Failover: a replica takes over, and what it missed lets nobody in."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from conftest import ADA, Api, Ear, wrong
from flask import Flask
from servers import until
from stores import Sentinel

from flask_otp_auth.testing import Outbox

MAX_ATTEMPTS = 5


@pytest.fixture
def sentinel(tmp_path: Path) -> Iterator[Sentinel]:
    with Sentinel(tmp_path) as sentinel:
        yield sentinel


@pytest.fixture
def app(make_app: Callable[..., Flask], sentinel: Sentinel) -> Flask:
    return make_app(OTP_AUTH_STORAGE_URI=sentinel.uri, OTP_AUTH_RESEND_INTERVAL=0)


def cut_replica_off(sentinel: Sentinel) -> None:
    """Let the replica hear of nothing that the master does from now on."""
    sentinel.replica.freeze()
    with redis.Redis(port=sentinel.master.port) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "replica")


def fail_over(sentinel: Sentinel) -> None:
    """Lose the master for good, and wait until the replica has taken over."""
    sentinel.master.kill()
    sentinel.replica.thaw()
    until(lambda: sentinel.master_port() == sentinel.replica.port, "the failover")
    until(lambda: sentinel.replica.ask("ROLE")[0] == "master", "the new master")


def test_the_app_works_on_with_the_new_master(sentinel: Sentinel, api: Api, outbox: Outbox) -> None:
    api.generate(ADA)
    sentinel.master.kill()
    assert api.generate(ADA).status_code == 503
    fail_over(sentinel)
    assert api.generate(ADA).status_code == 200
    assert api.verify(outbox.last.otp).status_code == 200
    assert api.verify(outbox.last.otp).status_code == 400


def test_a_code_whose_use_the_replica_missed_is_not_used_again(
    sentinel: Sentinel, api: Api, outbox: Outbox
) -> None:
    api.generate(ADA)
    until(lambda: sentinel.replica.ask("DBSIZE") >= 7, "the replica to have the code")
    cut_replica_off(sentinel)
    assert api.verify(outbox.last.otp).status_code == 200
    fail_over(sentinel)
    keys = sentinel.replica.ask("KEYS", "otp_auth:*login*")
    assert len(keys) == MAX_ATTEMPTS + 2  # the code is there again, with all of its tickets
    assert api.verify(outbox.last.otp).status_code == 400


def test_guesses_that_the_replica_missed_are_not_made_again(
    sentinel: Sentinel, api: Api, outbox: Outbox, ear: Ear
) -> None:
    api.generate(ADA)
    until(lambda: sentinel.replica.ask("DBSIZE") >= 7, "the replica to have the code")
    cut_replica_off(sentinel)
    otp = outbox.last.otp
    for _ in range(MAX_ATTEMPTS):
        assert api.verify(wrong(otp)).status_code == 400
    fail_over(sentinel)
    for _ in range(MAX_ATTEMPTS):
        assert api.verify(wrong(otp)).status_code == 400
    assert ear.reasons().count("wrong") == MAX_ATTEMPTS


def test_a_revocation_that_the_replica_heard_of_still_stands(
    sentinel: Sentinel, api: Api, outbox: Outbox
) -> None:
    api.generate(ADA)
    token = api.verify(outbox.last.otp).get_json()["token"]
    assert api.revoke(token).status_code == 200
    with redis.Redis(port=sentinel.master.port) as client:
        assert client.wait(1, 5000) == 1
    fail_over(sentinel)
    assert api.refresh(token).status_code == 401
