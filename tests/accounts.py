"""The example of docs/ with a database of its own, and somebody who fills in its forms."""

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import SECRET
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

#: Ada, whose account the office made with a password.
EMAIL, PHONE, PASSWORD = "ada@example.com", "+493012345678", "correct horse battery"

#: A hash that costs a test nothing to check.
PASSWORD_HASH = generate_password_hash(PASSWORD, "pbkdf2:sha256:1")


@cache
def load_example() -> ModuleType:
    """Import the example; once, as its model can't be made twice."""
    path = Path(__file__).parent.parent / "docs" / "accounts_example.py"
    spec = importlib.util.spec_from_file_location("accounts_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def example() -> ModuleType:
    """The example."""
    return load_example()


@pytest.fixture
def make_accounts(example: ModuleType, tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Make the example's app, with a database of its own that Ada is in."""
    engines = []

    def make(**config: Any) -> Flask:
        app: Flask = example.create_app(
            **{
                "TESTING": True,
                "SECRET_KEY": SECRET,
                "SQLALCHEMY_DATABASE_URI": f"sqlite:///{tmp_path}/accounts.sqlite3",
                "RATELIMIT_ENABLED": False,
                **config,
            }
        )
        with app.app_context():
            engines.append(example.db.engine)
            assert example.add(email=EMAIL, phone=PHONE, password_hash=PASSWORD_HASH)
        return app

    yield make
    for engine in engines:
        engine.dispose()


class Browser:
    """Somebody who fills in forms."""

    def __init__(self, client: FlaskClient) -> None:
        self.get = client.get
        self._post = client.post
        self.page = client.get("/login").text

    def submit(self, action: str, **fields: str) -> TestResponse:
        """Send a form of the page that is shown, and go where it leads."""
        assert f'action="{action}"' in self.page
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', self.page))
        answer = self._post(action, data={**hidden, **fields}, follow_redirects=True)
        self.page = answer.text
        return answer

    @property
    def greeting(self) -> str | None:
        """Whom the home page greets, if it is shown at all."""
        found = re.search(r"<p>Hello (\S+)</p>", self.get("/").text)
        return found and found[1]
