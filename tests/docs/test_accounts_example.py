"""The example of docs/: one user, by password or by a code to either identifier."""

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fakes import SECRET, Api, bearer
from flask import Flask
from flask.testing import FlaskClient
from launch import ROOT
from werkzeug.security import generate_password_hash
from werkzeug.test import TestResponse

from flask_otp_auth.testing import Outbox

#: Ada, whose account the office made with a password.
EMAIL, PHONE, PASSWORD = "ada@example.com", "+4915123456789", "correct horse battery"

#: How she may type her identifiers.
TYPED = ["ada@example.com", "ADA@example.com ", "0151/23456789", PHONE]

#: A hash that costs a test nothing to check.
PASSWORD_HASH = generate_password_hash(PASSWORD, "pbkdf2:sha256:1")


@cache
def load_example() -> ModuleType:
    """Import the example; once, as its model can't be made twice."""
    path = ROOT / "docs" / "accounts_example.py"
    spec = importlib.util.spec_from_file_location("accounts_example", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_accounts(tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Make the example's app, with a database of its own that Ada is in."""
    example, engines = load_example(), []

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


@pytest.fixture
def app(make_accounts: Callable[..., Flask]) -> Flask:
    """The example's app."""
    return make_accounts()


@pytest.fixture
def browser(app: Flask) -> Browser:
    """A browser in front of the login page."""
    return Browser(app.test_client())


@pytest.mark.parametrize("typed", TYPED)
def test_she_logs_in_with_her_password(browser: Browser, typed: str) -> None:
    assert browser.greeting is None
    browser.submit("/login/password", identifier=typed, password=PASSWORD)
    assert browser.greeting == EMAIL


@pytest.mark.parametrize("typed", TYPED)
def test_or_with_a_code_to_either_identifier(browser: Browser, outbox: Outbox, typed: str) -> None:
    browser.submit("/login/code", identifier=typed)
    assert outbox.last.identifier == (EMAIL if "@" in typed else PHONE)
    browser.submit("/login/code/check", otp=outbox.last.otp)
    assert browser.greeting == EMAIL


@pytest.mark.parametrize("identifier", ["bob@example.com", "+436641234567"])
def test_whoever_is_new_joins_with_the_code(
    browser: Browser, outbox: Outbox, identifier: str
) -> None:
    browser.submit("/login/code", identifier=identifier)
    browser.submit("/login/code/check", otp=outbox.last.otp)
    assert browser.greeting == identifier


@pytest.mark.parametrize(
    ("typed", "password"),
    [(EMAIL, "wrong"), (EMAIL, ""), ("eve@example.com", PASSWORD), ("ada", PASSWORD), ("", "")],
)
def test_a_wrong_password_is_refused_whoever_it_is(
    browser: Browser, typed: str, password: str
) -> None:
    answer = browser.submit("/login/password", identifier=typed, password=password)
    assert answer.status_code == 400
    assert "That is not right." in answer.text
    assert browser.greeting is None


def test_a_wrong_code_may_be_corrected(browser: Browser, outbox: Outbox) -> None:
    browser.submit("/login/code", identifier=EMAIL)
    assert browser.submit("/login/code/check", otp="no code").status_code == 400
    assert "Invalid OTP" in browser.page
    browser.submit("/login/code/check", otp=outbox.last.otp)
    assert browser.greeting == EMAIL


def test_after_a_double_click_the_code_is_good(browser: Browser, outbox: Outbox) -> None:
    page = browser.page
    for _ in range(2):
        browser.page = page
        browser.submit("/login/code", identifier=EMAIL)
    (message,) = outbox
    browser.submit("/login/code/check", otp=message.otp)
    assert browser.greeting == EMAIL


def test_known_and_unknown_look_the_same(browser: Browser) -> None:
    pages, login = [], browser.page
    for identifier in (EMAIL, "eve@example.com", "+442079460018"):
        browser.page = login
        answer = browser.submit("/login/code", identifier=identifier)
        assert answer.status_code == 200
        pages.append(re.sub(r'value="[^"]*"', "", answer.text).replace(identifier, ""))
    assert pages[0] == pages[1] == pages[2]


def test_what_is_no_identifier_is_refused(browser: Browser, outbox: Outbox) -> None:
    answer = browser.submit("/login/code", identifier="<script>")
    assert answer.status_code == 400
    assert "The identifier is not valid." in answer.text
    assert "<script>" not in answer.text
    assert not outbox.messages


@pytest.mark.parametrize("way", ["password", "code"])
def test_she_logs_out(app: Flask, browser: Browser, outbox: Outbox, way: str) -> None:
    if way == "password":
        browser.submit("/login/password", identifier=EMAIL, password=PASSWORD)
    else:
        browser.submit("/login/code", identifier=EMAIL)
        browser.submit("/login/code/check", otp=outbox.last.otp)
    browser.submit("/logout")
    assert browser.greeting is None
    with app.app_context():
        assert load_example().otp_auth.sign_ins("user", "1") == []


def test_a_new_password_signs_her_out_everywhere_else(
    app: Flask, browser: Browser, outbox: Outbox
) -> None:
    other = Browser(app.test_client())
    other.submit("/login/password", identifier=EMAIL, password=PASSWORD)
    browser.submit("/login/code", identifier=PHONE)
    browser.submit("/login/code/check", otp=outbox.last.otp)
    assert browser.submit("/password", password="short").status_code == 400
    assert other.greeting == EMAIL
    browser.submit("/password", password="a much longer one")
    assert "Your password is set" in browser.page
    assert (browser.greeting, other.greeting) == (EMAIL, None)
    browser.submit("/logout")
    browser.submit("/login/password", identifier=EMAIL, password="a much longer one")
    assert browser.greeting == EMAIL


def test_the_office_adds_a_user(app: Flask, browser: Browser) -> None:
    command = ["add-user", "Bob@Example.com", "0043 664 12345678", "--password", PASSWORD]
    added = app.test_cli_runner().invoke(args=command)
    assert (added.exit_code, added.output) == (0, "")
    browser.submit("/login/password", identifier="+43 (664) 12345678", password=PASSWORD)
    assert browser.greeting == "bob@example.com"


@pytest.mark.parametrize("identifier", [EMAIL, "bob"])
def test_but_none_that_is_there_or_can_not_be(app: Flask, identifier: str) -> None:
    command = ["add-user", identifier, "--password", PASSWORD]
    added = app.test_cli_runner().invoke(args=command)
    assert added.exit_code == 2
    assert "Error: " in added.output


def test_no_form_works_without_its_csrf_token(app: Flask) -> None:
    client = app.test_client()
    forms = [str(rule) for rule in app.url_map.iter_rules() if rule.endpoint.startswith("site.")]
    assert len(forms) == 7
    for path in set(forms) - {"/", "/login"}:
        answer = client.post(path, data={"identifier": EMAIL, "password": PASSWORD})
        assert answer.status_code == 400
        assert "CSRF" in answer.text
    assert client.get("/").status_code == 302


def test_the_api_works_beside_the_pages(app: Flask, outbox: Outbox) -> None:
    api = Api(app.test_client(), actor_type="user")
    api.generate("0151 23456789")
    token = api.verify(outbox.last.otp, PHONE).get_json()["token"]
    home = app.test_client().get("/", headers=bearer(token))
    assert f"Hello {EMAIL}" in home.text


def test_passwords_are_tried_from_one_address_so_many_times_only(
    make_accounts: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_example(), "NOBODY", PASSWORD_HASH)  # which costs nothing to check
    browser = Browser(make_accounts(RATELIMIT_ENABLED=True).test_client())
    page = browser.page
    statuses = set()
    for _ in range(100):
        browser.page = page
        statuses.add(browser.submit("/login/password", identifier="", password="").status_code)
    browser.page = page
    answer = browser.submit("/login/password", identifier=EMAIL, password=PASSWORD)
    assert (statuses, answer.status_code) == ({400}, 429)


def test_codes_are_counted_by_the_extension_itself(make_accounts: Callable[..., Flask]) -> None:
    browser = Browser(make_accounts(OTP_AUTH_IP_GENERATE_LIMITS="1/hour").test_client())
    page = browser.page
    browser.submit("/login/code", identifier=EMAIL)
    browser.page = page
    answer = browser.submit("/login/code", identifier=PHONE)
    assert (answer.status_code, "Too many requests" in answer.text) == (429, True)


def test_codes_are_delivered(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    api = Api(app.test_client(), actor_type="user")
    for identifier in (EMAIL, PHONE, "bob@example.com"):
        api.start(identifier)
    lines = re.sub(r": \d{6} is", ": … is", capsys.readouterr().out).splitlines()
    assert lines == [
        f"e-mail to {EMAIL}: … is your code.",
        f"SMS to {PHONE}: … is your code.",
        "e-mail to bob@example.com: … is your code.",
    ]
