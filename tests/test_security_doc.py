"""What docs/security.md and docs/audit.md say is so."""

import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ADA, Api, wrong
from flask import Flask
from servers import ROOT

from flask_otp_auth import policy
from flask_otp_auth.codes import LONG_LENGTH
from flask_otp_auth.config import Settings
from flask_otp_auth.testing import Outbox

SECURITY = (ROOT / "docs/security.md").read_text()
AUDIT = (ROOT / "docs/audit.md").read_text()


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def threats() -> list[list[str]]:
    table = SECURITY.partition("## Threats")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def test_every_test_that_is_named_exists() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "tests/security").glob("*.py"))
    named = set(re.findall(r"`((?:test|no)_\w+)`", SECURITY))
    assert len(named) > 40
    assert named <= set(re.findall(r"def (\w+)", sources))


def test_every_attack_is_in_the_document() -> None:
    """No class of attack is left out: each file has a test that is named."""
    for path in (ROOT / "tests/security").glob("test_*.py"):
        assert any(name in SECURITY for name in re.findall(r"def (test_\w+)", path.read_text()))


def test_every_threat_has_a_control_a_test_and_says_what_remains() -> None:
    assert len(threats()) >= 18
    for threat, control, test, remains in threats():
        assert threat
        assert control
        assert re.search(r"`(test|no)_\w+`", test), threat
        assert remains, threat


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", SECURITY)
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        assert not path or (ROOT / "docs" / path).resolve().is_file(), link
        assert not anchor or anchor in anchors(SECURITY), link


def test_the_mathematics_is_that_of_the_defaults() -> None:
    settings = Settings()
    per_day = policy.chance(policy.guesses_per_day(settings.verify_limits), settings.digits)
    (failures,) = settings.global_failure_limit
    long = 1e6 * 86_400 * 365 / 32**LONG_LENGTH
    for figure in (
        policy.chance(settings.max_attempts, settings.digits),
        per_day,
        policy.chance_of_any(per_day, 365),
        policy.chance_of_any(policy.chance(1, settings.digits), failures.amount),
        long,
    ):
        told = f"{figure:.1e}".replace(".0e", "e").replace("e-0", "e-")
        assert f"= {told} |" in SECURITY, told


def test_the_audit_log_is_switched_on_as_the_page_says(
    app: Flask, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's own lines are run: its Python, its events, and its command."""
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("flask_otp_auth.audit")
    before = logger.level, logger.propagate, list(logger.handlers)
    (code,) = re.findall(r"```python\n(.*?)```", AUDIT, re.DOTALL)
    exec(compile(code, "docs/audit.md", "exec"), {})  # noqa: S102 - to run it is the test
    try:
        with Outbox(app) as outbox:
            api.generate()
            api.verify(wrong(outbox.last.otp))
            api.verify(outbox.last.otp)
    finally:
        for handler in set(logger.handlers) - set(before[2]):
            handler.close()
        logger.level, logger.propagate, logger.handlers = before
    written = (tmp_path / "audit.log").read_text().splitlines()
    (shown,) = re.findall(r"```json\n(.*?)```", AUDIT, re.DOTALL)
    assert [json.loads(line) for line in written] == [
        json.loads(line) for line in shown.splitlines()
    ]
    command, told = re.findall(r"\$ flask --app shop otp (.+)\n(.+)\n", AUDIT)[0]
    printed = app.test_cli_runner().invoke(args=["otp", *command.split()]).output.split()
    assert printed == [told]
    assert all(told in line for line in written[:3])


def test_the_page_lists_every_event_and_what_is_beside_it(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_otp_auth.audit")
    app = make_app(OTP_AUTH_IP_VERIFY_LIMITS="3/hour", OTP_AUTH_GLOBAL_FAILURE_LIMIT="1/hour")
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.pre_register()
        api.pre_register()
        api.register(outbox.last.otp)
        api.generate()
        api.verify(wrong(outbox.last.otp))
        api.verify(wrong(outbox.last.otp))
        api.verify(outbox.last.otp)
        with app.app_context():
            otp_auth = app.extensions["otp_auth"]
            actor = otp_auth.actors.get("customer")[0].find_by_identifier(ADA)
            kind, settings = otp_auth.actors.get("customer")
            otp_auth.credentials.announce(kind, actor, "otp")
            token = otp_auth.credentials.for_actor(kind, settings, actor)
            otp_auth.credentials.revoke(token)
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", AUDIT, re.MULTILINE)
    documented = {event: set(re.findall(r"`(\w+)`", beside)) for event, beside in rows}
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name.endswith(".audit")]
    seen = {line["event"]: set(line) - {"event"} for line in lines}
    assert seen == documented
