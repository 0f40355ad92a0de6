"""Backends: one URI gives codes and limits their place."""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from cachelib import SimpleCache
from conftest import ADA, SECRET, Customers
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import parse
from limits.strategies import MovingWindowRateLimiter

from flask_otp_auth import OTPAuth
from flask_otp_auth.backends import LazyStore, backend_for
from flask_otp_auth.database import Database
from flask_otp_auth.errors import ConfigError, Unavailable
from flask_otp_auth.keys import Keys
from flask_otp_auth.limits import Limits, strategy_for
from flask_otp_auth.memory import MemoryCache
from flask_otp_auth.store import MIN_THRESHOLD, CacheStore, Store, probe, store_for
from flask_otp_auth.testing import Outbox

TWICE = parse("2/hour")

URIS = pytest.mark.parametrize("uri", ["memory://", "sqlite:///codes.sqlite3"])


@URIS
def test_a_backend_keeps_codes_as_the_store_promises(uri: str, tmp_path: Path) -> None:
    store = backend_for(uri, str(tmp_path)).open_store()
    assert probe(store) is None
    store.put({"one": "1", "two": "2"}, 60)
    assert store.peek("one", "two", "three") == ["1", "2", None]


@URIS
def test_a_backend_counts_limits_in_moving_windows(uri: str, tmp_path: Path) -> None:
    strategy = strategy_for(backend_for(uri, str(tmp_path)).open_limits())
    assert isinstance(strategy, MovingWindowRateLimiter)
    assert [strategy.hit(TWICE, "ada") for _ in range(3)] == [True, True, False]


@URIS
def test_a_backend_has_room_for_every_live_code(uri: str, tmp_path: Path) -> None:
    store = backend_for(uri, str(tmp_path)).open_store()
    store.put({"first": "1"}, 60)
    for block in range(6):
        store.put({f"{block}-{number}": "1" for number in range(MIN_THRESHOLD // 5)}, 60)
    store.put({"last": "1"}, 60)
    assert store.peek("first", "last") == ["1", "1"]


def test_nothing_is_shared_in_memory() -> None:
    backend = backend_for("memory://", "")
    one, other = backend.open_store(), backend.open_store()
    one.put({"key": "1"}, 60)
    assert other.peek("key") == [None]


def test_whoever_opens_one_file_shares_codes_and_limits(tmp_path: Path) -> None:
    workers = [backend_for("sqlite:///codes.sqlite3", str(tmp_path)) for _ in range(3)]
    stores = [worker.open_store() for worker in workers]
    stores[0].put({"right": "1"}, 60)
    assert [store.take("right") for store in stores] == [True, False, False]
    strategies = [strategy_for(worker.open_limits()) for worker in workers]
    assert [strategy.hit(TWICE, "ada") for strategy in strategies] == [True, True, False]


def test_a_relative_path_starts_from_the_instance_folder_which_is_made(tmp_path: Path) -> None:
    backend = backend_for("sqlite:///data/codes.sqlite3", str(tmp_path / "instance"))
    backend.open_store().put({"key": "1"}, 60)
    assert (tmp_path / "instance" / "data" / "codes.sqlite3").is_file()


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    backend = backend_for(f"sqlite:///{tmp_path / 'codes.sqlite3'}", "/nowhere")
    backend.open_store().put({"key": "1"}, 60)
    assert (tmp_path / "codes.sqlite3").is_file()


def test_nothing_is_made_before_the_first_use(tmp_path: Path) -> None:
    backend = backend_for("sqlite:///codes.sqlite3", str(tmp_path))
    assert (backend.open_store(), backend.open_limits(), list(tmp_path.iterdir()))[2] == []


@pytest.fixture
def nobody() -> Iterator[str]:
    """The address of a server that takes no connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


SERVERS = pytest.mark.parametrize("scheme", ["redis", "memcached", "redis+cluster"])


@SERVERS
def test_a_server_out_of_reach_is_no_fault_of_the_uri(scheme: str, nobody: str) -> None:
    assert backend_for(f"{scheme}://{nobody}", "")


@SERVERS
def test_codes_on_a_server_out_of_reach_are_unavailable(scheme: str, nobody: str) -> None:
    backend = backend_for(f"{scheme}://{nobody}", "")
    with pytest.raises(Unavailable):
        probe(backend.open_store())


@SERVERS
def test_limits_on_a_server_out_of_reach_are_unavailable(scheme: str, nobody: str) -> None:
    backend = backend_for(f"{scheme}://{nobody}", "")
    limits = Limits(lambda: strategy_for(backend.open_limits()), Keys.derive([b"secret"]))
    with pytest.raises(Unavailable):
        limits.hit((TWICE,), "ada")


@pytest.mark.parametrize("uri", ["redis://", "memcached://", "redis+sentinel://one:26379"])
def test_a_uri_that_names_no_server_or_service_is_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match="OTP_AUTH_STORAGE_URI must"):
        backend_for(uri, "")


class Outage:
    """Opens a store that can't be reached until a test says so."""

    def __init__(self, cache: SimpleCache) -> None:
        self.cache = cache
        self.tries = 0
        self.over = False

    def __call__(self) -> Store:
        self.tries += 1
        if not self.over:
            raise Unavailable
        return CacheStore(self.cache)


class TestLazyStore:
    """A store is opened and probed at the first contact that there is."""

    VERBS = pytest.mark.parametrize(
        "use",
        [
            lambda store: store.put({"key": "1"}, 60),
            lambda store: store.peek("key"),
            lambda store: store.take("key"),
            lambda store: store.mark("key", 60),
        ],
        ids=["put", "peek", "take", "mark"],
    )

    @VERBS
    def test_each_verb_is_tried_again_until_the_storage_answers(
        self, use: Callable[[Store], object]
    ) -> None:
        outage = Outage(MemoryCache())
        store = LazyStore(outage)
        for _ in range(2):
            with pytest.raises(Unavailable):
                use(store)
        outage.over = True
        assert use(store) == use(store_for(MemoryCache()))
        assert outage.tries == 3

    def test_it_is_opened_once(self) -> None:
        outage = Outage(MemoryCache())
        outage.over = True
        store = LazyStore(outage)
        store.put({"key": "1"}, 60)
        assert [store.take("key"), store.take("key")] == [True, False]
        assert [store.mark("window", 60), store.mark("window", 60)] == [True, False]
        assert store.peek("key") == [None]
        assert outage.tries == 1

    @VERBS
    def test_a_storage_that_lies_stays_out_of_use_and_is_told_once(
        self, use: Callable[[Store], object], caplog: pytest.LogCaptureFixture
    ) -> None:
        class Liar(MemoryCache):
            def delete(self, key: str) -> bool:
                return True

        outage = Outage(Liar())
        outage.over = True
        store = LazyStore(outage)
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                use(store)
            assert isinstance(caught.value.__cause__, ConfigError)
        assert outage.tries == 1
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "doesn't tell the truth" in record.getMessage()

    def test_at_the_start_a_liar_is_a_fault_of_the_configuration(self) -> None:
        class Liar(MemoryCache):
            def add(self, *args: object, **kwargs: object) -> bool:
                return True

        outage = Outage(Liar())
        outage.over = True
        with pytest.raises(ConfigError, match="doesn't tell the truth"):
            LazyStore(outage).connect()


@pytest.mark.parametrize("own_limiter", [True, False])
def test_nobody_waits_at_the_file_for_limits_that_stand_elsewhere(
    tmp_path: Path, customers: Customers, monkeypatch: pytest.MonkeyPatch, own_limiter: bool
) -> None:
    """Else an app's own limiter, slow or out of reach, would let one request in at a time."""
    app = Flask("shop")
    uri = f"sqlite:///{tmp_path}/codes.sqlite3"
    app.config.update(TESTING=True, SECRET_KEY=SECRET, OTP_AUTH_STORAGE_URI=uri)
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://")
    otp_auth = OTPAuth(limiter=limiter if own_limiter else None)
    otp_auth.add_actor_type("customer", customers)
    otp_auth.init_app(app)
    turns = []

    def turn(database: Database) -> AbstractContextManager[None]:
        turns.append(database)
        return nullcontext()

    monkeypatch.setattr(Database, "turn", turn)
    with Outbox(app) as outbox, app.app_context():
        otp_auth.generate("customer", ADA)
        otp_auth.verify("customer", ADA, outbox.last.otp)
    assert len(turns) == (0 if own_limiter else 2)
