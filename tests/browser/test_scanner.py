"""A mail scanner opens every link, runs its scripts, presses its buttons and sends its forms."""

from collections.abc import Callable

import pytest
from fakes import ADA
from playwright.sync_api import Page, expect
from shop import Shop, Visit, ask

LINKS = 50


@pytest.fixture
def shop(open_shop: Callable[..., Shop]) -> Shop:
    """A shop that sends links, to many people at once."""
    return open_shop(
        OTP_AUTH_LINKS=True,
        OTP_AUTH_SITE_URL="http://shop.example",
        OTP_AUTH_RESEND_INTERVAL=0,
        OTP_AUTH_SEND_LIMITS="1000/hour",
        OTP_AUTH_IP_GENERATE_LIMITS="1000/hour",
        OTP_AUTH_IP_VERIFY_LIMITS="1000/hour",
    )


def scan(page: Page, link: str) -> None:
    """Do all that a scanner does with a link."""
    page.goto(link)
    for number in range(page.locator("button").count()):
        page.goto(link)
        for field in page.locator("input:not([type=hidden])").all():
            field.fill("000000" if field.get_attribute("id") == "otp" else ADA)
        page.locator("button").nth(number).click()
    page.request.head(link)
    page.request.post(link)


def test_it_uses_no_link_up(shop: Shop, visit: Visit) -> None:
    """Each person's own click works afterwards."""
    scanner, browser = visit(shop), visit(shop)
    for number in range(LINKS):
        person = f"person{number}@example.com"
        shop.members.add(person)
        ask(browser, person)
        scan(scanner, shop.link)
        browser.goto(shop.link)
        browser.get_by_role("button", name="Sign in").click()
        expect(browser.locator("h1")).to_have_text(f"Hello {person}")
        for page in (scanner, browser):
            page.context.clear_cookies()
