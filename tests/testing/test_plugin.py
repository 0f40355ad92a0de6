"""The pytest plugin in a stranger's project: each test runs pytest in a process of its own."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from launch import environment

SHOP = """
import secrets
from flask import Flask
from flask_otp_auth import OTPAuth, current_actor, token_required
from flask_otp_auth.signals import otp_generated

class Customer:
    is_active = True
    def __init__(self, number, email):
        self.id, self.email = number, email

class Customers:
    def __init__(self):
        self.rows = [Customer(1, "ada@example.com")]
    def find_by_identifier(self, identifier):
        return next((c for c in self.rows if c.email == identifier), None)
    def find_by_id(self, actor_id):
        return next((c for c in self.rows if str(c.id) == actor_id), None)

def create_app(**config):
    app = Flask(__name__)
    app.config.update(SECRET_KEY=secrets.token_hex(32), TESTING=True, **config)
    otp_auth = OTPAuth(app)
    otp_auth.add_actor_type("customer", Customers())
    @app.get("/me")
    @token_required("customer")
    def me():
        return {"email": current_actor.email}
    return app
"""

CONFTEST = """
import pytest
from shop import create_app

@pytest.fixture
def app():
    return create_app(OTP_AUTH_IP_GENERATE_LIMITS="2/hour")
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a test file in a project of its own; other files by their names."""

    def run(test: str, *options: str, **files: str) -> subprocess.CompletedProcess[str]:
        texts = {"shop": SHOP, "conftest": CONFTEST, "test_shop": test, **files}
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
        command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
        return subprocess.run(
            [*command, "-p", "no:cov", *options],
            cwd=tmp_path,
            env=environment(PYTHONDONTWRITEBYTECODE="1"),
            capture_output=True,
            text=True,
        )

    return run


def passed(result: subprocess.CompletedProcess[str], number: int) -> bool:
    """Tell whether so many tests have passed, and none has not."""
    assert result.returncode == 0, result.stdout + result.stderr
    return f"{number} passed" in result.stdout


FIXTURES = """
import sys
import threading
import time
import pytest
from flask_otp_auth import signals

ADA = {"identifier": "ada@example.com"}

def test_sign_in(client, otp_sign_in):
    ada = otp_sign_in(client, "customer", "ada@example.com")
    assert client.get("/me", headers=ada.headers).get_json() == {"email": "ada@example.com"}

def test_outbox_and_clock(client, otp_outbox, otp_clock):
    client.post("/auth/customer/otp/generate", json=ADA)
    otp = otp_outbox.last.otp
    assert otp_outbox.codes_to("ada@example.com") == [otp]
    otp_clock.tick(301)
    assert client.post("/auth/customer/otp/verify", json={**ADA, "otp": otp}).status_code == 400

def test_limits_and_reset(app, client, otp_reset):
    path = "/auth/customer/otp/generate"
    statuses = [client.post(path, json=ADA).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    otp_reset(app)
    assert client.post(path, json=ADA).status_code == 200

def test_no_limits(client, otp_no_limits, otp_outbox):
    for number in range(9):
        client.post("/auth/customer/otp/generate", json=ADA)
    assert len(otp_outbox) == 9

def test_attack(otp_attack):
    assert callable(otp_attack)

@pytest.fixture(autouse=True)
def nothing_stays(app):
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before
    assert not list(signals.otp_generated.receivers_for(app))
    first = time.time()
    time.sleep(0.001)
    assert time.time() > first
"""


def test_its_fixtures_leave_nothing_behind(run: Run, tmp_path: Path) -> None:
    assert passed(run(FIXTURES), 5)
    assert {path.name for path in tmp_path.iterdir()} == {"shop.py", "conftest.py", "test_shop.py"}


def test_it_works_in_several_processes(run: Run) -> None:
    assert passed(run(FIXTURES, "-n", "2"), 5)


def test_it_imports_nothing_of_the_package_before_a_fixture_is_used(run: Run) -> None:
    test = """
import sys
def test_nothing(request):
    assert "pytest_flask_otp_auth" in sys.modules
    assert not [name for name in sys.modules if name.split(".")[0] in ("flask_otp_auth", "flask")]
"""
    assert passed(run(test, conftest=""), 1)


CLIENT = "def test_it(client):\n    assert client {}\n"
FIXTURE = "import pytest\n@pytest.fixture\ndef client():\n    return {!r}\n"


class TestClient:
    """The plugin's own is for projects that have none."""

    def test_is_made_from_the_app(self, run: Run) -> None:
        assert passed(run(CLIENT.format(".application.name == 'shop'")), 1)

    def test_of_the_project_comes_first(self, run: Run) -> None:
        conftest = CONFTEST + FIXTURE.format("ours")
        assert passed(run(CLIENT.format("== 'ours'"), conftest=conftest), 1)

    def test_is_made_where_another_thing_has_the_name(self, run: Run) -> None:
        conftest = CONFTEST + "client = object()\n"
        assert passed(run(CLIENT.format(".application.name == 'shop'"), conftest=conftest), 1)

    def test_of_a_test_file_comes_first(self, run: Run) -> None:
        assert passed(run(FIXTURE.format("mine") + CLIENT.format("== 'mine'")), 1)

    def test_of_another_plugin_comes_first(self, run: Run) -> None:
        theirs = FIXTURE.format("theirs")
        assert passed(run(CLIENT.format("== 'theirs'"), "-p", "theirs", theirs=theirs), 1)

    def test_of_a_plugin_that_conftest_names_comes_first(self, run: Run) -> None:
        conftest = "pytest_plugins = ['theirs']\n" + CONFTEST
        result = run(
            CLIENT.format("== 'theirs'"), theirs=FIXTURE.format("theirs"), conftest=conftest
        )
        assert passed(result, 1)
