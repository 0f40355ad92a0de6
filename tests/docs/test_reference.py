"""The tables of docs/reference are those of the code."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from blinker import NamedSignal
from fakes import ADA, BOB, Api, Customers, SignalRecorder, wrong
from flask import Flask
from pages import DOCS, load

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.testing import Outbox

#: Who looks at an app for a store.
REVIEWER = "review@example.com"


def text_of(page: str) -> str:
    return (DOCS / "reference" / page).read_text()


@pytest.mark.parametrize(("page", "name"), [("settings.md", "settings"), ("templates.md", "pages"),
                                            ("templates.md", "messages")])  # fmt: skip
def test_tables_are_those_of_the_code(
    page: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If one isn't: ``python docs/tables.py`` writes it anew."""
    tables = load(DOCS / "tables.py", monkeypatch)
    text = text_of(page)
    assert text == tables.with_part(text, name, tables.PARTS[page, name]())


def test_the_table_of_routes(app: Flask) -> None:
    routes = {
        f"{method} {rule}"
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("otp_auth.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    listed = re.findall(r"^\| `([A-Z]+ /.*?)` \|", text_of("wire.md"), re.MULTILINE)
    assert set(listed) == routes


def test_the_answers_are_those_of_the_page(app: Flask) -> None:
    api = Api(app.test_client())
    for answer in (api.generate(), api.pre_register(), api.start()):
        assert f'"{answer.get_json()["message"]}"' in text_of("wire.md")


def test_the_table_of_signals(make_app: Callable[..., Flask], customers: Customers) -> None:
    """Every signal is sent once at least, and its arguments are those of the table."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    line, code = make_app().extensions["otp_auth"].fixed_codes.new("customer", REVIEWER, 1)
    app = make_app(
        otp_auth,
        OTP_AUTH_TEST_IDENTITIES=[str(line)],
        OTP_AUTH_GLOBAL_FAILURE_LIMIT="1/hour",
        OTP_AUTH_IP_VERIFY_LIMITS="4/hour",
        OTP_AUTH_VERIFY_LIMITS="2/day",
    )
    recorder, api = SignalRecorder(app), Api(app.test_client())
    signals.pre_register_otp_generated.connect(fail, app)
    with Outbox(app, alone=False) as outbox:
        with app.app_context():
            otp_auth.purpose("contact").send(ADA)
        api.generate(ADA)
        token = api.verify(outbox.last.otp, ADA).get_json()["token"]
        api.revoke(token)
        api.generate(BOB)
        api.pre_register(BOB)
        for _ in range(4):
            api.register(wrong(outbox.last.otp), BOB)
    Api(app.test_client(), address="192.0.2.1").register(code, REVIEWER)

    everything = {name for name, signal in vars(signals).items() if isinstance(signal, NamedSignal)}
    rows = re.findall(r"^\| `(\w+)` \| `([\w, ]+)` \|$", text_of("signals.md"), re.MULTILINE)
    assert {name for name, _ in rows} == everything
    assert {name: set(arguments.split(", ")) for name, arguments in rows} == {
        name: set(arguments) for name, arguments in recorder.heard
    }


def fail(sender: Flask, **_: Any) -> None:
    """Be a handler that raises."""
    raise OSError


def test_every_signal_is_explained() -> None:
    explained = re.findall(r"^\.\. autodata:: (\w+)$", text_of("signals.md"), re.MULTILINE)
    everything = [name for name, signal in vars(signals).items() if isinstance(signal, NamedSignal)]
    assert set(explained) == set(everything)
