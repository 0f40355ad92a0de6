"""The link beside a code: one button for the browser that has asked, a form for any other."""

from collections.abc import Callable

import pytest
from browsers import Browser, JoinableCustomers, path_of
from fakes import ADA, BOB, MakeApp, wrong
from flask import Flask

from flask_otp_auth import OTPAuth
from flask_otp_auth.testing import Message, Outbox

CONFIG = {"OTP_AUTH_LINKS": True, "OTP_AUTH_SITE_URL": "https://shop.example"}
REFUSED = "That code is not right, or it has expired."


@pytest.fixture
def app(make_shop: MakeApp) -> Flask:
    """The shop with links."""
    return make_shop(**CONFIG)


def message(browser: Browser, identifier: str = ADA, **query: str) -> Message:
    """Ask for a code, and return its message."""
    browser.get("sign-in", query_string=query)
    with Outbox(browser.app) as outbox:
        browser.submit(identifier=identifier)
    return outbox.last


class TestTheBrowserThatHasAsked:
    def test_signs_in_with_one_button(self, browser: Browser) -> None:
        link = message(browser, next="/account").link
        assert link is not None
        assert link.startswith("https://shop.example/auth/customer/link/")
        browser.get(path_of(link))
        assert set(browser.page.forms[0].fields) == {"csrf_token", "otp_auth_flow"}
        browser.submit()
        assert (browser.status, browser.location) == (303, "/account")
        browser.follow()
        assert browser.text == "account of ada@example.com"

    def test_joins_with_it(self, browser: Browser) -> None:
        browser.get(path_of(message(browser, BOB).link or ""))
        browser.submit()
        browser.get("/account")
        assert browser.text == "account of bob@example.com"

    def test_may_follow_that_from_before_it_was_sent_again(self, browser: Browser) -> None:
        first = path_of(message(browser).link or "")
        browser.follow()
        browser.submit(1)
        browser.get(first)
        browser.submit()
        assert browser.status == 303

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_uses_nothing_by_opening_it(self, browser: Browser, method: str) -> None:
        sent = message(browser)
        for _ in range(50):
            browser.open(path_of(sent.link or ""), method=method)
            assert browser.status == 200
        browser.get("code")
        browser.submit(otp=sent.otp)
        assert browser.status == 303

    def test_is_refused_once_the_code_is_used(self, browser: Browser, app: Flask) -> None:
        sent = message(browser)
        browser.get(path_of(sent.link or ""))
        app.test_client().post(
            "/auth/customer/otp/finish", json={"identifier": ADA, "otp": sent.otp}
        )
        browser.submit()
        assert browser.status == 400
        assert REFUSED in browser.text

    def test_needs_the_token_of_the_form(self, browser: Browser) -> None:
        sent = message(browser)
        browser.get(path_of(sent.link or ""))
        browser.submit(csrf_token="")
        assert browser.status == 400
        assert "This page had expired." in browser.text
        browser.submit()
        assert browser.status == 303

    def test_goes_on_once_it_is_signed_in(self, browser: Browser) -> None:
        sent = message(browser)
        browser.follow()
        browser.submit(otp=sent.otp)
        browser.get(path_of(sent.link or ""))
        assert (browser.status, browser.location) == (303, "/")


class TestAnyOtherBrowser:
    @pytest.fixture
    def other(self, app: Flask) -> Browser:
        return Browser(app)

    def test_asks_for_address_and_code(self, browser: Browser, other: Browser) -> None:
        sent = message(browser)
        other.get(path_of(sent.link or ""))
        assert other.status == 200
        assert "in another browser" in other.text
        other.submit(identifier=ADA, otp=sent.otp)
        assert other.status == 303
        other.get("/account")
        assert other.text == "account of ada@example.com"

    def test_does_so_under_require_challenge(self, make_shop: MakeApp) -> None:
        app = make_shop(OTP_AUTH_REQUIRE_CHALLENGE=True, **CONFIG)
        sent, other = message(Browser(app)), Browser(app)
        other.get(path_of(sent.link or ""))
        other.submit(identifier=ADA, otp=sent.otp)
        assert other.status == 303

    def test_joins_like_that(self, browser: Browser, other: Browser) -> None:
        sent = message(browser, BOB)
        other.get(path_of(sent.link or ""))
        other.submit(identifier=BOB, otp=sent.otp)
        other.get("/account")
        assert other.text == "account of bob@example.com"

    def test_uses_nothing_by_sending_the_form_as_it_is(
        self, browser: Browser, other: Browser
    ) -> None:
        sent = message(browser)
        for _ in range(50):
            other.get(path_of(sent.link or ""))
            other.submit()
            assert other.status == 400
        browser.get(path_of(sent.link or ""))
        browser.submit()
        assert browser.status == 303

    def test_uses_nothing_by_pressing_a_button_that_it_has_not(
        self, browser: Browser, other: Browser
    ) -> None:
        sent = message(browser)
        other.get(path_of(sent.link or ""))
        fields = other.fill_in()
        del fields["identifier"], fields["otp"]
        other.open(path_of(sent.link or ""), method="POST", data=fields)
        assert other.status == 400

    @pytest.mark.parametrize(
        ("identifier", "is_right"), [(ADA, False), (BOB, True), ("ada", True), ("a" * 400, True)]
    )
    def test_is_refused_with_anything_else(
        self, browser: Browser, other: Browser, identifier: str, is_right: bool
    ) -> None:
        sent = message(browser)
        other.get(path_of(sent.link or ""))
        other.submit(identifier=identifier, otp=sent.otp if is_right else wrong(sent.otp))
        assert other.status == 400
        assert other.page.forms[0].fields["otp"] == ""

    def test_needs_the_link_of_that_very_code(self, browser: Browser, other: Browser) -> None:
        sent = message(browser)
        other.get("link/" + "0" * 32)
        other.submit(identifier=ADA, otp=sent.otp)
        assert other.status == 400
        assert REFUSED in other.text


class TestShops:
    def test_without_links_have_no_page_for_them(self, make_shop: MakeApp) -> None:
        browser = Browser(make_shop())
        assert message(browser).link is None
        assert browser.get("link/" + "0" * 32).status_code == 404
        assert browser.open("link/" + "0" * 32, method="POST").status_code == 404

    def test_that_nobody_can_join_have_links(
        self, make_shop: MakeApp, make_members: Callable[..., OTPAuth]
    ) -> None:
        browser = Browser(make_shop(make_members(), **CONFIG))
        browser.get(path_of(message(browser).link or ""))
        browser.submit()
        assert browser.status == 303

    def test_that_nobody_can_join_refuse_who_was_deleted_meanwhile(
        self,
        make_shop: MakeApp,
        make_members: Callable[..., OTPAuth],
        customers: JoinableCustomers,
    ) -> None:
        browser = Browser(make_shop(make_members(), **CONFIG))
        browser.get(path_of(message(browser).link or ""))
        customers.accounts.clear()
        browser.submit()
        assert browser.status == 400
        assert REFUSED in browser.text

    def test_below_a_path_have_it_once(self, make_shop: MakeApp) -> None:
        app = make_shop(OTP_AUTH_LINKS=True, OTP_AUTH_SITE_URL="https://example.org/shop")
        browser = Browser(app, base="/shop")
        link = message(browser).link
        assert link is not None
        assert link.startswith("https://example.org/shop/auth/customer/link/")
