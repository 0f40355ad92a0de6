"""Where an app's codes, sign-ins and limits are kept."""

from collections.abc import Callable

import pymemcache
import pytest
from cachelib import MemcachedCache
from fakes import Customers
from flask import Flask

from flask_otp_auth import ConfigError, OTPAuth


@pytest.fixture
def on_memcached(customers: Customers) -> OTPAuth:
    """An extension on a cache that forgets; it is not contacted."""
    client = pymemcache.PooledClient(("127.0.0.1", 1), default_noreply=False)
    otp_auth = OTPAuth(cache=MemcachedCache(client))
    otp_auth.add_actor_type("customer", customers)
    return otp_auth


def test_a_cache_that_forgets_keeps_no_sign_ins(
    make_app: Callable[..., Flask], on_memcached: OTPAuth
) -> None:
    with pytest.raises(ConfigError, match="OTP_AUTH_SIGN_INS_URI is needed"):
        make_app(on_memcached)


def test_sign_ins_may_be_elsewhere(make_app: Callable[..., Flask], on_memcached: OTPAuth) -> None:
    assert make_app(on_memcached, OTP_AUTH_SIGN_INS_URI="memory://")
