"""The tables of docs/reference are those of the code."""

import re
from collections.abc import Callable

import pytest
from blinker import NamedSignal
from fakes import Api, SignalRecorder
from flask import Flask
from pages import DOCS, load

from flask_otp_auth import signals


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


def test_the_table_of_signals(eventful: tuple[Flask, Callable[[], object]]) -> None:
    """Every signal is sent once at least, and its arguments are those of the table."""
    app, let_all_happen = eventful
    recorder = SignalRecorder(app)
    let_all_happen()
    everything = {name for name, signal in vars(signals).items() if isinstance(signal, NamedSignal)}
    rows = re.findall(r"^\| `(\w+)` \| `([\w, ]+)` \|$", text_of("signals.md"), re.MULTILINE)
    assert {name for name, _ in rows} == everything
    assert {name: set(arguments.split(", ")) for name, arguments in rows} == {
        name: set(arguments) for name, arguments in recorder.heard
    }


def test_every_signal_is_explained() -> None:
    explained = re.findall(r"^\.\. autodata:: (\w+)$", text_of("signals.md"), re.MULTILINE)
    everything = [name for name, signal in vars(signals).items() if isinstance(signal, NamedSignal)]
    assert set(explained) == set(everything)
