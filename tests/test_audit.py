"""The audit log: every decision in one line, with no code and no identifier."""

import json
import logging

import pytest
from conftest import bearer
from flask import Flask
from flask.testing import FlaskClient

from flask_otp_auth.testing import Outbox

URL = "/auth/customer/otp"


@pytest.fixture
def audit(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The audit log, switched on."""
    caplog.set_level(logging.INFO, "flask_otp_auth.audit")
    return caplog


def lines(audit: pytest.LogCaptureFixture) -> list[dict[str, str]]:
    return [
        json.loads(record.getMessage())
        for record in audit.records
        if record.name == "flask_otp_auth.audit"
    ]


def test_a_sign_in_is_told_step_by_step(
    client: FlaskClient, outbox: Outbox, audit: pytest.LogCaptureFixture
) -> None:
    body = {"identifier": "ada@example.com"}
    client.post(f"{URL}/generate", json=body)
    client.post(f"{URL}/verify", json={**body, "otp": "x"})
    token = client.post(f"{URL}/verify", json={**body, "otp": outbox.last.otp}).json["token"]
    client.post("/auth/token/revoke", headers=bearer(token))
    events = [(line["event"], line.get("reason", line.get("method"))) for line in lines(audit)]
    assert events == [
        ("otp_generated", None),
        ("otp_rejected", "wrong"),
        ("otp_verified", None),
        ("actor_authenticated", "otp"),
        ("token_revoked", None),
    ]


def test_lines_hold_neither_codes_nor_identifiers(
    client: FlaskClient, outbox: Outbox, audit: pytest.LogCaptureFixture
) -> None:
    body = {"identifier": "ada@example.com"}
    client.post(f"{URL}/generate", json=body)
    client.post(f"{URL}/verify", json={**body, "otp": outbox.last.otp})
    assert lines(audit)
    assert outbox.last.otp not in audit.text
    assert "ada@" not in audit.text


def test_one_persons_events_can_be_found(
    app: Flask, client: FlaskClient, outbox: Outbox, audit: pytest.LogCaptureFixture
) -> None:
    for identifier in ("ada@example.com", "bo@example.com"):
        client.post(f"{URL}/generate", json={"identifier": identifier})
    ran = app.test_cli_runner().invoke(args=["otp", "audit-id", "customer", "Ada@Example.com"])
    found = [line["event"] for line in lines(audit) if line["identifier"] == ran.output.strip()]
    assert found == ["otp_generated"]


def test_it_is_silent_unless_switched_on(
    client: FlaskClient, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "flask_otp_auth.audit")
    client.post(f"{URL}/generate", json={"identifier": "ada@example.com"})
    assert lines(caplog) == []
