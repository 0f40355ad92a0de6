"""docs/tutorial.md is followed as a reader would follow it, up to a real Redis."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Visitor, visitor_at
from fakes import ADA
from launch import Server, Shell, environment
from mailbox_server import Mailbox
from pages import DOCS, assert_is_like, blocks_of
from stores import PATIENCE, Redis, free_port

PAGE = DOCS / "tutorial.md"
FILES = {block.file: block.code for block in blocks_of(PAGE, "python")}
INSTALL, START, PRINTING, MAIL, ASK, ENTER, LEAVE, TEST, REDIS, POLICY = [
    block.steps() for block in blocks_of(PAGE, "console")
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the first step writes."""
    (tmp_path / "shop.py").write_text(FILES["shop.py"])
    return tmp_path


def with_mail(folder: Path) -> None:
    """Do what step 3 says."""
    (folder / "mailing.py").write_text(FILES["mailing.py"])
    printing = "from flask_otp_auth.console import print_codes as deliver\n"
    assert FILES["shop.py"].count(printing) == 1
    (folder / "shop.py").write_text(
        FILES["shop.py"].replace(printing, "from mailing import deliver\n")
    )


def mail_variables(host: str, port: int) -> dict[str, str]:
    """Return the variables that the page exports, for a server that is there."""
    names = [assigned.split("=")[0] for assigned in MAIL[0][0].split()[1:]]
    return dict(zip(names, [host, str(port)], strict=True))


def secret() -> str:
    """Return the key that the page makes."""
    _, command = START[0][0].split("=", 1)
    made = subprocess.run(
        ["sh", "-c", f"echo {command}"], capture_output=True, text=True, check=True,
        env=environment(),
    )  # fmt: skip
    return made.stdout.strip()


def serve(folder: Path, line: str, **variables: str) -> Server:
    """Start the shop by the page's own line."""
    port = free_port()
    command = [*shlex.split(line), "--port", str(port)]
    if "--debug" in command:
        command.append("--no-reload")  # which would start a process that outlives this one
    return Server(command, folder, port, FLASK_SECRET_KEY=secret(), **variables)


def test_it_has_these_files() -> None:
    assert list(FILES) == ["shop.py", "mailing.py", "test_shop.py"]
    assert INSTALL[-1][0] == "mkdir shop && cd shop"


def visitor_of(server: Server) -> Visitor:
    """Return somebody with a browser, at the front page."""
    return visitor_at(f"http://127.0.0.1:{server.port}").open("/")


def test_join_at_the_pages(folder: Path) -> None:
    (sample,) = blocks_of(PAGE, "text")
    said = re.escape(sample.code.strip()).replace("123456", r"(\d{6})")
    with serve(folder, START[1][0]) as server:
        ada = visitor_of(server)
        for turn in (1, 2):
            ada.submit(identifier=ADA)
            ada.submit(otp=server.printed(said, turn)[-1])
            assert ada.text.startswith(f"Hello {ADA}.")
            ada.open("/auth/customer/sign-out")
            ada.submit()
            assert "Sign in or join" in ada.text
    assert "Traceback" not in server.output


def test_codes_are_mailed_and_programs_use_them(folder: Path, mailbox: Mailbox) -> None:
    with_mail(folder)
    variables = mail_variables("127.0.0.1", mailbox.port)
    with Shell(folder) as shell, serve(folder, MAIL[1][0], **variables) as server:
        ada = visitor_of(server)
        ada.submit(identifier=ADA)
        ada.submit(otp=code_in(mailbox))
        for line, expected in [*ASK, *ENTER, *LEAVE]:
            if "$CODE" in line:
                shell.run(f"CODE={code_in(mailbox)}")
            typed = line.replace("localhost:5000", f"127.0.0.1:{server.port}")
            typed = typed.replace("python3", shlex.quote(sys.executable))
            assert_is_like(shell.run(typed).strip(), expected)
    assert "Traceback" not in server.output


def code_in(mailbox: Mailbox) -> str:
    """Return the code in the subject of the next mail that has one."""
    while True:
        found = re.match(r"(\d{6}) is your code", str(mailbox.next()["Subject"]))
        if found:
            return found[1]


def test_a_mail_server_prints_the_code(folder: Path) -> None:
    with_mail(folder)
    port = free_port()
    _, *command = shlex.split(PRINTING[1][0].replace("1025", str(port)))
    variables = mail_variables("localhost", port)
    with (
        Server([sys.executable, *command], folder, port, PYTHONUNBUFFERED="1") as mail_server,
        serve(folder, MAIL[1][0], **variables) as server,
    ):
        server.call("POST", "/auth/customer/otp/start", {"identifier": ADA})
        mail_server.printed(r"Subject: (\d{6}) is your code")


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        yield mailbox


@pytest.mark.parametrize("has_mail", [False, True])
def test_its_tests_pass(folder: Path, has_mail: bool) -> None:
    if has_mail:
        with_mail(folder)
    (folder / "test_shop.py").write_text(FILES["test_shop.py"])
    ((line, _),) = TEST
    ran = subprocess.run(
        [sys.executable, "-m", *shlex.split(line), "-q", "-p", "no:cacheprovider"],
        cwd=folder, capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout


def test_it_moves_to_redis(folder: Path) -> None:
    name, uri = REDIS[1][0].removeprefix("export ").split("=")
    with Redis(folder / "redis") as redis:
        variables = {name: uri.replace("localhost:6380", f"127.0.0.1:{redis.port}")}
        with serve(folder, START[1][0], **variables) as server:
            server.call("POST", "/auth/customer/otp/start", {"identifier": ADA})
            server.printed(r"(\d{6}) is your code")
        assert redis.ask("DBSIZE") > 0
    assert not (folder / "instance" / "otp_auth.sqlite3").exists()


def test_the_app_prints_the_chances_of_a_guesser(folder: Path) -> None:
    with_mail(folder)
    ((line, _),) = POLICY
    printed = subprocess.run(
        shlex.split(line), cwd=folder, capture_output=True, text=True, check=True,
        env=environment(FLASK_SECRET_KEY=secret()), timeout=PATIENCE,
    )  # fmt: skip
    assert "20 guesses per day" in printed.stdout
