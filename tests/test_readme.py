"""The README keeps its word: each of its blocks is run, and each of its tables is compared."""

import importlib
import re
import shlex
import socketserver
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import fields
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from queue import Queue
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from blinker import Signal
from conftest import ADA, BOB, Api, Ear, bearer, wrong
from flask import Flask, request
from servers import PATIENCE, ROOT, Server, Shell, free_port

from flask_otp_auth import signals
from flask_otp_auth.config import Settings
from flask_otp_auth.testing import Outbox

README = ROOT / "README.md"
TEXT = README.read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PYTHON = [block for language, block in BLOCKS if language == "python"]
INSTALL, START, *WALK = [block for language, block in BLOCKS if language == "console"]


class Mailbox:
    """A mail server that keeps the one mail after the other."""

    def __init__(self) -> None:
        self._mails: Queue[Message] = Queue()
        mails = self._mails

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 ready\r\n")
                for line in self.rfile:
                    if line == b"data\r\n":
                        self.wfile.write(b"354 go on\r\n")
                        text = b"".join(iter(self.rfile.readline, b".\r\n"))
                        mails.put(message_from_bytes(text))
                    self.wfile.write(b"221 bye\r\n" if line == b"quit\r\n" else b"250 yes\r\n")

        self._server = socketserver.TCPServer(("127.0.0.1", 0), Session)
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> "Mailbox":
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def next(self) -> tuple[str, str]:
        """Return whom the next mail is to, and its text."""
        mail = self._mails.get(timeout=PATIENCE)
        return str(mail["To"]), str(mail.get_payload())


def test_it_can_be_read_in_one_go() -> None:
    assert len(TEXT.splitlines()) <= 260


def test_every_block_is_of_a_kind_that_is_tested_here() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "console", "mermaid"}
    assert INSTALL.startswith("$ pip install ")
    assert START.startswith("$ flask --app shop run")
    assert all("$ curl " in block for block in WALK)


def test_what_is_installed_is_this_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert INSTALL.split() == ["$", "pip", "install", project["name"]]
    (extras,) = re.findall(r"Extras: ([^.]*)\.", TEXT)
    assert set(names(extras)) == set(project["optional-dependencies"]) - {"all"}


def test_the_walk_through(tmp_path: Path) -> None:
    """The lines are typed into a shell; the codes are read where the README says they appear."""
    (tmp_path / "shop.py").write_text(PYTHON[0])
    port = free_port()
    start = [*shlex.split(START.removeprefix("$ ")), "--port", str(port)]
    asked = 0
    with Server(start, tmp_path, port) as server, Shell(tmp_path) as shell:
        for line, expected in steps(WALK):
            if "$CODE" in line:
                code = server.printed(r"your code is (\w+)\n", asked)[-1]
                shell.run(f"CODE={code}")
            asked += "pre-register" in line or "generate" in line
            output = shell.run(line.replace("localhost:5000", f"127.0.0.1:{port}"))
            assert re.fullmatch(like(expected), output.strip()), line
    assert asked == 2


def steps(blocks: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each line to type and what it prints, in which … stands for anything."""
    for block in blocks:
        for step in block.removeprefix("$ ").split("\n$ "):
            line, _, expected = step.partition("\n")
            yield line, expected.strip()


def like(expected: str) -> str:
    return ".*".join(map(re.escape, expected.split("…")))


def test_the_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks of Python run in the namespace of the 60-second app, and do what they say."""
    (tmp_path / "shop.py").write_text(PYTHON[0])
    monkeypatch.syspath_prepend(tmp_path)
    shop = importlib.import_module("shop")
    monkeypatch.delitem(sys.modules, "shop")
    with Mailbox() as mailbox:
        shop.app.config.update(SMTP_HOST="127.0.0.1", SMTP_PORT=mailbox.port)
        for block in PYTHON[1:]:
            exec(compile(block, README, "exec"), vars(shop))  # noqa: S102 - it is our own

        # The last recipe asked for a code, which the first one mails.
        otp = shop.outbox.last.otp
        to, text = mailbox.next()
        assert to == shop.outbox.last.identifier
        assert text.startswith(f"{otp} is your code")

        shop.customers[ADA] = SimpleNamespace(id=0, email=ADA)
        api = Api(shop.app.test_client())
        api.pre_register(ADA)
        assert mailbox.next()[1].startswith("You have an account already")

    # CSRFProtect and ProxyFix are on, and let through what they should.
    token = api.register(otp, to).get_json()["token"]
    assert api.client.post("/customers", headers=bearer(token)).status_code == 201
    with api.client:
        api.client.get("/me", headers={"X-Forwarded-For": "203.0.113.9"})
        assert request.remote_addr == "203.0.113.9"


def test_the_table_of_settings() -> None:
    (table,) = re.findall(r"<!-- settings -->\n(.*)<!-- /settings -->", TEXT, re.DOTALL)
    assert table == settings_table()


def settings_table() -> str:
    """Return the table with a row for each setting: its name, its default, what it is about."""
    rows = [
        (item.name.upper(), shown(item.default), item.metadata["doc"]) for item in fields(Settings)
    ]
    lines = [f"| `{name}` | `{default}` | {meaning} |\n" for name, default, meaning in rows]
    return "".join(["| setting | default | meaning |\n|---|---|---|\n", *lines])


def shown(default: object) -> str:
    """Return a default as it would be written in a configuration."""
    if isinstance(default, tuple) and default:
        return ";".join(f"{item.amount}/{item.GRANULARITY.name}" for item in default)
    return str(default)


def test_the_table_of_routes(app: Flask) -> None:
    routes = {
        f"{method} {rule}"
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("otp_auth.")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    assert set(re.findall(r"^\| `([A-Z]+ /.*?)` \|", TEXT, re.MULTILINE)) == routes


def test_the_table_of_signals(make_app: Callable[..., Flask]) -> None:
    """Every signal is sent once at least, and its arguments are those of the table."""
    app = make_app(OTP_AUTH_GLOBAL_FAILURE_LIMIT="1/hour", OTP_AUTH_IP_VERIFY_LIMITS="3/hour")
    ear, api = Ear(app), Api(app.test_client())
    signals.pre_register_otp_generated.connect(fail, app)
    with Outbox(app) as outbox:
        api.generate(ADA)
        token = api.verify(outbox.last.otp, ADA).get_json()["token"]
        api.revoke(token)
        api.generate(BOB)
        api.pre_register(BOB)
        for _ in range(3):
            api.register(wrong(outbox.last.otp), BOB)

    everything = {name for name, signal in vars(signals).items() if isinstance(signal, Signal)}
    rows = re.findall(r"^\| `(\w+)` \| `([\w, ]+)` \|$", TEXT, re.MULTILINE)
    assert {name for name, _ in rows} == everything
    assert {name: set(arguments.split(", ")) for name, arguments in rows} == {
        name: set(arguments) for name, arguments in ear.heard
    }


def fail(sender: Flask, **_: Any) -> None:
    """Be a handler that raises."""
    raise OSError


def names(text: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`(\w+)`", text)
