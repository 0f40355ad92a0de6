"""``flask otp``: the policy in figures, and the way into the audit log."""

import json
import logging

import pytest
from fakes import ADA, SECRET, Api, MakeApp
from flask import Flask
from running import read, run

AUDIT_ID = ["audit-id", "customer"]


class TestPolicy:
    def test_prints_a_guessers_chances(self, app: Flask) -> None:
        ran = run(app, "policy")
        assert ran.exit_code == 0
        lines = ran.output.splitlines()
        assert lines[6] == "customer: 6 digits, 20 guesses per day"
        figures = [line.split()[-1] for line in lines[7:12]]
        # Two codes are compared with each guess, and 24 x 1000 guesses fail below the breaker.
        assert figures == ["2.0e-06", "4.0e-05", "1.4e-02", "4.7e-02", "1.0e+00"]
        assert lines[-1] == "refused at the start: more than 1.0e-04 per day"

    def test_of_an_actor_types_own_settings(self, make_app: MakeApp) -> None:
        app = make_app(OTP_AUTH_DIGITS=8, OTP_AUTH_VERIFY_LIMITS="1000/day")
        assert "customer: 8 digits, 1000 guesses per day" in run(app, "policy").output

    def test_for_machines(self, app: Flask) -> None:
        told = read(app, "policy")
        assert told["max_guess_chance"] == 1e-4
        of_all, of_customers = told["actor_types"]
        assert (of_all["actor_type"], of_customers["actor_type"]) == (None, "customer")
        assert (of_customers["digits"], of_customers["guesses_per_day"]) == (6, 20)
        assert of_customers["per_day"] == pytest.approx(4e-5)


class TestAuditId:
    @pytest.mark.parametrize("written", [ADA, " Ada@Example.COM\u200b"])
    def test_names_an_identifier_as_the_log_does(
        self, app: Flask, caplog: pytest.LogCaptureFixture, written: str
    ) -> None:
        with caplog.at_level(logging.INFO, "flask_otp_auth.audit"):
            Api(app.test_client()).verify("123456", ADA)
        (line,) = (json.loads(r.getMessage()) for r in caplog.records if r.name.endswith("audit"))
        assert run(app, *AUDIT_ID, written).output.split() == [line["identifier"]]

    def test_after_a_change_of_key_the_old_name_is_told_too(self, make_app: MakeApp) -> None:
        new_key = "another-secret-key-that-is-32-bytes-long"
        apps = make_app(), make_app(SECRET_KEY=new_key, SECRET_KEY_FALLBACKS=[SECRET])
        before, after = (run(app, *AUDIT_ID, ADA).output.split() for app in apps)
        assert after[1:] == before
        assert after[0] != before[0]


def test_an_unknown_command_is_a_wrong_use(app: Flask) -> None:
    ran = run(app, "unlok")
    assert (ran.exit_code, "No such command 'unlok'" in ran.output) == (2, True)
