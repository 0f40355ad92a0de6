"""Limits: budgets that are counted before acting, by names that tell no one's, and fail closed."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from conftest import WatchedLimits
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from hypothesis import given
from hypothesis import strategies as st
from limits import parse, parse_many
from limits.errors import StorageError
from limits.storage import MemcachedStorage, MemoryStorage, Storage
from limits.strategies import (
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    RateLimiter,
    SlidingWindowCounterRateLimiter,
)

from flask_otp_auth.errors import ConfigError, Unavailable
from flask_otp_auth.keys import Keys
from flask_otp_auth.limits import Limits, address_bucket, strategy_for, strategy_of
from flask_otp_auth.memory import MemoryLimitStorage

KEYS = Keys.derive([b"the secret key of the shop"])
TWICE = (parse("2/hour"),)
BURST = tuple(parse_many("2/minute;3/hour"))


class OpenStorage(MemoryStorage):
    """A storage whose keys a test can read, and that fails as a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []
        self.error: Exception | None = None

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        self.note(key)
        return super().acquire_entry(key, limit, expiry, amount)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        self.note(key)
        return super().get_moving_window(key, limit, expiry)

    def note(self, key: str) -> None:
        self.keys.append(key)
        if self.error:
            raise self.error


def limits_on(storage: Storage) -> Limits:
    """Return budgets that are kept in a storage."""
    return Limits(lambda: strategy_for(storage), KEYS)


@pytest.fixture
def storage() -> OpenStorage:
    """A storage whose keys can be read."""
    return OpenStorage()


@pytest.fixture
def limits(storage: OpenStorage) -> Limits:
    """Budgets in that storage."""
    return limits_on(storage)


class TestBudgets:
    def test_a_budget_lets_so_many_through(self, limits: Limits) -> None:
        assert [limits.hit(TWICE, "ada") for _ in range(4)] == [True, True, False, False]

    def test_budgets_of_different_names_do_not_meet(self, limits: Limits) -> None:
        names = [("verify", "customer", "ada"), ("verify", "custom", "erada"), ("verify",), ()]
        assert all(limits.hit(TWICE, *name) for name in names for _ in range(2))
        assert not any(limits.hit(TWICE, *name) for name in names)

    def test_a_budget_comes_back_as_its_window_moves(
        self, limits: Limits, clock: time_machine.Traveller
    ) -> None:
        assert limits.hit(TWICE, "ada")
        clock.shift(1800)
        assert limits.hit(TWICE, "ada")
        clock.shift(1801)
        assert [limits.hit(TWICE, "ada"), limits.hit(TWICE, "ada")] == [True, False]

    def test_every_window_of_a_limit_must_have_some_left(
        self, limits: Limits, clock: time_machine.Traveller
    ) -> None:
        assert [limits.hit(BURST, "ada") for _ in range(3)] == [True, True, False]
        clock.shift(61)
        assert [limits.hit(BURST, "ada") for _ in range(2)] == [True, False]
        clock.shift(61)
        assert not limits.hit(BURST, "ada")

    def test_what_a_window_refuses_is_not_counted_in_those_after_it(
        self, limits: Limits, clock: time_machine.Traveller
    ) -> None:
        assert [limits.hit(BURST, "ada") for _ in range(9)].count(True) == 2
        clock.shift(61)
        assert limits.hit(BURST, "ada")

    def test_looking_takes_nothing(self, limits: Limits) -> None:
        assert all(limits.has_left(TWICE, "ada") for _ in range(5))
        assert [limits.hit(TWICE, "ada") for _ in range(3)] == [True, True, False]
        assert not limits.has_left(TWICE, "ada")

    def test_a_budget_says_when_it_has_one_again(
        self, limits: Limits, clock: time_machine.Traveller
    ) -> None:
        clock.move_to(1_700_000_000)
        limits.hit(TWICE, "ada")
        clock.shift(600.5)
        limits.hit(TWICE, "ada")
        assert limits.retry_after(TWICE, "ada") == 3000

    def test_of_several_windows_the_one_that_opens_last_counts(
        self, limits: Limits, clock: time_machine.Traveller
    ) -> None:
        clock.move_to(1_700_000_000)
        limits.hit(BURST, "ada")
        clock.shift(100)
        limits.hit(BURST, "ada")
        limits.hit(BURST, "ada")
        assert limits.retry_after(BURST, "ada") == 3500

    def test_it_is_one_second_at_least(self, limits: Limits) -> None:
        assert limits.retry_after(TWICE, "ada") == 1

    @pytest.mark.parametrize("storage", [MemoryStorage, MemoryLimitStorage])
    def test_parallel_hits_get_no_more_than_the_budget(
        self, storage: Callable[[], Storage]
    ) -> None:
        limits, start, told = limits_on(storage()), threading.Barrier(12), []

        def call() -> None:
            start.wait()
            told.extend(limits.hit((parse("5/hour"),), "ada") for _ in range(3))

        threads = [threading.Thread(target=call) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (told.count(True), len(told)) == (5, 36)

    def test_hits_in_memory_take_turns(self) -> None:
        overlaps = []

        class Narrow(OpenStorage):
            inside = 0

            def note(self, key: str) -> None:
                self.inside += 1
                for _ in range(20):
                    time.sleep(0)  # lets other threads run
                overlaps.append(self.inside > 1)
                self.inside -= 1

        limits = limits_on(Narrow())
        threads = [
            threading.Thread(target=work, args=(TWICE, "ada"))
            for work in [limits.hit, limits.has_left, limits.retry_after] * 4
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(overlaps) >= 12
        assert not any(overlaps)


class TestKeys:
    @given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=3))
    def test_a_key_is_never_empty_and_safe_in_any_storage(self, parts: list[str]) -> None:
        storage = OpenStorage()
        limits_on(storage).hit(TWICE, *parts)
        (key,) = storage.keys
        assert key.startswith("LIMITER/otp_auth/")
        assert key.isascii()
        assert key.isprintable()
        assert " " not in key

    def test_a_key_tells_no_ones_name_or_address(
        self, limits: Limits, storage: OpenStorage
    ) -> None:
        limits.hit(TWICE, "verify", "customer", "ada@example.com")
        limits.has_left(TWICE, "address", "generate", "192.0.2.1")
        limits.retry_after(TWICE, "address", "generate", "192.0.2.1")
        for secret in ("ada@", "example", "customer", "192.0.2.1", "address", "verify"):
            assert not any(secret in key for key in storage.keys)

    def test_nobody_can_tell_whose_a_key_is_without_the_secret_key(self) -> None:
        keys = []
        for secret in (b"one", b"other"):
            storage = OpenStorage()
            Limits(lambda on=storage: strategy_for(on), Keys.derive([secret])).hit(TWICE, "ada")
            keys += storage.keys
        assert keys[0] != keys[1]


class TestOutage:
    USES = pytest.mark.parametrize("use", ["hit", "has_left", "retry_after"])

    @USES
    @pytest.mark.parametrize(
        "error", [OSError(), ConnectionResetError(), TimeoutError(), StorageError(OSError())]
    )
    def test_a_storage_that_fails_is_unavailable_and_lets_no_one_through(
        self, limits: Limits, storage: OpenStorage, use: str, error: Exception
    ) -> None:
        storage.error = error
        with pytest.raises(Unavailable) as caught:
            getattr(limits, use)(TWICE, "ada")
        assert caught.value.__cause__ is error
        storage.error = None
        assert limits.hit(TWICE, "ada")

    @pytest.mark.parametrize("known", [LookupError, (LookupError, BufferError)])
    def test_what_the_storage_itself_calls_an_outage_is_one(self, known: Any) -> None:
        class Own(OpenStorage):
            base_exceptions = known

        storage = Own()
        storage.error = KeyError("lost")
        with pytest.raises(Unavailable):
            limits_on(storage).hit(TWICE, "ada")

    @USES
    def test_an_error_that_is_no_outage_is_not_taken_for_one(
        self, limits: Limits, storage: OpenStorage, use: str
    ) -> None:
        storage.error = ZeroDivisionError()
        with pytest.raises(ZeroDivisionError):
            getattr(limits, use)(TWICE, "ada")

    def test_the_storage_is_opened_at_first_use_and_until_that_succeeds(self) -> None:
        tries = []

        def connect() -> RateLimiter:
            tries.append(1)
            if len(tries) < 3:
                raise Unavailable
            return strategy_for(MemoryLimitStorage())

        limits = Limits(connect, KEYS)
        assert tries == []
        for _ in range(2):
            with pytest.raises(Unavailable):
                limits.hit(TWICE, "ada")
        assert [limits.hit(TWICE, "ada") for _ in range(3)] == [True, True, False]
        assert len(tries) == 3

    def test_threads_that_open_it_together_count_together(self) -> None:
        together = threading.Barrier(4)

        def connect() -> RateLimiter:
            together.wait()
            return strategy_for(MemoryLimitStorage())

        limits, told = Limits(connect, KEYS), []
        threads = [
            threading.Thread(target=lambda: told.append(limits.hit(TWICE, "ada"))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told) == [False, False, True, True]


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


class TestStrategy:
    @pytest.mark.parametrize(
        ("storage", "strategy"),
        [
            (MemoryLimitStorage, MovingWindowRateLimiter),
            (MemoryStorage, MovingWindowRateLimiter),
            (
                lambda: MemcachedStorage("memcached://127.0.0.1:1"),
                SlidingWindowCounterRateLimiter,
            ),
            (FixedStorage, FixedWindowRateLimiter),
        ],
        ids=["moving", "moving-too", "sliding", "fixed"],
    )
    def test_the_strictest_that_the_storage_can_do_is_chosen(
        self, storage: Callable[[], Storage], strategy: type[RateLimiter]
    ) -> None:
        assert type(strategy_for(storage())) is strategy

    def test_a_fixed_window_is_a_budget_too(self) -> None:
        limits = limits_on(FixedStorage())
        assert [limits.hit(TWICE, "ada") for _ in range(3)] == [True, True, False]
        assert not limits.has_left(TWICE, "ada")
        assert 1 <= limits.retry_after(TWICE, "ada") <= 60


def limiter_of(app: Flask, **options: Any) -> Limiter:
    """Return an app's own Flask-Limiter on a storage that can be cut off."""
    return Limiter(get_remote_address, app=app, storage_uri="watched://", **options)


class TestOwnLimiter:
    @pytest.mark.parametrize(
        ("name", "strategy"),
        [
            ("fixed-window", FixedWindowRateLimiter),
            ("moving-window", MovingWindowRateLimiter),
            ("sliding-window-counter", SlidingWindowCounterRateLimiter),
        ],
    )
    def test_the_apps_own_limiter_keeps_its_strategy_and_its_storage(
        self, name: str, strategy: type[RateLimiter]
    ) -> None:
        limiter = limiter_of(Flask("shop"), strategy=name)
        chosen = strategy_of(limiter)
        assert type(chosen) is strategy
        assert chosen.storage is limiter.storage

    def test_a_limiter_that_was_switched_off_is_refused(self) -> None:
        app = Flask("shop")
        app.config["RATELIMIT_ENABLED"] = False
        for limiter in (limiter_of(app), limiter_of(Flask("shop"), enabled=False)):
            with pytest.raises(ConfigError, match="switched off"):
                strategy_of(limiter)

    def test_a_limiter_that_was_not_initialised_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"limiter\.init_app\(app\)"):
            strategy_of(Limiter(get_remote_address))

    @pytest.mark.parametrize("used_before", [True, False])
    def test_the_limiters_fallback_in_memory_hands_out_no_budget_again(
        self, used_before: bool
    ) -> None:
        app = Flask("shop")
        app.add_url_rule("/", "index", lambda: "in")
        limiter = limiter_of(
            app,
            default_limits=["9/hour"],
            strategy="moving-window",
            in_memory_fallback_enabled=True,
        )
        storage = limiter.storage
        assert isinstance(storage, WatchedLimits)
        limits = Limits(lambda: strategy_of(limiter), KEYS)
        if used_before:
            assert [limits.hit(TWICE, "ada") for _ in range(3)] == [True, True, False]
        storage.reachable = False
        assert app.test_client().get("/").text == "in"
        assert limiter.limiter.storage is not storage  # the limiter has turned to its fallback
        with pytest.raises(Unavailable):
            limits.hit(TWICE, "ada")
        storage.reachable = True
        assert limits.hit(TWICE, "ada") is not used_before


class TestAddresses:
    @pytest.mark.parametrize(
        ("address", "bucket"),
        [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::FFFF:C000:0201", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("::1", "::/64"),
        ],
    )
    def test_an_ipv4_address_counts_alone_and_an_ipv6_one_with_its_network(
        self, address: str, bucket: str
    ) -> None:
        assert address_bucket(address) == bucket

    @pytest.mark.parametrize("address", [None, ""])
    def test_no_address_is_one_bucket(self, address: str | None) -> None:
        assert address_bucket(address) == "unknown"

    @pytest.mark.parametrize(
        "address", ["unix:", "localhost", "192.0.2.1:80", "999.0.0.1", "[::1]"]
    )
    def test_what_is_no_address_is_a_bucket_of_its_own(self, address: str) -> None:
        assert address_bucket(address) == address

    @given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
    def test_a_whole_ipv6_network_shares_one_bucket(self, address: Any, host: int) -> None:
        neighbour = type(address)(int(address) >> 64 << 64 | host)
        mapped = bool(address.ipv4_mapped or neighbour.ipv4_mapped)
        assert mapped or address_bucket(str(address)) == address_bucket(str(neighbour))

    @given(st.ip_addresses(v=4))
    def test_an_address_is_the_same_however_the_socket_writes_it(self, address: Any) -> None:
        assert address_bucket(f"::ffff:{address}") == address_bucket(str(address)) == str(address)
