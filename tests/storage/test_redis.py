"""Redis: what it alone promises, what an app is told of its URI, and how long an outage takes."""

import logging
import pickle
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from limits import RateLimitItemPerMinute
from limits.strategies import MovingWindowRateLimiter
from pems import private_pem
from redis.exceptions import NoPermissionError
from storage_kit import open_limits, open_store
from stores import Proxy, Redis, Sentinel, Storages, free_port, until

from flask_otp_auth.core.budgets import NAMESPACE, Budget, Budgets
from flask_otp_auth.core.crypto import KeyHasher
from flask_otp_auth.errors import ConfigError, Unavailable
from flask_otp_auth.storage.backends import LazyStore, backend_for
from flask_otp_auth.storage.base import Store, probe, unavailable_on
from flask_otp_auth.storage.drivers import driver_errors

HASHER = KeyHasher([b"k" * 32])
THRICE = RateLimitItemPerMinute(3)

PASSWORD = "p@ss:w/rd#, %2520"  # every character that a URI could trip over


class TestHistory:
    """What was written in one history of the server doesn't count in another one."""

    @pytest.fixture
    def kept(self, tmp_path: Path) -> Iterator[Redis]:
        """A server that keeps a snapshot on disk when it is told to."""
        with Redis(tmp_path / "kept") as server:
            yield server

    def test_a_restart_from_an_older_snapshot_gives_nothing_back(
        self, kept: Redis, key: str
    ) -> None:
        store = open_store(kept.uri)
        store.put({key: "1", f"{key}:value": "1"}, 60)
        assert store.mark(f"{key}:mark", 60)
        kept.ask("SAVE")
        assert store.take(key, f"{key}:mark") == [True, True]
        kept.kill()
        kept.start()
        assert kept.ask("EXISTS", key) == 1  # it is back
        assert store.peek(key, f"{key}:mark") == [None, None]
        assert store.take(f"{key}:value", value="1") == [False]
        assert store.take(key) == [False]
        assert store.mark(f"{key}:mark", 60)
        assert store.peek(f"{key}:mark") == ["1"]

    def test_a_failover_to_a_replica_that_lags_behind_gives_nothing_back(
        self, tmp_path: Path, key: str
    ) -> None:
        with Sentinel(tmp_path) as sentinel:
            store = open_store(sentinel.uri)
            store.put({key: "1", f"{key}:pointer": "1"}, 60)
            until(lambda: sentinel.replica.ask("DBSIZE") == 2, "the replica to have the code")
            sentinel.cut_replica_off()
            assert store.take(key) == [True]
            sentinel.master.kill()
            with pytest.raises(Unavailable):
                store.peek(key)
            sentinel.fail_over()
            assert sentinel.replica.ask("EXISTS", key) == 1
            assert store.peek(key, f"{key}:pointer") == [None, None]
            assert store.take(key) == [False]
            store.put({key: "2"}, 60)
            assert store.take(key) == [True]


class TestRestrictedRights:
    """Managed services have users that may not do everything."""

    @pytest.fixture(params=["renamed", "forbidden"])
    def uri(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
        """The URI of a server that doesn't answer INFO."""
        options = {
            "renamed": ["--rename-command", "INFO", ""],
            "forbidden": ["--user", "shop", "on", ">pw", "~*", "+@all", "-info"],
        }[request.param]
        with Redis(tmp_path / "strange", *options) as server:
            user = "shop:pw@" if request.param == "forbidden" else ""
            yield server.uri.replace("//", f"//{user}")

    def test_without_info_all_verbs_work_after_one_warning(
        self, uri: str, key: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = open_store(uri)
        for _ in range(2):
            probe(store)
        store.put({key: "1"}, 60)
        assert store.peek(key) == ["1"]
        assert store.take(key) == [True]
        assert store.mark(key, 60)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "allow its user the command INFO" in record.getMessage()

    def test_the_commands_that_the_docs_list_are_enough(
        self, redis_server: Redis, key: str
    ) -> None:
        commands = ["info", "evalsha", "script|load", "mget", "set", "del"]
        of_limits = ["lindex", "lpush", "ltrim", "expire", "type"]
        redis_server.ask(
            *("ACL", "SETUSER", "few", "on", ">pw", "~*", "resetchannels", "-@all"),
            *(f"+{command}" for command in commands + of_limits),
        )
        uri = redis_server.uri.replace("//", "//few:pw@")
        probe(open_store(uri))
        assert open_limits(uri).acquire_many([(key, 1, 60)]) == [False]

    @pytest.mark.parametrize(
        ("forbidden", "told"), [("evalsha", "that are needed, such as EVALSHA"), ("set", "needed$")]
    )
    def test_a_user_who_may_not_write_is_a_fault_of_the_configuration(
        self, redis_server: Redis, forbidden: str, told: str
    ) -> None:
        """The server names the command, but not within a script."""
        rights = ("on", ">pw", "~*", "+@all", f"-{forbidden}")
        redis_server.ask("ACL", "SETUSER", f"no-{forbidden}", *rights)
        uri = redis_server.uri.replace("//", f"//no-{forbidden}:pw@")
        with pytest.raises(ConfigError, match=f"allow its user all commands .*{told}"):
            LazyStore(backend_for(uri, "").open_store).connect()

    @pytest.mark.parametrize(
        ("renamed", "told"), [("EVALSHA", "needed, such as EVALSHA$"), ("SET", "needed$")]
    )
    def test_so_is_a_server_that_lacks_a_command(
        self, tmp_path: Path, renamed: str, told: str
    ) -> None:
        with (
            Redis(tmp_path / "strange", "--rename-command", renamed, "") as server,
            pytest.raises(ConfigError, match=f"does not know all commands that are {told}"),
        ):
            LazyStore(backend_for(server.uri, "").open_store).connect()

    def test_so_is_one_who_may_not_touch_the_keys(
        self, redis_server: Redis, key: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Those of limits are asked for at the first request, so the log has to say it."""
        rights = ("on", ">pw", "~otp_auth:*", "+@all")
        redis_server.ask("ACL", "SETUSER", "codes-alone", *rights)
        uri = redis_server.uri.replace("//", "//codes-alone:pw@")
        probe(open_store(uri))
        with pytest.raises(Unavailable), unavailable_on(driver_errors()):
            open_limits(uri).acquire_many([(key, 1, 60)])
        assert "all commands that are needed on the keys otp_auth:* and LIMITS:*" in caplog.text
        redis_server.ask("ACL", "SETUSER", "limits-alone", "on", ">pw", "~LIMITS:*", "+@all")
        with pytest.raises(ConfigError, match="on the keys otp_auth"):
            LazyStore(
                backend_for(uri.replace("codes-alone", "limits-alone"), "").open_store
            ).connect()


class TestGarbage:
    """What nobody here wrote counts as absent."""

    @pytest.mark.parametrize("kind", ["redis", "cluster"])
    @pytest.mark.parametrize("garbage", ["list", "bytes", "pickle"])
    def test_in_the_store(
        self, storages: Storages, uri_of: Callable[[str], str], kind: str, garbage: str, key: str
    ) -> None:
        store = open_store(uri_of(kind))
        store.put({f"{key}:other": "1"}, 60)

        def spoil() -> None:
            with client_of(storages, kind) as client:
                client.delete(key)
                if garbage == "list":
                    client.lpush(key, "1")
                else:
                    client.set(key, b"\xff" if garbage == "bytes" else pickle.dumps(Bomb()))

        spoil()
        assert store.peek(key, f"{key}:other") == [None, "1"]
        assert store.take(key, value="1") == [False]
        assert store.take(key) == [False]
        spoil()
        assert store.mark(key, 60)
        assert store.peek(key) == ["1"]
        spoil()
        store.put({key: "2"}, 60)
        assert store.take(key) == [True]

    @pytest.mark.parametrize("kind", ["redis", "cluster"])
    @pytest.mark.parametrize("garbage", ["text", "list"])
    def test_in_limits(
        self, storages: Storages, uri_of: Callable[[str], str], kind: str, garbage: str, key: str
    ) -> None:
        limits: Any = open_limits(uri_of(kind))
        budgets = Budgets(lambda: MovingWindowRateLimiter(limits), HASHER)
        budget = Budget((THRICE,), (key,))
        name = limits.prefixed_key(THRICE.key_for(NAMESPACE, HASHER.digest(key)))

        def spoil() -> None:
            with client_of(storages, kind) as client:
                client.delete(name)
                client.set(name, "x") if garbage == "text" else client.lpush(name, *["x"] * 9)

        for use in (
            lambda: budgets.take(budget).refused is None and budgets.room(budget).left == 2,
            lambda: budgets.room(budget).left == 3 and budgets.take(budget).refused is None,
        ):
            spoil()
            assert use()

    def test_an_error_that_is_no_garbage_is_an_outage(self, redis_server: Redis, key: str) -> None:
        redis_server.ask("ACL", "SETUSER", "mute", "on", ">pw", "~*", "+@all", "-evalsha")
        limits = open_limits(redis_server.uri.replace("//", "//mute:pw@"))
        budgets = Budgets(lambda: MovingWindowRateLimiter(limits), HASHER)
        with pytest.raises(Unavailable) as raised:
            budgets.room(Budget((THRICE,), (key,)))
        assert isinstance(raised.value.__cause__, NoPermissionError)


def client_of(storages: Storages, kind: str) -> Any:
    server: Any = storages[kind]
    if kind == "cluster":
        return redis.RedisCluster("127.0.0.1", server.nodes[0].port)
    return redis.Redis(port=server.port)


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a value was unpickled",)


def test_keys_end_at_the_millisecond(redis_server: Redis, key: str) -> None:
    store = open_store(redis_server.uri)
    store.put({key: "1"}, 60)
    store.mark(f"{key}:mark", 60)
    for name in (key, f"{key}:mark"):
        assert 59_000 < redis_server.ask("PTTL", name) <= 60_000


def test_each_verb_is_one_round_trip(redis_server: Redis, key: str) -> None:
    with Proxy(redis_server.port) as proxy:
        uri = f"redis://127.0.0.1:{proxy.port}"
        store, limits = open_store(uri), open_limits(uri)
        probe(store)
        limits.acquire_many([(key, 9, 60)])
        uses: list[Callable[[], object]] = [
            lambda: store.put({key: "1", f"{key}:2": "2", "otp_auth:{other}:1": "3"}, 60),
            lambda: store.peek(key, f"{key}:2", "otp_auth:{other}:1"),
            lambda: store.take(key, f"{key}:2", "otp_auth:{other}:1"),
            lambda: store.mark(key, 60),
            lambda: store.take(key, value="1"),
            lambda: limits.acquire_many([(key, 9, 60), (f"{key}:2", 9, 60)]),
        ]
        before = proxy.trips
        for use in uses:
            use()
        assert proxy.trips - before == len(uses)


class TestOutage:
    def test_a_full_server_takes_all_or_nothing(self, tmp_path: Path, key: str) -> None:
        options = ("--maxmemory", "1", "--maxmemory-policy", "noeviction")
        with Redis(tmp_path / "full", *options) as full:
            store = open_store(full.uri)
            with pytest.raises(Unavailable):
                store.put({key: "1", f"{key}:2": "2"}, 60)
            assert store.peek(key, f"{key}:2") == [None, None]

    def test_no_command_is_sent_twice(self, redis_server: Redis, key: str) -> None:
        """A put that was carried out, though its answer was lost, must not be repeated."""
        with Proxy(redis_server.port) as proxy:
            store = open_store(f"redis://127.0.0.1:{proxy.port}")
            store.put({f"{key}:first": "1"}, 60)
            proxy.cut_off(1)
            with pytest.raises(Unavailable):
                store.put({key: "1"}, 60)
            assert store.take(key) == [True]

    @pytest.mark.parametrize("waits_in_kernel", [True, False])
    @pytest.mark.parametrize("query", ["?socket_timeout=0.2", ""])
    def test_a_frozen_server_is_not_waited_for_for_ever(
        self,
        tmp_path: Path,
        key: str,
        query: str,
        waits_in_kernel: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if not waits_in_kernel:
            monkeypatch.setattr(sys, "platform", "freebsd")
        with Redis(tmp_path / "frozen") as server:
            store = open_store(server.uri + query)
            store.put({key: "1"}, 60)
            for _ in range(2):  # on a connection that was open, and on a new one
                server.freeze()
                start = time.monotonic()
                with pytest.raises(Unavailable):
                    store.peek(key)
                assert (0.19 if query else 1.9) < time.monotonic() - start < (1.9 if query else 20)
                server.thaw()
            until(lambda: answers(store, key), "the server")

    def test_the_kernel_keeps_the_time_out(self, redis_server: Redis) -> None:
        """A socket of Python's with a time-out would be polled before each call."""
        pool = open_limits(f"{redis_server.uri}?socket_timeout=1.5").storage.connection_pool
        with pool.make_connection()._connect() as sock:
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                bound = sock.getsockopt(socket.SOL_SOCKET, option, 16)
                assert struct.unpack("@ll", bound) == (1, 500_000)
            assert sock.gettimeout() is None

    def test_nobody_there(self, key: str, caplog: pytest.LogCaptureFixture) -> None:
        for kind in ("redis", "redis+cluster", "memcached"):
            store = LazyStore(backend_for(f"{kind}://127.0.0.1:{free_port()}", "").open_store)
            for use in (store.connect, lambda store=store: store.peek(key)):
                with pytest.raises(Unavailable):
                    use()
        assert {record.levelno for record in caplog.records} == {logging.WARNING}


def answers(store: Store, key: str) -> bool:
    try:
        return bool(store.peek(key))
    except Unavailable:
        return False


class TestURI:
    @pytest.mark.parametrize(
        ("uri", "told"),
        [
            ("redis://", "must list its servers: redis://host:port"),
            ("redis+cluster://", "must list its servers: redis\\+cluster://host:port"),
            ("redis://one:port", "must list its servers"),
            ("redis://one:99999", "must list its servers"),
            ("redis://one..two:1", "must list its servers"),
            ("redis://[::1", "must list its servers"),
            ("redis+cluster://one:1,,two:2", "must list its servers"),
            ("redis+sentinel:///shop", "must list its servers"),
            ("redis://:secret/@one:1", "must list its servers.*write %2F for /"),
            ("redis://one:1/0 ", "must not contain a space"),
            ("redis://:secret @one:1/0", "must not contain a space"),
            ("redis://:secret#@one:1/0", "must not contain a #.*%23"),
            ("redis://one:1,two:2", "must name one server.*redis\\+sentinel://"),
            ("redis://one:1/first", "must name its database by a number"),
            ("redis://one:1/0/1", "must name its database by a number"),
            ("redis://one:1/1?db=2", "must name its database once"),
            ("redis+sentinel://one:1/shop/1?db=2", "must name its database once"),
            ("redis://:secret@one?ssl=required", "must say ssl=true or ssl=false"),
            ("redis+cluster://one:1?ssl=", "must say ssl=true or ssl=false"),
            ("redis+sentinel://one:1", "must name a service"),
            ("redis+sentinel://one:1/", "must name a service"),
            ("valkey+sentinel://one:1/shop/first", "must name its database by a number"),
            ("redis+cluster://one:1/1", "must not name a database"),
            ("redis+cluster://one:1?db=1", "must not name a database"),
            ("redis+unix://", "must name a socket"),
            ("unix://run/redis.sock", "must name a socket"),
            ("redis://:secret@one?tiemout=1", "option that redis-py refuses.*tiemout"),
            ("redis://:secret@one?protocol=4", "option that redis-py refuses"),
            ("rediss://:secret@one?ssl_cert_reqs=perhaps", "option that redis-py refuses"),
            ("redis://one?db=first", "option that redis-py refuses.*'db'"),
            ("redis+unix:///run/redis.sock?tiemout=1", "option that redis-py refuses.*tiemout"),
            ("redis+sentinel://one:1/shop?tiemout=1", "option that redis-py refuses.*tiemout"),
            ("valkey+cluster://one:1?tiemout=1", "option that redis-py refuses.*tiemout"),
            ("redis://:secret@one?decode_responses=true", "leave decode_responses out"),
        ],
    )
    def test_what_can_not_work_is_told_at_the_start(self, uri: str, told: str) -> None:
        with pytest.raises(ConfigError, match=told) as caught:
            backend_for(uri, "", "OTP_AUTH_SIGN_INS_URI")
        (fault,) = caught.value.faults
        assert fault.startswith("OTP_AUTH_SIGN_INS_URI ") or "decode_responses" in fault
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert "secret" not in str(caught.value)

    @pytest.mark.parametrize(
        "uri",
        ["redis://one", "redis+sentinel://[::1]/shop", "valkeys://one", "redis+cluster://one"],
    )
    def test_ports_have_the_usual_defaults_and_nothing_is_connected(self, uri: str) -> None:
        assert backend_for(uri, "").contact_at_start

    def test_a_driver_that_is_not_installed_is_named_with_its_extra(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "redis", None)
        with pytest.raises(ConfigError, match=r"pip install 'flask-otp-auth\[redis\]'"):
            backend_for("redis://one", "")

    @pytest.mark.parametrize("query", ["?db=3&client_name=shop", "?db=3&socket_timeout=0.5"])
    def test_options_in_the_query_are_redis_pys(
        self, redis_server: Redis, key: str, query: str
    ) -> None:
        open_store(f"valkey://127.0.0.1:{redis_server.port}{query}").put({key: "1"}, 60)
        with redis.Redis(port=redis_server.port, db=3) as client:
            assert client.exists(key)

    def test_bounds_are_ours_unless_the_query_has_others(self, redis_server: Redis) -> None:
        for query, connections in (("", 1000), ("?max_connections=3", 3)):
            pool = open_limits(redis_server.uri + query).storage.connection_pool
            assert pool.connection_kwargs["socket_connect_timeout"] == 2
            assert pool.connection_kwargs["retry"].get_retries() == 0
            assert pool.max_connections == connections

    @pytest.mark.parametrize("scheme", ["unix", "redis+unix", "valkey+unix"])
    def test_a_socket(self, tmp_path: Path, scheme: str, key: str) -> None:
        path = tmp_path / "redis.sock"
        with Redis(tmp_path / "socket", "--unixsocket", str(path)) as server:
            uri = f"{scheme}://{path}?db=3"
            probe(open_store(uri))
            open_store(uri).put({key: "1"}, 60)
            assert open_limits(uri).acquire_many([(key, 2, 60)]) == [True]
            with redis.Redis(port=server.port, db=3) as client:
                assert client.exists(key)
            with pytest.raises(ConfigError, match=r"must name its database as \?db=2"):
                open_store(f"{scheme}://{path}/3")

    def test_a_sentinel_may_name_a_database(self, storages: Storages, key: str) -> None:
        storage: Any = storages["sentinel"]
        open_store(f"{storage.uri}/3").put({key: "1"}, 60)
        with redis.Redis(port=storage.master.port, db=3) as client:
            assert client.exists(key)


class TestRefusals:
    """A server that answers and refuses is a fault of the configuration."""

    @pytest.fixture(params=["redis", "sentinel", "cluster"])
    def uri(self, request: pytest.FixtureRequest, storages: Storages) -> str:
        """A URI with a place for credentials, of servers that have given some to the shop."""
        storage: Any = storages[request.param]
        servers = {
            "redis": lambda: [storage],
            "sentinel": lambda: [storage.master, storage.replica, storage.sentinel],
            "cluster": lambda: storage.nodes,
        }[request.param]()
        for server in servers:
            with redis.Redis(port=server.port) as client:
                rights = ("on", f">{PASSWORD}", "~*", "&*", "+@all")
                client.execute_command("ACL", "SETUSER", "shop", *rights)
        scheme, separator, rest = storage.uri.partition("://")
        return f"{scheme}{separator}{{credentials}}@{rest}"

    def test_the_right_password_lets_in(self, uri: str) -> None:
        credentials = f"shop:{quote(PASSWORD, safe='')}"
        assert LazyStore(backend_for(uri.format(credentials=credentials), "").open_store).connect()

    @pytest.mark.parametrize("credentials", ["shop:wrong", "nobody:wrong"])
    def test_a_wrong_one_is_told(self, uri: str, credentials: str) -> None:
        store = LazyStore(backend_for(uri.format(credentials=credentials), "").open_store)
        with pytest.raises(ConfigError, match="wants another user name or password") as caught:
            store.connect()
        assert "wrong" not in str(caught.value).replace("another", "")

    def test_so_is_a_database_that_is_not_there(self, redis_server: Redis) -> None:
        uri = f"redis://127.0.0.1:{redis_server.port}/99"
        with pytest.raises(ConfigError, match="has no database of this number"):
            LazyStore(backend_for(uri, "").open_store).connect()

    @pytest.mark.parametrize(
        "uri", ["redis+cluster://127.0.0.1:{port}", "redis+sentinel://127.0.0.1:{port}/shop"]
    )
    def test_so_is_a_server_of_another_kind(self, storages: Storages, uri: str) -> None:
        server: Any = storages["redis"]
        store = LazyStore(backend_for(uri.format(port=server.port), "").open_store)
        with pytest.raises(ConfigError, match="write redis://"):
            store.connect()

    def test_so_is_a_node_of_a_cluster(self, storages: Storages) -> None:
        cluster: Any = storages["cluster"]
        uris = [f"redis://127.0.0.1:{node.port}" for node in cluster.nodes]
        stores = [LazyStore(backend_for(uri, "").open_store) for uri in uris * 10]
        with pytest.raises(ConfigError, match=r"write redis\+cluster://"):
            connect_all(stores)  # the key of each self-test belongs to one of the three nodes


def connect_all(stores: list[LazyStore]) -> None:
    for store in stores:
        store.connect()


class TestTLS:
    """rediss:// checks the server's certificate, and the name in it."""

    @pytest.fixture
    def port(self, tmp_path: Path) -> Iterator[int]:
        """The port of a server whose certificate is for "localhost"."""
        certify(tmp_path, "localhost")
        port = free_port()
        cert, key = f"{tmp_path}/cert.pem", f"{tmp_path}/key.pem"
        tls = ("--tls-port", str(port), "--tls-auth-clients", "no")
        files = ("--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert)
        with Redis(tmp_path / "tls", *tls, *files):
            yield port

    def test_only_a_server_that_proves_its_name_is_talked_to(
        self, port: int, tmp_path: Path
    ) -> None:
        trust = f"ssl_ca_certs={tmp_path}/cert.pem"
        for uri in (
            f"rediss://localhost:{port}?{trust}",
            f"valkeys://localhost:{port}?{trust}",
            f"redis://localhost:{port}?ssl=on&{trust}",
        ):
            probe(open_store(uri))
        for uri in (f"rediss://localhost:{port}", f"rediss://127.0.0.1:{port}?{trust}"):
            with pytest.raises(Unavailable) as caught:
                probe(open_store(uri))
            assert "certificate verify failed" in str(caught.value.__cause__)


def certify(folder: Path, name: str) -> None:
    """Write a key and a certificate for a server of that name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_text(private_pem(key))
