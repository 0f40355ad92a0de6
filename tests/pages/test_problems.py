"""What a person reads when something is wrong: a page, never JSON, and nobody is let in."""

from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest
from browsers import Browser, JoinableCustomers
from fakes import ADA, BOB, Api, FakeStore, MakeApp, sign_in, wrong
from flask import Flask
from time_machine import Traveller

from flask_otp_auth import OTPAuth, Refused
from flask_otp_auth.testing import Outbox

WRONG = "That code is not right, or it has expired. You can try again or ask for a new one."
EXPIRED = "This page had expired. Please try again."
OUT_OF_REACH = "The service can't be reached at the moment."


class TestAWrongCode:
    @pytest.mark.parametrize(
        "typed", ["", "1", "12345", "1234567", "abcdef", "½", "0" * 20, "0" * 129, "\x00", "\ud7ff"]
    )
    def test_is_called_that_whatever_was_typed(self, browser: Browser, typed: str) -> None:
        browser.ask()
        browser.submit(otp=typed)
        assert browser.status == 400
        assert WRONG in browser.text
        assert browser.page.forms[0].fields["otp"] == ""

    def test_leads_from_the_summary_to_the_input(self, browser: Browser) -> None:
        browser.submit(otp=wrong(browser.ask()))
        problem, otp = browser.page.by_id("otp-problem"), browser.page.by_id("otp")
        assert (problem["role"], problem["tabindex"]) == ("alert", "-1")
        assert "autofocus" in problem
        assert {"href": "#otp"} in browser.page.all("a")
        assert otp["aria-invalid"] == "true"
        assert otp["aria-describedby"].split() == ["otp-hint", "otp-problem"]
        assert browser.answer.text.count("<title>Error: ") == 1

    def test_or_one_that_has_expired_or_was_used(
        self, clock: Traveller, browser: Browser, app: Flask
    ) -> None:
        otp, other = browser.ask(), Browser(app)
        clock.shift(301)
        browser.submit(otp=otp)
        assert WRONG in browser.text
        other.set_flow(browser.cookie() or "")
        other.get("code")
        with Outbox(app) as outbox:
            other.submit(1)
        other.follow()
        copy, form = other.cookie() or "", other.fill_in(otp=outbox.last.otp)
        other.submit(otp=outbox.last.otp)
        assert other.status == 303
        browser.set_flow(copy)
        browser.open("code", method="POST", data=form)
        assert browser.status == 400
        assert WRONG in browser.text

    def test_is_a_right_one_that_was_sent_twice(self, browser: Browser) -> None:
        """A double click: the second one ends where the first one does."""
        otp = browser.ask()
        form = browser.fill_in(otp=otp)
        for _ in range(2):
            browser.open("code", method="POST", data=form)
            assert (browser.status, browser.location) == (303, "/")

    def test_is_a_right_one_that_was_sent_twice_at_the_same_time(
        self, browser: Browser, app: Flask
    ) -> None:
        """The second answer is a refusal, and leaves the browser where the first one led it."""
        otp = browser.ask()
        flow, form = browser.cookie() or "", browser.fill_in(otp=otp)
        second = Browser(app)
        second.set_flow(flow)
        browser.open("code", method="POST", data=form)
        second.open("code", method="POST", data=form)
        assert (browser.status, second.status) == (303, 400)
        assert second.answer.headers.getlist("Set-Cookie") == []
        browser.open("code", method="POST", data=form)
        assert (browser.status, browser.location) == (303, "/")

    def test_needs_somebody_who_has_asked(self, browser: Browser) -> None:
        browser.get("sign-in")
        browser.open("code", method="POST", data={**browser.fill_in(), "otp": "123456"})
        assert browser.status == 400
        assert EXPIRED in browser.text

    def test_of_a_browser_that_has_not_asked_is_none(self, browser: Browser, app: Flask) -> None:
        """As under REQUIRE_CHALLENGE: the right code, for the right person, elsewhere."""
        otp, other = browser.ask(), Browser(app)
        other.ask(BOB)
        other.submit(otp=otp)
        assert WRONG in other.text

    def test_is_forgiven_what_people_paste(self, browser: Browser) -> None:
        otp = browser.ask()
        browser.submit(otp=f" {otp[:3]} {otp[3:]}\u200e\n")
        assert browser.status == 303


class TestSentAgain:
    def test_is_said_in_either_case(self, clock: Traveller, browser: Browser) -> None:
        first = browser.ask()
        texts = []
        for seconds, sent in ((1, 0), (60, 1)):
            clock.shift(seconds)
            with Outbox(browser.app) as outbox:
                browser.submit(1)
            assert (browser.status, browser.location) == (303, "/auth/customer/code")
            assert len(outbox) == sent
            browser.follow()
            texts.append(browser.text)
        assert texts[0] == texts[1]
        assert "A code was sent again." in texts[0]
        browser.submit(otp=first)  # the code before still works
        assert browser.status == 303

    def test_will_work_after_the_window(self, clock: Traveller, browser: Browser) -> None:
        browser.ask()
        assert "A new one can be sent in: 1:00" in browser.text
        clock.shift(59)
        browser.get("code")
        assert "A new one can be sent in: 0:01" in browser.text
        clock.shift(1)
        browser.get("code")
        assert "A new one can be sent" not in browser.text

    def test_is_announced_politely(self, browser: Browser) -> None:
        browser.ask()
        assert [p for p in browser.page.all("p") if p.get("aria-live") == "polite"]

    def test_needs_somebody_who_has_asked(self, browser: Browser) -> None:
        browser.get("sign-in")
        browser.open("code/resend", method="POST", data=browser.fill_in())
        assert browser.status == 400
        assert EXPIRED in browser.text


class TestAnAddress:
    @pytest.mark.parametrize("typed", ["", "ada", "ada@", "@", "a b@example.com", "a" * 5000])
    def test_that_is_none_is_said_beside_the_field(self, browser: Browser, typed: str) -> None:
        browser.get("sign-in")
        browser.submit(identifier=typed)
        assert browser.status == 400
        assert "Please enter an e-mail address, such as name@example.com." in browser.text
        assert browser.page.forms[0].fields["identifier"] == typed[:320]
        assert browser.page.by_id("identifier")["aria-invalid"] == "true"

    def test_is_kept_to_be_corrected(self, browser: Browser) -> None:
        browser.ask("Bob@Example.com")
        browser.get("sign-in")
        assert browser.page.forms[0].fields["identifier"] == BOB

    def test_is_never_a_script(self, browser: Browser) -> None:
        browser.get("sign-in")
        browser.submit(identifier='"><script>alert(1)</script>')
        assert "<script>" not in browser.answer.text
        assert browser.page.forms[0].fields["identifier"] == '"><script>alert(1)</script>'

    @pytest.mark.parametrize(
        ("identifier", "attributes", "label", "advice"),
        [
            ("email", ("email", "username"), "E-mail address", "name@example.com"),
            ("phone", ("tel", "tel"), "Phone number", "country code"),
            (("email", "phone"), ("text", "username"), "E-mail address or phone number", "check"),
        ],
    )
    def test_has_the_input_of_its_kind(
        self,
        make_shop: MakeApp,
        customers: JoinableCustomers,
        identifier: Any,
        attributes: tuple[str, str],
        label: str,
        advice: str,
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers, identifier=identifier)
        browser = Browser(make_shop(otp_auth))
        browser.get("sign-in")
        found = browser.page.by_id("identifier")
        assert (found["type"], found["autocomplete"]) == attributes
        assert label in browser.text
        browser.submit(identifier="?")
        assert advice in browser.text

    def test_of_a_phone_is_no_address_with_a_spam_folder(
        self, make_shop: MakeApp, customers: JoinableCustomers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers, identifier=("email", "phone"))
        app = make_shop(otp_auth)
        by_mail, by_phone = Browser(app), Browser(app)
        by_mail.ask(BOB)
        by_phone.ask("+49 151 23456789")
        assert "spam folder" in by_mail.text
        assert "Correct the address" in by_mail.text
        assert "No code yet? Have a new one sent." in by_phone.text
        assert "Correct the number" in by_phone.text

    def test_of_any_other_kind_will_do(
        self, make_shop: MakeApp, customers: JoinableCustomers
    ) -> None:
        customers.add("ada")
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers, identifier=str.lower)
        browser = Browser(make_shop(otp_auth))
        browser.sign_in("ADA")
        assert browser.status == 303


class TestLimits:
    @pytest.mark.parametrize(
        ("limit", "text"),
        [("1/minute", "Please wait a minute."), ("1/hour", "Please wait 60 minutes.")],
    )
    def test_of_asking_say_how_long_to_wait(
        self,
        clock: Traveller,
        make_shop: MakeApp,
        limit: str,
        text: str,
    ) -> None:
        browser = Browser(make_shop(OTP_AUTH_IP_GENERATE_LIMITS=limit))
        browser.ask()
        browser.submit(1)
        assert browser.status == 429
        assert 0 < int(browser.answer.headers["Retry-After"]) <= 3600
        assert f"There were too many tries from this network. {text}" in browser.text
        assert "otp" in browser.page.forms[0].fields
        browser.get("sign-in")
        browser.submit(identifier=BOB)
        assert browser.status == 429
        assert browser.page.forms[0].fields["identifier"] == BOB

    def test_of_guessing_as_well(self, make_shop: MakeApp) -> None:
        browser = Browser(make_shop(OTP_AUTH_IP_VERIFY_LIMITS="1/hour"))
        otp = browser.ask()
        browser.submit(otp=wrong(otp))
        browser.submit(otp=otp)
        assert browser.status == 429
        assert browser.cookie("session") is None

    def test_of_an_account_keep_nobody_out(self, make_shop: MakeApp) -> None:
        """Or whoever has stolen a session could keep the owner from ending it."""
        app = make_shop(OTP_AUTH_ACTOR_LIMITS="1/hour", OTP_AUTH_RESEND_INTERVAL=0)
        token, api = sign_in(app), Api(app.test_client())
        assert [api.refresh(token).status_code for _ in range(2)] == [200, 429]
        browser = Browser(app)
        browser.sign_in()
        assert (browser.status, browser.location) == (303, "/")


class TestTheApp:
    def test_may_refuse_by_a_gate(self, make_shop: MakeApp, customers: JoinableCustomers) -> None:
        otp_auth, proofs = OTPAuth(), []
        otp_auth.add_actor_type("customer", customers)

        @otp_auth.before_code
        def gate(asked: Any) -> None:
            proofs.append(asked.proof)
            raise Refused

        browser = Browser(make_shop(otp_auth))
        browser.get("sign-in")
        browser.submit(identifier=ADA, proof="captcha")
        assert browser.status == 403
        assert "No code can be sent now." in browser.text
        assert proofs == ["captcha"]

    def test_may_want_plain_answers(
        self, clock: Traveller, make_shop: MakeApp, make_members: Any
    ) -> None:
        browser = Browser(make_shop(make_members(), OTP_AUTH_ALWAYS_RETURN_SUCCESS=False))
        browser.get("sign-in")
        browser.submit(identifier=BOB)
        assert browser.status == 400
        assert "There is no account for this." in browser.text

    def test_that_wants_them_keeps_nobody_from_typing_the_code(
        self, clock: Traveller, make_shop: MakeApp, make_members: Any
    ) -> None:
        """Not a double click, nor a stranger who asks in the owner's name each minute."""
        app = make_shop(make_members(), OTP_AUTH_ALWAYS_RETURN_SUCCESS=False)
        with Outbox(app) as outbox:
            assert Api(app.test_client()).generate(ADA).status_code == 200
        browser = Browser(app)
        for _ in range(2):
            browser.get("sign-in")
            browser.submit(identifier=ADA)
            assert browser.location == "/auth/customer/code"
            browser.follow()
        browser.submit(1)
        browser.follow()
        assert "A code was sent again." in browser.text
        browser.submit(otp=outbox.last.otp)
        assert (browser.status, browser.location) == (303, "/")

    def test_gives_other_errors_another_shape_not_ours(self, app: Flask, browser: Browser) -> None:
        app.register_error_handler(400, lambda error: ("APP", 400))
        browser.submit(otp=wrong(browser.ask()))
        assert WRONG in browser.text


class TestBodies:
    @pytest.mark.parametrize("page", ["sign-in", "code", "code/resend", "sign-out", "devices"])
    def test_of_more_than_64_kib_are_refused(self, browser: Browser, page: str) -> None:
        if page in ("sign-out", "devices"):
            browser.sign_in()
        else:
            browser.ask()
        browser.open(page, method="POST", data={"identifier": "a" * 70_000})
        assert browser.status == 413
        assert browser.answer.mimetype == "text/html"
        assert "That is too much for this form." in browser.text

    def test_of_64_kib_are_read(self, browser: Browser) -> None:
        browser.get("sign-in")
        browser.submit(identifier=ADA, more="a" * 64_000)
        assert browser.status == 303

    @pytest.mark.parametrize(("more", "status"), [(60_000, 303), (65_536, 413), (200_000, 413)])
    def test_in_chunks_are_counted(self, browser: Browser, more: int, status: int) -> None:
        browser.get("sign-in")
        data = urlencode({**browser.fill_in(identifier=ADA), "more": "a" * more})
        answer = browser.client.post(
            "/auth/customer/sign-in",
            input_stream=BytesIO(data.encode()),
            content_type="application/x-www-form-urlencoded",
            headers={"Transfer-Encoding": "chunked"},
            environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
        )
        assert answer.status_code == status

    def test_of_an_app_that_takes_less_are_refused_earlier(self, make_shop: MakeApp) -> None:
        browser = Browser(make_shop(MAX_CONTENT_LENGTH=1000))
        browser.get("sign-in")
        browser.submit(identifier=ADA, more="a" * 2000)
        assert browser.status == 413

    def test_of_a_client_that_went_away_are_refused(self, browser: Browser) -> None:
        browser.get("sign-in")
        answer = browser.client.post(
            "/auth/customer/sign-in",
            content_type="application/x-www-form-urlencoded",
            environ_overrides={"wsgi.input": BytesIO(b"identifier=a"), "CONTENT_LENGTH": "50"},
        )
        assert answer.status_code == 400

    @pytest.mark.parametrize("media_type", ["application/json", "text/plain", "x", ""])
    def test_of_another_kind_are_no_form(self, browser: Browser, media_type: str) -> None:
        browser.open("sign-in", method="POST", data=b'{"identifier": 1}', content_type=media_type)
        assert browser.status == 400
        assert EXPIRED in browser.text


class TestOutages:
    """A store or a limiter that can't be reached: 503, nothing sent, nobody let in."""

    @pytest.fixture
    def cut_off(
        self, customers: JoinableCustomers, make_shop: MakeApp
    ) -> tuple[Browser, FakeStore]:
        store = FakeStore()
        otp_auth = OTPAuth(cache=store)
        otp_auth.add_actor_type("customer", customers)
        return Browser(make_shop(otp_auth)), store

    def test_of_asking(self, cut_off: tuple[Browser, FakeStore]) -> None:
        browser, store = cut_off
        browser.get("sign-in")
        store.reachable = False
        with Outbox(browser.app) as outbox:
            browser.submit(identifier=ADA)
        assert browser.status == 503
        assert OUT_OF_REACH in browser.text
        assert browser.page.forms[0].fields["identifier"] == ADA
        assert len(outbox) == 0
        store.reachable = True
        browser.submit()
        assert browser.status == 303

    def test_of_answering(self, cut_off: tuple[Browser, FakeStore]) -> None:
        browser, store = cut_off
        otp = browser.ask()
        store.reachable = False
        browser.submit(otp=otp)
        assert browser.status == 503
        assert OUT_OF_REACH in browser.text
        assert browser.cookie("session") is None
        store.reachable = True
        browser.submit(otp=otp)
        assert browser.status == 303

    @pytest.mark.parametrize("page", ["sign-in", "sign-out", "devices"])
    def test_of_who_is_signed_in(self, cut_off: tuple[Browser, FakeStore], page: str) -> None:
        browser, store = cut_off
        browser.sign_in()
        browser.get("sign-out")
        form = browser.fill_in()
        store.reachable = False
        browser.get(page)
        assert browser.status == 503
        assert OUT_OF_REACH in browser.text
        if page != "sign-in":
            browser.open(page, method="POST", data=form)
            assert browser.status == 503
        store.reachable = True
        browser.get("/account")
        assert browser.status == 200

    def test_at_a_page_of_the_app(self, cut_off: tuple[Browser, FakeStore]) -> None:
        browser, store = cut_off
        browser.sign_in()
        store.reachable = False
        browser.get("/account")
        assert browser.status == 503
        assert browser.answer.mimetype == "text/html"

    @pytest.mark.parametrize("identifier", [ADA, BOB])
    def test_at_any_step_lets_nobody_in(
        self, customers: JoinableCustomers, make_shop: MakeApp, identifier: str
    ) -> None:
        """Each call of the store fails once: whoever is let in has a session that works."""
        for step in range(8):
            store = FakeStore()
            otp_auth = OTPAuth(cache=store)
            otp_auth.add_actor_type("customer", customers)
            browser = Browser(make_shop(otp_auth))
            otp = browser.ask(identifier)
            store.fails_at = len(store.calls) + step
            browser.submit(otp=otp)
            assert browser.status in (303, 503)
            assert (browser.cookie("session") is None) == (browser.status == 503)


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "page"),
        [
            ("GET", "code/resend"),
            ("PUT", "sign-in"),
            ("DELETE", "code"),
            ("PATCH", "join"),
            ("PUT", "sign-out"),
            ("DELETE", "devices"),
        ],
    )
    def test_of_other_methods_are_none(self, browser: Browser, method: str, page: str) -> None:
        assert browser.open(page, method=method).status_code == 405

    @pytest.mark.parametrize("page", ["sign-in", "code", "join", "sign-out", "devices"])
    def test_answer_head_as_get(self, browser: Browser, page: str) -> None:
        browser.ask()
        get, head = browser.get(page), browser.open(page, method="HEAD")
        assert (head.status_code, head.data) == (get.status_code, b"")
        assert head.headers.get("Location") == get.headers.get("Location")

    def test_of_unknown_actor_types_are_none(self, browser: Browser) -> None:
        for page in ("sign-in", "code", "join", "sign-out", "devices", "link/x"):
            browser.get(f"/auth/nobody/{page}")
            assert browser.status == 404
            assert browser.answer.mimetype == "text/html"

    def test_of_types_without_pages_are_none(
        self, make_shop: MakeApp, customers: JoinableCustomers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.add_actor_type("robot", customers, pages=False)
        browser = Browser(make_shop(otp_auth))
        assert browser.get("/auth/robot/sign-in").status_code == 404
        assert browser.get("/auth/customer/sign-in").status_code == 200

    def test_may_be_those_of_one_type_alone(
        self, make_shop: MakeApp, customers: JoinableCustomers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers, pages=True)
        otp_auth.add_actor_type("robot", customers)
        browser = Browser(make_shop(otp_auth, OTP_AUTH_PAGES=False))
        assert browser.get("/auth/robot/sign-in").status_code == 404
        assert browser.get("/auth/customer/sign-in").status_code == 200

    def test_without_pages_are_none(self, make_app: MakeApp) -> None:
        app = make_app()
        assert not [rule for rule in app.url_map.iter_rules() if str(rule)[-7:] == "sign-in"]
        assert Browser(app).get("sign-in").status_code == 404
