"""Replay: what was used, replaced, signed out or left too long is worth nothing."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from attacks import GUESSING, MANY_ADDRESSES, Begin
from fakes import ADA, BOB, Api, Customers, MakeApp, bearer, sign_in
from flask import Flask
from flask.testing import FlaskClient
from time_machine import Traveller

from flask_otp_auth.testing import Outbox


def everywhere(api: Api, otp: str, who: str, challenge: str) -> list[int]:
    """Send a code to every route that takes one, with its challenge and without."""
    calls = itertools.product(GUESSING, (None, challenge))
    return [getattr(api, route)(otp, who, challenge=given).status_code for route, given in calls]


@pytest.fixture
def app(make_guarded: MakeApp) -> Flask:
    """A shop whose attackers have many addresses."""
    return make_guarded(**MANY_ADDRESSES)


def test_asvs_6_5_1_a_login_code_is_worth_nothing_once_used(
    api: Api, outbox: Outbox, attack: Begin, clock: Traveller
) -> None:
    """OWASP ASVS 5.0, 6.5.1; NIST SP 800-63B-4, 3.1.3: a secret is accepted only once.

    Nor is the other one that was on its way.
    """
    replay = attack("replay: a used login code, and the one beside it, on every route")
    challenge = api.generate().get_json()["challenge"]
    clock.shift(61)
    api.generate()
    assert api.verify(outbox.messages[0].otp).status_code == 200
    for _ in range(2):
        for message in outbox:
            for status in everywhere(api, message.otp, ADA, challenge):
                replay.tried(status == 200)
    assert replay.failed(tries=32)


def test_asvs_6_5_1_a_registration_code_is_worth_nothing_after_its_grace(
    api: Api, outbox: Outbox, customers: Customers, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 6.5.1: one registration and one sign-in, then no more."""
    replay = attack("replay: a registration code after its grace was used")
    challenge = api.pre_register().get_json()["challenge"]
    assert api.register(outbox.last.otp).status_code == 200
    customers.add(BOB)
    assert api.authenticate(outbox.last.otp).status_code == 200
    for _ in range(3):
        for status in everywhere(api, outbox.last.otp, BOB, challenge):
            replay.tried(status == 200)
    assert replay.failed(tries=24)


def test_asvs_6_5_1_a_restart_brings_nothing_back(
    make_guarded: MakeApp, tmp_path: Path, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 6.5.1: what one worker has taken is gone for all, and for good."""
    storage = {"OTP_AUTH_STORAGE_URI": f"sqlite:///{tmp_path}/codes.sqlite3", **MANY_ADDRESSES}
    api = Api(make_guarded(**storage).test_client())
    with Outbox(api.client.application) as outbox:
        challenge = api.generate().get_json()["challenge"]
    token = api.verify(outbox.last.otp).get_json()["token"]
    assert api.revoke(token).status_code == 200
    restart = attack("replay: a used code and an ended sign-in, at other workers and later ones")
    for _ in range(3):
        other = Api(make_guarded(**storage).test_client())
        for status in everywhere(other, outbox.last.otp, ADA, challenge):
            restart.tried(status == 200)
        restart.tried(other.client.get("/me", headers=bearer(token)).status_code == 200)
    assert restart.failed(tries=27)


def end_by_token(app: Flask, newest: str, browser: FlaskClient) -> None:
    assert Api(app.test_client()).revoke(newest).status_code == 200


def end_by_session(app: Flask, newest: str, browser: FlaskClient) -> None:
    assert browser.delete("/auth/session").status_code == 200


def end_from_another_device(app: Flask, newest: str, browser: FlaskClient) -> None:
    client, head = app.test_client(), bearer(sign_in(app))
    listed = client.get("/auth/sign-ins", headers=head).get_json()["sign_ins"]
    (other,) = [each["id"] for each in listed if not each["current"]]
    assert client.delete(f"/auth/sign-ins/{other}", headers=head).status_code == 200


def end_all_others(app: Flask, newest: str, browser: FlaskClient) -> None:
    head = bearer(sign_in(app))
    assert app.test_client().delete("/auth/sign-ins", headers=head).status_code == 200


def end_by_the_app(app: Flask, newest: str, browser: FlaskClient) -> None:
    with app.app_context():
        app.extensions["otp_auth"].credentials.revoke_all("customer", "1")


def end_by_the_next_sign_in_there(app: Flask, newest: str, browser: FlaskClient) -> None:
    assert browser.post("/auth/session", headers=bearer(sign_in(app))).status_code == 200


@pytest.mark.parametrize(
    "end",
    [
        end_by_token,
        end_by_session,
        end_from_another_device,
        end_all_others,
        end_by_the_app,
        end_by_the_next_sign_in_there,
    ],
)
def test_asvs_7_4_1_a_sign_out_ends_the_whole_family(
    app: Flask, attack: Begin, clock: Traveller, end: Callable[..., None]
) -> None:
    """OWASP ASVS 5.0, 7.4.1: tokens, refreshed copies, older ones, and each copy of a session.

    The thief has had a copy of everything for some time, and has refreshed his copies.
    """
    browser = app.test_client()
    tokens = [sign_in(app)]
    assert browser.post("/auth/session", headers=bearer(tokens[0])).status_code == 200
    stolen = browser.get_cookie("session")
    assert stolen
    for _ in range(3):
        clock.shift(1_000)
        tokens += [Api(app.test_client()).refresh(token).get_json()["token"] for token in tokens]
    thief = app.test_client()
    thief.set_cookie("session", stolen.value)
    assert thief.get("/me").status_code == 200
    end(app, tokens[-1], browser)
    after = attack("replay: tokens, refreshed copies and sessions after a sign-out")
    after.tried(thief.get("/me").status_code == 200)
    after.tried(thief.get("/auth/sign-ins").status_code == 200)
    for token in tokens:
        client = app.test_client()
        for method, path in (("GET", "/me"), ("POST", "/auth/session"), ("GET", "/any")):
            after.tried(client.open(path, method=method, headers=bearer(token)).status_code != 401)
        after.tried(Api(client).refresh(token).status_code != 401)
        after.tried(Api(client).revoke(token).status_code != 401)
    assert after.failed(tries=42)
