"""Signing in at the pages: the way from an address to where a person wanted to go."""

from browsers import Browser, JoinableCustomers
from fakes import ADA, BOB, MakeApp

from flask_otp_auth.testing import Outbox


class TestTheWay:
    def test_from_a_page_of_the_app_and_back(self, browser: Browser) -> None:
        browser.get("/account?tab=orders")
        assert browser.status == 303
        assert browser.location == "/auth/customer/sign-in?next=/account?tab%3Dorders"
        browser.follow()
        with Outbox(browser.app) as outbox:
            browser.submit(identifier=ADA)
        assert (browser.status, browser.location) == (303, "/auth/customer/code")
        browser.follow()
        browser.submit(otp=outbox.last.otp)
        assert (browser.status, browser.location) == (303, "/account?tab=orders")
        browser.follow()
        assert browser.text == "account of ada@example.com"

    def test_ends_at_the_root_without_next(self, browser: Browser) -> None:
        browser.sign_in()
        assert browser.location == "/"

    def test_joining_without_a_form(self, browser: Browser, customers: JoinableCustomers) -> None:
        browser.sign_in(BOB, next="/account")
        assert browser.location == "/account"
        browser.follow()
        assert browser.text == "account of bob@example.com"
        assert customers.filled_in == [{}]

    def test_works_where_a_challenge_is_required(self, make_shop: MakeApp) -> None:
        browser = Browser(make_shop(OTP_AUTH_REQUIRE_CHALLENGE=True))
        browser.sign_in()
        assert browser.status == 303

    def test_looks_nobody_up_once_the_code_is_used(
        self, browser: Browser, customers: JoinableCustomers
    ) -> None:
        """If the app's table fails then, its owner would have to ask for another one."""
        otp = browser.ask()
        customers.calls.clear()
        browser.submit(otp=otp)
        assert browser.status == 303
        assert customers.calls == [("find_by_identifier", ADA)]

    def test_devices_are_for_those_who_are_signed_in(self, browser: Browser) -> None:
        browser.get("devices")
        assert browser.location == "/auth/customer/sign-in?next=/auth/customer/devices"
        browser.sign_in(next="/auth/customer/devices")
        browser.follow()
        assert "This device" in browser.text
