"""docs/tutorial.md is followed as a reader would follow it, up to a real Redis."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import ADA, BOB
from launch import Server, Shell, environment
from pages import DOCS, assert_is_like, blocks_of
from smtp import Mailbox
from stores import PATIENCE, Redis, free_port

PAGE = DOCS / "tutorial.md"
FILES = {block.file: block.code for block in blocks_of(PAGE, "python")}
INSTALL, START, ASK, ANSWER, ENTER, LEAVE, TEST, REDIS, POLICY = [
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
    without = re.sub(r"(?s)\ndef deliver\(.*?\n\n\n", "\n", FILES["shop.py"])
    assert without != FILES["shop.py"]
    (folder / "shop.py").write_text(f"from mailing import deliver\n{without}")


def secret() -> str:
    """Return the key that the page makes."""
    _, command = START[0][0].split("=", 1)
    made = subprocess.run(
        ["sh", "-c", f"echo {command}"], capture_output=True, text=True, check=True,
        env=environment(),
    )  # fmt: skip
    return made.stdout.strip()


def serve(folder: Path, **variables: str) -> Server:
    """Start the shop by the page's own line."""
    port = free_port()
    command = [*shlex.split(START[1][0]), "--port", str(port)]
    return Server(command, folder, port, FLASK_SECRET_KEY=secret(), **variables)


def test_it_has_these_files() -> None:
    assert list(FILES) == ["shop.py", "mailing.py", "test_shop.py"]
    assert INSTALL[-1][0] == "mkdir shop && cd shop"


def test_join_sign_in_and_sign_out(folder: Path) -> None:
    with Shell(folder) as shell, serve(folder) as server:
        for line, expected in [*ASK, *ANSWER, *ENTER, *LEAVE]:
            if "$CODE" in line:
                (code,) = server.printed(r"your code is (\w+)\n")
                shell.run(f"CODE={code}")
            typed = line.replace("localhost:5000", f"127.0.0.1:{server.port}")
            typed = typed.replace("python3", shlex.quote(sys.executable))
            assert_is_like(shell.run(typed).strip(), expected)
    assert "Traceback" not in server.output


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        yield mailbox


def test_codes_are_mailed(folder: Path, mailbox: Mailbox) -> None:
    with_mail(folder)
    with serve(folder, SMTP_HOST="127.0.0.1", SMTP_PORT=str(mailbox.port)) as server:
        server.call("POST", "/auth/customer/otp/start", {"identifier": BOB})
        mail = mailbox.next()
    assert mail["To"] == BOB
    assert re.fullmatch(r"\d{6} is your code", str(mail["Subject"]))


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
        with serve(folder, **variables) as server:
            server.call("POST", "/auth/customer/otp/start", {"identifier": ADA})
            server.printed(r"your code is (\w+)\n")
        assert redis.ask("DBSIZE") > 0
    assert not (folder / "instance" / "otp_auth.sqlite3").exists()


def test_the_app_prints_the_chances_of_a_guesser(folder: Path) -> None:
    ((line, _),) = POLICY
    printed = subprocess.run(
        shlex.split(line), cwd=folder, capture_output=True, text=True, check=True,
        env=environment(FLASK_SECRET_KEY=secret()), timeout=PATIENCE,
    )  # fmt: skip
    assert "20 guesses per day" in printed.stdout
