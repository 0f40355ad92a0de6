"""Whether somebody has an account shows in no page: same bytes, same work."""

import re

import pytest
from browsers import Browser, JoinableCustomers
from fakes import FakeLimits, FakeStore, MakeApp, wrong
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from time_machine import Traveller

from flask_otp_auth import OTPAuth
from flask_otp_auth.testing import Outbox
from flask_otp_auth.testing.executors import Held

KNOWN, UNKNOWN, OFF = "anna@example.com", "berta@example.com", "carla@example.com"

pytestmark = pytest.mark.usefixtures("clock")


def shown(browser: Browser, identifier: str) -> str:
    """Return a page without what differs for everybody."""
    html = re.sub(r'name="csrf_token" value="[^"]*"', "", browser.answer.text)
    html = re.sub(r'name="otp_auth_flow" value="[^"]*"', "", html)
    masked = f"{identifier[0]}••@example.com"
    headers = [
        (k, v) for k, v in browser.answer.headers if k not in ("Set-Cookie", "Content-Length")
    ]
    return f"{browser.status} {headers} {html}".replace(identifier, "…").replace(masked, "…")


@pytest.mark.parametrize("sign_up", ["open", "closed"])
class TestThreePeople:
    """One who has an account, one who has none, and one whose account is switched off."""

    @pytest.fixture
    def app(self, make_shop: MakeApp, customers: JoinableCustomers, sign_up: str) -> Flask:
        customers.add(KNOWN)
        customers.add(OFF).is_active = False
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers, sign_up=sign_up)
        return make_shop(otp_auth)

    def pages(self, app: Flask, identifier: str, clock: Traveller) -> list[str]:
        """Walk through the pages without a right code, and return what they show."""
        browser, found = Browser(app), []
        with Outbox(app):
            browser.get("sign-in?next=/account")
            browser.submit(identifier=identifier)
            found.append(shown(browser, identifier))
            browser.follow()
            found.append(shown(browser, identifier))
            for otp in ("123456", "1", "0" * 20):
                browser.submit(otp=wrong(otp) if len(otp) == 6 else otp)
                found.append(shown(browser, identifier))
            for _ in range(2):
                browser.submit(1)
                found.append(shown(browser, identifier))
                browser.follow()
                found.append(shown(browser, identifier))
            browser.get("sign-in")
            found.append(shown(browser, identifier))
        return found

    def test_see_the_same_bytes(self, app: Flask, clock: Traveller) -> None:
        known, unknown, off = (self.pages(app, who, clock) for who in (KNOWN, UNKNOWN, OFF))
        assert known == unknown == off
        assert len(known) == 10


def test_the_same_work_is_done_for_each(make_app: MakeApp, customers: JoinableCustomers) -> None:
    """What is asked of store, limits and customers until the answer; jobs run after it."""
    customers.add(KNOWN)
    customers.add(OFF).is_active = False
    executor, store = Held(), FakeStore()
    limiter = Limiter(
        get_remote_address, app=Flask("x"), storage_uri="fake://", strategy="moving-window"
    )
    assert isinstance(limiter.storage, FakeLimits)
    otp_auth = OTPAuth(cache=store, limiter=limiter, executor=executor)
    otp_auth.add_actor_type("customer", customers)
    app = make_app(otp_auth, OTP_AUTH_PAGES=True, OTP_AUTH_DELIVERY="background")
    with app.app_context():
        otp_auth.generate("customer", "somebody@example.com")  # the store's first contact
    executor.jobs.clear()
    found = []
    for identifier in (KNOWN, UNKNOWN, OFF):
        store.calls.clear()
        limiter.storage.calls.clear()
        browser = Browser(app)
        browser.get("sign-in")
        browser.submit(identifier=identifier)
        browser.follow()
        browser.submit(otp="123456")
        assert browser.status == 400
        found.append((store.verbs, list(limiter.storage.calls), len(executor.jobs)))
        executor.jobs.clear()
    assert customers.calls == []
    assert found[0] == found[1] == found[2]
    assert found[0][2] == 1
