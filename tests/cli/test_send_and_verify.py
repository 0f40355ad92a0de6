"""``flask otp send`` and ``verify``: a real code, which is never printed, and what it is for."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from fakes import ADA, BOB, Api, Customers, MakeApp, wrong
from flask import Flask
from flask_mail import Mail
from running import run

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.mail import mail_codes
from flask_otp_auth.signals import otp_generated, otp_suppressed
from flask_otp_auth.testing import Outbox

LOGIN = ["customer", ADA]
JOIN = ["--join", "customer", BOB]


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [r.getMessage() for r in caplog.records if r.name == "flask_otp_auth.audit"]
    return [json.loads(line)["event"] for line in lines]


class TestSend:
    @pytest.mark.parametrize("config", [{}, {"OTP_AUTH_DELIVERY": "background"}], ids=str)
    @pytest.mark.parametrize("arguments", [LOGIN, JOIN], ids=" ".join)
    def test_delivers_before_it_ends_and_prints_no_code(
        self, deploy: MakeApp, mail: list[str], config: dict[str, Any], arguments: list[str]
    ) -> None:
        ran = run(deploy(**config), "send", *arguments)
        assert ran.exit_code == 0
        (code,) = mail
        assert code not in ran.output
        assert f"flask otp verify customer {arguments[-1]}" in ran.output

    def test_needs_no_executor(
        self, customers: Customers, deploy: MakeApp, mail: list[str]
    ) -> None:
        """The queue's workers would show no traceback here."""

        class Nobody:
            def submit(self, function: Callable[..., None], /, *args: Any) -> None:
                raise AssertionError

        otp_auth = OTPAuth(executor=Nobody())
        otp_auth.add_actor_type("customer", customers)
        assert run(deploy(otp_auth), "send", *LOGIN).exit_code == 0
        assert len(mail) == 1

    def test_leaves_the_delivery_as_it_was(self, shop: Flask, mail: list[str]) -> None:
        run(shop, "send", *LOGIN)
        with shop.app_context():
            shop.extensions["otp_auth"].delivery.reserve()
        assert shop.extensions["otp_auth"].delivery.pending == 1
        shop.extensions["otp_auth"].delivery.release()

    def test_is_counted_and_audited_as_any(
        self, shop: Flask, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "flask_otp_auth.audit"):
            run(shop, "send", *LOGIN)
            again = run(shop, "send", *LOGIN)
        assert events(caplog) == ["otp_generated", "otp_suppressed"]
        assert again.exit_code == 1
        assert "(cooldown)" in again.output

    @pytest.mark.parametrize("config", [{}, {"OTP_AUTH_ALWAYS_RETURN_SUCCESS": False}], ids=str)
    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [(["customer", BOB], "unknown_actor"), (["--join", "customer", ADA], "already_registered")],
    )
    def test_says_why_nothing_was_sent(
        self, deploy: MakeApp, config: dict[str, Any], arguments: list[str], reason: str
    ) -> None:
        ran = run(deploy(**config), "send", *arguments)
        assert ran.exit_code == 1
        assert f"({reason})" in ran.output

    def test_says_what_a_muted_notice_would_have_said(self, deploy: MakeApp) -> None:
        app = deploy(OTP_AUTH_ALWAYS_RETURN_SUCCESS=False)
        with otp_suppressed.muted():
            ran = run(app, "send", "customer", BOB)
        assert ran.exit_code == 1
        assert "Nothing was sent: " in ran.output

    def test_nothing_is_sent_where_nobody_listens(self, make_app: MakeApp) -> None:
        ran = run(make_app(), "send", *LOGIN)
        assert ran.exit_code == 1
        assert "no handler of otp_generated is connected" in ran.output

    def test_nor_where_mail_codes_mails_to_others_alone(
        self, make_app: MakeApp, customers: Customers
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.add_actor_type("staff", customers)
        app = make_app(otp_auth, MAIL_DEFAULT_SENDER="post@shop.example")
        mail_codes(app, Mail(app), only="staff")
        assert run(app, "send", "staff", ADA).exit_code == 0
        ran = run(app, "send", *LOGIN)
        assert ran.exit_code == 1
        assert "no handler of otp_generated is connected that sends to this" in ran.output

    def test_shows_the_traceback_of_a_failure_without_the_code(self, shop: Flask) -> None:
        codes = []

        def deliver(sender: Flask, otp: str, **_: Any) -> None:
            codes.append(otp)
            grouped = f"{otp[:3]} {otp[3:]}"
            raise OSError(f"550 no {otp} no {grouped} https://shop.example/in/{otp}x for you")

        with otp_generated.connected_to(deliver, shop):
            ran = run(shop, "send", *LOGIN)
        assert ran.exit_code == 1
        assert "Traceback" in ran.output
        assert "in deliver" in ran.output
        assert "OSError: 550 no ... no ... https://shop.example/... for you" in ran.output
        assert codes[0] not in ran.output
        assert "The delivery failed" in ran.output

    @pytest.mark.parametrize("blank", ["+", "_", "-", "%20", "=20"])
    def test_hides_a_long_code_in_fives(self, shop: Flask, blank: str) -> None:
        """As URLs and headers of mails write it."""

        def deliver(sender: Flask, **_: Any) -> None:
            raise OSError(f"no {blank.join(['12345', '67890', '12345', '67890'])}, port 8025")

        with otp_generated.connected_to(deliver, shop):
            ran = run(shop, "send", *LOGIN)
        assert "OSError: no ..., port 8025\n" in ran.output

    def test_shows_what_a_mail_server_answers_without_obeying_it(self, shop: Flask) -> None:
        def deliver(sender: Flask, **_: Any) -> None:
            raise OSError("550 \x1b]0;all is well\x07\x9b2K\u202eno")

        with otp_generated.connected_to(deliver, shop):
            ran = run(shop, "send", *LOGIN)
        assert r"OSError: 550 \x1b]0;all is well\x07\x9b2K\u202eno" in ran.output

    @pytest.mark.parametrize(
        ("identifier", "shown"),
        [
            ("`reboot`@example.com", "customer '`reboot`@example.com'"),
            ("$home&o'neill@example.com", """customer '$home&o'"'"'neill@example.com'"""),
            ("-y@example.com", "-- customer -y@example.com"),
        ],
    )
    def test_prints_a_command_that_a_shell_takes_as_it_is_meant(
        self, shop: Flask, identifier: str, shown: str
    ) -> None:
        ran = run(shop, "send", "--join", "--", "customer", identifier)
        assert ran.output.splitlines()[-1] == f"  flask otp verify {shown}"

    def test_an_outage_is_an_error(self, make_watched: Callable[..., Any]) -> None:
        watched = make_watched()
        watched.store.reachable = False
        ran = run(watched.app, "send", *LOGIN)
        assert ran.exit_code == 1
        assert "The storage can't be reached" in ran.output

    def test_names_the_group_as_the_app_does(self, deploy: MakeApp) -> None:
        app = deploy(OTP_AUTH_CLI="codes")
        runner = app.test_cli_runner()
        assert "flask codes verify customer" in runner.invoke(args=["codes", "send", *LOGIN]).output
        help_text = runner.invoke(args=["codes", "send", "--help"]).output
        assert "  flask codes send customer ada@example.com\n" in help_text


class TestVerify:
    @pytest.mark.parametrize(
        ("ask", "who", "purpose"),
        [
            (Api.generate, ADA, "login"),
            (Api.pre_register, BOB, "registration"),
            (Api.start, ADA, "door"),
            (Api.start, BOB, "door"),
        ],
    )
    def test_says_what_a_code_is_for_and_signs_nobody_in(
        self, app: Flask, outbox: Outbox, ask: Callable[..., Any], who: str, purpose: str
    ) -> None:
        ask(Api(app.test_client()), who)
        first, second = (run(app, "verify", "customer", who, outbox.last.otp) for _ in range(2))
        assert first.exit_code == 0
        assert f"({purpose})" in first.output
        assert (second.exit_code, "(unknown)" in second.output) == (1, True)
        with app.app_context():
            assert app.extensions["otp_auth"].credentials.sign_ins("customer", "1") == []

    def test_finds_a_code_however_many_were_asked_for_in_its_owners_name(
        self, app: Flask, api: Api, outbox: Outbox, clock: Any
    ) -> None:
        api.start(ADA)
        hers = outbox.last.otp
        for _ in range(2):
            clock.shift(61)
            api.generate(ADA)
        assert "(door)" in run(app, "verify", *LOGIN, hers).output

    def test_leaves_no_grace(self, app: Flask, api: Api, outbox: Outbox) -> None:
        api.pre_register(BOB)
        run(app, "verify", "customer", BOB, outbox.last.otp)
        assert api.authenticate(outbox.last.otp, BOB).get_json()["type"] == "invalid_otp"

    def test_asks_for_the_code_and_hides_it(self, app: Flask, api: Api, outbox: Outbox) -> None:
        api.generate(ADA)
        ran = run(app, "verify", *LOGIN, typed=f"{outbox.last.otp}\n")
        assert ran.exit_code == 0
        assert outbox.last.otp not in ran.output

    def test_needs_no_challenge(self, make_app: MakeApp) -> None:
        app = make_app(OTP_AUTH_REQUIRE_CHALLENGE=True)
        with Outbox(app) as outbox:
            Api(app.test_client()).generate(ADA)
            assert run(app, "verify", *LOGIN, outbox.last.otp).exit_code == 0

    @pytest.mark.parametrize(
        ("limits", "reason"), [("20/day", "wrong"), ("1/day", "budget")], ids=str
    )
    def test_says_why_a_code_is_not_right(
        self, make_app: MakeApp, limits: str, reason: str
    ) -> None:
        app = make_app(OTP_AUTH_VERIFY_LIMITS=limits)
        with Outbox(app) as outbox:
            Api(app.test_client()).generate(ADA)
            for _ in range(2):
                ran = run(app, "verify", *LOGIN, wrong(outbox.last.otp))
        assert ran.exit_code == 1
        assert f"({reason})" in ran.output

    def test_an_expired_one_is_called_so(
        self, app: Flask, api: Api, outbox: Outbox, clock: Any
    ) -> None:
        api.generate(ADA)
        clock.shift(301)
        assert "(expired)" in run(app, "verify", *LOGIN, outbox.last.otp).output

    def test_is_audited_as_any_guess(
        self, app: Flask, api: Api, outbox: Outbox, caplog: pytest.LogCaptureFixture
    ) -> None:
        api.generate(ADA)
        with caplog.at_level(logging.INFO, "flask_otp_auth.audit"):
            run(app, "verify", *LOGIN, wrong(outbox.last.otp))
            run(app, "verify", *LOGIN, outbox.last.otp)
        assert events(caplog) == ["otp_rejected", "otp_verified"]

    @pytest.mark.parametrize("code", ["12", "abcdef"])
    def test_of_a_wrong_shape_is_wrong_whatever_is_pending(self, app: Flask, code: str) -> None:
        ran = run(app, "verify", *LOGIN, code)
        assert ran.exit_code == 1
        assert ran.output == "Error: Not right: a code has 6 digits, or 20 (wrong).\n"

    def test_of_a_text_without_end_is_a_wrong_use(self, app: Flask) -> None:
        assert run(app, "verify", *LOGIN, "1" * 200).exit_code == 2


class TestVerifyForAToken:
    @pytest.mark.parametrize(
        ("ask", "who", "registration"),
        [
            (Api.generate, ADA, False),
            (Api.pre_register, BOB, True),
            (Api.start, ADA, False),
            (Api.start, BOB, True),
        ],
    )
    def test_prints_it_alone(
        self, app: Flask, api: Api, outbox: Outbox, ask: Any, who: str, registration: bool
    ) -> None:
        ask(api, who)
        ran = run(app, "verify", "customer", who, outbox.last.otp, "--token", apart=True)
        assert ran.exit_code == 0
        answer = api.refresh(ran.stdout.strip())
        assert answer.get_json().get("type") == ("actor_not_created" if registration else None)

    def test_of_a_grace_once_there_is_an_account(
        self, app: Flask, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        api.register(outbox.last.otp, BOB)
        arguments = ["verify", "customer", BOB, outbox.last.otp, "--token"]
        early = run(app, *arguments)
        assert (early.exit_code, "Right, but there is no token" in early.output) == (1, True)
        customers.add(BOB)
        late = run(app, *arguments, apart=True)
        assert late.exit_code == 0
        assert api.refresh(late.stdout.strip()).status_code == 200

    def test_never_of_a_registration_for_somebody_who_has_an_account(
        self, app: Flask, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        customers.add(BOB)
        ran = run(app, "verify", "customer", BOB, outbox.last.otp, "--token", apart=True)
        assert ran.exit_code == 1
        assert ran.stdout == ""

    def test_never_for_somebody_who_was_deleted(
        self, app: Flask, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        api.generate(ADA)
        customers.accounts.clear()
        assert run(app, "verify", *LOGIN, outbox.last.otp, "--token").exit_code == 1


class TestTestIdentity:
    @pytest.fixture
    def printed(self, shop: Flask) -> list[str]:
        """What test-identity has printed: the line is the second, the code the last."""
        return run(shop, "test-identity", "customer", ADA, "--days", "3").output.splitlines()

    def test_is_sent_nothing(self, deploy: MakeApp, mail: list[str], printed: list[str]) -> None:
        ran = run(deploy(OTP_AUTH_TEST_IDENTITIES=[printed[1]]), "send", *LOGIN)
        assert (ran.exit_code, mail) == (1, [])
        assert "this is a test identity" in ran.output

    def test_has_a_code_that_stays_good(self, deploy: MakeApp, printed: list[str]) -> None:
        app = deploy(OTP_AUTH_TEST_IDENTITIES=[printed[1]])
        for _ in range(2):
            ran = run(app, "verify", *LOGIN, printed[-1])
            assert ran.exit_code == 0
            assert "stays good" in ran.output


def test_what_they_hear_they_hear_only_while_they_run(shop: Flask) -> None:
    run(shop, "send", *LOGIN)
    run(shop, "verify", *LOGIN, "000000")
    for signal in (signals.otp_suppressed, signals.delivery_failed, signals.otp_rejected):
        assert not any(signal.receivers_for(shop))
