"""The example of docs/: one user, by password or by a code to either identifier."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from browsing import Visitor, visitor_of
from fakes import SECRET, Api, MakeApp, bearer
from flask import Flask
from pages import DOCS, load
from time_machine import Traveller
from werkzeug.security import generate_password_hash

from flask_otp_auth.testing import Outbox

#: Ada, who has joined with a code and set a password.
EMAIL, PHONE, PASSWORD = "ada@example.com", "+4915123456789", "correct horse battery"

#: How she may type her identifiers.
TYPED = ["ada@example.com", "ADA@example.com ", "0151/23456789", PHONE]

#: A hash that costs a test nothing to check.
PASSWORD_HASH = generate_password_hash(PASSWORD, "pbkdf2:sha256:1")


@cache
def load_example() -> ModuleType:
    """Import the example; once, as its model can't be made twice."""
    return load(DOCS / "accounts_example.py", pytest.MonkeyPatch())


@pytest.fixture
def make_accounts(tmp_path: Path) -> Iterator[MakeApp]:
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
            ada = example.User(email=EMAIL, phone=PHONE, password_hash=PASSWORD_HASH)
            example.db.session.add(ada)
            example.db.session.commit()
        return app

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def app(make_accounts: MakeApp) -> Flask:
    """The example's app."""
    return make_accounts()


@pytest.fixture
def browser(app: Flask) -> Visitor:
    """A browser of somebody who is not signed in."""
    return visitor_of(app.test_client())


def log_in(browser: Visitor, identifier: str, password: str) -> Visitor:
    """Log in with a password."""
    return browser.open("/login").submit(identifier=identifier, password=password)


def ask(browser: Visitor, identifier: str) -> Visitor:
    """Ask for a code; the page for the code is shown."""
    return browser.open("/auth/user/sign-in").submit(identifier=identifier)


def greeting(browser: Visitor) -> str | None:
    """Return whom the home page greets, if it is shown at all."""
    found = re.search(r"<p>Hello (\S+)</p>", browser.open("/").text)
    return found and found[1]


@pytest.mark.parametrize("typed", TYPED)
def test_she_logs_in_with_her_password(browser: Visitor, typed: str) -> None:
    assert greeting(browser) is None
    assert browser.path == "/login"
    log_in(browser, typed, PASSWORD)
    assert browser.path == "/"
    assert greeting(browser) == EMAIL


@pytest.mark.parametrize("typed", TYPED)
def test_or_with_a_code_to_either_identifier(browser: Visitor, outbox: Outbox, typed: str) -> None:
    assert "/auth/user/sign-in" in browser.open("/").text
    ask(browser, typed)
    assert outbox.last.identifier == (EMAIL if "@" in typed else PHONE)
    browser.submit(otp=outbox.last.otp)
    assert browser.path == "/"
    assert greeting(browser) == EMAIL


@pytest.mark.parametrize("identifier", ["bob@example.com", "+436641234567"])
def test_whoever_is_new_joins_with_the_code(
    browser: Visitor, outbox: Outbox, identifier: str
) -> None:
    ask(browser, identifier).submit(otp=outbox.last.otp)
    assert greeting(browser) == identifier


@pytest.mark.parametrize(
    ("typed", "password"),
    [(EMAIL, "wrong"), (EMAIL, ""), ("eve@example.com", PASSWORD), ("ada", PASSWORD), ("", "")],
)
def test_a_wrong_password_is_refused_whoever_it_is(
    browser: Visitor, typed: str, password: str
) -> None:
    log_in(browser, typed, password)
    assert browser.status == 400
    assert "That is not right." in browser.text
    assert greeting(browser) is None


def test_whoever_has_no_password_is_let_in_by_none(browser: Visitor, outbox: Outbox) -> None:
    ask(browser, "bob@example.com").submit(otp=outbox.last.otp)
    browser.open("/auth/user/sign-out").submit()
    assert log_in(browser, "bob@example.com", "").status == 400
    assert greeting(browser) is None


def test_a_wrong_code_may_be_corrected(browser: Visitor, outbox: Outbox) -> None:
    assert ask(browser, EMAIL).submit(otp="no code").status == 400
    browser.submit(otp=outbox.last.otp)
    assert greeting(browser) == EMAIL


@pytest.mark.parametrize("way", ["password", "code"])
def test_she_signs_out(app: Flask, browser: Visitor, outbox: Outbox, way: str) -> None:
    if way == "password":
        log_in(browser, EMAIL, PASSWORD)
    else:
        ask(browser, EMAIL).submit(otp=outbox.last.otp)
    assert "/auth/user/sign-out" in browser.text
    browser.open("/auth/user/sign-out").submit()
    assert greeting(browser) is None
    with app.app_context():
        assert load_example().otp_auth.sign_ins("user", "1") == []


def test_a_new_password_signs_her_out_everywhere_else(
    app: Flask, browser: Visitor, outbox: Outbox
) -> None:
    other = visitor_of(app.test_client())
    log_in(other, EMAIL, PASSWORD)
    ask(browser, PHONE).submit(otp=outbox.last.otp)
    assert browser.submit(password="short").status == 400
    assert greeting(other) == EMAIL
    browser.submit(password="a much longer one")
    assert "Your password is set" in browser.text
    assert (greeting(browser), greeting(other)) == (EMAIL, None)
    browser.open("/auth/user/sign-out").submit()
    log_in(browser, EMAIL, "a much longer one")
    assert greeting(browser) == EMAIL


def test_whoever_finds_a_browser_signed_in_sets_no_password(
    app: Flask, browser: Visitor, outbox: Outbox, clock: Traveller
) -> None:
    ask(browser, EMAIL).submit(otp=outbox.last.otp)
    clock.shift(601)
    browser.submit(password="a much longer one")
    assert browser.path == "/auth/user/sign-in"
    assert log_in(visitor_of(app.test_client()), EMAIL, PASSWORD).status == 200
    browser.submit(identifier=EMAIL).submit(otp=outbox.last.otp)
    browser.submit(password="a much longer one")
    assert log_in(visitor_of(app.test_client()), EMAIL, PASSWORD).status == 400


def test_no_form_works_without_its_csrf_token(app: Flask) -> None:
    client = app.test_client()
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("site.")]
    forms = [str(rule) for rule in rules if "POST" in (rule.methods or ())]
    assert forms == ["/login", "/password"]
    for path in forms:
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
    make_accounts: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_example(), "NOBODY", PASSWORD_HASH)  # which costs nothing to check
    browser = visitor_of(make_accounts(RATELIMIT_ENABLED=True).test_client())
    statuses = {log_in(browser, "", "").status for _ in range(100)}
    assert (statuses, log_in(browser, EMAIL, PASSWORD).status) == ({400}, 429)


def test_codes_are_counted_by_the_extension_itself(make_accounts: MakeApp) -> None:
    browser = visitor_of(make_accounts(OTP_AUTH_IP_GENERATE_LIMITS="1/hour").test_client())
    assert [ask(browser, identifier).status for identifier in (EMAIL, PHONE)] == [200, 429]


def test_codes_are_printed(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    api = Api(app.test_client(), actor_type="user")
    for identifier in (EMAIL, PHONE, "bob@example.com"):
        api.start(identifier)
    found = re.findall(r"(?m)^To (\S+): \d{6} is your code", capsys.readouterr().out)
    assert found == [EMAIL, PHONE, "bob@example.com"]


def test_it_is_short() -> None:
    """Its pages are the package's, so half of what it was is enough."""
    text = (DOCS / "accounts_example.py").read_text()
    assert len(text.splitlines()) <= 133
