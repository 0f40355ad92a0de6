"""Where an app's codes, sign-ins and limits are kept."""

from pathlib import Path
from typing import Any

import pymemcache
import pytest
from cachelib import MemcachedCache, SimpleCache
from fakes import ADA, Api, Customers, FakeStore, MakeApp
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from flask_otp_auth import ConfigError, OTPAuth, SQLiteCache
from flask_otp_auth.testing import reset


@pytest.fixture
def on_memcached(customers: Customers) -> OTPAuth:
    """An extension on a cache that forgets; it is not contacted."""
    client = pymemcache.PooledClient(("127.0.0.1", 1), default_noreply=False)
    otp_auth = OTPAuth(cache=MemcachedCache(client))
    otp_auth.add_actor_type("customer", customers)
    return otp_auth


def test_a_cache_that_forgets_keeps_no_sign_ins(make_app: MakeApp, on_memcached: OTPAuth) -> None:
    with pytest.raises(ConfigError, match="OTP_AUTH_SIGN_INS_URI is needed"):
        make_app(on_memcached)


@pytest.mark.parametrize("others", [{}, {"OTP_AUTH_DIGITS": 4, "OTP_AUTH_TTL": 0}], ids=len)
def test_what_is_wrong_with_uris_is_told_at_once_and_with_all_else(
    make_app: MakeApp, others: dict[str, int]
) -> None:
    uris = {
        "OTP_AUTH_STORAGE_URI": "redis://no host",
        "OTP_AUTH_SIGN_INS_URI": "sqlite:///folder/",
    }
    with pytest.raises(ConfigError) as raised:
        make_app(**uris, **others)
    told = [fault.split()[0] for fault in raised.value.faults]
    assert sorted(told) == sorted((*uris, *others))


def test_sign_ins_may_be_elsewhere(make_app: MakeApp, on_memcached: OTPAuth) -> None:
    assert make_app(on_memcached, OTP_AUTH_SIGN_INS_URI="memory://")


def test_no_file_is_made_at_the_start(make_app: MakeApp, tmp_path: Path) -> None:
    """`flask routes` as root would leave one behind that the server can't open."""
    make_app(
        OTP_AUTH_STORAGE_URI=f"sqlite:///{tmp_path}/codes.sqlite3",
        OTP_AUTH_SIGN_INS_URI=f"sqlite:///{tmp_path}/sign_ins.sqlite3",
    )
    assert list(tmp_path.iterdir()) == []


def test_nor_is_that_of_a_cache(make_app: MakeApp, customers: Customers, tmp_path: Path) -> None:
    otp_auth = OTPAuth(cache=SQLiteCache(tmp_path / "codes.sqlite3"))
    otp_auth.add_actor_type("customer", customers)
    make_app(otp_auth)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_can_be_no_file_is_told_at_the_start(
    make_app: MakeApp, customers: Customers, tmp_path: Path
) -> None:
    otp_auth = OTPAuth(cache=SQLiteCache(tmp_path))
    otp_auth.add_actor_type("customer", customers)
    with pytest.raises(ConfigError, match=f"cache= must name a file, and {tmp_path} is a folder"):
        make_app(otp_auth)


def test_limits_that_can_not_be_where_codes_are_are_told_of(
    make_app: MakeApp, customers: Customers, caplog: pytest.LogCaptureFixture
) -> None:
    otp_auth = OTPAuth(cache=FakeStore())
    otp_auth.add_actor_type("customer", customers)
    make_app(otp_auth)
    assert "limits can't be kept in what cache= is" in caplog.text


@pytest.mark.parametrize("config", [{"TESTING": True}, {"DEBUG": True}, {}])
def test_a_cache_in_memory_is_no_place_for_several_workers(
    make_app: MakeApp,
    customers: Customers,
    caplog: pytest.LogCaptureFixture,
    config: dict[str, bool],
) -> None:
    otp_auth = OTPAuth(cache=SimpleCache(threshold=50_000))
    otp_auth.add_actor_type("customer", customers)
    issuer = {"OTP_AUTH_TOKEN_ISSUER": "https://shop.example"}
    make_app(otp_auth, **{"TESTING": False, **issuer, **config})
    assert ("no other worker's" in caplog.text) is (not config)


def test_windows_that_do_not_move_count_twice(make_app: MakeApp) -> None:
    """On Memcached. Twenty guesses at six digits are within the chance, thirty are not."""
    config = {
        "OTP_AUTH_STORAGE_URI": "memcached://127.0.0.1:1",
        "OTP_AUTH_SIGN_INS_URI": "memory://",
    }
    make_app(**config, OTP_AUTH_VERIFY_LIMITS="20/day")
    make_app(OTP_AUTH_VERIFY_LIMITS="30/day")
    with pytest.raises(ConfigError, match="OTP_AUTH_VERIFY_LIMITS"):
        make_app(**config, OTP_AUTH_VERIFY_LIMITS="30/day")


@pytest.mark.parametrize(
    ("config", "number"),
    [
        ({}, 1),
        ({"OTP_AUTH_STORAGE_URI": "sqlite:///codes.sqlite3"}, 0),
        ({"TESTING": True}, 0),
    ],
    ids=["default", "as-set", "testing"],
)
def test_codes_that_stay_on_this_machine_are_told_of_where_limits_do_not(
    make_app: MakeApp,
    customers: Customers,
    caplog: pytest.LogCaptureFixture,
    config: dict[str, Any],
    number: int,
) -> None:
    _, otp_auth = limited(customers, "redis://127.0.0.1:1/0")
    make_app(otp_auth, **{"TESTING": False, **config})
    warnings = [each for each in caplog.messages if "of this machine" in each]
    assert len(warnings) == number


def limited(customers: Customers, uri: str = "memory://") -> tuple[Limiter, OTPAuth]:
    """Return an app's own limiter, and an extension that counts on it."""
    limiter = Limiter(get_remote_address, app=Flask("limits"), storage_uri=uri)
    otp_auth = OTPAuth(limiter=limiter)
    otp_auth.add_actor_type("customer", customers)
    return limiter, otp_auth


def statuses(app: Flask) -> list[int]:
    """Return what three requests for a code are answered."""
    api = Api(app.test_client())
    return [api.generate(ADA).status_code for _ in range(3)]


def test_a_test_may_switch_the_apps_limiter_off_and_on_again(
    make_app: MakeApp, customers: Customers
) -> None:
    limiter, otp_auth = limited(customers)
    app = make_app(otp_auth, OTP_AUTH_IP_GENERATE_LIMITS="2/hour")
    assert statuses(app) == [200, 200, 429]
    limiter.enabled = False
    assert statuses(app) == [200, 200, 200]
    limiter.enabled = True
    assert statuses(app) == [429, 429, 429]
    limiter.enabled = False
    reset(app)
    limiter.enabled = True
    assert statuses(app) == [200, 200, 429]


def test_one_that_is_switched_off_and_keeps_hits_elsewhere_hinders_no_reset(
    make_app: MakeApp, customers: Customers
) -> None:
    limiter = Limiter(get_remote_address, storage_uri="redis://127.0.0.1:1")
    limiter.init_app(Flask("other"))
    otp_auth = OTPAuth(limiter=limiter)
    otp_auth.add_actor_type("customer", customers)
    app = make_app(otp_auth)
    with pytest.raises(ConfigError, match="limiter="):
        reset(app)
    limiter.enabled = False
    reset(app)
    assert statuses(app) == [200, 200, 200]


def test_a_limiter_that_is_switched_off_lets_nothing_through_when_the_tests_are_over(
    make_app: MakeApp, customers: Customers
) -> None:
    limiter, otp_auth = limited(customers)
    app = make_app(otp_auth)
    limiter.enabled = False
    assert statuses(app) == [200, 200, 200]
    app.testing = False
    assert statuses(app) == [503, 503, 503]
