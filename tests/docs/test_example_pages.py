"""What a person sees of the example: ``make run``, and a real browser."""

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from axe_playwright_python.sync_playwright import Axe
from launch import ROOT, Server
from playwright.sync_api import Page, expect
from stores import free_port

#: Nobody waits a minute for the next code here.
SETTINGS = {"OTP_AUTH_RESEND_INTERVAL": "0"}


@dataclass
class Shop:
    """The running shop."""

    url: str


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The example as ``make run`` starts it."""
    folder, port = tmp_path_factory.mktemp("shop"), free_port()
    shutil.copy(ROOT / "example_app.py", folder)
    command = [sys.executable, "example_app.py"]
    with Server(command, folder, port, PORT=str(port), **SETTINGS) as server:
        yield Shop(server.printed(r"Open (http://[\d.:]+)")[0])
        assert "Traceback" not in server.output


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def open_browser(
    request: pytest.FixtureRequest, shop: Shop, visit: Callable[..., Page]
) -> Callable[[], Page]:
    """Open a browser of somebody's own at the front page of the shop."""

    def open_it() -> Page:
        page = visit(shop, java_script_enabled=request.param, locale="en")
        page.goto("/")
        return page

    return open_it


def ask(page: Page, identifier: str) -> Page:
    """Ask for a code, and open the letterbox beside."""
    page.get_by_role("link", name="Sign in or join").click()
    page.locator("#identifier").fill(identifier)
    page.get_by_role("button", name="Continue").click()
    expect(page).to_have_url(re.compile("/auth/customer/code$"))
    with page.expect_popup() as opened:
        page.get_by_role("link", name="letterbox").click()
    return opened.value


def sign_in(page: Page, identifier: str) -> None:
    """Sign in with the code in the letterbox."""
    letterbox = ask(page, identifier)
    letter = letterbox.locator("details").first
    expect(letter).to_contain_text(f"To {identifier}")
    code = re.match(r"\d{6}", letter.locator("summary").inner_text())
    assert code
    letterbox.close()
    page.locator("#otp").press_sequentially(code[0])
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/account$"))
    expect(page.locator("main")).to_contain_text(identifier)


def test_join_see_the_account_end_another_device_sign_out(
    open_browser: Callable[[], Page], request: pytest.FixtureRequest
) -> None:
    me = f"ada{len(request.node.name)}@example.com"
    laptop, phone = open_browser(), open_browser()
    for browser in (laptop, phone):
        sign_in(browser, me)
    laptop.get_by_role("link", name="My devices").click()
    expect(laptop.locator(".otp-device")).to_have_count(2)
    laptop.get_by_role("button", name="Sign out there").click()
    expect(laptop.locator(".otp-device")).to_have_count(1)
    phone.reload()
    expect(phone).to_have_url(re.compile("/auth/customer/sign-in"))

    laptop.goto("/")
    laptop.get_by_role("link", name="My account").click()
    laptop.get_by_role("link", name="Sign out").click()
    laptop.get_by_role("button", name="Sign out").click()
    expect(laptop.get_by_role("link", name="Sign in or join")).to_be_visible()
    laptop.goto("/account")
    expect(laptop).to_have_url(re.compile("/auth/customer/sign-in"))


def test_the_link_in_the_letter_signs_in(open_browser: Callable[[], Page]) -> None:
    letterbox = ask(open_browser(), "link@example.com")
    letterbox.get_by_role("link", name="/auth/customer/link/").first.click()
    letterbox.get_by_role("button", name="Sign in").click()
    expect(letterbox.locator("main")).to_contain_text("link@example.com")


@pytest.mark.parametrize("color_scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_everybody_can_read_its_pages(
    shop: Shop, visit: Callable[..., Page], color_scheme: str, width: int
) -> None:
    viewport = {"width": width, "height": 800}
    page = visit(shop, color_scheme=color_scheme, viewport=viewport)
    page.goto("/")
    assert_readable(page)
    me = f"{color_scheme}{width}@example.com"
    letterbox = ask(page, me)
    assert_readable(letterbox)
    letterbox.close()
    page.goto("/")
    sign_in(page, me)
    assert_readable(page)


def assert_readable(page: Page) -> None:
    """Look for what keeps people from reading it, and for what is wider than the screen."""
    found = Axe().run(page).response["violations"]
    assert [violation["id"] for violation in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
