"""Purposes of the app's own: a code fits for what it was sent for, once, and for nothing else."""

import json
import logging
import pickle
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from fakes import ADA, BOB, Api, MakeWatched, SignalRecorder, Watched, wrong
from flask import Flask
from routes import configured
from time_machine import Traveller

from flask_otp_auth import InvalidIdentifier, InvalidOTP, Proof, RateLimited, Refused, Unavailable
from flask_otp_auth.core.gates import Asked
from flask_otp_auth.testing import Outbox
from flask_otp_auth.web.purposes import Purpose

RENT = {"amount": "950.00", "to": "DE12"}
GIFT = {"amount": "20.00", "to": "DE34"}
DAY = 86_400


@pytest.fixture
def watched(make_watched: MakeWatched, config: dict[str, Any]) -> Watched:
    """The watched shop with the test's settings."""
    return make_watched(**config)


@pytest.fixture
def app(watched: Watched) -> Iterator[Flask]:
    """The watched shop, in whose context each test is."""
    with watched.app.app_context():
        yield watched.app


@pytest.fixture
def transfer(watched: Watched, app: Flask) -> Purpose:
    """A purpose with the app's settings."""
    return watched.otp_auth.purpose("transfer")


def is_good(purpose: Purpose, otp: str, identifier: str = ADA, **bound: Any) -> bool:
    """Tell whether a code is accepted."""
    try:
        purpose.verify(identifier, otp, **bound)
    except InvalidOTP:
        return False
    return True


class TestSending:
    def test_tells_the_app_what_to_say_to_whom(
        self, transfer: Purpose, recorder: SignalRecorder, clock: Traveller
    ) -> None:
        issued = transfer.send(" Ada@Example.com", subject="7", binds={"to": "Zoë", "cents": 95})
        assert (issued.expires_in, issued.resend_after) == (300, 60)
        (said,) = recorder.of("confirmation_otp_generated")
        assert said.pop("otp").isdecimal()
        assert said == {
            "purpose": "transfer",
            "identifier": ADA,
            "subject": "7",
            "binds": {"cents": 95, "to": "Zoë"},
            "expires_at": datetime.now(UTC) + timedelta(seconds=300),
            "challenge": issued.challenge,
            "context": None,
        }

    def test_says_it_where_nobody_delivers_the_code(
        self, transfer: Purpose, caplog: pytest.LogCaptureFixture
    ) -> None:
        transfer.send(ADA)
        (message,) = caplog.messages
        assert message.startswith("no handler delivers codes: connect one with flask_otp_auth.")
        assert "signals.confirmation_otp_generated.connect(handler, app)" in message

    def test_needs_an_identifier_of_its_kind(self, transfer: Purpose) -> None:
        with pytest.raises(InvalidIdentifier):
            transfer.send("+4915123456789")

    def test_needs_the_store(
        self, watched: Watched, transfer: Purpose, recorder: SignalRecorder
    ) -> None:
        watched.store.reachable = False
        with pytest.raises(Unavailable):
            transfer.send(ADA)
        assert recorder.names == []


class TestVerifying:
    def test_returns_what_was_proved_and_when(
        self, transfer: Purpose, outbox: Outbox, clock: Traveller
    ) -> None:
        transfer.send(ADA, subject="7", binds=RENT)
        proof = transfer.verify("ADA@example.com", outbox.last.otp, subject="7", binds=RENT)
        assert proof == Proof(ADA, "7", RENT, datetime.now(UTC))

    def test_returns_a_plain_value_of_its_own(self, transfer: Purpose, outbox: Outbox) -> None:
        given: dict[str, Any] = {"lines": ("a", "b")}
        transfer.send(ADA, binds=given)
        proof = transfer.verify(ADA, outbox.last.otp, binds=given)
        given["lines"] = "changed"
        assert proof.binds == {"lines": ["a", "b"]}
        assert json.loads(json.dumps(proof.binds)) == proof.binds
        assert pickle.loads(pickle.dumps(proof)) == proof  # noqa: S301 - our own

    def test_returns_what_a_session_in_a_cookie_keeps_as_a_dict(
        self, app: Flask, transfer: Purpose, outbox: Outbox
    ) -> None:
        transfer.send(ADA, subject="7", binds=RENT)
        proof = transfer.verify(ADA, outbox.last.otp, subject="7", binds=RENT)
        client = app.test_client()
        with client.session_transaction() as session:
            session["proof"] = proof
        with client.session_transaction() as session:
            kept = session["proof"]
        assert parsedate_to_datetime(kept.pop("at")) == proof.at.replace(microsecond=0)
        assert kept == {"identifier": ADA, "subject": "7", "binds": RENT}

    def test_takes_the_right_code_once(
        self, transfer: Purpose, outbox: Outbox, recorder: SignalRecorder
    ) -> None:
        transfer.send(ADA)
        otp = outbox.last.otp
        tried = (wrong(otp), f" {otp[:3]}-{otp[3:]}", otp)
        assert [is_good(transfer, each) for each in tried] == [False, True, False]
        facts = {"actor_type": None, "identifier": ADA, "purpose": "transfer"}
        assert recorder.of("otp_verified") == [facts]
        refused = [{**facts, "reason": reason} for reason in ("wrong", "unknown")]
        assert recorder.of("otp_rejected") == refused

    def test_does_the_same_work_whether_a_code_was_sent_or_not(
        self, watched: Watched, transfer: Purpose, outbox: Outbox
    ) -> None:
        transfer.send(ADA, binds=RENT)
        works = []
        for who, binds in ((ADA, RENT), (ADA, GIFT), (BOB, RENT)):
            watched.forget_calls()
            assert not is_good(transfer, wrong(outbox.last.otp), who, binds=binds)
            works.append((watched.store.verbs, list(watched.limits.calls)))
        assert works[0] == works[1] == works[2]


class TestCrossing:
    """A code of one purpose, subject, set of facts, identifier or challenge fits no other."""

    SCOPES = (
        ("transfer", ADA, "7", RENT),
        ("contact", ADA, "7", RENT),
        ("transfer", BOB, "7", RENT),
        ("transfer", ADA, "8", RENT),
        ("transfer", ADA, None, RENT),
        ("transfer", ADA, "7", GIFT),
        ("transfer", ADA, "7", {}),
        ("transfer", ADA, "7", None),
        ("transfer", ADA, None, None),
    )

    @pytest.mark.parametrize("sent", SCOPES, ids=str)
    def test_fits_what_it_was_sent_for(
        self, watched: Watched, app: Flask, outbox: Outbox, sent: tuple[Any, ...]
    ) -> None:
        purposes = {name: watched.otp_auth.purpose(name) for name in ("transfer", "contact")}
        name, who, subject, binds = sent
        challenge = purposes[name].send(who, subject=subject, binds=binds).challenge
        otp = outbox.last.otp
        for given in (None, challenge):
            for name, who, subject, binds in [each for each in self.SCOPES if each != sent]:
                bound = {"subject": subject, "binds": binds, "challenge": given}
                assert not is_good(purposes[name], otp, who, **bound)
        name, who, subject, binds = sent
        assert is_good(purposes[name], otp, who, subject=subject, binds=binds, challenge=challenge)

    @pytest.mark.parametrize(
        ("ask", "redeem", "who"),
        [
            ("generate", "verify", ADA),
            ("generate", "authenticate", ADA),
            ("pre_register", "register", BOB),
            ("start", "finish", BOB),
        ],
    )
    def test_is_of_no_use_where_people_sign_in_and_the_other_way_round(
        self, api: Api, transfer: Purpose, outbox: Outbox, ask: str, redeem: str, who: str
    ) -> None:
        transfer.send(who)
        answer = getattr(api, redeem)(outbox.last.otp, who)
        assert (answer.status_code, answer.get_json()["type"]) == (400, "invalid_otp")
        getattr(api, ask)(who)
        assert not is_good(transfer, outbox.last.otp, who)
        assert getattr(api, redeem)(outbox.last.otp, who).status_code == 200


class TestChallenges:
    def test_may_be_sent_back(
        self, transfer: Purpose, outbox: Outbox, recorder: SignalRecorder
    ) -> None:
        elsewhere = transfer.send(ADA, binds=GIFT).challenge
        challenge = transfer.send(ADA, binds=RENT).challenge
        otp = outbox.last.otp
        assert not is_good(transfer, otp, binds=RENT, challenge=elsewhere)
        assert recorder.reasons() == ["challenge"]
        assert is_good(transfer, otp, binds=RENT, challenge=challenge)


class TestWindowsAndBudgets:
    def test_a_second_transfer_gets_its_own_code_at_once(
        self, transfer: Purpose, outbox: Outbox
    ) -> None:
        for binds in (RENT, GIFT, RENT):
            transfer.send(ADA, subject="7", binds=binds)
        transfer.send(ADA, subject="8", binds=RENT)
        assert [(each.subject, each.binds) for each in outbox] == [
            ("7", RENT), ("7", GIFT), ("8", RENT),
        ]  # fmt: skip
        assert [each.reason for each in outbox.suppressed] == ["cooldown"]
        rent, gift, _ = outbox
        assert is_good(transfer, gift.otp, subject="7", binds=GIFT)
        assert is_good(transfer, rent.otp, subject="7", binds=RENT)

    @configured(send_limits="2/hour")
    def test_sends_are_counted_by_purpose_and_identifier(
        self, watched: Watched, transfer: Purpose, outbox: Outbox, recorder: SignalRecorder
    ) -> None:
        for number in range(3):
            transfer.send(ADA, binds={"number": number})
        watched.otp_auth.purpose("contact").send(ADA)
        transfer.send(BOB)
        assert [len(each.otp) for each in outbox] == [6, 6, 20, 6, 6]
        facts = {"actor_type": None, "identifier": ADA, "purpose": "transfer", "limit": "sends"}
        assert recorder.of("identifier_attacked") == [facts]
        assert is_good(transfer, outbox.messages[2].otp, binds={"number": 2})

    @configured(verify_limits="3/day")
    def test_guesses_are_counted_by_purpose_and_identifier(
        self, watched: Watched, transfer: Purpose, outbox: Outbox, recorder: SignalRecorder
    ) -> None:
        transfer.send(ADA, binds=RENT)
        otp = outbox.last.otp
        for number in range(3):
            assert not is_good(transfer, wrong(otp), binds={"number": number})
        assert not is_good(transfer, otp, binds=RENT)
        assert recorder.reasons()[-1] == "budget"
        assert [each["limit"] for each in recorder.of("identifier_attacked")] == ["guesses"]
        transfer.send(ADA, binds=RENT)  # at once, though one was just sent
        assert len(outbox.last.otp) == 20
        assert is_good(transfer, outbox.last.otp, binds=RENT)
        contact = watched.otp_auth.purpose("contact")
        contact.send(ADA)
        assert is_good(contact, outbox.last.otp)

    @configured(ip_generate_limits="1/hour", ip_verify_limits="1/hour")
    def test_within_a_request_its_address_counts(
        self, app: Flask, transfer: Purpose, outbox: Outbox
    ) -> None:
        with app.test_request_context(environ_base={"REMOTE_ADDR": "192.0.2.7"}):
            transfer.send(ADA)
            with pytest.raises(RateLimited):
                transfer.send(ADA)
            assert not is_good(transfer, wrong(outbox.last.otp))
            with pytest.raises(RateLimited):
                transfer.verify(ADA, outbox.last.otp)
        assert is_good(transfer, outbox.last.otp)


class TestLongLives:
    """A code that only proves an address may live for a day, and under attack, too."""

    @pytest.fixture
    def invitation(self, watched: Watched, app: Flask) -> Purpose:
        return watched.otp_auth.purpose(
            "invitation", ttl=DAY, confirms_address_only=True, send_limits="1/hour"
        )

    def test_the_code_its_message_and_its_challenge_last_a_day(
        self, invitation: Purpose, outbox: Outbox, clock: Traveller
    ) -> None:
        for number, digits in ((1, 6), (2, 20)):
            issued = invitation.send(ADA, subject=str(number))
            assert (issued.expires_in, len(outbox.last.otp)) == (DAY, digits)
            assert outbox.last.expires_at == datetime.now(UTC) + timedelta(days=1)
            clock.shift(DAY - 1)
            given = {"subject": str(number), "challenge": issued.challenge}
            assert is_good(invitation, outbox.last.otp, **given)
            for other in ("budget", "credit"):  # which the next round finds used up
                invitation.send(ADA, subject=other)

    def test_and_no_longer(self, invitation: Purpose, outbox: Outbox, clock: Traveller) -> None:
        invitation.send(ADA)
        clock.shift(DAY)
        assert not is_good(invitation, outbox.last.otp)

    @configured(send_limits="1/hour")
    def test_long_codes_of_others_live_for_ten_minutes(
        self, transfer: Purpose, outbox: Outbox, clock: Traveller
    ) -> None:
        for binds in (RENT, GIFT):
            transfer.send(ADA, binds=binds)
        clock.shift(599)
        assert is_good(transfer, outbox.last.otp, binds=GIFT)
        assert not is_good(transfer, outbox.messages[0].otp, binds=RENT)


class TestSuppressing:
    @pytest.mark.parametrize(
        ("config", "identifier", "reason"),
        [
            ({}, ADA, "cooldown"),
            ({"OTP_AUTH_GLOBAL_SEND_LIMIT": "1/hour"}, BOB, "global_limit"),
            ({"OTP_AUTH_PHONE_COUNTRIES": ["FR"]}, "+4915123456789", "country_not_allowed"),
            ({}, "+49301234567", "line_not_allowed"),
        ],
    )
    def test_the_caller_is_told_nothing_and_the_app_why(
        self, watched: Watched, app: Flask, outbox: Outbox, identifier: str, reason: str
    ) -> None:
        contact = watched.otp_auth.purpose("contact", identifier=("email", "phone"))
        contact.send(ADA)
        issued = contact.send(identifier)
        assert issued.json().keys() == {"challenge", "expires_in", "resend_after"}
        assert len(outbox) == 1
        (suppressed,) = outbox.suppressed
        assert (suppressed.actor_type, suppressed.purpose) == (None, "contact")
        assert (suppressed.identifier, suppressed.reason) == (identifier, reason)

    def test_forty_messages_a_day_go_to_one_mailbox(
        self, transfer: Purpose, outbox: Outbox
    ) -> None:
        for number in range(41):
            transfer.send(f"ada+{number}@example.com")
        assert len(outbox) == 40
        assert [each.reason for each in outbox.suppressed] == ["destination_limit"]

    @pytest.mark.parametrize("warns", [True, False])
    def test_it_is_logged_if_the_purpose_has_it_so(
        self, watched: Watched, app: Flask, caplog: pytest.LogCaptureFixture, warns: bool
    ) -> None:
        contact = watched.otp_auth.purpose("contact", warn_on_error=warns)
        with Outbox(app):
            contact.send(ADA)
            contact.send(ADA)
        assert caplog.messages == ["no contact code sent: cooldown"] * warns


@configured(always_return_success=False, phone_countries=["FR"])
class TestPlainAnswers:
    def test_tell_that_no_code_is_due_yet(
        self, transfer: Purpose, outbox: Outbox, clock: Traveller
    ) -> None:
        transfer.send(ADA)
        clock.shift(20)
        with pytest.raises(RateLimited) as caught:
            transfer.send(ADA)
        assert caught.value.retry_after == 40
        clock.shift(40)
        transfer.send(ADA)
        assert len(outbox) == 2

    def test_tell_that_no_codes_are_sent_there(
        self, watched: Watched, app: Flask, outbox: Outbox
    ) -> None:
        contact = watched.otp_auth.purpose("contact", identifier="phone")
        with pytest.raises(InvalidIdentifier):
            contact.send("+4915123456789")
        assert [each.reason for each in outbox.suppressed] == ["country_not_allowed"]
        assert contact.send("+33612345678").expires_in == 300


def test_the_audit_log_tells_the_purpose_and_nothing_that_is_bound(
    transfer: Purpose, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_otp_auth.audit")
    transfer.send(ADA, subject="7", binds=RENT)
    transfer.verify(ADA, outbox.last.otp, subject="7", binds=RENT)
    lines = [json.loads(record.getMessage()) for record in caplog.records]
    assert [line["event"] for line in lines] == ["confirmation_otp_generated", "otp_verified"]
    assert {line["purpose"] for line in lines} == {"transfer"}
    assert lines[0]["identifier"] == lines[1]["identifier"]
    for secret in (ADA, "DE12", outbox.last.otp):
        assert secret not in caplog.text


def test_gates_are_asked_before_anything_is_sent(
    watched: Watched, app: Flask, transfer: Purpose, outbox: Outbox
) -> None:
    asked: list[Asked] = []

    @watched.otp_auth.before_code
    async def gate(each: Asked) -> None:
        asked.append(each)
        if each.proof != "human":
            raise Refused

    with app.test_request_context(headers={"OTP-Proof": "robot"}), pytest.raises(Refused):
        transfer.send(ADA, binds=RENT)
    assert len(outbox) == len(outbox.suppressed) == 0
    with app.test_request_context(headers={"OTP-Proof": "human"}):
        transfer.send(ADA, binds=RENT)
    assert len(outbox) == 1
    assert [(each.actor_type, each.purpose, each.proof) for each in asked] == [
        (None, "transfer", "robot"), (None, "transfer", "human"),
    ]  # fmt: skip


def test_a_purpose_that_nobody_registered_has_the_apps_settings(app: Flask, outbox: Outbox) -> None:
    unregistered = Purpose("unregistered")
    unregistered.send(ADA)
    assert is_good(unregistered, outbox.last.otp)
