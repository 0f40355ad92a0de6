"""``flask otp``: the policy in figures, and the way into the audit log."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import ADA, SECRET, Api
from flask import Flask

AUDIT_ID = ["otp", "audit-id", "customer", ADA]


class TestPolicy:
    def test_prints_a_guessers_chances(self, app: Flask) -> None:
        ran = app.test_cli_runner().invoke(args=["otp", "policy"])
        assert ran.exit_code == 0
        lines = ran.output.splitlines()
        assert lines[6] == "customer: 6 digits, 20 guesses per day"
        figures = [line.split()[-1] for line in lines[7:12]]
        # Two codes are compared with each guess, and 24 x 1000 guesses fail below the breaker.
        assert figures == ["2.0e-06", "4.0e-05", "1.4e-02", "4.7e-02", "1.0e+00"]
        assert lines[-1] == "refused at the start: more than 1.0e-04 per day"

    def test_of_an_actor_types_own_settings(self, make_app: Callable[..., Flask]) -> None:
        app = make_app(OTP_AUTH_DIGITS=8, OTP_AUTH_VERIFY_LIMITS="1000/day")
        ran = app.test_cli_runner().invoke(args=["otp", "policy"])
        assert "customer: 8 digits, 1000 guesses per day" in ran.output

    def test_for_machines(self, app: Flask) -> None:
        ran = app.test_cli_runner().invoke(args=["otp", "policy", "--json"])
        told = json.loads(ran.output)
        assert told["max_guess_chance"] == 1e-4
        of_all, of_customers = told["actor_types"]
        assert (of_all["actor_type"], of_customers["actor_type"]) == (None, "customer")
        assert (of_customers["digits"], of_customers["guesses_per_day"]) == (6, 20)
        assert of_customers["per_day"] == pytest.approx(4e-5)

    def test_opens_no_storage(self, make_app: Callable[..., Flask], tmp_path: Path) -> None:
        """As root it would leave a file behind that the server can't open."""
        app = make_app(OTP_AUTH_STORAGE_URI=f"sqlite:///{tmp_path}/otp_auth.sqlite3")
        assert app.test_cli_runner().invoke(args=["otp", "policy"]).exit_code == 0
        assert list(tmp_path.iterdir()) == []


class TestAuditId:
    @pytest.mark.parametrize("written", [ADA, " Ada@Example.COM\u200b"])
    def test_names_an_identifier_as_the_log_does(
        self, app: Flask, caplog: pytest.LogCaptureFixture, written: str
    ) -> None:
        with caplog.at_level(logging.INFO, "flask_otp_auth.audit"):
            Api(app.test_client()).verify("123456", ADA)
        (line,) = (json.loads(r.getMessage()) for r in caplog.records if r.name.endswith("audit"))
        ran = app.test_cli_runner().invoke(args=["otp", "audit-id", "customer", written])
        assert ran.output.split() == [line["identifier"]]

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            (["robot", ADA], "no actor type"),
            (["customer", "not an address"], "not valid"),
        ],
    )
    def test_needs_a_known_type_and_a_valid_identifier(
        self, app: Flask, arguments: list[str], complaint: str
    ) -> None:
        ran = app.test_cli_runner().invoke(args=["otp", "audit-id", *arguments])
        assert ran.exit_code == 2
        assert complaint in ran.output

    def test_after_a_change_of_key_the_old_name_is_told_too(
        self, make_app: Callable[..., Flask]
    ) -> None:
        old = make_app().test_cli_runner()
        new_key = "another-secret-key-that-is-32-bytes-long"
        new = make_app(SECRET_KEY=new_key, SECRET_KEY_FALLBACKS=[SECRET]).test_cli_runner()
        before, after = (runner.invoke(args=AUDIT_ID).output.split() for runner in (old, new))
        assert after[1:] == before
        assert after[0] != before[0]


def test_an_unknown_command_is_a_wrong_use(app: Flask) -> None:
    ran = app.test_cli_runner().invoke(args=["otp", "unlok"])
    assert (ran.exit_code, "No such command 'unlok'" in ran.output) == (2, True)
