"""The clock that tests move."""

import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cachelib import RedisCache
from fakes import ADA, Api, MakeApp
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from flask_otp_auth import ConfigError, OTPAuth
from flask_otp_auth.testing import Clock, Outbox, sign_in

MOMENT = datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC)


def test_stands_still_and_is_moved(app: Flask) -> None:
    with Clock(app) as clock:
        start = time.time()
        assert time.time() == start
        clock.tick(90)
        assert time.time() == pytest.approx(start + 90)
        clock.move_to(MOMENT)
        assert clock.now == MOMENT
        clock.move_to(MOMENT.replace(tzinfo=None))
        assert clock.now == MOMENT
    assert time.time() < start + 60


def test_moves_codes_limits_tokens_and_sign_ins(make_app: MakeApp) -> None:
    app = make_app(OTP_AUTH_IP_GENERATE_LIMITS="1/hour", OTP_AUTH_SESSION_TTL=7200)
    api = Api(app.test_client())
    with Clock(app) as clock, Outbox(app) as outbox:
        api.generate(ADA)
        assert api.generate(ADA).status_code == 429
        clock.tick(300)
        assert api.verify(outbox.last.otp, ADA).status_code == 400
        clock.tick(3301)
        assert api.generate(ADA).status_code == 200
        token = sign_in(api.client, "customer", ADA).token
        assert api.refresh(token).status_code == 200
        clock.tick(3599)
        assert api.refresh(token).status_code == 200
        clock.tick(12)
        assert api.refresh(token).status_code == 401


def test_a_thread_that_waits_is_not_stopped(app: Flask) -> None:
    with Clock(app):
        assert threading.Event().wait(0.01) is False


@pytest.mark.parametrize(
    ("codes", "sign_ins"),
    [
        ("redis://127.0.0.1:1/0", "memory://"),
        ("memcached://127.0.0.1:1", "memory://"),
        ("memory://", "redis://127.0.0.1:1/0"),
    ],
)
def test_is_refused_where_a_server_has_one_of_its_own(
    make_app: MakeApp, codes: str, sign_ins: str
) -> None:
    app = make_app(OTP_AUTH_STORAGE_URI=codes, OTP_AUTH_SIGN_INS_URI=sign_ins)
    with pytest.raises(ConfigError, match=r"(redis|memcached) has a clock of its own.*memory://"):
        Clock(app)


def test_is_refused_with_a_cache_or_a_limiter_that_is_a_server(
    make_app: MakeApp,
) -> None:
    cache = RedisCache(host="127.0.0.1", port=1)
    with pytest.raises(ConfigError, match="RedisStore has a clock of its own"):
        Clock(app_with(make_app, cache=cache))
    bare = Flask("bare")
    limiter = Limiter(get_remote_address, app=bare, storage_uri="redis://127.0.0.1:1/0")
    with pytest.raises(ConfigError, match="RedisStorage has a clock of its own"):
        Clock(app_with(make_app, limiter=limiter))


def test_needs_no_limiter_that_is_switched_off(make_app: MakeApp, limiter_off: Limiter) -> None:
    with Clock(app_with(make_app, limiter=limiter_off)) as clock:
        clock.tick(1)


def app_with(make_app: MakeApp, **parts: Any) -> Flask:
    otp_auth = OTPAuth(**parts)
    return make_app(otp_auth)


def test_says_what_does_not_move_along(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt, "decode", lambda *_, **__: {})
    clock = Clock(app)
    with pytest.raises(RuntimeError, match="PyJWT did not move"):
        clock.__enter__()
    assert time.time() == pytest.approx(datetime.now(UTC).timestamp(), abs=60)
    first = time.time()
    while time.time() == first:
        pass


def test_says_what_to_install(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "time_machine", None)
    with pytest.raises(ImportError, match=r"pip install 'flask-otp-auth\[pytest\]'"):
        Clock(app)
