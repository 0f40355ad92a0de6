"""Where a sign-in leads: to a place of this site, whatever anybody writes into ``next``."""

import string
from dataclasses import replace
from random import Random

import pytest
from browsers import Browser
from fakes import ADA, MakeApp
from flask import Flask

from flask_otp_auth import ConfigError
from flask_otp_auth.web.destinations import current_path, safe_next
from flask_otp_auth.web.flow_cookies import Flow

LETTERS = string.ascii_letters + string.digits

GOOD = [
    "/",
    "/account",
    "/account/",
    "/account?tab=orders&page=2",
    "/account#top",
    "/search?q=https://evil.example",
    "/search?q=//evil.example",
    "/search?q=%0A%5C",
    "/a//b",
    "/a/../b",
    "/%C3%A9",
    "/größe",
    "/a b",
    "/a:b@c",
    "/./account",
    "/?next=//evil.example",
    "/100%",
    "/%",
    "/a%2Fb",
    "/" + "a" * 999,
]

BAD = [
    "",
    " ",
    "account",
    "?tab=orders",
    "#top",
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "//evil.example/%2e%2e",
    "//evil.example?x=/account",
    "//user@evil.example",
    "//[::1]/",
    "//0x7f000001/",
    "/\\evil.example",
    "/\\/evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "\\evil.example",
    "/account\\..\\x",
    "/%5Cevil.example",
    "/%5cevil.example",
    "/%255Cevil.example",
    "/%2F/evil.example",
    "/%2Fevil.example",
    "/%2fevil.example",
    "/%252Fevil.example",
    "/%25252Fevil.example",
    "%2F%2Fevil.example",
    "/./%2Fevil.example",
    "/.//evil.example",
    "/..//evil.example",
    "/../.././/evil.example",
    "/%2e//evil.example",
    "/%2E%2E//evil.example",
    "http://evil.example",
    "https://evil.example/account",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "HTTPS://evil.example",
    "http://localhost/account",
    "ftp://evil.example",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "mailto:ada@example.com",
    "evil.example",
    "@evil.example",
    ":80",
    " //evil.example",
    " /account",
    "\t//evil.example",
    "\n/account",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "/\x00/evil.example",
    "/account\r\nSet-Cookie: a=b",
    "/account%0d%0aSet-Cookie:a=b",
    "/%09/evil.example",
    "/\x7f",
    "/\x85",
    "/\u2028/evil.example",
    "/\u200b/evil.example",
    "/\u202eevil",
    "\ufeff//evil.example",
    "／／evil.example",
    "〳evil.example",
    "/\ud800",
    "/" + "a" * 1000,
    "/" + "é" * 500,
]


@pytest.mark.parametrize("text", GOOD)
def test_a_path_of_this_site_is_kept_as_it_is(text: str) -> None:
    assert safe_next(text) == text


@pytest.mark.parametrize("text", BAD, ids=ascii)
def test_everything_else_is_dropped(text: str) -> None:
    assert safe_next(text) is None


def test_a_path_that_was_encoded_again_and_again_is_dropped() -> None:
    """To decode it to its end would take a hundred times as long as all else of the request."""
    assert safe_next("/%" + "25" * 4 + "41") is not None
    assert safe_next("/%" + "25" * 5 + "41") is None
    assert safe_next("/%" + "25" * 490 + "41") is None


def test_nothing_is_nothing() -> None:
    assert safe_next(None) is None


class TestTheWayThroughAFlow:
    def test_whoever_is_signed_in_is_sent_to_a_good_one_alone(self, browser: Browser) -> None:
        browser.sign_in()
        for text, place in (("/account", "/account"), ("//evil.example", "/"), ("/%5Cevil", "/")):
            browser.get("sign-in", query_string={"next": text})
            assert (browser.status, browser.location) == (303, place)

    def test_a_good_one_survives_it(self, browser: Browser) -> None:
        browser.sign_in(next="/search?q=caf%C3%A9&x=1")
        assert browser.location == "/search?q=caf%C3%A9&x=1"

    def test_a_bad_one_does_not(self, browser: Browser) -> None:
        browser.sign_in(next="//evil.example")
        assert browser.location == "/"

    def test_a_bad_one_takes_an_earlier_one_with_it(self, browser: Browser) -> None:
        browser.get("sign-in?next=/account")
        browser.sign_in(next="//evil.example")
        assert browser.location == "/"

    def test_to_correct_the_address_keeps_it(self, browser: Browser) -> None:
        browser.ask("ada@example.org", next="/account")
        browser.sign_in()
        assert browser.location == "/account"

    def test_it_is_in_no_form(self, browser: Browser) -> None:
        browser.get("sign-in?next=/account")
        assert "/account" not in browser.answer.text

    @pytest.mark.parametrize(("length", "kept"), [(10, True), (900, False)])
    def test_it_is_left_out_of_a_cookie_that_would_be_too_long(
        self, app: Flask, browser: Browser, length: int, kept: bool
    ) -> None:
        """As that of somebody with a long address who has yet to join."""
        place = "/" + "".join(Random(1).choices(LETTERS, k=length))
        proof = "".join(Random(2).choices(LETTERS, k=3200))
        flow = Flow.begin("customer", next=place, identifier=ADA, proof=proof)
        with app.test_request_context():
            response = app.response_class()
            cookies = app.extensions["otp_auth"].flow_cookies
            cookies.write(response, flow, "/auth/customer", secure=False)
        value = response.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
        assert len(value) <= 4000
        with app.test_request_context(headers={"Cookie": f"otp_auth_flow={value}"}):
            found = cookies.read("customer")
        assert found == replace(flow, next=place if kept else None)

    def test_it_stays_outside_of_ascii(self, browser: Browser) -> None:
        browser.sign_in(next="/größe")
        assert browser.location == "/gr%C3%B6%C3%9Fe"


class TestAfterSignIn:
    @pytest.mark.parametrize(
        "place", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", ""]
    )
    def test_another_site_is_refused_at_the_start(self, make_shop: MakeApp, place: str) -> None:
        with pytest.raises(ConfigError, match="OTP_AUTH_AFTER_SIGN_IN"):
            make_shop(OTP_AUTH_AFTER_SIGN_IN=place)

    def test_a_path_is_below_script_name(self, make_shop: MakeApp) -> None:
        app = make_shop(OTP_AUTH_AFTER_SIGN_IN="/account", OTP_AUTH_AFTER_SIGN_OUT="/bye")
        browser = Browser(app, base="/shop")
        browser.sign_in()
        assert browser.location == "/shop/account"
        browser.get("sign-out")
        browser.submit()
        assert browser.location == "/shop/bye"

    def test_an_endpoint_will_do(self, make_shop: MakeApp) -> None:
        browser = Browser(make_shop(OTP_AUTH_AFTER_SIGN_IN="account"))
        browser.sign_in()
        assert browser.location == "/account"

    @pytest.mark.parametrize("place", ["nowhere", "otp_auth.link"])
    def test_an_endpoint_that_is_none_or_needs_values_is_an_error_at_the_first_look(
        self, make_shop: MakeApp, place: str
    ) -> None:
        browser = Browser(make_shop(OTP_AUTH_AFTER_SIGN_IN=place))
        said = f"OTP_AUTH_AFTER_SIGN_IN names '{place}', which is no .*, or one that needs values"
        with pytest.raises(ConfigError, match=said):
            browser.get("sign-in?next=/account")

    def test_next_is_as_the_browser_sees_it(self, app: Flask) -> None:
        browser = Browser(app, base="/shop")
        browser.get("/account")
        assert browser.location == "/shop/auth/customer/sign-in?next=/shop/account"
        browser.sign_in(next="/shop/account")
        assert browser.location == "/shop/account"


class TestPageRequired:
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_comes_back_to_this_very_page(self, browser: Browser, method: str) -> None:
        browser.open("/account?a=1&b=%2F%2Fevil&c=%C3%A9", method=method)
        assert browser.status == 303
        browser.sign_in(next=browser.answer.location.partition("next=")[2].replace("%3D", "="))
        assert browser.location.startswith("/account?a")

    def test_a_host_in_the_path_is_dropped(self, app: Flask) -> None:
        with app.test_request_context(environ_overrides={"PATH_INFO": "/\\evil.example/"}):
            assert current_path() is None

    @pytest.mark.parametrize(
        ("referer", "query"),
        [
            ("http://localhost/cart?id=7", "?next=/cart?id%3D7"),
            ("http://localhost/cart", "?next=/cart"),
            ("http://LOCALHOST/cart", "?next=/cart"),
            ("http://localhost//evil.example", ""),
            ("http://localhost/\\evil.example", ""),
            ("http://localhost", ""),
            ("http://localhost:81/cart", ""),
            ("http://localhost@evil.example/cart", ""),
            ("http://evil.example/cart", ""),
            ("http://[::1/cart", ""),
            ("/cart", ""),
            ("", ""),
        ],
    )
    def test_a_post_leads_back_to_the_page_it_came_from(
        self, make_shop: MakeApp, referer: str, query: str
    ) -> None:
        app = make_shop()
        app.add_url_rule("/buy", "buy", app.view_functions["account"], methods=["POST"])
        browser = Browser(app)
        browser.open("/buy", method="POST", headers={"Referer": referer})
        assert (browser.status, browser.location) == (303, f"/auth/customer/sign-in{query}")

    def test_behind_a_proxy_the_site_s_own_url_counts(self, make_shop: MakeApp) -> None:
        app = make_shop(OTP_AUTH_SITE_URL="https://shop.example")
        app.add_url_rule("/buy", "buy", app.view_functions["account"], methods=["POST"])
        browser = Browser(app)
        browser.open("/buy", method="POST", headers={"Referer": "https://shop.example/cart"})
        assert browser.location == "/auth/customer/sign-in?next=/cart"
