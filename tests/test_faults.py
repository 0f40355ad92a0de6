"""Storages out of order: 503 or an ordinary refusal, never a code, a token or a guess too many."""

import os
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymemcache
import pytest
from cachelib import MemcachedCache
from conftest import ADA, BOB, Api, Customers, Ear, wrong
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from servers import until
from stores import KINDS, Cluster, Memcached, Proxy, Redis, Sentinel, Storage, Storages, free_port
from werkzeug.test import TestResponse

from flask_otp_auth import OTPAuth
from flask_otp_auth.database import Database
from flask_otp_auth.sqlite import SQLiteCache
from flask_otp_auth.testing import Outbox

UNAVAILABLE = (503, {"type": "unavailable", "message": "The service is temporarily unavailable."})
INVALID = (400, {"type": "invalid_otp", "message": "Invalid OTP"})

#: A request makes some round trips, each of which may take so many seconds.
TIMEOUT = 0.3


def told(answer: TestResponse) -> tuple[int, Any]:
    return answer.status_code, answer.get_json()


@dataclass
class Shop:
    """An app on a storage that a test puts out of order."""

    app: Flask
    api: Api
    outbox: Outbox
    ear: Ear

    def code(self, identifier: str = ADA) -> str:
        """Ask for a code and return it."""
        assert self.api.generate(identifier).status_code == 200
        assert self.outbox.last.identifier == identifier
        return self.outbox.last.otp

    def serves_nobody(self) -> bool:
        """Tell whether every route answers 503, sends nothing and lets nobody in."""
        self.ear.heard.clear()
        sent = len(self.outbox)
        answers = [
            self.api.generate(ADA),
            self.api.pre_register(BOB),
            self.api.verify("123456", ADA),
            self.api.register("123456", BOB),
            self.api.authenticate("123456", BOB),
        ]
        assert [told(answer) for answer in answers] == [UNAVAILABLE] * 5
        return len(self.outbox) == sent and self.ear.heard == []

    def works(self) -> bool:
        """Tell whether somebody can sign in, once."""
        otp = self.code()
        return [self.api.verify(otp).status_code for _ in range(2)] == [200, 400]


@pytest.fixture
def make_shop(
    request: pytest.FixtureRequest, make_app: Callable[..., Flask]
) -> Iterator[Callable[..., Shop]]:
    """Make shops where nobody has to wait for a code; each test's have a secret of their own."""
    outboxes = []

    def make(uri: str = "memory://", otp_auth: OTPAuth | None = None, **config: Any) -> Shop:
        app = make_app(
            otp_auth,
            OTP_AUTH_STORAGE_URI=uri,
            **{
                "SECRET_KEY": request.node.nodeid,
                "OTP_AUTH_RESEND_INTERVAL": 0,
                "OTP_AUTH_SEND_LIMITS": "1000/hour",
                "OTP_AUTH_IP_GENERATE_LIMITS": "1000/hour",
                **config,
            },
        )
        outboxes.append(Outbox(app).__enter__())
        return Shop(app, Api(app.test_client()), outboxes[-1], Ear(app))

    yield make
    for outbox in outboxes:
        outbox.__exit__(None, None, None)


class TestOutOfReach:
    """A server that is not there."""

    @pytest.fixture(params=[Redis, Memcached])
    def server(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
        with request.param(tmp_path / "server") as server:
            yield server

    def test_serves_nobody_until_it_is_back_and_needs_no_restart(
        self, server: Any, make_shop: Callable[..., Shop]
    ) -> None:
        shop = make_shop(server.uri)
        assert shop.works()
        for stop in (server.stop, server.kill):
            stop()
            assert shop.serves_nobody()
            server.start()
            assert shop.works()

    def test_a_code_that_got_lost_with_it_is_refused_like_any_other(
        self, server: Any, make_shop: Callable[..., Shop]
    ) -> None:
        shop = make_shop(server.uri)
        otp = shop.code()
        server.kill()
        server.start()
        assert told(shop.api.verify(otp)) == INVALID
        assert shop.works()

    def test_guesses_made_meanwhile_cost_nothing(
        self, server: Any, make_shop: Callable[..., Shop]
    ) -> None:
        """A frozen server keeps its codes."""
        shop = make_shop(slow(server))
        otp = shop.code()
        server.freeze()
        assert told(shop.api.verify(wrong(otp))) == UNAVAILABLE
        server.thaw()
        for _ in range(4):
            assert told(shop.api.verify(wrong(otp))) == INVALID
        assert shop.api.verify(otp).status_code == 200

    def test_a_slow_server_is_given_up_in_time(
        self, server: Any, make_shop: Callable[..., Shop]
    ) -> None:
        shop = make_shop(slow(server))
        assert shop.works()
        server.freeze()
        start = time.monotonic()
        assert told(shop.api.generate(ADA)) == UNAVAILABLE
        assert time.monotonic() - start < 3
        server.thaw()
        for _ in range(3):  # no answer of before is taken for one of now
            assert shop.works()


def slow(server: Any) -> str:
    """Return the URI of a server for a test that waits for it in vain."""
    return f"{server.uri}?socket_timeout={TIMEOUT}" if isinstance(server, Redis) else server.uri


class TestOutOfReachAtTheStart:
    """It is no fault of the configuration."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_is_a_warning_and_over_when_the_storage_answers(
        self,
        kind: str,
        storages: Storages,
        make_shop: Callable[..., Shop],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        storage = storages[kind]
        port = free_port()
        away = storage.uri.replace(str(seed(storage).port), str(port)).partition(",")[0]
        if kind == "sentinel":
            away += "" if away.endswith("/shop") else "/shop"
        shop = make_shop(away)
        assert "the storage can't be reached yet" in caplog.text
        assert shop.serves_nobody()
        with Proxy(seed(storage).port, port):
            assert shop.works()

    def test_a_liar_that_shows_up_late_stays_out_of_use(
        self,
        tmp_path: Path,
        customers: Customers,
        make_shop: Callable[..., Shop],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        server = Memcached(tmp_path / "late")
        client = pymemcache.PooledClient(("127.0.0.1", server.port))  # waits for no reply
        otp_auth = OTPAuth(cache=MemcachedCache(client))
        otp_auth.add_actor_type("customer", customers)
        shop = make_shop(otp_auth=otp_auth)
        with server:
            for _ in range(2):
                assert told(shop.api.generate(ADA)) == UNAVAILABLE
            client.close()
        assert caplog.text.count("default_noreply=False") == 1
        assert len(shop.outbox) == 0


def seed(storage: Any) -> Storage:
    """Return the server that a URI of the storage names first."""
    if isinstance(storage, Cluster):
        return storage.nodes[0]
    return storage.sentinel if isinstance(storage, Sentinel) else storage


class TestCutOff:
    """The connection is lost after the server has done its work and before it is heard."""

    @pytest.fixture(params=["redis", "memcached"])
    def proxy(self, request: pytest.FixtureRequest, storages: Storages) -> Iterator[Proxy]:
        with Proxy(storages[request.param].port) as proxy:
            self.scheme = request.param
            yield proxy

    @pytest.fixture
    def shop(self, proxy: Proxy, make_shop: Callable[..., Shop]) -> Shop:
        shop = make_shop(f"{self.scheme}://127.0.0.1:{proxy.port}")
        assert shop.works()
        return shop

    def test_at_any_moment_no_code_is_sent(self, proxy: Proxy, shop: Shop) -> None:
        for trip in range(1, 5):
            assert shop.works()  # it has a connection now
            sent = len(shop.outbox)
            proxy.cut_off(trip)
            assert told(shop.api.generate(ADA)) == UNAVAILABLE
            assert len(shop.outbox) == sent
        assert shop.works()

    def test_at_any_moment_nobody_signs_in_and_the_code_is_good_for_one_use(
        self, proxy: Proxy, shop: Shop
    ) -> None:
        for trip in range(1, 6):
            otp = shop.code()
            proxy.cut_off(trip)
            shop.ear.heard.clear()
            assert told(shop.api.verify(otp)) == UNAVAILABLE
            assert shop.ear.of("actor_authenticated") == []
            again = [shop.api.verify(otp).status_code for _ in range(2)]
            assert again in ([200, 400], [400, 400])

    def test_a_connection_that_was_lost_meanwhile_is_not_used(
        self, proxy: Proxy, shop: Shop
    ) -> None:
        for _ in range(3):
            proxy.reset()
            assert shop.works()


class TestRedis:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Redis]:
        with Redis(tmp_path / "server", "--maxmemory-policy", "noeviction") as server:
            yield server

    @pytest.fixture
    def shop(self, server: Redis, make_shop: Callable[..., Shop]) -> Shop:
        shop = make_shop(server.uri)
        assert shop.works()
        return shop

    @pytest.mark.parametrize(
        ("setting", "bad", "good"),
        [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")],
        ids=["full", "too few replicas"],
    )
    def test_a_server_that_takes_no_writes_serves_nobody_for_the_time(
        self, shop: Shop, server: Redis, setting: str, bad: str, good: str
    ) -> None:
        otp = shop.code()
        server.ask("CONFIG", "SET", setting, bad)
        assert shop.serves_nobody()
        server.ask("CONFIG", "SET", setting, good)
        assert shop.api.verify(otp).status_code == 200
        assert shop.works()

    def test_a_server_that_becomes_a_replica_serves_nobody_for_the_time(
        self, shop: Shop, server: Redis
    ) -> None:
        otp = shop.code()
        server.ask("REPLICAOF", "127.0.0.1", free_port())
        assert shop.serves_nobody()
        server.ask("REPLICAOF", "NO", "ONE")
        assert told(shop.api.verify(otp)) == INVALID  # its history has changed: it may be too old
        assert shop.works()

    def test_a_flush_in_mid_flow_only_refuses(self, shop: Shop, server: Redis) -> None:
        otp = shop.code()
        server.ask("FLUSHALL")
        assert told(shop.api.verify(otp)) == INVALID
        assert shop.works()

    def test_scripts_that_got_lost_are_loaded_again(self, shop: Shop, server: Redis) -> None:
        server.ask("SCRIPT", "FLUSH")
        assert shop.works()

    def test_a_flush_between_the_steps_of_a_request_only_refuses(
        self, shop: Shop, server: Redis, make_shop: Callable[..., Shop]
    ) -> None:
        with Proxy(server.port) as proxy:
            other = make_shop(f"redis://127.0.0.1:{proxy.port}")
            for trip in range(1, 5):
                otp = shop.code()
                proxy.events[proxy.trips + trip] = lambda: server.ask("FLUSHALL")
                assert told(other.api.verify(otp)) == INVALID


class TestMemcached:
    def test_a_full_server_that_does_not_evict_sends_no_code_that_it_could_not_keep(
        self, tmp_path: Path, make_shop: Callable[..., Shop]
    ) -> None:
        """-M: an error instead of an eviction."""
        with Memcached(tmp_path / "full", "-m", "3", "-M") as server:
            shop = make_shop(server.uri)
            assert shop.works()
            sent = len(shop.outbox)
            client = pymemcache.Client(("127.0.0.1", server.port))
            for size in (1, 150, 200, 250, 300):
                client.set_many({f"{number:092}{size}": "x" * size for number in range(8000)})
            client.close()
            assert told(shop.api.generate(ADA)) == UNAVAILABLE
            assert told(shop.api.pre_register(BOB)) == UNAVAILABLE
            assert len(shop.outbox) == sent

    def test_a_flush_in_mid_flow_only_refuses(
        self, storages: Storages, make_shop: Callable[..., Shop]
    ) -> None:
        server = storages["memcached"]
        shop = make_shop(server.uri)
        otp = shop.code()
        client = pymemcache.Client(("127.0.0.1", server.port))
        client.flush_all(noreply=False)
        client.close()
        assert told(shop.api.verify(otp)) == INVALID
        assert shop.works()


class TestCluster:
    def test_a_node_that_is_down_serves_nobody_until_it_is_back(
        self, tmp_path: Path, make_shop: Callable[..., Shop], customers: Customers
    ) -> None:
        with Cluster(tmp_path) as cluster:
            shop = make_shop(cluster.uri)
            assert shop.works()
            cluster.nodes[1].kill()
            statuses = []
            for number in range(12):
                customers.add(f"{number}@example.com")
                statuses.append(shop.api.generate(f"{number}@example.com").status_code)
            assert set(statuses) <= {200, 503}
            assert 503 in statuses
            assert len(shop.outbox) == 1 + statuses.count(200)
            cluster.nodes[1].start()
            until(cluster.is_complete, "the Cluster")
            for number in range(12):
                assert shop.code(f"{number}@example.com")


class TestOwnLimiter:
    """The app's own Flask-Limiter forgives outages; ours don't go with it."""

    @pytest.mark.parametrize(
        "forgiving",
        [
            {"swallow_errors": True},
            {"in_memory_fallback_enabled": True, "in_memory_fallback": ["1/day"]},
        ],
        ids=["swallow_errors", "in_memory_fallback"],
    )
    def test_its_outage_serves_nobody(
        self,
        tmp_path: Path,
        customers: Customers,
        make_shop: Callable[..., Shop],
        forgiving: dict[str, Any],
    ) -> None:
        with Redis(tmp_path / "limits") as server:
            app = Flask("shop")
            limiter = Limiter(
                get_remote_address, app=app, storage_uri=server.uri, strategy="moving-window",
                storage_options={"socket_timeout": TIMEOUT}, **forgiving,
            )  # fmt: skip
            otp_auth = OTPAuth(limiter=limiter)
            otp_auth.add_actor_type("customer", customers)
            shop = make_shop(otp_auth=otp_auth)
            assert shop.works()
            server.kill()
            assert shop.serves_nobody()
            server.start()
            assert shop.works()
            limiter.storage.storage.close()


class TestSQLite:
    """The default storage, when the disk is not what it should be."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        """A folder that others may enter, unlike those that pytest makes."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            yield folder

    def shop_at(self, path: Path, customers: Customers, make_shop: Callable[..., Shop]) -> Shop:
        cache = SQLiteCache(Database(path, timeout=TIMEOUT))
        otp_auth = OTPAuth(cache=cache)
        otp_auth.add_actor_type("customer", customers)
        return make_shop(otp_auth=otp_auth)

    def test_a_file_that_is_locked_serves_nobody_for_the_time(
        self, folder: Path, customers: Customers, make_shop: Callable[..., Shop]
    ) -> None:
        shop = self.shop_at(folder / "codes.sqlite3", customers, make_shop)
        otp = shop.code()
        other = sqlite3.connect(folder / "codes.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for answer in (shop.api.generate(ADA), shop.api.verify(otp), shop.api.pre_register(BOB)):
            assert told(answer) == UNAVAILABLE
        other.execute("ROLLBACK")
        other.close()
        assert shop.api.verify(otp).status_code == 200
        assert shop.works()

    @pytest.mark.parametrize("used", [False, True])
    def test_a_folder_that_may_only_be_read_serves_nobody_for_the_time(
        self,
        folder: Path,
        make_shop: Callable[..., Shop],
        caplog: pytest.LogCaptureFixture,
        used: bool,
    ) -> None:
        uri = f"sqlite:///{folder}/codes.sqlite3"
        assert not used or make_shop(uri).works()
        with readable_only(folder):
            shop = make_shop(uri)
            assert "can't be reached yet" in caplog.text
            assert shop.serves_nobody()
        assert shop.works()

    def test_a_full_disk_serves_nobody_for_the_time(
        self, folder: Path, make_shop: Callable[..., Shop]
    ) -> None:
        shop = make_shop(f"sqlite:///{folder}/codes.sqlite3")
        assert shop.works()
        otp = shop.code()
        with full_disk():
            assert shop.serves_nobody()
            assert told(shop.api.verify(otp)) == UNAVAILABLE
        assert shop.api.verify(otp).status_code == 200
        assert shop.works()

    def test_a_file_that_is_deleted_only_refuses(
        self, folder: Path, make_shop: Callable[..., Shop]
    ) -> None:
        shop = make_shop(f"sqlite:///{folder}/codes.sqlite3")
        otp = shop.code()
        (folder / "codes.sqlite3").unlink()
        assert told(shop.api.verify(otp)) == INVALID
        assert shop.works()


@contextmanager
def readable_only(folder: Path) -> Iterator[None]:
    """Let a folder and what is in it be read but not written, even if root runs the tests."""
    paths = [*folder.iterdir(), folder]
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0o555)
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        yield
    finally:
        if root:
            os.seteuid(0)
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


@contextmanager
def full_disk() -> Iterator[None]:
    """Let this process write to no file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
