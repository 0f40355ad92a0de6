"""Forms that another site sends, and cookies that it plants: nobody gains a token by them."""

import time

import pytest
from browsers import Browser, JoinableCustomers
from fakes import ADA, BOB, SECRET, MakeApp
from flask import Flask
from itsdangerous import URLSafeSerializer
from time_machine import Traveller

from flask_otp_auth import OTPAuth
from flask_otp_auth.core.crypto import Keys, Sealer
from flask_otp_auth.testing import Outbox

EXPIRED = "This page had expired. Please try again."

#: Headers of browsers that send a form from another site, and from our own.
FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "http://localhost:81"},
    {"Origin": "http://[::1"},
    {"Origin": "evil"},
    {"Origin": ""},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
]
OWN = [
    {},
    {"Origin": "http://localhost"},
    {"Origin": "http://LOCALHOST"},
    {"Origin": "null"},  # as our pages send no Referer
    {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
    {"Sec-Fetch-Site": "none"},
]


class TestTheToken:
    @pytest.mark.parametrize("token", ["", "x", "ä", "WzFd.x", "\x00", "a" * 5000])
    def test_a_wrong_one_sends_nothing(self, browser: Browser, token: str) -> None:
        browser.get("sign-in")
        with Outbox(browser.app) as outbox:
            browser.submit(identifier=ADA, csrf_token=token)
        assert browser.status == 400
        assert EXPIRED in browser.text
        assert (outbox.messages, outbox.suppressed) == ([], [])

    def test_the_page_again_has_what_was_typed_and_a_fresh_one(self, browser: Browser) -> None:
        browser.get("sign-in")
        browser.submit(identifier=ADA, csrf_token="")
        assert browser.page.forms[0].fields["identifier"] == ADA
        with Outbox(browser.app) as outbox:
            browser.submit()
        assert (browser.status, len(outbox)) == (303, 1)

    @pytest.mark.parametrize("page", ["sign-in", "code", "code/resend", "join"])
    def test_none_at_all_is_refused(self, browser: Browser, page: str) -> None:
        browser.ask()
        browser.open(page, method="POST", data={"identifier": ADA, "otp": "123456"})
        assert browser.status == 400
        assert EXPIRED in browser.text

    def test_a_wrong_one_compares_and_spends_nothing(self, make_shop: MakeApp) -> None:
        app = make_shop(OTP_AUTH_IP_VERIFY_LIMITS="1/hour")
        browser = Browser(app)
        otp = browser.ask()
        for _ in range(3):
            browser.submit(otp=otp, csrf_token="x")
            assert browser.status == 400
        browser.submit(otp=otp)
        assert browser.status == 303

    def test_another_browser_s_is_refused(self, app: Flask, browser: Browser) -> None:
        other = Browser(app)
        other.get("sign-in")
        browser.get("sign-in")
        browser.submit(identifier=ADA, csrf_token=other.fill_in()["csrf_token"])
        assert browser.status == 400

    def test_without_cookie_it_is_refused(self, app: Flask, browser: Browser) -> None:
        browser.get("sign-in")
        other = Browser(app)
        other.open("sign-in", method="POST", data=browser.fill_in(identifier=ADA))
        assert other.status == 400

    def test_it_lasts_as_long_as_the_flow(self, clock: Traveller, browser: Browser) -> None:
        browser.get("sign-in")
        clock.shift(899)
        browser.submit(identifier=ADA)
        assert browser.status == 303
        browser.follow()
        clock.shift(901)
        browser.submit(otp="123456")
        assert browser.status == 400
        assert EXPIRED in browser.text

    def test_a_cookie_is_no_token_and_a_token_no_cookie(self, browser: Browser) -> None:
        browser.get("sign-in")
        cookie, token = browser.cookie(), browser.fill_in()["csrf_token"]
        browser.submit(identifier=ADA, csrf_token=cookie or "")
        assert browser.status == 400
        browser.set_flow(token)
        browser.get("code")
        assert browser.location == "/auth/customer/sign-in"


class TestTheOrigin:
    @pytest.mark.parametrize("headers", FOREIGN, ids=str)
    def test_of_another_site_is_refused(self, browser: Browser, headers: dict[str, str]) -> None:
        otp = browser.ask()
        browser.submit(otp=otp, headers=headers)
        assert browser.status == 400
        assert EXPIRED in browser.text
        browser.submit(otp=otp)
        assert browser.status == 303

    @pytest.mark.parametrize("headers", OWN, ids=str)
    def test_of_this_site_is_taken(self, browser: Browser, headers: dict[str, str]) -> None:
        browser.get("sign-in")
        browser.submit(identifier=ADA, headers=headers)
        assert browser.status == 303

    def test_behind_a_proxy_the_site_s_own_url_counts(self, make_shop: MakeApp) -> None:
        browser = Browser(make_shop(OTP_AUTH_SITE_URL="https://shop.example/x"))
        browser.get("sign-in")
        browser.submit(identifier=ADA, headers={"Origin": "https://shop.example"})
        assert browser.status == 303

    @pytest.mark.parametrize("page", ["sign-out", "devices"])
    def test_counts_at_the_pages_of_a_session_too(self, browser: Browser, page: str) -> None:
        browser.sign_in()
        browser.get(page)
        data = browser.fill_in() if browser.page.forms else {}
        headers = {"Origin": "https://evil.example"}
        browser.open(page, method="POST", data=data, headers=headers)
        assert browser.status == 400
        browser.get("/account")
        assert browser.status == 200


class TestAPlantedCookie:
    """Somebody puts a flow cookie of his own into Ada's browser, from a neighbouring host."""

    def test_gives_no_token_for_a_code_that_she_asks_for(
        self, app: Flask, browser: Browser
    ) -> None:
        mallory = Browser(app)
        mallory.get("sign-in")
        planted, known = mallory.cookie() or "", mallory.fill_in()
        browser.set_flow(planted)
        otp = browser.ask()
        tag = browser.fill_in()["otp_auth_flow"]  # he can ask for her address himself
        browser.open("code", method="POST", data={**known, "otp_auth_flow": tag, "otp": otp})
        assert browser.status == 400
        browser.get("code")
        browser.submit(otp=otp)
        assert browser.status == 303

    def test_gives_no_token_for_what_follows_her_sign_in(
        self, app: Flask, browser: Browser
    ) -> None:
        mallory = Browser(app)
        mallory.get("sign-in")
        planted, known = mallory.cookie() or "", mallory.fill_in(identifier=BOB)
        browser.set_flow(planted)
        browser.sign_in()
        assert browser.cookie() is None
        browser.open("sign-in", method="POST", data=known)
        assert browser.status == 400

    def test_signs_her_in_nowhere_without_a_form_of_this_site(
        self, app: Flask, browser: Browser
    ) -> None:
        """Login CSRF: his own code, posted by his page into her browser."""
        mallory = Browser(app)
        otp = mallory.ask(BOB)
        browser.set_flow(mallory.cookie() or "")
        data = mallory.fill_in(otp=otp)
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
            browser.open("code", method="POST", data=data, headers=headers)
            assert browser.status == 400
        assert browser.cookie("session") is None

    def test_of_another_actor_type_is_none(
        self, make_shop: MakeApp, customers: JoinableCustomers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.add_actor_type("vendor", customers)
        app = make_shop(otp_auth)
        vendor, browser = Browser(app, "/auth/vendor"), Browser(app)
        vendor.ask()
        browser.set_flow(vendor.cookie() or "")
        browser.get("code")
        assert browser.location == "/auth/customer/sign-in"

    @pytest.mark.parametrize(
        "value", ["", "x", "a.b", "WzEsMl0.x", "ä", "\u2028", "eyJh.eyJh.eyJh", "A" * 4000]
    )
    def test_of_garbage_is_none(self, browser: Browser, value: str) -> None:
        browser.open("code", headers={"Cookie": f"otp_auth_flow={value}".encode().decode("latin1")})
        assert browser.location == "/auth/customer/sign-in"

    @pytest.mark.parametrize("planted", ["x", "", "a.b"])
    def test_of_garbage_keeps_nobody_out(self, browser: Browser, planted: str) -> None:
        """A cookie for a longer path, or an older one for all hosts, comes before ours."""
        browser.get("sign-in")
        cookies = f"otp_auth_flow={planted}; otp_auth_flow={browser.cookie()}"
        form = browser.fill_in(identifier=ADA)
        bare = browser.app.test_client(use_cookies=False)
        answer = bare.post("/auth/customer/sign-in", data=form, headers={"Cookie": cookies})
        assert answer.status_code == 303

    def test_that_was_changed_is_none(self, browser: Browser) -> None:
        browser.ask()
        good = browser.cookie() or ""
        for place in range(0, len(good), 7):
            letter = "A" if good[place] != "A" else "B"
            browser.set_flow(good[:place] + letter + good[place + 1 :])
            browser.get("code")
            assert browser.location == "/auth/customer/sign-in"
        browser.set_flow(good)
        browser.get("code")
        assert browser.status == 200

    def test_of_another_version_is_none(self, app: Flask, browser: Browser) -> None:
        keys = Keys.derive([SECRET.encode()], app.name)
        sealer = Sealer(keys.cookies, "flow", URLSafeSerializer)
        for facts in (
            [{"id": "x", "actor_type": "customer", "colour": 1}],
            [{}],
            [],
            ["x"],
            [1, 2],
        ):
            browser.set_flow(sealer.dumps(time.time() + 60, *facts))
            browser.get("code")
            assert browser.location == "/auth/customer/sign-in"

    def test_survives_a_change_of_the_secret_key(
        self, make_shop: MakeApp, customers: JoinableCustomers
    ) -> None:
        old, new = Browser(make_shop()), "n" + SECRET
        old.get("sign-in?next=/account")
        browser = Browser(make_shop(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[SECRET]))
        browser.set_flow(old.cookie() or "")
        browser.open("sign-in", method="POST", data=old.fill_in(identifier=ADA))
        assert browser.status == 303


class TestTwoTabs:
    def test_that_differ_spend_nothing(self, clock: Traveller, browser: Browser) -> None:
        ada = browser.ask(ADA)
        old = browser.fill_in(otp=ada)
        bob = browser.ask(BOB)
        current = browser.fill_in()
        stolen = {**current, "otp_auth_flow": old["otp_auth_flow"], "otp": bob}
        for form in (old, stolen):
            browser.open("code", method="POST", data=form)
            assert browser.status == 400
            assert EXPIRED in browser.text
            assert "b••@example.com" in browser.text
        browser.submit(otp=bob)
        assert browser.status == 303

    def test_that_differ_have_no_code_sent(self, browser: Browser) -> None:
        browser.ask(ADA)
        old = browser.fill_in(1)
        browser.ask(BOB)
        with Outbox(browser.app) as outbox:
            data = {**browser.fill_in(1), "otp_auth_flow": old["otp_auth_flow"]}
            browser.open("code/resend", method="POST", data=data)
        assert browser.status == 400
        assert (outbox.messages, outbox.suppressed) == ([], [])
