"""The example of docs/: one user, by password or by a code to either identifier."""

import re
from collections.abc import Callable

import pytest
from accounts import EMAIL, PASSWORD, PHONE, Browser, example, make_accounts
from conftest import Api, bearer
from flask import Flask

from flask_otp_auth.testing import Outbox

__all__ = ["example", "make_accounts"]  # fixtures


@pytest.fixture
def app(make_accounts: Callable[..., Flask]) -> Flask:
    """The example's app."""
    return make_accounts()


@pytest.fixture
def browser(app: Flask) -> Browser:
    """A browser in front of the login page."""
    return Browser(app.test_client())


@pytest.mark.parametrize("typed", ["ada@example.com", "ADA@example.com ", "030/12345678", PHONE])
def test_she_logs_in_with_her_password(browser: Browser, typed: str) -> None:
    assert browser.greeting is None
    browser.submit("/login/password", identifier=typed, password=PASSWORD)
    assert browser.greeting == EMAIL


@pytest.mark.parametrize("typed", ["ada@example.com", "ADA@example.com ", "030/12345678", PHONE])
def test_or_with_a_code_to_either_identifier(browser: Browser, outbox: Outbox, typed: str) -> None:
    browser.submit("/login/code", identifier=typed)
    assert outbox.last.identifier == (EMAIL if "@" in typed else PHONE)
    browser.submit("/login/code/check", otp=outbox.last.otp)
    assert browser.greeting == EMAIL


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


def test_a_wrong_code_may_be_mended(browser: Browser, outbox: Outbox) -> None:
    browser.submit("/login/code", identifier=EMAIL)
    assert browser.submit("/login/code/check", otp="no code").status_code == 400
    assert "Invalid OTP" in browser.page
    browser.submit("/login/code/check", otp=outbox.last.otp)
    assert browser.greeting == EMAIL


def test_an_unknown_address_looks_the_same(browser: Browser, outbox: Outbox) -> None:
    pages = []
    for identifier in (EMAIL, "eve@example.com", "+442079460018"):
        browser.page = browser.get("/login").text
        answer = browser.submit("/login/code", identifier=identifier)
        assert answer.status_code == 200
        pages.append(re.sub(r'value="[^"]*"', "", answer.text).replace(identifier, ""))
    assert pages[0] == pages[1] == pages[2]
    assert [message.identifier for message in outbox.messages] == [EMAIL]


def test_what_is_no_identifier_is_refused(browser: Browser, outbox: Outbox) -> None:
    answer = browser.submit("/login/code", identifier="<script>")
    assert answer.status_code == 400
    assert "The identifier is not valid." in answer.text
    assert "<script>" not in answer.text
    assert not outbox.messages


@pytest.mark.parametrize("way", ["password", "code"])
def test_she_logs_out(browser: Browser, outbox: Outbox, way: str) -> None:
    if way == "password":
        browser.submit("/login/password", identifier=EMAIL, password=PASSWORD)
    else:
        browser.submit("/login/code", identifier=EMAIL)
        browser.submit("/login/code/check", otp=outbox.last.otp)
    browser.submit("/logout")
    assert browser.greeting is None


def test_who_came_with_a_code_may_set_a_password(browser: Browser, outbox: Outbox) -> None:
    browser.submit("/login/code", identifier=PHONE)
    browser.submit("/login/code/check", otp=outbox.last.otp)
    assert browser.submit("/password", password="short").status_code == 400
    browser.submit("/password", password="a much longer one")
    assert "Your password is set." in browser.page
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
    assert len(forms) == 8
    for path in set(forms) - {"/", "/login", "/users"}:
        answer = client.post(path, data={"identifier": EMAIL, "password": PASSWORD})
        assert answer.status_code == 400
        assert "CSRF" in answer.text
    assert client.get("/").status_code == 302


def test_the_api_works_beside_the_pages(app: Flask, outbox: Outbox) -> None:
    api = Api(app.test_client(), actor_type="user")
    api.generate("030 12345678")
    token = api.verify(outbox.last.otp, PHONE).json["token"]
    home = app.test_client().get("/", headers=bearer(token))
    assert f"Hello {EMAIL}" in home.text


@pytest.mark.parametrize("identifier", ["bob@example.com", "+4366412345678"])
def test_anybody_may_join(app: Flask, outbox: Outbox, identifier: str) -> None:
    api = Api(app.test_client(), actor_type="user")
    api.pre_register(identifier)
    otp = outbox.last.otp
    token = api.register(otp, identifier).json["token"]
    joined = api.client.post("/users", headers=bearer(token))
    assert (joined.status_code, identifier in joined.text) == (201, True)
    assert api.authenticate(otp, identifier).status_code == 200


def test_codes_are_asked_for_from_one_address_so_many_times_only(
    make_accounts: Callable[..., Flask],
) -> None:
    browser = Browser(make_accounts(RATELIMIT_ENABLED=True).test_client())
    page = browser.page
    for number in range(30):
        browser.page = page
        answer = browser.submit("/login/code", identifier=f"{number}@example.com")
        assert answer.status_code == 200
    browser.page = page
    assert browser.submit("/login/code", identifier=EMAIL).status_code == 429


def test_codes_and_hints_are_delivered(app: Flask, capsys: pytest.CaptureFixture[str]) -> None:
    api = Api(app.test_client(), actor_type="user")
    for identifier in (EMAIL, PHONE):
        api.generate(identifier)
    api.pre_register("bob@example.com")
    api.pre_register(EMAIL)
    api.generate("eve@example.com")
    lines = re.sub(r": \d{6} is", ": … is", capsys.readouterr().out).splitlines()
    assert lines == [
        f"e-mail to {EMAIL}: … is your code.",
        f"SMS to {PHONE}: … is your code.",
        "e-mail to bob@example.com: … is your code.",
        f"To {EMAIL}: you have an account already, just sign in.",
    ]
