"""Limits on the web's side: what counts as one address, and on whose limiter it is counted."""

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from hypothesis import given
from hypothesis import strategies as st
from limits import parse
from limits.storage import MemcachedStorage, MemoryStorage, Storage
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_otp_auth.errors import ConfigError, Unavailable
from flask_otp_auth.web.limits import (
    AddressNotice,
    address_buckets,
    bare_address,
    exempt,
    strategy_for,
    strategy_of,
    windows_move,
)

TWICE = parse("2/hour")


class TestBuckets:
    @pytest.mark.parametrize(
        ("address", "buckets"),
        [
            ("192.0.2.1", ("192.0.2.1",)),
            ("::ffff:192.0.2.1", ("192.0.2.1",)),
            ("::FFFF:C000:0201", ("192.0.2.1",)),
            ("64:ff9b::192.0.2.1", ("192.0.2.1",)),
            ("64:ff9b:0:0:1::", ("64:ff9b::/64", "64:ff9b::/48")),
            ("2001:db8:1:2:3:4:5:6", ("2001:db8:1:2::/64", "2001:db8:1::/48")),
            ("2001:DB8:1:2::", ("2001:db8:1:2::/64", "2001:db8:1::/48")),
            ("fe80::1%eth0", ("fe80::/64", "fe80::/48")),
            ("::1", ("::/64", "::/48")),
        ],
    )
    def test_an_ipv4_address_counts_alone_and_an_ipv6_one_with_its_networks(
        self, address: str, buckets: tuple[str, ...]
    ) -> None:
        assert address_buckets(address) == buckets

    @pytest.mark.parametrize(
        ("written", "address"),
        [
            ("203.0.113.7:50000", "203.0.113.7"),
            ("[2001:db8::7]:443", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[::ffff:203.0.113.7]:443", "203.0.113.7"),
            ("::ffff:203.0.113.7:50000", "203.0.113.7"),
            ("2001:db8::7:50000", "2001:db8::7"),
            ("2001:db8:0:0:0:0:0:7:443", "2001:db8::7"),
            ("[fe80::1%eth0]:443", "fe80::1%eth0"),
        ],
    )
    def test_a_port_does_not_count(self, written: str, address: str) -> None:
        assert address_buckets(written) == address_buckets(address) != ("unknown",)
        assert address_buckets(bare_address(written)) == address_buckets(address)
        assert bare_address(written) in (address, f"::ffff:{address}", "2001:db8:0:0:0:0:0:7")

    @pytest.mark.parametrize(
        "address",
        [None, "", "unix:", "localhost", "999.0.0.1", "[::1", "[localhost]:80", "1.2.3.4:x", "[]"],
    )
    def test_whatever_is_no_address_shares_one_bucket(self, address: str | None) -> None:
        assert address_buckets(address) == ("unknown",)

    @given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
    def test_a_whole_ipv6_network_shares_its_buckets(self, address: Any, host: int) -> None:
        neighbour = type(address)(int(address) >> 64 << 64 | host)
        ipv4 = [str(each) for each in (address, neighbour) if len(address_buckets(str(each))) == 1]
        assert all(each.startswith(("::ffff:", "64:ff9b::")) for each in ipv4)
        assert ipv4 or address_buckets(str(address)) == address_buckets(str(neighbour))

    @given(st.ip_addresses(v=4), st.integers(0, 65535))
    def test_an_address_is_the_same_however_it_is_written(self, address: Any, port: int) -> None:
        plain = (str(address),)
        assert address_buckets(f"::ffff:{address}") == address_buckets(f"{address}:{port}") == plain


class TestNotice:
    """A deployment in which all visitors count as one address is warned about, once."""

    @pytest.fixture
    def call(self, caplog: pytest.LogCaptureFixture) -> Callable[..., list[str]]:
        """Call an app of its own as often as there are headers; return what was logged."""

        def call(
            address: str | None, *headers: dict[str, str], trusted: int | None = None
        ) -> list[str]:
            app = Flask("shop")
            app.add_url_rule("/", "index", lambda: "in")
            app.before_request(AddressNotice())
            if trusted is not None:
                app.wsgi_app = ProxyFix(app.wsgi_app, x_for=trusted)
            client = app.test_client()
            client.environ_base.pop("REMOTE_ADDR", None)
            if address is not None:
                client.environ_base["REMOTE_ADDR"] = address
            caplog.clear()
            with caplog.at_level(logging.WARNING, "flask_otp_auth"):
                for each in headers:
                    assert client.get("/", headers=each).text == "in"
            return caplog.messages

        return call

    FORWARDED = pytest.mark.parametrize(
        "headers",
        [
            {"X-Forwarded-For": "198.51.100.7"},
            {"Forwarded": "for=198.51.100.7"},
            {"X-Real-IP": "198.51.100.7"},
        ],
        ids=lambda headers: next(iter(headers)),
    )

    @FORWARDED
    @pytest.mark.parametrize(
        "peer", ["127.0.0.1", "::1", "10.0.0.7", "172.16.1.1", "100.64.0.1", "", None, "unix:"]
    )
    def test_an_untrusted_proxy_is_told_once(
        self, call: Callable[..., list[str]], headers: dict[str, str], peer: str | None
    ) -> None:
        (message,) = call(peer, headers, headers, headers)
        assert "ProxyFix(app.wsgi_app, x_for=1)" in message

    @FORWARDED
    @pytest.mark.parametrize("peer", ["8.8.8.8", "2a00:1450:4001::1"])
    def test_a_visitor_who_sends_the_header_himself_is_not(
        self, call: Callable[..., list[str]], headers: dict[str, str], peer: str
    ) -> None:
        assert call(peer, headers) == []

    @pytest.mark.parametrize(
        ("visitor", "trusted"),
        [
            ("198.51.100.7", 1),
            ("10.0.0.7", 1),
            ("127.0.0.1", 1),
            ("1.1.1.1, 8.8.8.8", 1),
            ("8.8.8.8, 10.0.0.2", 2),
        ],
    )
    def test_a_trusted_proxy_is_not(
        self, call: Callable[..., list[str]], visitor: str, trusted: int
    ) -> None:
        assert call("127.0.0.1", {"X-Forwarded-For": visitor}, trusted=trusted) == []

    @pytest.mark.parametrize(
        ("headers", "trusted"),
        [
            ({"X-Forwarded-For": "8.8.8.8"}, 0),
            ({"X-Forwarded-For": "8.8.8.8"}, 2),
            ({"X-Forwarded-For": "8.8.8.8, 10.0.0.2"}, 1),
            ({"Forwarded": "for=8.8.8.8"}, 1),
            ({"X-Real-IP": "8.8.8.8"}, 1),
        ],
    )
    def test_one_that_proxy_fix_does_not_fit_is_told(
        self, call: Callable[..., list[str]], headers: dict[str, str], trusted: int
    ) -> None:
        """Trusting none, too many or too few, or reading what the proxy doesn't write."""
        (message,) = call("127.0.0.1", headers, headers, trusted=trusted)
        assert "trust as many as you run" in message

    def test_only_the_last_names_are_looked_at(self, call: Callable[..., list[str]]) -> None:
        """Anybody can write thousands of names, which take a while to read."""
        named = ", ".join(["8.8.8.8", *["10.0.0.9"] * 7, "10.0.0.7"])
        assert call("10.0.0.7", {"X-Forwarded-For": named}) == []

    @pytest.mark.parametrize("headers", ["10.0.0.7", "10.0.0.9, 10.0.0.7"])
    def test_one_that_the_server_trusts_is_not(
        self, call: Callable[..., list[str]], headers: str
    ) -> None:
        """Such as uvicorn or waitress, in the network of a company."""
        assert call("10.0.0.7", {"X-Forwarded-For": headers}) == []

    def test_a_visitor_at_home_is_not(self, call: Callable[..., list[str]]) -> None:
        assert call("127.0.0.1", {}) == []

    @pytest.mark.parametrize("peer", ["", None, "unix:"])
    def test_a_socket_without_addresses_is_told_once(
        self, call: Callable[..., list[str]], peer: str | None
    ) -> None:
        (message,) = call(peer, {}, {})
        assert "without an IP address" in message

    def test_what_a_trusted_proxy_says_may_be_no_address_either(
        self, call: Callable[..., list[str]]
    ) -> None:
        (message,) = call("127.0.0.1", {"X-Forwarded-For": "unknown"}, trusted=1)
        assert "without an IP address" in message


class FixedStorage(Storage):
    """A storage that can do no more than every storage must."""

    STORAGE_SCHEME = None
    base_exceptions = OSError

    def __init__(self) -> None:
        super().__init__()
        self.counts: dict[str, int] = {}

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        self.counts[key] = self.counts.get(key, 0) + amount
        return self.counts[key]

    def get(self, key: str) -> int:
        return self.counts.get(key, 0)

    def get_expiry(self, key: str) -> float:
        return time.time() + 60

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        return None

    def clear(self, key: str) -> None:
        del self.counts[key]


@pytest.mark.parametrize(
    ("storage", "strategy"),
    [
        (MemoryStorage, MovingWindowRateLimiter),
        (lambda: MemcachedStorage("memcached://127.0.0.1:1"), SlidingWindowCounterRateLimiter),
        (FixedStorage, FixedWindowRateLimiter),
    ],
    ids=["moving", "sliding", "fixed"],
)
def test_the_strictest_strategy_of_a_storage_is_chosen(
    storage: Callable[[], Storage], strategy: type[RateLimiter]
) -> None:
    assert type(strategy_for(storage())) is strategy


class SharedStorage(FixedStorage):
    """Stands for a server: it is not in the memory of each process."""

    STORAGE_SCHEME = ("shared",)  # type: ignore[assignment] # a tuple does as well

    def __init__(self, uri: str | None = None, **options: Any) -> None:
        super().__init__()


def make_app(**config: Any) -> Flask:
    """Return an app with that configuration."""
    app = Flask("shop")
    app.config.update(config)
    return app


def limiter_of(app: Flask, storage_uri: str = "memory://", **options: Any) -> Limiter:
    """Return an app's own Flask-Limiter."""
    return Limiter(get_remote_address, app=app, storage_uri=storage_uri, **options)


class TestOwnLimiter:
    """``limiter=``: the app's own Flask-Limiter."""

    @pytest.mark.parametrize(
        ("name", "strategy"),
        [
            ("fixed-window", FixedWindowRateLimiter),
            ("moving-window", MovingWindowRateLimiter),
            ("sliding-window-counter", SlidingWindowCounterRateLimiter),
        ],
    )
    def test_keeps_its_strategy_and_its_storage(
        self, name: str, strategy: type[RateLimiter]
    ) -> None:
        app = make_app(TESTING=True)
        limiter = limiter_of(app, strategy=name)
        chosen = strategy_of(limiter, app)
        assert type(chosen) is strategy
        assert chosen.storage is limiter.storage
        assert windows_move(limiter) is (name == "moving-window")

    def test_must_be_initialised(self) -> None:
        with pytest.raises(ConfigError, match=r"limiter\.init_app\(app\)"):
            strategy_of(Limiter(get_remote_address), make_app())

    @pytest.mark.parametrize("limiter", ["memory://", 5])
    def test_must_be_one(self, limiter: Any) -> None:
        with pytest.raises(ConfigError, match=r"limiter= must be a flask_limiter\.Limiter"):
            strategy_of(limiter, make_app())

    def test_may_not_count_in_memory_where_there_are_workers(self) -> None:
        app = make_app()
        with pytest.raises(ConfigError, match="RATELIMIT_STORAGE_URI"):
            strategy_of(limiter_of(app), app)

    @pytest.mark.parametrize("mode", ["DEBUG", "TESTING"])
    def test_may_do_so_at_home(self, mode: str) -> None:
        app = make_app(**{mode: True})
        assert strategy_of(limiter_of(app), app).hit(TWICE, "ada")

    def test_may_count_on_a_server(self) -> None:
        app = make_app()
        assert strategy_of(limiter_of(app, "shared://"), app).hit(TWICE, "ada")

    def test_does_not_turn_to_its_fallback_in_memory(self) -> None:
        """In an outage that would grant every budget again."""
        app = make_app(TESTING=True)
        app.add_url_rule("/", "index", lambda: "in")
        limiter = limiter_of(
            app, "failing://", default_limits=["9/hour"], in_memory_fallback_enabled=True
        )
        assert app.test_client().get("/").text == "in"
        assert limiter.limiter.storage is not limiter.storage  # it has turned to its fallback
        with pytest.raises(ConnectionRefusedError):
            strategy_of(limiter, app).hit(TWICE, "ada")


class FailingStorage(SharedStorage):
    """A server that can't be reached."""

    STORAGE_SCHEME = ("failing",)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise ConnectionRefusedError

    def check(self) -> bool:
        return False


class TestLimiterThatIsSwitchedOff:
    """``RATELIMIT_ENABLED = False``, as test configurations have it."""

    @pytest.fixture(params=["RATELIMIT_ENABLED", "enabled="])
    def switched_off(self, request: pytest.FixtureRequest) -> Callable[[Flask], Limiter]:
        """Return a limiter of an app, switched off by either way."""

        def make(app: Flask) -> Limiter:
            if request.param == "enabled=":
                return limiter_of(app, enabled=False)
            app.config["RATELIMIT_ENABLED"] = False
            return limiter_of(app)

        return make

    def test_is_refused(self, switched_off: Callable[[Flask], Limiter]) -> None:
        app = make_app(DEBUG=True)
        limiter = switched_off(app)
        with pytest.raises(ConfigError, match="switched off"):
            strategy_of(limiter, app)

    def test_switches_ours_off_under_testing(
        self, switched_off: Callable[[Flask], Limiter]
    ) -> None:
        app = make_app(TESTING=True)
        limiter = switched_off(app)
        assert windows_move(limiter)
        strategy = strategy_of(limiter, app)
        assert all(strategy.hit(TWICE, "ada") for _ in range(5))
        assert strategy.test(TWICE, "ada")
        assert strategy.get_window_stats(TWICE, "ada").remaining == 2

    def test_lets_nothing_through_when_the_tests_are_over(
        self, switched_off: Callable[[Flask], Limiter]
    ) -> None:
        app = make_app(TESTING=True)
        storage = strategy_of(switched_off(app), app).storage
        app.testing = False
        with pytest.raises(Unavailable):
            storage.acquire_many([("key", 1, 60)])

    def test_is_a_storage_like_any_other(self, switched_off: Callable[[Flask], Limiter]) -> None:
        app = make_app(TESTING=True)
        storage = strategy_of(switched_off(app), app).storage
        assert storage.check()
        assert storage.incr("key", 60) == storage.get("key") == 0
        assert storage.get_expiry("key") <= time.time()
        storage.clear("key")
        storage.reset()
        assert storage.base_exceptions == ()
        assert storage.acquire_many([("key", 1, 60)] * 3) == [True] * 3


@pytest.mark.parametrize("nested", [False, True])
def test_the_apps_default_limits_are_kept_off_our_routes(nested: bool) -> None:
    app = make_app(TESTING=True)
    app.add_url_rule("/", "index", lambda: "in")
    limiter = limiter_of(app, default_limits=["2/hour"])
    ours = Blueprint("otp_auth", __name__)
    ours.add_url_rule("/auth", "generate", lambda: "in")
    exempt(limiter, ours)
    if nested:
        api = Blueprint("api", __name__)
        api.register_blueprint(ours)
        app.register_blueprint(api)
    else:
        app.register_blueprint(ours)
    client = app.test_client()
    assert [client.get("/").status_code for _ in range(3)] == [200, 200, 429]
    assert [client.get("/auth").status_code for _ in range(3)] == [200, 200, 200]
