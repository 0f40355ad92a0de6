"""``flask otp sign-ins`` and ``revoke``: who is signed in where, and the end of that."""

from typing import Any

import pytest
from fakes import ADA, Api
from flask import Flask
from running import read, run

from flask_otp_auth.testing import Outbox

ADAS = ["customer", "1"]
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAMSUNG = "Mozilla/5.0 (Linux; Android 14) SamsungBrowser/25.0 Chrome/121.0 Mobile"


@pytest.fixture
def signed_in(app: Flask, outbox: Outbox) -> list[str]:
    """The tokens of Ada, who is signed in on two devices."""
    tokens = []
    for agent in (FIREFOX, SAMSUNG):
        client = app.test_client()
        client.environ_base["HTTP_USER_AGENT"] = agent
        api = Api(client)
        api.generate(ADA)
        tokens.append(api.verify(outbox.last.otp, ADA).get_json()["token"])
    return tokens


class TestSignIns:
    def test_lists_them_the_newest_first(self, app: Flask, signed_in: list[str]) -> None:
        found = read(app, "sign-ins", *ADAS)
        assert [each["browser"] for each in found] == ["Samsung Internet", "Firefox"]
        assert found[1].keys() == {"id", "browser", "platform", "since"}

    def test_fits_a_terminal(self, app: Flask, clock: Any, signed_in: list[str]) -> None:
        text = run(app, "sign-ins", *ADAS).output
        assert max(map(len, text.splitlines())) <= 80
        assert "2026-01-02 03:04  Samsung Internet, Android" in text

    def test_of_nobody(self, app: Flask) -> None:
        assert run(app, "sign-ins", "customer", "7").output == "No sign-in is live.\n"
        assert read(app, "sign-ins", "customer", "7") == []

    @pytest.mark.parametrize("command", ["sign-ins", "revoke"])
    @pytest.mark.parametrize("empty", ["", "None"])
    def test_of_an_empty_id_is_a_wrong_use(self, app: Flask, command: str, empty: str) -> None:
        ran = run(app, command, "customer", empty)
        assert ran.exit_code == 2
        assert "ACTOR_ID is empty" in ran.output


class TestRevoke:
    def test_ends_one(self, app: Flask, api: Api, signed_in: list[str]) -> None:
        newest = read(app, "sign-ins", *ADAS)[0]["id"]
        assert run(app, "revoke", "-y", *ADAS, newest).output == "Ended: 1.\n"
        assert [api.refresh(token).status_code for token in signed_in] == [200, 401]

    def test_asks_for_an_odd_id_without_obeying_it(self, app: Flask) -> None:
        ran = run(app, "revoke", "customer", "\x1b[2K\r1\udcff", typed="y\n")
        assert r"End all sign-ins of customer \x1b[2K\r1\udcff?" in ran.output
        assert ran.output.endswith("Ended: 0.\n")

    def test_ends_all(self, app: Flask, api: Api, signed_in: list[str]) -> None:
        assert run(app, "revoke", "-y", *ADAS).output == "Ended: 2.\n"
        assert [api.refresh(token).status_code for token in signed_in] == [401, 401]

    def test_of_an_unknown_sign_in_ends_nothing(self, app: Flask, signed_in: list[str]) -> None:
        ran = run(app, "revoke", "-y", *ADAS, "0.123")
        assert ran.exit_code == 1
        assert "not live" in ran.output
        assert len(read(app, "sign-ins", *ADAS)) == 2

    @pytest.mark.parametrize(("typed", "left"), [("n\n", 2), ("y\n", 0)])
    def test_asks_before(self, app: Flask, signed_in: list[str], typed: str, left: int) -> None:
        assert run(app, "revoke", *ADAS, typed=typed).exit_code == int(left > 0)
        assert len(read(app, "sign-ins", *ADAS)) == left

    def test_of_one_that_ends_while_it_asks(
        self, app: Flask, signed_in: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        newest = read(app, "sign-ins", *ADAS)[0]["id"]

        def answer(*_: object, **__: object) -> bool:
            with app.app_context():
                app.extensions["otp_auth"].credentials.revoke_all(*ADAS)
            return True

        monkeypatch.setattr("click.confirm", answer)
        assert run(app, "revoke", *ADAS, newest).exit_code == 1
