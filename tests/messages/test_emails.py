"""E-mails: what each says, and what it never says."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fakes import ADA, SECRET, Customers, MakeApp
from flask import Flask, g, request
from flask_babel import Babel
from jinja2 import FileSystemLoader
from said import (
    LANGUAGES,
    LONG_CODE,
    MESSAGES,
    RENT,
    confirmation_code,
    context,
    login_code,
    registration_code,
    signed_in,
    suppressed,
)
from time_machine import Traveller

from flask_otp_auth import ConfigError, OTPAuth
from flask_otp_auth.messages import Email, email, sms


class Shown(HTMLParser):
    """What HTML shows.

    :ivar texts: its texts in order, without blanks around them.
    :ivar tags: its tags with their attributes.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

    def addresses(self) -> list[str | None]:
        """Return all that it would load or open."""
        names = ("href", "src", "action", "background", "srcset")
        return [said[name] for _, said in self.tags for name in names if name in said]


def written(app: Flask, **signal: Any) -> Email:
    """Return the e-mail of a signal that has one."""
    message = email(app, **signal)
    assert message is not None
    return message


# -- a code -------------------------------------------------------------------------------


def test_a_code_says_all_that_somebody_needs(shop: Flask) -> None:
    message = written(shop, **login_code())
    assert message.subject == "314159 is your code for Ada's shop"
    lines = message.text.splitlines()
    assert lines.index("314159") <= 3
    for line in (
        "Enter it to sign in.",
        "It works for 5 minutes.",
        "Never tell this code to anyone. Nobody of Ada's shop will ask for it.",
        "Requested with: Firefox on Linux",
        "Time: January 2, 2026, 3:04:05\u202fPM UTC",
        "You didn't ask for it? Then you need do nothing: without this code nobody gets in.",
    ):
        assert line in lines


def test_somebody_new_is_told_to_join(shop: Flask) -> None:
    text = written(shop, **registration_code()).text
    assert "Enter it to create your account." in text
    assert "sign in" not in text


def test_the_code_stays_out_of_the_subject_where_it_should(
    make_shop: MakeApp,
) -> None:
    shop = make_shop(code_in_subject=False)
    assert written(shop, **login_code()).subject == "Your code for Ada's shop"
    assert written(shop, **confirmation_code()).subject == "Confirm your request at Ada's shop"


def test_a_long_code_is_shown_in_fives_that_can_be_pasted(shop: Flask) -> None:
    message = written(shop, **login_code(otp=LONG_CODE))
    in_fives = "12345 67890 12345 67890"
    assert in_fives in message.text.splitlines()
    assert in_fives in Shown(message.html).texts
    assert message.subject.startswith(f"{in_fives} is your code")


@pytest.mark.parametrize(
    ("life", "said"),
    [
        (timedelta(seconds=299), "5 minutes."),
        (timedelta(seconds=40), "1 minute."),
        (timedelta(seconds=2), "1 minute."),
        (timedelta(minutes=119), "119 minutes."),
        (timedelta(hours=24), "24 hours."),
    ],
)
def test_it_says_how_long_the_code_works(
    shop: Flask, clock: Traveller, life: timedelta, said: str
) -> None:
    text = written(shop, **login_code(expires_at=datetime.now(UTC) + life)).text
    assert f"It works for {said}" in text


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({}, "Firefox on Linux"),
        ({"platform": None}, "Firefox"),
        ({"browser": None}, "Linux"),
        ({"browser": None, "platform": None}, "unknown browser"),
    ],
)
def test_it_says_who_asked_and_never_from_where(
    shop: Flask, known: dict[str, None], said: str
) -> None:
    message = written(shop, **login_code(context=context(**known)))
    for part in (message.text, message.html):
        assert f"Requested with: {said}" in part
        assert "192.0.2.7" not in part


def test_of_a_flow_without_a_request_nothing_is_said(shop: Flask) -> None:
    message = written(shop, **login_code(context=None))
    assert "Requested with" not in message.text + message.html


def test_the_link_is_the_only_one(shop: Flask) -> None:
    link = "https://shop.example/auth/customer/link/x?a=1&b=2"
    message = written(shop, **login_code(link=link))
    assert link in message.text.splitlines()
    assert Shown(message.html).addresses() == [link]
    without = written(shop, **login_code())
    assert Shown(without.html).addresses() == []
    assert "http" not in without.text + without.html


# -- confirmations ------------------------------------------------------------------------


def test_a_confirmation_shows_exactly_what_is_bound(shop: Flask) -> None:
    binds = {**RENT, "once": True, "cents": 95000, "to": {"iban": "DE12", "bic": None}, "é": "ü %s"}
    message = written(shop, **confirmation_code(binds=binds))
    shown = [
        ("amount", "950.00"),
        ("payee", "Bob & <Sons>"),
        ("once", "true"),
        ("cents", "95000"),
        ("to", '{"iban": "DE12", "bic": null}'),
        ("é", "ü %s"),
    ]
    lines, texts = message.text.splitlines(), Shown(message.html).texts
    for name, value in shown:
        assert f"{name}: {value}" in lines
        assert value == texts[texts.index(name) + 1]
    assert message.subject == "314159 confirms your request at Ada's shop"
    assert "What it is for: payment" in lines


def test_a_confirmation_of_an_address_alone_has_no_fields(shop: Flask) -> None:
    text = written(shop, **confirmation_code(purpose="contact", binds=None)).text
    assert "What it is for: contact" in text
    assert "exactly this" not in text


# -- notices ------------------------------------------------------------------------------


def test_notices_say_what_happened(shop: Flask) -> None:
    subjects = {
        "already_registered": "You already have an account at Ada's shop",
        "unknown_actor": "There is no account at Ada's shop for this address",
        "new_device": "A new device has signed in to your account at Ada's shop",
    }
    for name, subject in subjects.items():
        message = written(shop, **MESSAGES[name]())
        assert message.subject == subject
        assert "Firefox on Linux" in message.text
        assert "Firefox on Linux" in message.html


@pytest.mark.parametrize(
    "reason",
    ["not_invited", "country_not_allowed", "line_not_allowed", "cooldown", "destination_limit",
     "global_limit"],
)  # fmt: skip
def test_nobody_is_told_of_other_reasons(shop: Flask, reason: str) -> None:
    assert email(shop, **suppressed(reason)) is None


@pytest.mark.parametrize("new_device", [False, None])
def test_nobody_is_told_of_a_device_that_is_not_new(shop: Flask, new_device: bool | None) -> None:
    assert email(shop, **signed_in(new_device=new_device)) is None


NOTICES = ("already_registered", "unknown_actor", "new_device")


@pytest.mark.parametrize("name", NOTICES)
def test_notices_lead_to_the_site(make_shop: MakeApp, name: str) -> None:
    message = written(make_shop(site_url="https://shop.example/app"), **MESSAGES[name]())
    assert "https://shop.example/app" in message.text.splitlines()
    assert Shown(message.html).addresses() == ["https://shop.example/app"]
    nowhere = written(make_shop(), **MESSAGES[name]())
    assert "http" not in nowhere.text + nowhere.html


PAGES = [("already_registered", "sign-in"), ("unknown_actor", "sign-in"), ("new_device", "devices")]


@pytest.mark.parametrize(("name", "page"), PAGES)
def test_notices_lead_to_our_own_pages(make_shop: MakeApp, name: str, page: str) -> None:
    shop = make_shop(site_url="https://shop.example", pages=True)
    address = f"https://shop.example/auth/customer/{page}"
    assert address in written(shop, **MESSAGES[name]()).text.splitlines()


@pytest.mark.parametrize(("name", "page"), PAGES)
def test_notices_lead_to_the_page_where_there_is_one(
    make_app: MakeApp, customers: Customers, name: str, page: str
) -> None:
    """A blueprint that is mounted elsewhere, or an actor type without pages, has none here."""
    site = "https://shop.example"
    otp_auth = OTPAuth(register_blueprint=False)
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("staff", customers, pages=False)
    app = make_app(otp_auth, OTP_AUTH_SITE_URL=site, OTP_AUTH_PAGES=True)
    said = MESSAGES[name]()
    assert site in written(app, **said).text.splitlines()
    app.add_url_rule("/<path:anything>", "catch_all", view_func=str)
    assert site in written(app, **said).text.splitlines()
    app.add_url_rule(f"/auth/<actor_type>/{page}", f"otp_auth.{page}", view_func=str)
    assert f"{site}/auth/customer/{page}" in written(app, **said).text.splitlines()
    for other in ("staff", "nobody"):
        assert site in written(app, **{**said, "actor_type": other}).text.splitlines()


# -- headers, injection, size -------------------------------------------------------------


def test_the_headers_keep_machines_from_answering_and_codes_apart(
    make_shop: MakeApp,
) -> None:
    shop = make_shop(site_url="https://shop.example:8443/app")
    said = login_code()
    message = written(shop, **said)
    assert message.headers["Auto-Submitted"] == "auto-generated"
    assert message.headers["X-Auto-Response-Suppress"] == "All"
    reference = message.headers["References"]
    assert re.fullmatch(r"<[0-9a-f]{32}@shop\.example>", reference)
    assert written(shop, **said).headers["References"] == reference
    other = written(shop, **{**said, "otp": "271828"})
    assert other.headers["References"] != reference


def test_nothing_adds_a_header(customers: Customers) -> None:
    """The setting of the site's name is checked, but not the app's name, which it falls back on."""
    app = Flask("shop")
    app.name = "shop\r\nBcc: eve@example.com\x00"
    app.config.update(TESTING=True, SECRET_KEY=SECRET)
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.init_app(app)
    for said in MESSAGES.values():
        message = written(app, **{**said(), "identifier": f"{ADA}\nBcc: eve@example.com"})
        assert message.subject.isprintable()
        assert all(value.isprintable() for value in message.headers.values())


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_html_is_small_and_loads_nothing(shop: Flask, name: str, locale: str) -> None:
    message = written(shop, **MESSAGES[name](locale))
    shown = Shown(message.html)
    assert len(message.html.encode()) < 10_000
    tags = [tag for tag, _ in shown.tags]
    assert tags.count("table") == 1
    assert not {"img", "script", "style", "link", "iframe", "form"}.intersection(tags)
    assert "url(" not in message.html
    assert ("meta", {"name": "color-scheme", "content": "light dark"}) in shown.tags
    assert dict(shown.tags)["html"] == {"lang": locale, "dir": "rtl" if locale == "ar" else "ltr"}


@pytest.mark.parametrize("name", MESSAGES)
@pytest.mark.parametrize("locale", LANGUAGES)
def test_text_and_html_say_the_same(make_shop: MakeApp, name: str, locale: str) -> None:
    shop = make_shop(site_url="https://shop.example")
    message = written(shop, **MESSAGES[name](locale))
    html = " ".join(Shown(message.html).texts)
    for line in filter(None, message.text.splitlines()):
        label, _, value = line.partition(": ")
        assert line == "https://shop.example" or line in html or (label in html and value in html)


def test_a_message_is_not_printed(shop: Flask) -> None:
    assert "314159" not in repr(written(shop, **login_code()))


# -- languages ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_is_in_the_language_of_whoever_asked(shop: Flask, name: str) -> None:
    messages = [written(shop, **MESSAGES[name](locale)) for locale in LANGUAGES]
    for part in ("subject", "text", "html"):
        assert len({getattr(message, part) for message in messages}) == len(LANGUAGES)


def test_times_have_the_form_of_the_language_and_the_zone_of_the_app(
    make_shop: MakeApp,
) -> None:
    shop = make_shop(babel=False)
    Babel(shop, default_timezone="Europe/Berlin")
    assert "2. Januar 2026, 16:04:05 MEZ" in written(shop, **login_code("de")).text


def test_without_babel_all_is_plain_english(make_shop: MakeApp) -> None:
    message = written(make_shop(babel=False), **login_code("ar"))
    assert "Time: 2 January 2026, 15:04 UTC" in message.text.splitlines()
    assert '<html lang="en" dir="ltr">' in message.html


@pytest.mark.parametrize("locale", [None, "xx-nowhere"])
def test_without_a_language_the_apps_own_is_used(make_shop: MakeApp, locale: str | None) -> None:
    """Its selector is not asked: there is no request to select by."""
    shop = make_shop(babel=False)
    Babel(shop, default_locale="de", locale_selector=lambda: request.args["lang"])
    assert "Ihr Code" in written(shop, **login_code(locale)).subject
    with shop.test_request_context("/?lang=fr"):
        assert "votre code" in written(shop, **login_code(locale)).subject


def test_it_leaves_the_apps_context_as_it_is(shop: Flask) -> None:
    ended = []
    shop.teardown_appcontext(ended.append)
    with shop.app_context():
        g.basket = 1
        written(shop, **login_code("de"))
        assert (g.basket, ended) == (1, [])


# -- which message ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"endpoint": "x", "address": "192.0.2.7"},
        {"actor_type": "customer", "identifier": ADA, "purpose": "login", "reason": "wrong"},
        {"actor_type": "customer", "identifier": ADA, "purpose": "login"},
        {**login_code(), "purpose": "login"},
        {**login_code(), "sender": None},
        {"identifier": ADA, "otp": "314159"},
    ],
)
@pytest.mark.parametrize("render", [email, sms])
def test_arguments_of_no_known_signal_are_refused(
    shop: Flask, render: Callable[..., object], arguments: dict[str, Any]
) -> None:
    with pytest.raises(TypeError, match="there is no message for the arguments"):
        render(shop, **arguments)


def test_what_may_be_none_may_be_left_out(shop: Flask) -> None:
    said = login_code(challenge=None, context=None)
    for name in ("challenge", "context", "link"):
        del said[name]
    assert written(shop, **said).subject.startswith("314159")


def test_an_app_without_the_extension_is_told() -> None:
    with pytest.raises(ConfigError, match="init_app"):
        email(Flask("shop"), **login_code())


# -- an app's own templates ---------------------------------------------------------------


def test_an_apps_own_template_wins(customers: Customers, tmp_path: Path) -> None:
    """Even if the blueprint is not mounted."""
    folder = tmp_path / "templates" / "otp_auth" / "messages"
    folder.mkdir(parents=True)
    (folder / "code.subject").write_text("{{ site_name }} & {{ code }}")
    (folder / "_base.html").write_text("<b>{{ site_name }}</b>{% block body %}{% endblock %}")
    otp_auth = OTPAuth(register_blueprint=False)
    otp_auth.add_actor_type("customer", customers)
    app = Flask("shop", root_path=str(tmp_path))
    app.config.update(
        TESTING=True,
        SECRET_KEY=SECRET,
        OTP_AUTH_SITE_NAME="A & B",
    )
    otp_auth.init_app(app)
    message = written(app, **login_code())
    assert message.subject == "A & B & 314159"
    assert message.html.startswith("<b>A &amp; B</b>")
    assert "Never tell this code to anyone." in message.html


@pytest.mark.parametrize("name", ["code", "_base"])
def test_an_apps_own_template_may_extend_the_one_that_it_replaces(
    make_shop: MakeApp, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "otp_auth" / "messages"
    folder.mkdir(parents=True)
    own = "{%% extends 'otp_auth_original/messages/%s' %%}{%% block who %%}Ada & Co{%% endblock %%}"
    for part in ("txt", "html"):
        (folder / f"{name}.{part}").write_text(own % f"{name}.{part}")
    shop = make_shop()
    shop.jinja_loader = FileSystemLoader(tmp_path)
    message = written(shop, **login_code())
    for text in (message.text, message.html):
        assert "Never tell this code to anyone." in text
        assert "Ada & Co" in text
