"""What people do at the pages, in a real browser."""

import re
from collections.abc import Callable

import pytest
from fakes import ADA, BOB, wrong
from flask_wtf import FlaskForm
from playwright.sync_api import Page, expect
from shop import Shop, Visit, answer, ask, sign_in
from time_machine import Traveller
from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired, Length

SIGN_IN = re.compile(r"/auth/customer/sign-in(\?next=/[a-z]+)?$")
WRONG = "That code is not right, or it has expired. You can try again or ask for a new one."


def hello(page: Page, identifier: str = ADA) -> None:
    """See the shop's own page of somebody who is signed in."""
    expect(page).to_have_url(re.compile("/account$"))
    expect(page.locator("h1")).to_have_text(f"Hello {identifier}")


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def page(request: pytest.FixtureRequest, shop: Shop, visit: Visit) -> Page:
    """A browser at the shop."""
    return visit(shop, java_script_enabled=request.param)


class TestSigningIn:
    """With JavaScript and without."""

    def test_a_page_that_needs_it_leads_there_and_back(self, page: Page, shop: Shop) -> None:
        page.goto("/account")
        expect(page).to_have_url(SIGN_IN)
        page.fill("#identifier", ADA)
        page.click("button[type=submit]")
        expect(page).to_have_url(f"{shop.url}/auth/customer/code")
        expect(page.locator("main")).to_contain_text("a••@example.com")
        answer(page, shop.code)
        hello(page)

    def test_somebody_new_joins_at_the_same_door(self, page: Page, shop: Shop) -> None:
        sign_in(page, shop, BOB)
        hello(page, BOB)
        assert shop.members.find_by_identifier(BOB) is not None

    def test_a_wrong_code_can_be_corrected(self, page: Page, shop: Shop) -> None:
        ask(page)
        answer(page, wrong(shop.code))
        expect(page.get_by_role("alert")).to_contain_text(WRONG)
        expect(page.locator("#otp")).to_have_value("")
        answer(page, shop.code)
        hello(page)

    def test_an_address_can_be_corrected(self, page: Page, shop: Shop) -> None:
        ask(page, "adda@example.com")
        page.get_by_role("link", name="address").click()
        sign_in(page, shop)
        hello(page)

    def test_a_reload_keeps_its_place(self, page: Page, shop: Shop) -> None:
        ask(page)
        page.reload()
        answer(page, shop.code)
        hello(page)

    def test_signing_out_is_a_button(self, page: Page, shop: Shop) -> None:
        sign_in(page, shop)
        page.goto("/auth/customer/sign-out")
        page.click("button[type=submit]")
        page.goto("/account")
        expect(page).to_have_url(SIGN_IN)

    def test_another_device_can_be_signed_out(self, page: Page, shop: Shop, visit: Visit) -> None:
        other = visit(shop)
        sign_in(other, shop)
        sign_in(page, shop)
        page.goto("/auth/customer/devices")
        expect(page.locator("main li, main tbody tr")).to_have_count(2)
        page.get_by_role("button", name="Sign out").first.click()
        expect(page.locator("main li, main tbody tr")).to_have_count(1)
        other.goto("/account")
        expect(other).to_have_url(SIGN_IN)
        page.goto("/account")
        hello(page)


def test_a_code_can_be_sent_again(page: Page, shop: Shop, ticking: Traveller) -> None:
    ask(page)
    ticking.shift(61)
    page.get_by_role("button", name="new code").click()
    expect(page.get_by_role("status")).to_contain_text("again")
    assert len(shop.outbox) == 2
    answer(page, shop.code)
    hello(page)


def paste(page: Page, text: str) -> None:
    """Paste a text into the field of the code."""
    page.evaluate("text => navigator.clipboard.writeText(text)", text)
    page.focus("#otp")
    page.keyboard.press("Control+V")


class TestTheScript:
    """It only improves what works without it."""

    def test_a_pasted_code_is_sent_at_once(self, shop: Shop, visit: Visit) -> None:
        page = visit(shop, permissions=["clipboard-read", "clipboard-write"])
        ask(page)
        paste(page, f" {shop.code[:3]} {shop.code[3:]}\n")
        hello(page)

    def test_a_long_code_is_not_sent_before_its_last_group_is_pasted(
        self, shop: Shop, visit: Visit
    ) -> None:
        shop.use_up_guesses()
        page = visit(shop, permissions=["clipboard-read", "clipboard-write"])
        ask(page)
        assert len(shop.code) == 20
        for start in range(0, 20, 5):
            paste(page, f"{shop.code[start : start + 5]} ")
        expect(page.locator("#otp")).to_have_value(shop.code)
        page.keyboard.press("Enter")
        hello(page)

    def test_a_typed_code_is_not_sent_before_it_is_meant(self, shop: Shop, visit: Visit) -> None:
        page = visit(shop)
        ask(page)
        page.locator("#otp").press_sequentially(shop.code)
        expect(page).to_have_url(f"{shop.url}/auth/customer/code")
        page.keyboard.press("Enter")
        hello(page)

    def test_the_keyboard_alone_is_enough(self, shop: Shop, visit: Visit) -> None:
        page = visit(shop)
        page.goto("/account")
        expect(page.locator("#identifier")).to_be_focused()
        page.keyboard.type(ADA)
        page.keyboard.press("Enter")
        expect(page.locator("#otp")).to_be_focused()
        page.keyboard.type(wrong(shop.code))
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_be_focused()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")  # the summary links to the field
        expect(page.locator("#otp")).to_be_focused()
        page.keyboard.type(shop.code)
        page.keyboard.press("Enter")
        hello(page)


class TestJoining:
    """With a form of the shop's own."""

    @pytest.fixture
    def shop(self, open_shop: Callable[..., Shop]) -> Shop:
        class SignUp(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
            name = StringField("Your name", [InputRequired(), Length(max=40)])
            news = BooleanField("Send me news")

        def set_up(shop: Shop) -> None:
            shop.actor_type["form"] = SignUp

        return open_shop(set_up=set_up)

    def test_what_is_missing_is_said_and_what_was_typed_stays(self, page: Page, shop: Shop) -> None:
        sign_in(page, shop, BOB)
        expect(page).to_have_url(f"{shop.url}/auth/customer/join")
        page.eval_on_selector("form", "form => form.noValidate = true")
        page.check("#news")
        page.click("button[type=submit]")
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.locator("#news")).to_be_checked()
        page.fill("#name", "Bob")
        page.click("button[type=submit]")
        hello(page, BOB)
        assert shop.members.filled_in == [{"name": "Bob", "news": True}]


def test_a_page_that_wants_a_fresh_sign_in_asks_the_same_person_for_a_code(
    page: Page, shop: Shop, ticking: Traveller
) -> None:
    sign_in(page, shop)
    ticking.shift(61)
    page.goto("/vault")
    expect(page).to_have_url(SIGN_IN)
    expect(page.locator("#identifier")).to_have_value(ADA)
    expect(page.locator("#identifier")).not_to_be_editable()
    page.click("button[type=submit]")
    answer(page, shop.code)
    expect(page).to_have_url(f"{shop.url}/vault")
