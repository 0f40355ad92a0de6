"""``flask otp inspect`` and ``unlock``: looking changes nothing, and unlocking gives all back."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from fakes import ADA, BOB, Api, Customers, MakeApp, MakeWatched, Watched, wrong
from flask import Flask
from running import read, run

from flask_otp_auth import OTPAuth
from flask_otp_auth.signals import confirmation_otp_generated
from flask_otp_auth.testing import Outbox

WHO = ["customer", ADA]


def budget(overview: dict[str, Any], what: str, purpose: str | None = None) -> dict[str, Any]:
    """Return what an overview says of a budget."""
    (found,) = [b for b in overview["budgets"] if (b["what"], b["purpose"]) == (what, purpose)]
    return dict(found)


@pytest.fixture
def attacked(make_app: MakeApp) -> Flask:
    """A shop in which somebody has used up Ada's guesses."""
    app = make_app(OTP_AUTH_VERIFY_LIMITS="2/day")
    api = Api(app.test_client())
    for _ in range(2):
        api.verify("123456", ADA)
    return app


class TestInspect:
    def test_of_somebody_who_asked_for_nothing(self, app: Flask) -> None:
        overview = read(app, "inspect", *WHO)
        assert overview["identifier"] == ADA
        assert not overview["attacked"]
        assert overview["codes"] == overview["windows"] == []
        assert all(each["left"] for each in overview["budgets"])

    @pytest.mark.parametrize("as_json", [[], ["--json"]])
    def test_shows_an_odd_identifier_without_obeying_it(
        self, make_app: MakeApp, customers: Customers, as_json: list[str]
    ) -> None:
        """A canonicaliser of the app's own may let anything through."""
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers, identifier=lambda written: written)
        ran = run(make_app(otp_auth), "inspect", *as_json, "customer", "a\x1b[2K\x9b2K\u202eb")
        assert ran.exit_code == 0
        assert ran.output.replace("\n", "").isprintable()

    def test_names_what_is_pending(self, app: Flask, api: Api, outbox: Outbox, clock: Any) -> None:
        api.generate(ADA)
        clock.shift(10)
        api.start(ADA)
        overview = read(app, "inspect", "customer", " Ada@Example.com ")
        assert overview["codes"] == [
            {"purpose": "login", "long": False, "seconds_left": 290},
            {"purpose": "door", "long": False, "seconds_left": 300},
        ]
        assert overview["windows"] == [
            {"purpose": "login", "long": False, "seconds_left": 50},
            {"purpose": "door", "long": False, "seconds_left": 60},
        ]
        assert budget(overview, "sends", "login")["left"] == 4

    def test_never_prints_a_code(self, app: Flask, api: Api, outbox: Outbox) -> None:
        api.generate(ADA)
        for more in ([], ["--json"]):
            assert outbox.last.otp not in run(app, "inspect", *WHO, *more).output

    def test_of_a_registration_in_its_grace(self, app: Flask, api: Api, outbox: Outbox) -> None:
        api.pre_register(BOB)
        api.register(outbox.last.otp, BOB)
        assert [c["purpose"] for c in read(app, "inspect", "customer", BOB)["codes"]] == ["grace"]

    def test_says_who_is_attacked_and_until_when(self, attacked: Flask) -> None:
        overview = read(attacked, "inspect", *WHO)
        assert overview["attacked"]
        assert {each["by"] for each in overview["attacks"]} == {"guesses"}
        guesses = budget(overview, "guesses")
        assert (guesses["limit"], guesses["left"]) == ("2/day", 0)
        assert 86_000 < guesses["seconds_until_room"] <= 86_400

    def test_says_that_the_breaker_is_open(self, make_app: MakeApp) -> None:
        app = make_app(OTP_AUTH_GLOBAL_FAILURE_LIMIT="1/2 hours")
        api = Api(app.test_client())
        with Outbox(app) as outbox:
            api.generate(BOB)
            api.generate(ADA)
            api.verify(wrong(outbox.last.otp), ADA)
        overview = read(app, "inspect", "customer", BOB)
        assert {each["by"] for each in overview["attacks"]} == {"breaker"}

    def test_says_that_a_long_code_is_pending(self, attacked: Flask) -> None:
        with Outbox(attacked) as outbox:
            Api(attacked.test_client()).generate(ADA)
            assert len(outbox.last.otp) == 20
        overview = read(attacked, "inspect", *WHO)
        assert [code["long"] for code in overview["codes"]] == [True]
        assert [window["long"] for window in overview["windows"]] == [True]

    def test_calls_no_code_pending_whose_right_is_gone(self, watched: Watched) -> None:
        with Outbox(watched.app):
            Api(watched.app.test_client()).generate(ADA)
        for key in [key for key, (value, _) in watched.store.items.items() if value == "1"]:
            del watched.store.items[key]
        assert read(watched.app, "inspect", *WHO)["codes"] == []

    def test_changes_nothing(self, watched: Watched) -> None:
        Api(watched.app.test_client()).verify("123456", ADA)
        before = dict(watched.store.items)
        watched.forget_calls()
        run(watched.app, "inspect", *WHO)
        assert watched.store.items == before
        assert set(watched.store.verbs) == {"peek"}
        assert set(watched.limits.calls) == {"look"}

    def test_shows_the_purposes_of_the_apps_own_that_take_the_identifier(
        self, make_app: MakeApp, otp_auth: OTPAuth
    ) -> None:
        contact = otp_auth.purpose("contact", ttl=timedelta(minutes=5))
        otp_auth.purpose("call", identifier="phone")
        app = make_app(otp_auth)
        with app.app_context(), confirmation_otp_generated.connected_to(lambda *_, **__: None, app):
            contact.send(ADA)
        overview = read(app, "inspect", *WHO)
        assert [code["purpose"] for code in overview["codes"]] == ["contact"]
        assert budget(overview, "sends", "contact")["left"] == 4
        assert budget(overview, "guesses", "contact")["left"] == 20
        assert "call" not in {each["purpose"] for each in overview["budgets"]}

    def test_fits_a_terminal(self, attacked: Flask) -> None:
        long = f"{'a' * 60}@{'b' * 60}.{'c' * 60}.example"
        api = Api(attacked.test_client())
        for _ in range(2):
            api.verify("123456", long)
        api.start(long)
        text = run(attacked, "inspect", "customer", long).output
        assert max(map(len, text.splitlines())) <= 80
        assert "Counts as attacked" in text
        assert "  guesses  all           0 of 2/day    in 24 h\n" in text

    def test_in_words(self, app: Flask, api: Api, outbox: Outbox, clock: Any) -> None:
        api.generate(ADA)
        lines = run(app, "inspect", *WHO).output.splitlines()
        assert "Doesn't count as attacked: new codes are short." in lines
        assert "  login    short  5 min" in lines
        assert "  login    short  in 60 s" in lines

    def test_names_a_file_that_can_not_be_trusted(self, shop: Flask, tmp_path: Any) -> None:
        file = tmp_path / "otp_auth.sqlite3"
        file.touch()
        file.chmod(0o666)
        ran = run(shop, "inspect", *WHO)
        assert ran.exit_code == 1
        assert f"others may write to {file}" in ran.output

    def test_needs_the_storage(self, watched: Watched) -> None:
        watched.store.reachable = False
        assert run(watched.app, "inspect", *WHO).exit_code == 1


class TestUnlock:
    def test_gives_all_back(self, attacked: Flask) -> None:
        ran = run(attacked, "unlock", "-y", *WHO)
        assert ran.exit_code == 0
        overview = read(attacked, "inspect", *WHO)
        assert not overview["attacked"]
        assert overview["windows"] == []
        assert [str(each["left"]) for each in overview["budgets"]] == [
            each["limit"].partition("/")[0] for each in overview["budgets"]
        ]

    def test_the_next_code_is_a_short_one_and_due_at_once(self, attacked: Flask) -> None:
        api = Api(attacked.test_client())
        with Outbox(attacked) as outbox:
            api.generate(ADA)
            run(attacked, "unlock", "-y", *WHO)
            api.generate(ADA)
            assert [len(message.otp) for message in outbox.messages] == [20, 6]
            assert api.verify(outbox.last.otp, ADA).status_code == 200

    def test_codes_that_were_sent_stay_good(self, app: Flask, api: Api, outbox: Outbox) -> None:
        api.generate(ADA)
        run(app, "unlock", "-y", *WHO)
        assert api.verify(outbox.last.otp, ADA).status_code == 200

    def test_is_nobody_elses_business(self, attacked: Flask) -> None:
        run(attacked, "unlock", "-y", "customer", BOB)
        assert read(attacked, "inspect", *WHO)["attacked"]

    @pytest.mark.parametrize(("more", "left"), [([], 4), (["--all-purposes"], 5)], ids=str)
    def test_reaches_the_apps_own_purposes_if_it_is_told_to(
        self, make_app: MakeApp, otp_auth: OTPAuth, more: list[str], left: int
    ) -> None:
        contact = otp_auth.purpose("contact")
        app = make_app(otp_auth)
        with app.app_context(), confirmation_otp_generated.connected_to(lambda *_, **__: None, app):
            contact.send(ADA)
        run(app, "unlock", "-y", *WHO, *more)
        assert budget(read(app, "inspect", *WHO), "sends", "contact")["left"] == left

    def test_is_audited(self, app: Flask, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, "flask_otp_auth.audit"):
            run(app, "unlock", "-y", *WHO)
        (line,) = [json.loads(r.getMessage()) for r in caplog.records if r.name.endswith("audit")]
        assert line == {
            "event": "identifier_unlocked",
            "actor_type": "customer",
            "identifier": read(app, "audit-id", *WHO)[0],
        }

    @pytest.mark.parametrize(("typed", "attacked_after"), [("n\n", True), ("y\n", False)])
    def test_asks_before(self, attacked: Flask, typed: str, attacked_after: bool) -> None:
        ran = run(attacked, "unlock", *WHO, typed=typed)
        assert ran.exit_code == int(attacked_after)
        assert read(attacked, "inspect", *WHO)["attacked"] is attacked_after


def test_limits_of_a_fixed_window_are_looked_at_as_well(
    make_watched: MakeWatched,
) -> None:
    app = make_watched(OTP_AUTH_SEND_LIMITS="3/minute;5/2hour").app
    with Outbox(app):
        Api(app.test_client()).generate(ADA)
    sends = budget(read(app, "inspect", *WHO), "sends", "login")
    assert (sends["limit"], sends["left"]) == ("3/minute;5/2 hour", 2)
