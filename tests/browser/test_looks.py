"""Every state of every page: accessible, nothing lost on a small screen, nothing foreign.

With ``SCREENSHOTS`` set to a folder each is also photographed there, to be looked at.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from fakes import ADA, BOB, wrong
from flask_babel import Babel
from flask_wtf import FlaskForm
from playwright.sync_api import Page, ViewportSize
from shop import Shop, Visit, answer, ask, sign_in
from wtforms import (
    BooleanField,
    Form,
    FormField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length

State = Callable[[Page, Shop], object]


class Address(Form):
    """A form within it."""

    street = StringField("Street", [InputRequired()])


class SignUp(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    """A form with the kinds of fields that people have."""

    name = StringField("Your name", [InputRequired(), Length(max=40)])
    address = FormField(Address, "Address")
    paid = RadioField("Paid by", [InputRequired()], choices=["Card", "Transfer"])
    size = SelectField("Size", choices=["S", "M", "L"], description="Of your shirts")
    about = TextAreaField("About you")
    news = BooleanField("Send me news")


def asks_for_an_address(page: Page, shop: Shop) -> None:
    page.goto("/auth/customer/sign-in")


def refuses_an_address(page: Page, shop: Shop) -> None:
    page.goto("/auth/customer/sign-in")
    page.eval_on_selector("form", "form => form.noValidate = true")
    page.fill("#identifier", "ada at example")
    page.click("button[type=submit]")


def asks_for_a_code(page: Page, shop: Shop) -> None:
    ask(page)


def refuses_a_code(page: Page, shop: Shop) -> None:
    ask(page)
    answer(page, wrong(shop.code))
    page.get_by_role("alert").wait_for()


def has_sent_again(page: Page, shop: Shop) -> None:
    ask(page)
    page.click("form[action$=resend] button")


def had_expired(page: Page, shop: Shop) -> None:
    ask(page)
    page.context.clear_cookies(name="otp_auth_flow")
    answer(page, shop.code)
    page.get_by_role("alert").wait_for()


def asks_to_join(page: Page, shop: Shop) -> None:
    sign_in(page, shop, BOB)


def refuses_to_join(page: Page, shop: Shop) -> None:
    sign_in(page, shop, BOB)
    page.eval_on_selector("form", "form => form.noValidate = true")
    page.click("form:has(#name) button[type=submit]")


def lists_devices(page: Page, shop: Shop) -> None:
    shop.sign_in_elsewhere()
    sign_in(page, shop)
    page.goto("/auth/customer/devices")


def asks_to_sign_out(page: Page, shop: Shop) -> None:
    sign_in(page, shop)
    page.goto("/auth/customer/sign-out")


def asks_for_a_fresh_sign_in(page: Page, shop: Shop) -> None:
    sign_in(page, shop)
    page.goto("/safe")


def shows_a_link(page: Page, shop: Shop) -> None:
    ask(page)
    page.goto(shop.link)


def shows_a_link_to_another_browser(page: Page, shop: Shop) -> None:
    shop.ask_elsewhere()
    page.goto(shop.link)


def is_out_of_reach(page: Page, shop: Shop) -> None:
    page.goto("/auth/customer/sign-in")
    shop.cut_off()
    page.fill("#identifier", ADA)
    page.click("button[type=submit]")


def has_seen_too_much(page: Page, shop: Shop) -> None:
    shop.use_up_the_address()
    ask(page)


STATES: tuple[State, ...] = (
    asks_for_an_address,
    refuses_an_address,
    asks_for_a_code,
    refuses_a_code,
    has_sent_again,
    had_expired,
    asks_to_join,
    refuses_to_join,
    lists_devices,
    asks_to_sign_out,
    asks_for_a_fresh_sign_in,
    shows_a_link,
    shows_a_link_to_another_browser,
    is_out_of_reach,
    has_seen_too_much,
)


@dataclass(frozen=True)
class Look:
    """How a page is looked at.

    :ivar text: the size of its text, in percent (WCAG 2.2, 1.4.4).
    """

    name: str
    width: int
    height: int
    scheme: Any = "light"
    text: int = 100

    def at(self, page: Page) -> None:
        """Show a page so."""
        page.set_viewport_size(ViewportSize(width=self.width, height=self.height))
        page.emulate_media(color_scheme=self.scheme)
        page.evaluate("size => document.documentElement.style.fontSize = size", f"{self.text}%")


SMALL = Look("phone", 320, 640)
LOOKS = (
    Look("desktop", 1280, 800),
    Look("desktop-dark", 1280, 800, "dark"),
    SMALL,
    Look("phone-dark", 390, 844, "dark"),
    Look("double", 640, 800, text=200),
)


def set_up(shop: Shop) -> None:
    """Give the shop all that its pages can have."""
    shop.actor_type["form"] = SignUp
    shop.actor_type["ip_generate_limits"] = "20/hour"

    def language() -> str | None:
        from flask import request

        return request.accept_languages.best_match(["en", "de", "fr", "es", "ar"])

    Babel(shop.app, locale_selector=language)


@pytest.mark.parametrize("language", ["en", "de", "ar"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_a_page_has_no_flaw(
    open_shop: Callable[..., Shop], visit: Visit, state: State, language: str
) -> None:
    """English from all sides; long words and the other direction where there is least room."""
    shop = open_shop(set_up=set_up, OTP_AUTH_LINKS=True, OTP_AUTH_SITE_URL="http://shop.example")
    page = visit(shop, extra_http_headers={"Accept-Language": language})
    state(page, shop)
    page.wait_for_load_state()
    assert page.get_attribute("html", "lang") == language
    assert page.locator("h1").count() == 1
    for look in LOOKS if language == "en" else (SMALL,):
        look.at(page)
        photograph(page, f"{state.__name__}.{language}.{look.name}")
        flaws = Axe().run(page)
        assert flaws.violations_count == 0, flaws.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= look.width
        assert small_targets(page) == []


def photograph(page: Page, name: str) -> None:
    """Keep what the page looks like, if somebody wants to look at it."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        Path(folder).mkdir(exist_ok=True, parents=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def small_targets(page: Page) -> list[str]:
    """Return what is to be clicked and is lower than 44 px (links within a text excepted).

    A box is clicked with the label that it is in.
    """
    found: list[str] = page.eval_on_selector_all(
        "button, input:not([type=hidden]), select, textarea",
        """all => all.map(e => /checkbox|radio/.test(e.type) ? e.closest("label") ?? e : e)
                  .filter(e => e.offsetHeight < 44).map(e => e.outerHTML)""",
    )
    return found
