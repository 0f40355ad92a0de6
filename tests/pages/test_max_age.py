"""Asking somebody who is signed in for a code again, because the sign-in is too old."""

import pytest
from browsers import Browser, JoinableCustomers
from fakes import ADA, BOB, MakeApp, bearer, sign_in, wrong
from flask import Flask
from time_machine import Traveller

from flask_otp_auth import OTPAuth, current_actor, page_required
from flask_otp_auth.testing import Outbox

pytestmark = pytest.mark.usefixtures("clock")


@pytest.fixture
def app(make_shop: MakeApp, customers: JoinableCustomers) -> Flask:
    """A shop whose wallet wants a sign-in of the last five minutes."""
    customers.add(BOB)
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("vendor", customers)
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("robot", customers, pages=False)
    app = make_shop(otp_auth)

    @app.get("/wallet")
    @page_required("vendor", "customer", max_age=300)
    def wallet() -> str:
        return f"wallet of {current_actor.email}"

    @app.get("/any")
    @page_required(max_age=300)
    def any_type() -> str:
        return f"for {current_actor.email}"

    return app


@pytest.fixture
def old(browser: Browser, clock: Traveller) -> Browser:
    """Ada's browser, ten minutes after her sign-in."""
    browser.sign_in()
    clock.shift(600)
    return browser


@pytest.fixture
def asked(old: Browser) -> Browser:
    """Her browser, where she is asked to confirm that it is her."""
    old.get("/wallet")
    old.follow()
    return old


@pytest.fixture
def elsewhere(app: Flask, browser: Browser, clock: Traveller) -> Browser:
    """The same, but her session did not begin at the pages, so they know no address of hers."""
    browser.open("/auth/session", method="POST", headers=bearer(sign_in(app)))
    clock.shift(600)
    browser.get("/wallet")
    browser.follow()
    return browser


def next_code(browser: Browser, form: int = 0, **fields: str) -> str:
    """Send a form that asks for a code, go on to where it is asked for, and return it."""
    with Outbox(browser.app) as outbox:
        browser.submit(form, **fields)
    browser.follow()
    return outbox.last.otp


class TestSomebodyWhoIsSignedIn:
    def test_is_asked_for_a_code_with_the_address_filled_in_and_fixed(self, old: Browser) -> None:
        old.get("/wallet?id=7")
        assert old.location == "/auth/customer/sign-in?next=/wallet?id%3D7"
        old.follow()
        assert old.status == 200
        assert "Confirm that it is you" in old.text
        identifier = old.page.by_id("identifier")
        assert identifier["value"] == ADA
        assert "readonly" in identifier
        otp = next_code(old)
        assert "Correct the address" not in old.text
        old.submit(otp=otp)
        assert (old.status, old.location) == (303, "/wallet?id=7")
        old.follow()
        assert old.text == "wallet of ada@example.com"

    def test_can_t_be_somebody_else_by_another_address(self, asked: Browser) -> None:
        with Outbox(asked.app) as outbox:
            asked.submit(identifier=BOB)
        assert [message.identifier for message in outbox] == [ADA]

    def test_is_told_that_a_code_is_wrong(self, asked: Browser) -> None:
        """The session that is too old is no reason to go on."""
        otp = next_code(asked)
        asked.submit(otp=wrong(otp))
        assert asked.status == 400
        assert "That code is not right" in asked.text
        asked.submit(otp=otp)
        assert asked.location == "/wallet"

    def test_keeps_the_address_on_a_page_that_had_expired(self, asked: Browser) -> None:
        asked.submit(identifier=BOB, csrf_token="")
        assert asked.status == 400
        assert asked.page.by_id("identifier")["value"] == ADA

    def test_may_have_the_code_sent_again_and_is_sent_on_after_that(
        self, asked: Browser, clock: Traveller
    ) -> None:
        next_code(asked)
        clock.shift(60)
        asked.submit(otp=next_code(asked, 1))
        assert asked.location == "/wallet"
        asked.get("sign-in")
        assert (asked.status, asked.location) == (303, "/")

    def test_is_told_the_same_where_any_type_will_do(self, old: Browser) -> None:
        old.get("/any")
        assert old.location == "/auth/customer/sign-in?next=/any"
        old.follow()
        assert old.page.by_id("identifier")["value"] == ADA

    def test_whose_address_has_changed_since_types_the_new_one(
        self, old: Browser, customers: JoinableCustomers
    ) -> None:
        """A code to the former address would open an account for whoever has it now."""
        customers.accounts[0].email = "new@example.com"
        old.get("/wallet")
        old.follow()
        assert "readonly" not in old.page.by_id("identifier")
        old.submit(otp=next_code(old, identifier="new@example.com"))
        old.follow()
        assert old.text == "wallet of new@example.com"


class TestTheMark:
    def test_is_nothing_without_the_sign_in_that_it_is_of(self, old: Browser) -> None:
        old.get("/wallet")
        mark = old.cookie() or ""
        other = Browser(old.app)
        other.set_flow(mark)
        other.get("sign-in")
        assert other.page.by_id("identifier")["value"] == ""
        with Outbox(old.app) as outbox:
            other.submit(identifier=BOB)
        assert outbox.last.identifier == BOB

    def test_counts_for_nothing_once_that_sign_in_has_ended(self, asked: Browser) -> None:
        form = asked.fill_in(identifier=BOB)
        asked.client.delete_cookie("session")
        with Outbox(asked.app) as outbox:
            asked.open("sign-in", method="POST", data=form)
        assert outbox.last.identifier == BOB

    def test_of_a_sign_in_before_lets_a_newer_one_go_on(
        self, old: Browser, clock: Traveller
    ) -> None:
        old.get("/wallet")
        mark = old.cookie() or ""
        old.client.delete_cookie("session")
        old.client.delete_cookie("otp_auth_flow", path="/auth/customer")
        old.sign_in()
        old.set_flow(mark)
        old.get("sign-in")
        assert old.status == 303

    def test_of_a_session_that_began_elsewhere_fixes_nothing(self, elsewhere: Browser) -> None:
        assert elsewhere.status == 200
        assert "readonly" not in elsewhere.page.by_id("identifier")
        elsewhere.submit(otp=next_code(elsewhere, identifier=ADA))
        elsewhere.follow()
        assert elsewhere.text == "wallet of ada@example.com"

    def test_of_such_a_session_lets_a_slip_be_corrected(self, elsewhere: Browser) -> None:
        elsewhere.submit(identifier="adda@example.com")
        elsewhere.follow()
        assert "Correct the address" in elsewhere.text
        elsewhere.get("sign-in")
        while elsewhere.status == 303:  # on to the wallet, which asks for a code again
            elsewhere.follow()
        with Outbox(elsewhere.app) as outbox:
            elsewhere.submit(identifier=ADA)
        assert outbox.last.identifier == ADA


class TestWhoIsNot:
    def test_is_sent_to_the_first_type_with_pages(self, browser: Browser) -> None:
        browser.get("/wallet")
        assert browser.location == "/auth/vendor/sign-in?next=/wallet"
        assert browser.cookie() is None

    def test_of_these_types_goes_to_the_first_as_well(self, app: Flask, browser: Browser) -> None:
        @app.get("/office")
        @page_required("robot", "vendor")
        def office() -> str:
            return "office"

        browser.sign_in()
        browser.get("/office")
        assert browser.location == "/auth/vendor/sign-in?next=/office"

    def test_with_a_token_that_is_too_old_has_no_mark(
        self, app: Flask, browser: Browser, clock: Traveller
    ) -> None:
        token = sign_in(app)
        clock.shift(600)
        browser.get("/wallet", headers=bearer(token))
        assert browser.status == 303
        assert "Set-Cookie" not in browser.answer.headers


class TestTheGuard:
    def test_lets_tokens_in_as_well(self, app: Flask, browser: Browser) -> None:
        token = sign_in(app)
        browser.get("/wallet", headers=bearer(token))
        assert browser.text == "wallet of ada@example.com"

    @pytest.mark.parametrize("arguments", [(1,), (lambda: None,)])
    def test_is_called_with_names(self, arguments: tuple[object, ...]) -> None:
        with pytest.raises(TypeError, match="names of actor types"):
            page_required(*arguments)  # type: ignore[arg-type]

    def test_takes_an_age_in_seconds(self) -> None:
        with pytest.raises(TypeError, match="max_age"):
            page_required(max_age=-1)
