"""Replay: what was used, revoked, replaced or left too long is worth nothing."""

from collections.abc import Callable
from pathlib import Path

import time_machine
from attacks import MANY_ADDRESSES, Attack
from conftest import ADA, BOB, Api, Customers
from flask import Flask

from flask_otp_auth.testing import Outbox


def everywhere(api: Api, otp: str, who: str, challenge: str) -> list[int]:
    """Send a code to every route that takes one, with its challenge and without."""
    routes = (api.verify, api.register, api.authenticate)
    plain = [route(otp, who).status_code for route in routes]
    return plain + [route(otp, who, challenge=challenge).status_code for route in routes]


def test_asvs_6_5_1_a_login_code_is_worth_nothing_once_used(
    make_app: Callable[..., Flask], attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.5.1; NIST SP 800-63B-4, 3.1.3: a secret is accepted only once."""
    app = make_app(**MANY_ADDRESSES)
    api = Api(app.test_client())
    replay = attack("replay: a used login code, on every route")
    with Outbox(app) as outbox:
        challenge = api.generate().get_json()["challenge"]
    otp = outbox.last.otp
    assert api.verify(otp).status_code == 200
    for _ in range(20):
        for status in everywhere(api, otp, ADA, challenge):
            replay.tried(status == 200)
    assert replay.failed(tries=120)


def test_asvs_6_5_1_a_registration_code_is_worth_nothing_after_its_grace(
    make_app: Callable[..., Flask], customers: Customers, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.5.1: one registration and one sign-in, then no more."""
    app = make_app(**MANY_ADDRESSES)
    api = Api(app.test_client())
    replay = attack("replay: a registration code after its grace was used")
    with Outbox(app) as outbox:
        challenge = api.pre_register().get_json()["challenge"]
    otp = outbox.last.otp
    assert api.register(otp).status_code == 200
    customers.add(BOB)
    assert api.authenticate(otp).status_code == 200
    for _ in range(20):
        for status in everywhere(api, otp, BOB, challenge):
            replay.tried(status == 200)
    assert replay.failed(tries=120)


def test_nist_3_1_3_a_code_is_worth_nothing_when_its_time_is_over(
    make_app: Callable[..., Flask],
    clock: time_machine.Traveller,
    attack: Callable[[str], Attack],
) -> None:
    """NIST SP 800-63B-4, 3.1.3: valid for ten minutes at most; here for five, to the instant."""
    app = make_app(**MANY_ADDRESSES)
    api = Api(app.test_client())
    late = attack("replay: a code after its time")
    with Outbox(app) as outbox:
        challenge = api.generate().get_json()["challenge"]
    otp = outbox.last.otp
    clock.shift(300)
    for seconds in (0, 0.001, 1, 59, 60, 600, 86_400):
        clock.shift(seconds)
        for status in everywhere(api, otp, ADA, challenge):
            late.tried(status == 200)
    assert late.failed(tries=42)


def test_asvs_6_5_1_a_restart_brings_no_code_back(
    make_app: Callable[..., Flask], tmp_path: Path, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.5.1: what one worker has taken is gone for all, and for good."""
    storage = {"OTP_AUTH_STORAGE_URI": f"sqlite:///{tmp_path}/codes.sqlite3", **MANY_ADDRESSES}
    first = make_app(**storage)
    api = Api(first.test_client())
    with Outbox(first) as outbox:
        challenge = api.generate().get_json()["challenge"]
    otp = outbox.last.otp
    assert api.verify(otp).status_code == 200
    restart = attack("replay: a used code, after restarts and at other workers")
    for _ in range(5):
        other = Api(make_app(**storage).test_client())
        for status in everywhere(other, otp, ADA, challenge):
            restart.tried(status == 200)
    assert restart.failed(tries=30)


def test_asvs_7_4_1_a_revoked_token_and_its_session_are_over(
    app: Flask, api: Api, outbox: Outbox, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 7.4.1: after a log-out, nothing goes on with the token."""
    api.generate()
    token = api.verify(outbox.last.otp).get_json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    thief = app.test_client()
    assert thief.post("/auth/session", headers=headers).status_code == 200
    assert api.revoke(token).status_code == 200
    after = attack("replay: a revoked token, and the session made of it")
    for path in ("token/refresh", "token/revoke", "session"):
        after.tried(api.client.post(f"/auth/{path}", headers=headers).status_code == 200)
        after.tried(thief.post(f"/auth/{path}", headers=headers).status_code == 200)
    assert after.failed(tries=6)


def test_asvs_6_5_1_a_used_right_to_a_refresh_stays_used(
    api: Api, outbox: Outbox, customers: Customers, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.5.1: a registration token is refreshed once."""
    api.pre_register()
    token = api.register(outbox.last.otp).get_json()["token"]
    customers.add(BOB)
    assert api.refresh(token).status_code == 200
    again = attack("replay: a registration token that was refreshed")
    for _ in range(20):
        again.tried(api.refresh(token).status_code == 200)
    assert again.failed(tries=20)
