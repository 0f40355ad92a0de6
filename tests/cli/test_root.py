"""Run as root over a SQLite storage of another user, the commands do nothing and say so."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from fakes import ADA, MakeApp
from flask import Flask
from launch import environment
from running import run
from test_support import WHO

IS_ROOT = sys.platform != "win32" and os.geteuid() == 0
NOBODY = 65534

#: An app as a deploy script meets it.
APP = textwrap.dedent(
    """
    from flask import Flask
    from flask_otp_auth import OTPAuth
    from flask_otp_auth.signals import otp_generated

    class Accounts:
        id = 1
        def find_by_identifier(self, identifier): return self
        find_by_id = find_by_identifier

    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", Accounts())
    app = Flask(__name__)
    app.config.from_prefixed_env()
    otp_auth.init_app(app)

    @otp_generated.connect_via(app)
    def deliver(sender, otp, **_): print(f"mailed {len(otp)} digits")
    """
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an app, whose storage is in the folder ``data``."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "data").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def stored(deploy: MakeApp, folder: Path) -> Flask:
    """A deployed shop with the same storage, in this process."""
    return deploy(OTP_AUTH_STORAGE_URI=f"sqlite:///{folder}/data/otp_auth.sqlite3")


def flask(folder: Path, *arguments: str, **config: str) -> subprocess.CompletedProcess[str]:
    """Run ``flask otp …`` in a process of its own."""
    given = {
        "FLASK_SECRET_KEY": "a-secret-key-of-more-than-32-bytes-for-tests",
        "FLASK_OTP_AUTH_STORAGE_URI": f"sqlite:///{folder}/data/otp_auth.sqlite3",
        "FLASK_OTP_AUTH_TOKEN_ISSUER": "https://shop.example",
        **config,
    }
    command = [sys.executable, "-m", "flask", "--app", "shop", "otp", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment(**given), capture_output=True, text=True, check=False
    )


def made(folder: Path) -> list[str]:
    return [path.name for path in (folder / "data").iterdir()]


class TestProcesses:
    def test_a_code_is_delivered_before_the_command_ends(self, folder: Path) -> None:
        ran = flask(folder, "send", *WHO)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.startswith("mailed 6 digits\n")

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            (["check"], 1),
            (["send", "--join", *WHO], 1),
            (["send", "robot", ADA], 2),
            (["inspect", *WHO], 0),
        ],
        ids=lambda value: value if isinstance(value, int) else " ".join(value),
    )
    def test_tell_by_their_exit_code(self, folder: Path, arguments: list[str], code: int) -> None:
        ran = flask(folder, *arguments)
        assert ran.returncode == code, ran.stderr
        assert "Traceback" not in ran.stderr

    def test_a_configuration_that_is_refused_is_told_in_plain_words(self, folder: Path) -> None:
        ran = flask(folder, "check", FLASK_SECRET_KEY="dev")
        assert ran.returncode == 1
        last = ran.stderr.splitlines()[-2:]
        assert last[0] == "flask_otp_auth.errors.ConfigError: flask-otp-auth can't start:"
        assert last[1].startswith("- SECRET_KEY must have 32 bytes or more; ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["inspect", *WHO],
        ["sign-ins", "customer", "1"],
        ["policy"],
        ["audit-id", *WHO],
        ["test-identity", *WHO, "--days", "1"],
    ],
    ids=" ".join,
)
def test_those_that_only_look_make_no_file(
    stored: Flask, folder: Path, arguments: list[str]
) -> None:
    """As root they would leave a file behind that the server can't open."""
    assert run(stored, *arguments).exit_code == 0
    assert made(folder) == []


#: Commands that name somebody by an identifier, each with what else it takes.
BY_IDENTIFIER = {
    "send": [],
    "verify": ["123456"],
    "inspect": [],
    "unlock": ["-y"],
    "audit-id": [],
    "test-identity": ["--days", "14"],
}


@pytest.mark.parametrize("command", [*BY_IDENTIFIER, "sign-ins", "revoke"])
def test_an_unknown_actor_type_is_a_wrong_use(shop: Flask, command: str) -> None:
    ran = run(shop, command, "robot", ADA, *BY_IDENTIFIER.get(command, []))
    assert (ran.exit_code, "known: customer" in ran.output) == (2, True)


@pytest.mark.parametrize("command", BY_IDENTIFIER)
def test_what_is_no_identifier_is_a_wrong_use(shop: Flask, mail: list[str], command: str) -> None:
    ran = run(shop, command, "customer", "Ada", *BY_IDENTIFIER[command])
    assert (ran.exit_code, "not valid" in ran.output) == (2, True)
    assert mail == []


def test_a_name_of_none_is_no_command(deploy: MakeApp) -> None:
    assert run(deploy(OTP_AUTH_CLI=None), "policy").exit_code == 2


@pytest.mark.skipif(not IS_ROOT, reason="only root may do what is refused here")
class TestAsRoot:
    USES_STORAGE = pytest.mark.parametrize(
        "arguments",
        [
            ["check"],
            ["send", *WHO],
            ["verify", *WHO, "123456"],
            ["inspect", *WHO],
            ["unlock", "-y", *WHO],
            ["sign-ins", "customer", "1"],
            ["revoke", "-y", "customer", "1"],
        ],
        ids=lambda arguments: arguments[0],
    )

    @USES_STORAGE
    def test_a_folder_of_another_user_is_left_alone(
        self, stored: Flask, folder: Path, arguments: list[str]
    ) -> None:
        os.chown(folder / "data", NOBODY, NOBODY)
        ran = run(stored, *arguments, apart=True)
        assert ran.exit_code == 1
        assert ran.stdout == ""
        assert ran.stderr.startswith("Error: This is run as root, and ")
        assert made(folder) == []

    @USES_STORAGE
    def test_a_file_of_another_user_is_left_alone(
        self, stored: Flask, folder: Path, arguments: list[str]
    ) -> None:
        file = folder / "data" / "otp_auth.sqlite3"
        file.touch(mode=0o600)
        os.chown(file, NOBODY, NOBODY)
        ran = run(stored, *arguments, apart=True)
        assert ran.exit_code == 1
        assert f"{file} belongs to the user nobody" in ran.stderr
        assert made(folder) == [file.name]
        assert file.stat().st_size == 0

    def test_no_file_is_made_where_any_user_may_run_the_app(self, folder: Path) -> None:
        (folder / "data").chmod(0o777)
        ran = flask(folder, "send", *WHO)
        assert ran.returncode == 1
        assert made(folder) == []
        assert flask(folder, "inspect", *WHO).returncode == 0
        assert made(folder) == []

    @pytest.mark.parametrize("arguments", [["policy"], ["audit-id", *WHO]], ids=" ".join)
    def test_what_needs_no_storage_is_told(
        self, stored: Flask, folder: Path, arguments: list[str]
    ) -> None:
        os.chown(folder / "data", NOBODY, NOBODY)
        assert run(stored, *arguments).exit_code == 0

    def test_a_file_of_its_own_is_used(self, folder: Path) -> None:
        assert flask(folder, "send", *WHO).returncode == 0
        assert "login" in flask(folder, "inspect", *WHO).stdout


@pytest.mark.skipif(sys.platform == "win32", reason="there is no root")
def test_an_owner_without_a_name_has_a_number(shop: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    owned = os.stat_result((0o40700, 1, 1, 1, 12345, 12345, 0, 0, 0, 0))
    monkeypatch.setattr("flask_otp_auth.cli.access.os.stat", lambda path: owned)
    ran = run(shop, "inspect", *WHO)
    assert ran.exit_code == 1
    assert "is in a folder of the user 12345" in ran.output


def test_an_ordinary_user_may_do_all(
    shop: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: tmp_path.stat().st_uid or 1)
    assert run(shop, "inspect", *WHO).exit_code == 0


def test_a_folder_that_is_missing_is_not_made(folder: Path) -> None:
    ran = flask(
        folder, "inspect", *WHO, FLASK_OTP_AUTH_STORAGE_URI=f"sqlite:///{folder}/data/a/b/c.db"
    )
    assert ran.returncode == 0, ran.stderr
    assert made(folder) == []
