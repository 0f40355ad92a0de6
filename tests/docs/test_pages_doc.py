"""The code of ``docs/pages.md`` makes the pages that its text speaks of."""

import re
from pathlib import Path
from typing import Any

import pytest
from browsers import Browser
from fakes import SECRET
from jinja2 import FileSystemLoader
from launch import ROOT
from pages import DOCS, blocks_of

PAGE = DOCS / "pages.md"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the page's code defines."""
    monkeypatch.setenv("SECRET_KEY", SECRET)
    names: dict[str, Any] = {"__name__": "shop"}
    for block in blocks_of(PAGE, "python"):
        names = block.run(**names)
    names["app"].testing = True
    return names


def test_a_newcomer_joins_and_comes_back(names: dict[str, Any]) -> None:
    browser = Browser(names["app"])
    browser.get("/account")
    assert browser.location == "/auth/customer/sign-in?next=/account"
    browser.sign_in("ada@example.com", next="/account")
    assert browser.location == "/auth/customer/join"
    browser.follow()
    assert "Your name" in browser.text
    browser.submit(name="Ada")
    browser.follow()
    assert browser.text == "Hello, ada@example.com"


def test_the_template_works(names: dict[str, Any], tmp_path: Path) -> None:
    (block,) = blocks_of(PAGE, "html")
    (tmp_path / "otp_auth").mkdir()
    (tmp_path / "otp_auth" / "base.html").write_text(block.code)
    names["app"].jinja_loader = FileSystemLoader(tmp_path)
    browser = Browser(names["app"])
    browser.get("sign-in")
    assert browser.page.all("img") == [{"src": "/static/logo.svg", "alt": "Ada's shop"}]
    assert len(browser.page.all("link")) == 2


def test_the_table_has_each_page(names: dict[str, Any]) -> None:
    rules = {str(rule) for rule in names["app"].url_map.iter_rules()}
    table = set(re.findall(r"^\| `(/auth/.*?)` \|", PAGE.read_text(), re.MULTILINE))
    others = {"/auth/<actor_type>/code/resend"}
    shown = {path.replace("/customer/", "/<actor_type>/") for path in table}
    under = {rule for rule in rules if rule.startswith("/auth/<actor_type>/")}
    assert shown == {rule for rule in under if "/otp" not in rule} - others


def test_the_table_has_each_property_of_the_style_sheet() -> None:
    sheet = (ROOT / "flask_otp_auth/pages/static/otp_auth.css").read_text()
    light, dark, *_ = re.findall(r":root \{(.*?)\}", sheet, re.DOTALL)
    known = re.findall(r"(--otp-[a-z-]+):", light)
    assert re.findall(r"^\| `(--otp-[a-z-]+)`", PAGE.read_text(), re.MULTILINE) == known
    assert set(re.findall(r"(--otp-[a-z-]+):", dark)) == set(known) - {"--otp-radius"}
    assert set(re.findall(r"var\((--otp-[a-z-]+)\)", sheet)) == set(known)
