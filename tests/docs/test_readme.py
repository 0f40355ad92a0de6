"""The README keeps its word: each of its blocks is run, and each of its tables is compared."""

import importlib
import json
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
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from blinker import Signal
from fakes import ADA, BOB, SECRET, Api, Customers, SignalRecorder, bearer, wrong
from flask import Flask
from launch import ROOT, Server, Shell
from limits import RateLimitItem
from stores import PATIENCE, free_port

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.core.settings import Settings
from flask_otp_auth.testing import Outbox

README = ROOT / "README.md"
TEXT = README.read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PYTHON = [block for language, block in BLOCKS if language == "python"]
INSTALL, START, *WALK = [block for language, block in BLOCKS if language == "console"]

#: A signal of a feature that is yet to come.
UNSENT = {"test_identity_used"}


class Mailbox:
    """A mail server that keeps each mail."""

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
                    self.wfile.write(
                        b"221 bye\r\n" if line.lower() == b"quit\r\n" else b"250 yes\r\n"
                    )

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
    assert len(TEXT.splitlines()) <= 300


def test_every_block_is_of_a_kind_that_is_tested_here() -> None:
    assert {language for language, _ in BLOCKS} == {"python", "console", "mermaid"}
    assert INSTALL.startswith("$ pip install ")
    assert "$ flask --app shop run" in START
    assert all("$ curl " in block for block in WALK)


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / link).is_file(), link


def test_what_is_installed_is_this_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert INSTALL.split() == ["$", "pip", "install", project["name"]]
    (extras,) = re.findall(r"Extras: ([^.]*)\.", TEXT)
    assert set(names(extras)) == set(project["optional-dependencies"]) - {"all"}


# -- what is typed ------------------------------------------------------------------------


def test_the_walk_through(tmp_path: Path) -> None:
    """The lines are typed into a shell; the codes are read where the README says they appear."""
    (tmp_path / "shop.py").write_text(PYTHON[0])
    port = free_port()
    key, start = START.removeprefix("$ ").split("\n$ ")
    with Shell(tmp_path) as shell:
        shell.run(key.replace("python3", shlex.quote(sys.executable)))
        secret = shell.run('echo "$SECRET_KEY"').strip()
        asked = 0
        command = [*shlex.split(start), "--port", str(port)]
        with Server(command, tmp_path, port, SECRET_KEY=secret) as server:
            for line, expected in steps(WALK):
                if "$CODE" in line:
                    code = server.printed(r"your code is (\w+)\n", asked)[-1]
                    shell.run(f"CODE={code}")
                asked += "/otp/start" in line
                output = shell.run(line.replace("localhost:5000", f"127.0.0.1:{port}"))
                assert_is_like(output.strip(), expected)
    assert asked == 2
    assert "Traceback" not in server.output


def steps(blocks: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each line to type and what it prints, in which … stands for anything."""
    for block in blocks:
        for step in block.removeprefix("$ ").split("\n$ "):
            line, _, expected = step.partition("\n")
            yield line, expected.strip()


def assert_is_like(output: str, expected: str) -> None:
    """Compare what was printed with what the README says, in which "…" stands for any text."""
    if not expected:
        assert output == ""
        return
    printed, promised = json.loads(output), json.loads(expected)
    assert printed.keys() == promised.keys()
    for name, value in promised.items():
        assert printed[name] == value or value == "…"


# -- the 60-second app and the recipes ----------------------------------------------------


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The 60-second app, imported as a module of its own."""
    (tmp_path / "shop.py").write_text(PYTHON[0])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    shop = importlib.import_module("shop")
    monkeypatch.delitem(sys.modules, "shop")
    return shop


def test_the_recipes(shop: ModuleType) -> None:
    """All blocks of Python run in the namespace of the 60-second app, and do what they say."""
    with Mailbox() as mailbox:
        shop.app.config.update(SMTP_HOST="127.0.0.1", SMTP_PORT=mailbox.port)
        for block in PYTHON[1:]:
            exec(compile(block, README, "exec"), vars(shop))  # noqa: S102 - it is our own
        assert [message.identifier for message in shop.outbox] == ["bo@example.com"]

        api = Api(shop.app.test_client())
        with Outbox(shop.app, alone=False) as outbox:
            api.start(BOB)
        to, text = mailbox.next()
        assert (to, text.strip()) == (BOB, f"{outbox.last.otp} is your code. {WARNING}")
        shop.customers[ADA] = SimpleNamespace(id="1", email=ADA)
        api.pre_register(ADA)
        assert mailbox.next()[1].startswith("You have an account already")


WARNING = "Never tell it to anyone who calls you."


def test_a_form_that_is_sent_twice_makes_one_account(shop: ModuleType) -> None:
    shop.app.testing = True
    client = shop.app.test_client()
    api = Api(client)
    with Outbox(shop.app) as outbox:
        api.start(BOB)
    headers = bearer(api.finish(outbox.last.otp, BOB).get_json()["token"])
    statuses = [client.post("/customers", headers=headers).status_code for _ in range(2)]
    assert statuses == [201, 409]
    assert list(shop.customers) == [BOB]


def test_its_test_recipe_leaves_nothing_on_the_disk(shop: ModuleType, tmp_path: Path) -> None:
    (recipe,) = [block for block in PYTHON if "reset(app)" in block]
    for _ in range(2):
        exec(compile(recipe, README, "exec"), vars(shop))  # noqa: S102 - it is our own
    assert not list(tmp_path.rglob("*.sqlite3"))


# -- the tables ---------------------------------------------------------------------------


def test_the_table_of_settings() -> None:
    (table,) = re.findall(r"<!-- settings -->\n(.*)<!-- /settings -->", TEXT, re.DOTALL)
    assert table == settings_table()


def settings_table() -> str:
    """Return the table with a row for each setting: its name, its default, what it is about."""
    lines = ["| setting | default | meaning |\n|---|---|---|\n"]
    for item in fields(Settings):
        star = " *" if item.metadata["per_type"] else ""
        default = shown(item.default)
        lines.append(f"| `{item.name.upper()}`{star} | `{default}` | {item.metadata['doc']} |\n")
    return "".join(lines)


def shown(default: object) -> str:
    """Return a default as it would be written in a configuration."""
    if isinstance(default, tuple) and default and isinstance(default[0], RateLimitItem):
        return ";".join(f"{item.amount}/{item.GRANULARITY.name}" for item in default)
    return json.dumps(default).strip('"') if isinstance(default, tuple) else str(default)


def test_the_table_of_routes(app: Flask) -> None:
    routes = {
        f"{method} {rule}"
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("otp_auth.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(re.findall(r"^\| `([A-Z]+ /.*?)` \|", TEXT, re.MULTILINE)) == routes


def test_the_table_of_signals(make_app: Callable[..., Flask], customers: Customers) -> None:
    """Every signal is sent once at least, and its arguments are those of the table."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    app = make_app(
        otp_auth,
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

    everything = {name for name, signal in vars(signals).items() if isinstance(signal, Signal)}
    rows = re.findall(r"^\| `(\w+)` \| `([\w, ]+)` \|$", TEXT, re.MULTILINE)
    assert {name for name, _ in rows} == everything - UNSENT
    assert {name: set(arguments.split(", ")) for name, arguments in rows} == {
        name: set(arguments) for name, arguments in recorder.heard
    }


def fail(sender: Flask, **_: Any) -> None:
    """Be a handler that raises."""
    raise OSError


def names(text: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`(\w+)`", text)
