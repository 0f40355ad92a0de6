"""A shop with pages, and what its visitors do there."""

import re
from collections.abc import Callable
from typing import Any

from browsers import JoinableCustomers
from fakes import ADA, BOB, Api, FakeStore
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from playwright.sync_api import Page

from flask_otp_auth import OTPAuth, current_actor
from flask_otp_auth.guards import page_required
from flask_otp_auth.testing import Outbox

SIGN_IN = "/auth/customer/sign-in"


class Shop:
    """An app with pages.

    :ivar actor_type: the arguments of ``add_actor_type``; may be changed before it opens.
    """

    def __init__(self, app: Flask, url: str) -> None:
        self.app = app
        self.url = url
        self.store = FakeStore()
        limiter = Limiter(get_remote_address, app=app, storage_uri="memory://")
        self.otp_auth = OTPAuth(cache=self.store, limiter=limiter)
        self.members = JoinableCustomers()
        self.members.add(ADA)
        self.actor_type: dict[str, Any] = {"identifier": "email"}
        self.outbox = Outbox(app)

    def open(self) -> None:
        """Mount the extension and the shop's own pages."""
        self.otp_auth.add_actor_type("customer", self.members, **self.actor_type)
        self.otp_auth.init_app(self.app)
        self.app.add_url_rule("/account", view_func=page_required("customer")(account))
        for path, max_age in (("/vault", 60), ("/safe", 0)):
            guarded = page_required("customer", max_age=max_age)(account)
            self.app.add_url_rule(path, path, guarded)
        self.outbox.__enter__()

    def close(self) -> None:
        """Let go of what :meth:`open` took."""
        self.outbox.__exit__(None, None, None)

    @property
    def link(self) -> str:
        """The path of the newest link that was sent."""
        assert self.outbox.last.link is not None
        return self.outbox.last.link.removeprefix(self.app.config["OTP_AUTH_SITE_URL"])

    def sign_in_elsewhere(self) -> None:
        """Let Ada sign in on another device."""
        with self.app.test_request_context(headers={"User-Agent": "Firefox/150 (Android)"}):
            self.otp_auth.sign_in("customer", self.members.find_by_identifier(ADA))

    def ask_elsewhere(self) -> None:
        """Let Ada ask for a code in another browser."""
        browser = self.app.test_client()
        hidden = r'type="hidden" name="(\w+)" value="([^"]*)"'
        form = {"identifier": ADA, **dict(re.findall(hidden, browser.get(SIGN_IN).text))}
        assert browser.post(SIGN_IN, data=form).status_code == 303

    def use_up_the_address(self) -> None:
        """Ask for codes until the visitors' network has had all that it gets."""
        api, status = Api(self.app.test_client()), 200
        while status == 200:
            status = api.start(BOB).status_code

    def use_up_guesses(self) -> None:
        """Guess at Ada's codes until new ones are long."""
        api = Api(self.app.test_client())
        for _ in range(20):
            api.verify("000000")

    def cut_off(self) -> None:
        """Let the storage be out of reach."""
        self.store.reachable = False

    @property
    def code(self) -> str:
        """The newest code that was sent."""
        return self.outbox.last.otp


def account() -> str:
    """A page of the shop's own."""
    return f"<!doctype html><title>Account</title><h1>Hello {current_actor.email}</h1>"


# What visitors do. Each waits until the page that follows has loaded: Playwright's click does not.


def ask(page: Page, identifier: str = ADA) -> None:
    """Go to the sign-in page and ask for a code."""
    page.goto(SIGN_IN)
    page.fill("#identifier", identifier)
    with page.expect_navigation():
        page.click("button[type=submit]")


def answer(page: Page, code: str) -> None:
    """Type a code and send it."""
    page.locator("#otp").press_sequentially(code)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def sign_in(page: Page, shop: Shop, identifier: str = ADA) -> None:
    """Sign in, from the sign-in page on."""
    ask(page, identifier)
    answer(page, shop.code)
    page.wait_for_url(re.compile("(?<!/code)$"))


Visit = Callable[..., Page]
