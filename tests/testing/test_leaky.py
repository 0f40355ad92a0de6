"""Each leak is found and named: the shop of docs/leaky_example.py has eight."""

import importlib.util
import re
from functools import cache, partial
from types import ModuleType

import pytest
from fakes import ADA
from launch import ROOT

from flask_otp_auth.testing import Report, attack


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("leaky", ROOT / "docs" / "leaky_example.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


leaky = load()

pytestmark = pytest.mark.usefixtures("stopwatch")

#: Whose bound each leak breaks, and what the report says of it.
NAMED = {
    leaky.SLOW_FINDER: ("enumerator (time)", "CustomerStore.find_by_identifier (leaky_example.py:"),
    leaky.INLINE: ("enumerator (answers)", "OTP_AUTH_DELIVERY is 'inline'"),
    leaky.BEFORE_REQUEST: ("enumerator (answers)", "load_customer (leaky_example.py:"),
    leaky.ERROR_HANDLER: ("enumerator (answers)", "body: 'There customer. is no such' for unknown"),
    leaky.LIMITER: ("guesser", "limiter= counts in the memory of each process"),
    leaky.ADDRESS: ("sprayer", "believes the address in X-Forwarded-For"),
    leaky.REDIRECT: ("redirector", "/login sends people who sign in to any site"),
    leaky.OVERWRITES: ("overwriter", "POST /customers overwrites an account"),
}


def run(leaks: tuple[str, ...]) -> Report:
    return attack(partial(leaky.create_app, leaks), "customer", known=ADA, tries=20)


@cache
def report_of_all() -> Report:
    return run(leaky.ALL)


def test_the_shop_has_eight() -> None:
    assert set(NAMED) == set(leaky.ALL)
    assert len(NAMED) == 8


@pytest.mark.parametrize("leak", NAMED)
def test_each_is_named_when_there_are_all(leak: str) -> None:
    attacker, text = NAMED[leak]
    report = report_of_all()
    assert not report.ok
    assert any(line.startswith(f"{attacker}: ") and text in line for line in report.leaks), report


@pytest.mark.parametrize("leak", NAMED)
def test_each_is_named_by_itself(leak: str) -> None:
    attacker, text = NAMED[leak]
    report = run((leak,))
    broken = [row.attacker for row in report.rows if row.through > row.bound]
    assert attacker in broken, str(report)
    assert text in str(report.leaks)


def test_without_them_the_shop_is_clean() -> None:
    report = run(())
    assert report.ok, str(report)


def test_the_report_fits_a_terminal() -> None:
    assert max(len(line) for line in str(report_of_all()).splitlines()) <= 80


def test_the_manual_shows_this_report() -> None:
    text = (ROOT / "docs" / "testing.md").read_text()
    shown = re.findall(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[0]
    assert shown == f"{report_of_all()}\n"
