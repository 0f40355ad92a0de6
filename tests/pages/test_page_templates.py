"""Templates: what they are given, what their comments say of it, and how an app replaces them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import Browser, JoinableCustomers
from fakes import MakeApp, wrong
from flask import Flask, request, template_rendered
from flask_wtf import CSRFProtect
from flask_wtf.csrf import generate_csrf, validate_csrf
from jinja2 import FileSystemBytecodeCache, FileSystemLoader, meta, nodes

import flask_otp_auth.pages
from flask_otp_auth import OTPAuth, SignUpRefused
from flask_otp_auth.pages import masks
from flask_otp_auth.pages.masks import masked
from flask_otp_auth.testing import Outbox

FOLDER = Path(flask_otp_auth.pages.__file__).parent / "templates" / "otp_auth"
TEMPLATES = sorted(path.name for path in FOLDER.glob("*.html"))
PAGES = [name for name in TEMPLATES if name[0] != "_" and name != "base.html"]
BLOCKS = ["title", "head", "brand", "before", "content", "after", "footer"]


def listed(name: str) -> set[str]:
    """Return the variables that a template's comment lists."""
    comment = (FOLDER / name).read_text().partition("-#}")[0]
    return set(re.findall(r"^(\w+) {2,}\w", comment, re.MULTILINE))


def used(app: Flask, name: str) -> set[str]:
    """Return the variables that a template uses."""
    tree = app.jinja_env.parse((FOLDER / name).read_text())
    imported = {item for node in tree.find_all(nodes.FromImport) for item in node.names}
    own = {item.name for item in tree.find_all(nodes.Name) if item.ctx == "store"}
    return meta.find_undeclared_variables(tree) - {str(item) for item in imported} - own


@pytest.fixture
def given(app: Flask) -> Iterator[dict[str, set[str]]]:
    """What each page is given, by the template's name."""
    found: dict[str, set[str]] = {}

    def note(sender: Flask, template: Any, context: dict[str, Any], **_: Any) -> None:
        found[template.name.removeprefix("otp_auth/")] = set(context)

    with template_rendered.connected_to(note, app):
        yield found


@pytest.fixture
def app(make_shop: MakeApp, customers: JoinableCustomers) -> Flask:
    """A shop with every page, and whose vendors' store refuses."""

    class Refusing(JoinableCustomers):
        def create(self, identifier: str, fields: Any) -> Any:
            raise SignUpRefused("Full.")

    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("vendor", Refusing())
    return make_shop(otp_auth, OTP_AUTH_LINKS=True, OTP_AUTH_SITE_URL="https://shop.example")


def show_all(app: Flask) -> None:
    """Open every page."""
    browser, vendor = Browser(app), Browser(app, "/auth/vendor")
    browser.ask()
    browser.get("link/x")
    vendor.submit(otp=vendor.ask())
    vendor.ask("eve@example.com")
    browser.sign_in("bob@example.com")
    browser.get("sign-out")
    browser.get("devices")


class TestTheComment:
    @pytest.mark.parametrize("name", TEMPLATES)
    def test_lists_what_the_template_uses(self, app: Flask, name: str) -> None:
        assert used(app, name) <= listed(name) | listed("base.html")

    @pytest.mark.parametrize("name", PAGES)
    def test_lists_nothing_that_it_does_not_use(self, app: Flask, name: str) -> None:
        assert listed(name) <= used(app, name)

    def test_lists_what_the_page_is_given(
        self, app: Flask, given: dict[str, set[str]], customers: JoinableCustomers
    ) -> None:
        flask_s = {"g", "request", "session"}
        show_all(app)
        assert set(given) == {*PAGES} - {"join.html"}
        for name, variables in given.items():
            assert variables - flask_s == listed(name) | listed("base.html"), name


class TestBase:
    def test_has_these_blocks(self) -> None:
        text = (FOLDER / "base.html").read_text()
        assert re.findall(r"{% block (\w+) %}", text) == BLOCKS

    @pytest.mark.parametrize("name", TEMPLATES)
    def test_nothing_is_inline_and_nothing_from_elsewhere(self, name: str) -> None:
        text = (FOLDER / name).read_text()
        assert not re.search(
            r"""style=|<style|\son\w+=|https?://|<script(?! src="{{ script_url)""", text
        )

    def test_each_page_has_one_heading_and_labels_for_its_inputs(self, app: Flask) -> None:
        pages = []

        def note(sender: Flask, template: Any, context: Any, **_: Any) -> None:
            pages.append(template.render(context))

        with template_rendered.connected_to(note, app):
            show_all(app)
        assert len(pages) > 8
        for page in pages:
            assert page.count("<h1") == 1
            inputs = set(re.findall(r'<input class="[^"]*" id="(\w+)"', page))
            assert inputs == set(re.findall(r'<label class="[^"]*" for="(\w+)"', page))


@pytest.fixture
def replace(tmp_path: Path) -> Callable[..., None]:
    """Give an app templates of its own in place of ours, by their names."""

    def replace(app: Flask, **templates: str) -> None:
        (tmp_path / "otp_auth").mkdir()
        for name, text in templates.items():
            (tmp_path / "otp_auth" / f"{name}.html").write_text(text)
        app.jinja_loader = FileSystemLoader(tmp_path)

    return replace


class TestTheApp:
    def test_may_replace_any_of_them(
        self, make_shop: MakeApp, replace: Callable[..., None]
    ) -> None:
        app = make_shop()
        replace(
            app,
            base="<b>Ours</b>{% block content %}{% endblock %}",
            sign_out="<form action=x><input name=t value={{ csrf_token }}>",
        )
        browser = Browser(app)
        browser.ask()
        assert browser.text.startswith("Ours Enter your code")
        browser.sign_in("bob@example.com")
        browser.get("sign-out")
        assert browser.page.forms[0].fields["t"]

    def test_may_extend_the_one_that_it_replaces(
        self, make_shop: MakeApp, replace: Callable[..., None]
    ) -> None:
        app = make_shop()
        own = '{% extends "otp_auth_original/base.html" %}{% block brand %}Ours{% endblock %}'
        replace(app, base=own)
        browser = Browser(app)
        browser.ask()
        assert "Ours Enter your code" in browser.text
        assert browser.page.all("link")

    def test_may_add_variables(self, make_shop: MakeApp, replace: Callable[..., None]) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", JoinableCustomers())
        app = make_shop(otp_auth)
        replace(app, base="{{ motto }} {{ more }} {{ site_name }}")

        @otp_auth.page_context
        def motto() -> dict[str, str]:
            return {"motto": "<Buy>", "site_name": "not ours to change"}

        @otp_auth.page_context
        async def more() -> dict[str, str]:
            return {"more": "later"}

        assert Browser(app).get("sign-in").text == "&lt;Buy&gt; later shop"

    def test_is_told_which_function_returned_no_variables(self, make_shop: MakeApp) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", JoinableCustomers())

        @otp_auth.page_context
        def motto() -> Any:
            """Forget to return it."""

        with pytest.raises(TypeError, match=r"motto\(\) .* must return a dict, not "):
            Browser(make_shop(otp_auth)).get("sign-in")

    @pytest.mark.parametrize("compiled_before", [False, True])
    def test_may_escape_nothing_of_its_own(
        self, make_shop: MakeApp, tmp_path: Path, compiled_before: bool
    ) -> None:
        app = make_shop()
        app.jinja_env.autoescape = False
        if compiled_before:
            app.jinja_env.bytecode_cache = FileSystemBytecodeCache(str(tmp_path))
            for name in ("_macros.html", "base.html", "sign_in.html"):
                app.jinja_env.get_template(f"otp_auth/{name}")
        browser = Browser(app)
        browser.get("sign-in")
        browser.submit(identifier='"><script>')
        assert browser.page.by_id("identifier")["value"] == '"><script>'
        assert "<script>" not in browser.answer.text

    def test_may_escape_less_in_its_own_layout(
        self, make_shop: MakeApp, replace: Callable[..., None], tmp_path: Path
    ) -> None:
        app = make_shop()
        (tmp_path / "layout.j2").write_text("{{ '<b>' }}{% block page %}{% endblock %}")
        own = "{% extends 'layout.j2' %}{% block page %}{{ '<i>' }}{% endblock %}"
        replace(app, sign_in=own)
        browser = Browser(app)
        browser.get("sign-in")
        assert browser.answer.text == "<b>&lt;i&gt;"

    @pytest.mark.parametrize("protected", ["", "all", "some"])
    def test_may_have_a_layout_with_tokens_of_its_own(
        self, make_shop: MakeApp, replace: Callable[..., None], protected: str
    ) -> None:
        app = make_shop()
        search = "<form action=/search><input name=csrf_token value={{ csrf_token() }}></form>"
        replace(app, base=search + "{% block content %}{% endblock %}")

        @app.post("/search")
        def search() -> str:
            if protected:
                validate_csrf(request.form["csrf_token"])
            return "found"

        if protected == "all":
            CSRFProtect(app)
        elif protected:
            app.context_processor(lambda: {"csrf_token": generate_csrf})
        browser = Browser(app)
        browser.get("sign-in")
        browser.submit(1, identifier="ada@example.com")
        browser.follow()
        assert "Enter your code" in browser.text
        browser.submit()
        assert browser.text == "found"

    def test_may_have_chosen_another_syntax(
        self, make_shop: MakeApp, replace: Callable[..., None]
    ) -> None:
        app = make_shop()
        own = "<% extends 'otp_auth_original/base.html' %><% block brand %>{{ ${2} }}<% endblock %>"
        replace(app, base=own)
        env = app.jinja_env
        env.block_start_string, env.block_end_string = "<%", "%>"
        env.variable_start_string, env.variable_end_string = "${", "}"
        env.comment_start_string, env.comment_end_string = "<#", "#>"
        browser = Browser(app)
        browser.ask()
        assert browser.text.startswith("Enter your code – shop {{ 2 }} Enter your code Code We")
        assert "{%" not in browser.answer.text

    def test_has_a_name_in_the_title(self, make_shop: MakeApp) -> None:
        browser = Browser(make_shop(OTP_AUTH_SITE_NAME="Ada's <shop>"))
        browser.get("sign-in")
        assert "<title>Sign in or join – Ada&#39;s &lt;shop&gt;</title>" in browser.answer.text


class TestTheCode:
    def test_is_asked_for_in_one_input(self, app: Flask) -> None:
        browser = Browser(app)
        browser.ask()
        otp = browser.page.by_id("otp")
        wanted = {
            "name": "otp",
            "type": "text",
            "inputmode": "numeric",
            "autocomplete": "one-time-code",
            "autocapitalize": "off",
            "spellcheck": "false",
        }
        assert {name: otp[name] for name in wanted} == wanted
        for code in ("123456", "123 456", "12345 67890 12345 67890"):
            assert re.fullmatch(otp["pattern"], code)
            assert len(code) < int(otp["maxlength"])
        assert "value" not in otp

    def test_is_in_no_page(self, app: Flask) -> None:
        browser = Browser(app)
        with Outbox(app) as outbox:
            browser.get("sign-in")
            browser.submit(identifier="ada@example.com")
            browser.follow()
        browser.submit(otp=wrong(outbox.last.otp))
        assert outbox.last.otp not in browser.answer.text
        assert wrong(outbox.last.otp) not in browser.answer.text


@pytest.mark.parametrize(
    ("identifier", "text"),
    [
        ("ada@example.com", "a••@example.com"),
        ("a@example.com", "a••@example.com"),
        ("+4915123456789", "+49••89"),
        ("+12345", "+••"),
        ("ada", "a••"),
    ],
)
def test_most_of_an_identifier_is_hidden(identifier: str, text: str) -> None:
    assert masked(identifier) == text


def test_a_number_stays_as_it_is_in_a_text_from_right_to_left(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(masks, "direction", lambda: "rtl")
    browser = Browser(app)
    browser.ask()
    assert "\u2066a••@example.com\u2069" in browser.text
