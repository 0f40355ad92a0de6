"""The audit log: every decision in one line, with no code and no identifier."""

import json
import logging
from typing import Any

import pytest
from blinker import NamedSignal

from flask_otp_auth import signals
from flask_otp_auth.core.audit import Audit, audit_ids
from flask_otp_auth.core.crypto import KeyHasher

Sent = list[tuple[NamedSignal, dict[str, Any]]]
Log = pytest.LogCaptureFixture

HASHER = KeyHasher([b"an old key of thirty-two bytes..", b"the new key of thirty-two bytes."])
ADA = {"actor_type": "customer", "identifier": "ada@example.com"}


@pytest.fixture
def audit_log(caplog: Log) -> Log:
    """The audit log, switched on."""
    caplog.set_level(logging.INFO, "flask_otp_auth.audit")
    return caplog


@pytest.fixture
def sent() -> Sent:
    """The signals that were sent on."""
    return []


@pytest.fixture
def audit(sent: Sent) -> Audit:
    """An audit log that sends signals on."""
    return Audit(lambda signal, **arguments: sent.append((signal, arguments)), HASHER)


def lines(audit_log: Log) -> list[dict[str, Any]]:
    """Return what was logged."""
    return [json.loads(record.getMessage()) for record in audit_log.records]


def test_a_signal_is_logged_then_sent_on(audit: Audit, audit_log: Log, sent: Sent) -> None:
    arguments = {**ADA, "purpose": "login", "reason": "wrong"}
    audit(signals.otp_rejected, **arguments)
    assert sent == [(signals.otp_rejected, arguments)]
    assert lines(audit_log) == [
        {
            "event": "otp_rejected",
            "actor_type": "customer",
            "purpose": "login",
            "reason": "wrong",
            "identifier": audit_ids(HASHER, "customer", "ada@example.com")[0],
        }
    ]


def test_a_line_alone_sends_nothing(audit: Audit, audit_log: Log, sent: Sent) -> None:
    audit.write(signals.otp_verified, ADA)
    assert sent == []
    assert len(lines(audit_log)) == 1


def test_it_is_silent_unless_switched_on(audit: Audit, caplog: Log, sent: Sent) -> None:
    caplog.set_level(logging.WARNING, "flask_otp_auth.audit")
    audit(signals.otp_verified, **ADA)
    assert caplog.records == []
    assert len(sent) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("otp", "314159"),
        ("identifier", "ada@example.com"),
        ("challenge", "314159"),
        ("link", "https://shop.example/314159"),
        ("error", RuntimeError("314159 for ada@example.com")),
        ("subject", "314159"),
        ("binds", {"amount": "314159"}),
    ],
)
def test_a_line_holds_neither_codes_nor_identifiers(
    audit: Audit, audit_log: Log, name: str, value: object
) -> None:
    audit(signals.otp_generated, **{**ADA, name: value})
    assert len(lines(audit_log)) == 1
    assert "314159" not in audit_log.text
    assert "ada@" not in audit_log.text


@pytest.mark.parametrize(
    ("signal", "arguments"),
    [
        (signals.actor_authenticated, {"actor_type": "customer", "actor_id": "7", "method": "otp",
                                       "new_device": True}),
        (signals.rate_limited, {"endpoint": "otp_auth.verify", "address": "192.0.2.7"}),
        (signals.breaker_opened, {"limit": "global_failure_limit"}),
        (signals.delivery_failed, {"actor_type": "customer", "purpose": "login", "attempts": 4}),
    ],
    ids=lambda value: getattr(value, "name", None),
)  # fmt: skip
def test_what_concerns_no_identifier_is_told_as_it_is(
    audit: Audit, audit_log: Log, signal: NamedSignal, arguments: dict[str, Any]
) -> None:
    audit(signal, **arguments)
    assert lines(audit_log) == [{"event": signal.name.replace("-", "_"), **arguments}]


def test_a_sign_in_by_the_app_has_no_identifier(audit: Audit, audit_log: Log) -> None:
    audit(signals.actor_authenticated, actor_type="customer", identifier=None, method="app")
    assert "identifier" not in lines(audit_log)[0]


def test_a_purpose_of_the_apps_own_has_no_actor_type(audit: Audit, audit_log: Log) -> None:
    audit(signals.confirmation_otp_generated, purpose="contact", identifier="+49301234567")
    assert lines(audit_log)[0]["identifier"] == audit_ids(HASHER, "", "+49301234567")[0]


def test_an_identifier_is_found_under_each_key_the_newest_first() -> None:
    before = KeyHasher([b"an old key of thirty-two bytes.."])
    (old,) = audit_ids(before, "customer", "ada@example.com")
    newest, older = audit_ids(HASHER, "customer", "ada@example.com")
    assert older == old != newest
    assert audit_ids(HASHER, "user", "ada@example.com") != [newest, older]


def test_an_identifier_is_found_in_the_lines_from_before_an_upgrade() -> None:
    assert audit_ids(HASHER, "customer", "ada@example.com") == [
        "0f70e714eeb957e0297f725cc2fb9520",
        "77cc6a46cb66de4bab2865b540df321f",
    ]
