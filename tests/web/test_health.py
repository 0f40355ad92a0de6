"""Health: what can be reached, how fast, and nothing that is anybody's secret."""

import json
from typing import Any

import pytest
from fakes import ADA, SECRET, Api, Customers, MakeApp, wrong
from flask import Flask

from flask_otp_auth import ConfigError, OTPAuth, health
from flask_otp_auth.testing import Outbox

PARTS = ("storage", "sign_ins", "limiter")
OUT_OF_REACH = {"reachable": False, "latency_ms": None}


def test_all_is_well(app: Flask) -> None:
    found = health(app)
    for part in PARTS:
        latency = found.pop(part)
        assert latency["reachable"] is True
        assert 0 <= latency["latency_ms"] < 60_000
    assert found == {"ok": True, "breaker_open": {"customer": False}, "pending_deliveries": 0}


def test_it_changes_nothing_and_counts_nothing(watched: Any) -> None:
    for _ in range(5):
        health(watched.app)
    assert set(watched.store.verbs) == {"peek"}
    assert set(watched.limits.calls) == {"look"}
    assert watched.store.items.keys() == set()
    assert watched.customers.calls == []


@pytest.mark.parametrize(
    ("part", "gone"), [("store", {"storage", "sign_ins"}), ("limits", {"limiter"})]
)
def test_an_outage_is_told_and_not_raised(watched: Any, part: str, gone: set[str]) -> None:
    getattr(watched, part).reachable = False
    found = health(watched.app)
    assert found["ok"] is False
    assert {name for name in PARTS if found[name] == OUT_OF_REACH} == gone
    assert found["breaker_open"] == {"customer": None if part == "store" else False}
    getattr(watched, part).reachable = True
    assert health(watched.app)["ok"] is True


def test_so_is_a_server_that_was_never_there(make_app: MakeApp) -> None:
    app = make_app(OTP_AUTH_STORAGE_URI="memory://", OTP_AUTH_SIGN_INS_URI="redis://127.0.0.1:1/0")
    found = health(app)
    assert (found["ok"], found["sign_ins"]) == (False, OUT_OF_REACH)
    assert found["storage"]["reachable"] is True


def test_a_breaker_that_is_open_is_told_by_its_actor_type(make_app: MakeApp) -> None:
    otp_auth, customers = OTPAuth(), Customers()
    for name in ("customer", "user"):
        otp_auth.add_actor_type(name, customers)
    customers.add(ADA)
    app = make_app(otp_auth, OTP_AUTH_GLOBAL_FAILURE_LIMIT="1/hour")
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.generate()
    api.verify(wrong(outbox.last.otp))
    found = health(app)
    assert found["breaker_open"] == {"customer": True, "user": False}
    assert found["ok"] is True


def test_an_app_without_actor_types_has_no_breakers(make_app: MakeApp) -> None:
    assert health(make_app(OTPAuth()))["breaker_open"] == {}


def test_it_can_be_answered_as_json_and_says_nothing_secret(watched: Any) -> None:
    with Outbox(watched.app) as outbox:
        Api(watched.app.test_client()).generate()
    text = json.dumps(health(watched.app))
    assert not any(secret in text for secret in (ADA, SECRET, outbox.last.otp, "Fake"))


def test_deliveries_that_wait_are_counted(make_app: MakeApp) -> None:
    app = make_app(OTP_AUTH_DELIVERY="background")
    delivery = app.extensions["otp_auth"].delivery
    delivery.reserve()
    assert health(app)["pending_deliveries"] == 1
    delivery.release()
    assert health(app)["pending_deliveries"] == 0


def test_an_app_without_the_extension_is_told() -> None:
    with pytest.raises(ConfigError, match="init_app"):
        health(Flask("shop"))


def test_the_name_stays_the_function_whatever_was_imported() -> None:
    import flask_otp_auth.web.health

    assert callable(flask_otp_auth.health)
    assert flask_otp_auth.health is flask_otp_auth.web.health.health
