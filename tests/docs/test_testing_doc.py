"""docs/testing.md keeps its word: its test file is run as it stands, and it names every fixture."""

import re
import subprocess
import sys
from pathlib import Path

from launch import ROOT, environment

PAGE = ROOT / "docs" / "testing.md"
TEXT = PAGE.read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
PYTHON = [block for language, block in BLOCKS if language == "python"]

SHOP = """
from types import SimpleNamespace

from flask import Flask
from flask_otp_auth import OTPAuth, current_actor, token_required


class CustomerStore:
    def __init__(self):
        self.rows = {"ada@example.com": SimpleNamespace(id="1", email="ada@example.com")}

    def find_by_identifier(self, identifier):
        return self.rows.get(identifier)

    def find_by_id(self, actor_id):
        return next((row for row in self.rows.values() if row.id == actor_id), None)


def create_app(testing=False):
    app = Flask("shop")
    app.config.update(TESTING=testing, SECRET_KEY="forty letters or so that nobody will ever guess")
    otp_auth = OTPAuth(app)
    otp_auth.add_actor_type("customer", CustomerStore())

    @app.get("/login")
    def login():
        return "<form method='post'><input name='email'></form>"

    @app.post("/login")
    def send_code():
        return "A code is on its way."

    @app.get("/me")
    @token_required("customer")
    def me():
        return {"email": current_actor.email}

    return app
"""


def test_its_test_file_runs_in_a_project_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "test_shop.py").write_text("\n\n".join(PYTHON))
    files = {path.name for path in tmp_path.iterdir()}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "-p", "no:cov"],
        cwd=tmp_path,
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout
    assert "4 passed" in run.stdout
    assert {path.name for path in tmp_path.iterdir()} == files


def test_its_table_has_every_fixture() -> None:
    plugin = (ROOT / "pytest_flask_otp_auth.py").read_text()
    fixtures = set(re.findall(r"^def (otp_\w+)", plugin, re.MULTILINE))
    assert set(re.findall(r"^\| `(otp_\w+)", TEXT, re.MULTILINE)) == fixtures
