"""The code of docs/audit.md is run, and its lines are compared with those of the log."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import BOB, Api, wrong
from flask import Flask
from launch import ROOT

from flask_otp_auth.testing import Outbox

PAGE = (ROOT / "docs" / "audit.md").read_text()


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The audit log, switched on by the page's own code."""
    monkeypatch.chdir(tmp_path)
    logger = logging.getLogger("flask_otp_auth.audit")
    before = logger.level, logger.propagate, list(logger.handlers)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/audit.md", "exec"), {})  # noqa: S102 - to run it is the test
    yield tmp_path / "audit.log"
    for handler in set(logger.handlers) - set(before[2]):
        handler.close()
    logger.setLevel(before[0])
    logger.propagate, logger.handlers = before[1:]


def lines(log: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_its_sample_is_what_a_sign_in_leaves(log: Path, app: Flask, api: Api) -> None:
    with Outbox(app) as outbox:
        api.generate()
        api.verify(wrong(outbox.last.otp))
        api.verify(outbox.last.otp)
    (sample,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert lines(log) == [json.loads(line) for line in sample.splitlines()]


def test_its_command_prints_the_name_in_its_sample(app: Flask) -> None:
    command, told = re.findall(r"\$ flask --app shop otp (.+)\n(.+)\n\$ grep \2 ", PAGE)[0]
    printed = app.test_cli_runner().invoke(args=["otp", *command.split()])
    assert printed.output.split() == [told]
    assert PAGE.count(told) == 6


def test_it_lists_every_event_and_what_is_beside_it(
    log: Path, eventful: tuple[Flask, Callable[[], object]]
) -> None:
    app, let_all_happen = eventful
    let_all_happen()
    app.test_cli_runner().invoke(args=["otp", "unlock", "-y", "customer", BOB])
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
    documented = {event: set(re.findall(r"`(\w+)`", beside)) for event, beside in rows}
    assert {line.pop("event"): set(line) for line in lines(log)} == documented
