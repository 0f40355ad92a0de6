"""The README keeps its word: its app is run, its lines are typed, its links lead somewhere."""

import importlib
import re
import shlex
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from browsing import visitor_at
from fakes import BOB, SECRET, Api, bearer
from launch import ROOT, Server, Shell
from pages import assert_is_like, blocks_of
from stores import free_port

from flask_otp_auth.testing import Outbox

README = ROOT / "README.md"
TEXT = README.read_text()
PYTHON = [block.code for block in blocks_of(README, "python")]
INSTALL, START, *WALK, PAGES = blocks_of(README, "console")


def test_it_can_be_read_in_one_go() -> None:
    assert len(TEXT.splitlines()) <= 200


def test_every_block_is_of_a_kind_that_is_tested_here() -> None:
    assert {block.language for block in blocks_of(README)} == {"python", "console"}
    assert len(PYTHON) == 2  # who adds one runs it here
    assert "$ flask --app shop run" in START.code
    assert all("$ curl " in block.code for block in WALK)


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert link.startswith("https://") or (ROOT / link).is_file(), link


def test_what_is_installed_is_this_package() -> None:
    known = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    )
    install, dist = INSTALL.code.splitlines()
    (extras,) = re.findall(r"^\$ pip install '\.\[([\w,]+)\]'$", install)
    assert set(extras.split(",")) <= known
    assert f"\n{dist.removeprefix('$ make ')}:" in (ROOT / "Makefile").read_text()
    (listed,) = re.findall(r"Extras: ([^.]*)\.", TEXT)
    assert set(re.findall(r"`(\w+)`", listed)) == known - {"all"}


# -- what is typed ------------------------------------------------------------------------


def test_the_walk_through(tmp_path: Path) -> None:
    """The lines are typed into a shell; the codes are read where the README says they appear."""
    (tmp_path / "shop.py").write_text(PYTHON[0])
    port = free_port()
    (key, _), (start, _) = START.steps()
    with Shell(tmp_path) as shell:
        shell.run(key.replace("python3", shlex.quote(sys.executable)))
        secret = shell.run('echo "$SECRET_KEY"').strip()
        asked = 0
        command = [*shlex.split(start), "--port", str(port)]
        with Server(command, tmp_path, port, SECRET_KEY=secret) as server:
            for line, expected in [step for block in WALK for step in block.steps()]:
                if "$CODE" in line:
                    code = server.printed(r"your code is (\w+)\n", asked)[-1]
                    shell.run(f"CODE={code}")
                asked += "/otp/start" in line
                output = shell.run(line.replace("localhost:5000", f"127.0.0.1:{port}"))
                assert_is_like(output.strip(), expected)
    assert asked == 1
    assert "Traceback" not in server.output


# -- the pages ----------------------------------------------------------------------------


def test_from_nothing_to_a_sign_in_at_the_pages(tmp_path: Path) -> None:
    """What is typed starts a mail server, which prints the mail, and the app."""
    (tmp_path / "club.py").write_text(PYTHON[1])
    port, mail_port = free_port(), free_port()
    install, mail, key, smtp, start = [line for line, _ in PAGES.steps()]
    _, *packages = re.findall(r"\s([\w.-]+|'.*?')(?=\s|$)", install)
    assert packages == ["'.[mail,sqlalchemy]'", "flask-sqlalchemy", "aiosmtpd"]
    assert key == START.steps()[0][0].replace("SECRET_KEY=", "FLASK_SECRET_KEY=", 1)
    settings = dict(assignment.split("=") for assignment in smtp.split()[1:])
    assert mail.endswith(f" localhost:{settings.pop('FLASK_MAIL_PORT')} &")
    settings |= {"FLASK_MAIL_PORT": str(mail_port), "FLASK_SECRET_KEY": SECRET}
    mailing = [sys.executable, *shlex.split(mail)[1:-2], f"localhost:{mail_port}"]
    command = [*shlex.split(start), "--port", str(port)]
    mailbox = tmp_path / "mailbox"
    mailbox.mkdir()
    with (
        Server(mailing, mailbox, mail_port, PYTHONUNBUFFERED="1") as mails,
        Server(command, tmp_path, port, **settings) as server,
    ):
        visitor = visitor_at(f"http://127.0.0.1:{port}").open("/")
        assert visitor.path == "/auth/member/sign-in"
        visitor.submit(identifier=BOB)
        (code,) = mails.printed(r"Subject: (\d{6}) is your code for The club\n")
        visitor.submit(otp=code)
        assert (visitor.path, visitor.text) == ("/", f"Hello {BOB}")
        assert "This device" in visitor.open("/auth/member/devices").text
        visitor.open("/auth/member/sign-out").submit()
        assert visitor.path == "/auth/member/sign-in"
    assert "Traceback" not in server.output


# -- the 60-second app ---------------------------------------------------------------------


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
