"""Clients of the servers that a URI names: what it may say, and what they do in an outage."""

import gc
import socket
import sys
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
from limits import parse_many
from limits.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter
from servers import at_once, until
from stores import KINDS, Memcached, Proxy, Redis, Sentinel, Storages, free_port

from flask_otp_auth import ConfigError, Unavailable, clients, sockets
from flask_otp_auth.backends import backend_for
from flask_otp_auth.keys import Keys
from flask_otp_auth.limits import Limits, strategy_for
from flask_otp_auth.sockets import KernelTimedSocket, kernel_timed
from flask_otp_auth.store import Store, probe

PASSWORD = "p@ss:w/rd#, %2520"  # every character that a URI could trip over


def open_store(uri: str) -> Store:
    return backend_for(uri, "").open_store()


OPTION = "has an option that redis-py refuses"


class TestURI:
    @pytest.mark.parametrize(
        ("uri", "told"),
        [
            ("redis://", ["must list its servers", "redis://host:port"]),
            ("redis+cluster://", ["must list its servers", "redis+cluster://host:port"]),
            ("memcached://", ["must list its servers", "memcached://host:port"]),
            ("redis://one:port", ["must list its servers"]),
            ("redis://one:99999", ["must list its servers"]),
            ("redis://[::1", ["must list its servers"]),
            ("redis+cluster://one:1,,two:2", ["must list its servers"]),
            ("redis+sentinel:///shop", ["must list its servers"]),
            ("memcached://one:port", ["must list its servers"]),
            ("redis+sentinel://one:1", ["must name a service"]),
            ("redis+sentinel://one:1/", ["must name a service"]),
            ("redis+cluster://one:1/1", ["must not name a database"]),
            ("redis+cluster://one:1?db=1", ["must not name a database"]),
            ("redis://one?protocol=4", [OPTION]),
            ("rediss://one?ssl_cert_reqs=perhaps", [OPTION]),
            ("redis://one?tiemout=1", [OPTION, "tiemout"]),
            ("redis://one?db=first", [OPTION, "'db'"]),
            ("redis+sentinel://one:1/shop?tiemout=1", [OPTION, "tiemout"]),
            ("redis+cluster://one:1?tiemout=1", [OPTION, "tiemout"]),
        ],
    )
    def test_what_can_not_work_is_told_at_the_start(self, uri: str, told: list[str]) -> None:
        with pytest.raises(ConfigError) as caught:
            backend_for(uri, "")
        (fault,) = caught.value.faults
        assert fault.startswith(f"OTP_AUTH_STORAGE_URI {told[0]}")
        assert told[-1] in fault

    def test_a_client_that_decodes_is_refused(self, storages: Storages) -> None:
        backend = backend_for(f"{storages['redis'].uri}?decode_responses=true", "")
        with pytest.raises(ConfigError, match="leave decode_responses out"):
            backend.open_store()

    @pytest.mark.parametrize("scheme", ["redis", "redis+cluster", "redis+sentinel", "memcached"])
    def test_a_password_is_told_to_no_one(self, scheme: str) -> None:
        with pytest.raises(ConfigError) as caught:
            backend_for(f"{scheme}://:secret/@one:port", "")
        error: BaseException | None = caught.value
        while error is not None and not error.__suppress_context__:
            assert "secret" not in str(error)
            error = error.__cause__ or error.__context__
        assert "secret" not in str(error)

    @pytest.mark.parametrize(
        ("scheme", "driver", "extra"),
        [
            ("redis", "redis", "redis"),
            ("redis+sentinel", "redis", "redis"),
            ("memcached", "pymemcache", "memcached"),
        ],
    )
    def test_a_driver_that_is_not_installed_is_named_with_its_extra(
        self, monkeypatch: pytest.MonkeyPatch, scheme: str, driver: str, extra: str
    ) -> None:
        monkeypatch.setitem(sys.modules, driver, None)
        with pytest.raises(ConfigError, match=rf"pip install flask-otp-auth\[{extra}\]"):
            backend_for(f"{scheme}://one:1/shop", "")

    def test_ports_have_the_usual_defaults(self) -> None:
        for uri in ("redis://127.0.0.1", "memcached://127.0.0.1", "redis+sentinel://[::1]/shop"):
            assert backend_for(uri, "")

    @pytest.mark.parametrize("kind", KINDS)
    def test_limits_have_the_strictest_strategy(self, storages: Storages, kind: str) -> None:
        strategy = strategy_for(backend_for(storages[kind].uri, "").open_limits())
        expected = (
            SlidingWindowCounterRateLimiter if kind == "memcached" else MovingWindowRateLimiter
        )
        assert type(strategy) is expected

    def test_options_in_the_query_are_redis_pys(self, storages: Storages) -> None:
        server = storages["redis"]
        uri = f"redis://127.0.0.1:{server.port}?db=3&client_name=shop&socket_timeout=0.5"
        store = open_store(uri)
        store.put({"in-database-3": "1"}, 60)
        with redis.Redis(port=server.port, db=3) as client:
            assert client.exists("in-database-3")
            assert "shop" in {one["name"] for one in client.client_list()}

    def test_our_bounds_are_there_unless_the_query_has_others(self, storages: Storages) -> None:
        """A hanging server must not hang the app, nor a command be sent twice."""
        uri = storages["redis"].uri
        for query, timeout, connections in (
            ("", 2, 1000),
            ("?socket_timeout=7&max_connections=3", 7, 3),
        ):
            pool = backend_for(uri + query, "").open_limits().storage.connection_pool  # type: ignore[attr-defined] # not in the stubs
            assert pool.connection_kwargs["socket_timeout"] == timeout
            assert pool.connection_kwargs["socket_connect_timeout"] == 2
            assert pool.connection_kwargs["retry"].get_retries() == 0
            assert pool.max_connections == connections

    @pytest.mark.skipif(not sockets.KNOWN, reason="needs Linux with 64 bits")
    @pytest.mark.parametrize("kind", ["redis", "memcached"])
    def test_connections_wait_in_the_kernel(
        self, storages: Storages, monkeypatch: pytest.MonkeyPatch, kind: str
    ) -> None:
        made: list[socket.socket] = []
        monkeypatch.setattr(
            clients, "kernel_timed", lambda s: made.append(kernel_timed(s)) or made[-1]
        )
        probe(open_store(storages[kind].uri))
        assert {type(one) for one in made} == {KernelTimedSocket}
        assert {one.gettimeout() for one in made} == {2}


def servers_of(storage: Any) -> list[Any]:
    """Return all servers of a kind of storage that can have users."""
    if isinstance(storage, Sentinel):
        return [storage.master, storage.replica, storage.sentinel]
    return [storage] if isinstance(storage, Redis) else storage.nodes


class TestCredentials:
    """Each server asks for a name and a password, Sentinels too."""

    @pytest.fixture(params=["redis", "sentinel", "cluster"])
    def uri(self, request: pytest.FixtureRequest, storages: Storages) -> str:
        """A URI with a place for credentials, of servers that have given some to the shop."""
        storage = storages[request.param]
        for server in servers_of(storage):
            with redis.Redis(port=server.port) as client:
                client.execute_command(
                    "ACL", "SETUSER", "shop", "on", f">{PASSWORD}", "~*", "&*", "+@all"
                )
        scheme, separator, rest = storage.uri.partition("://")
        return f"{scheme}{separator}{{credentials}}@{rest}"

    def test_the_right_ones_let_in(self, uri: str) -> None:
        store = open_store(uri.format(credentials=f"shop:{quote(PASSWORD, safe='')}"))
        assert probe(store) is None

    @pytest.mark.parametrize("credentials", ["shop:wrong", "nobody:wrong"])
    def test_wrong_ones_do_not(self, uri: str, credentials: str) -> None:
        with pytest.raises(Unavailable):
            probe(open_store(uri.format(credentials=credentials)))

    def test_a_sentinel_may_name_a_database(self, storages: Storages) -> None:
        storage = storages["sentinel"]
        open_store(f"{storage.uri}/3").put({"in-database-3": "1"}, 60)
        with redis.Redis(port=storage.master.port, db=3) as client:
            assert client.exists("in-database-3")


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

    def test_a_certificate_that_is_trusted_lets_us_talk(self, port: int, tmp_path: Path) -> None:
        trust = f"ssl_ca_certs={tmp_path}/cert.pem"
        for uri in (
            f"rediss://localhost:{port}?{trust}",
            f"redis://localhost:{port}?ssl=on&{trust}",
        ):
            assert probe(open_store(uri)) is None

    def test_one_that_nobody_vouches_for_does_not(self, port: int) -> None:
        with pytest.raises(Unavailable) as caught:
            probe(open_store(f"rediss://localhost:{port}"))
        assert "certificate verify failed" in str(caught.value.__cause__)

    def test_one_of_another_name_does_not(self, port: int, tmp_path: Path) -> None:
        with pytest.raises(Unavailable) as caught:
            probe(open_store(f"rediss://127.0.0.1:{port}?ssl_ca_certs={tmp_path}/cert.pem"))
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
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


class TestMemcached:
    """Our client of Memcached servers."""

    @pytest.fixture
    def servers(self, tmp_path: Path) -> Iterator[list[Memcached]]:
        """Two servers that share the keys."""
        with Memcached(tmp_path / "one") as one, Memcached(tmp_path / "two") as two:
            yield [one, two]

    @pytest.fixture
    def uri(self, servers: list[Memcached]) -> str:
        return "memcached://" + ",".join(f"127.0.0.1:{server.port}" for server in servers)

    def test_keys_are_spread_over_the_servers(self, servers: list[Memcached], uri: str) -> None:
        keys = [f"key{number}" for number in range(100)]
        open_store(uri).put(dict.fromkeys(keys, "1"), 60)
        assert open_store(uri).peek(*keys) == ["1"] * 100
        shares = [int(server.statistics()["curr_items"]) for server in servers]
        assert sum(shares) == 100
        assert min(shares) > 20

    def test_a_server_more_moves_few_keys(self, servers: list[Memcached], uri: str) -> None:
        keys = [f"key{number}" for number in range(100)]
        open_store(servers[0].uri).put(dict.fromkeys(keys, "1"), 60)
        assert 20 < open_store(uri).peek(*keys).count("1") < 80

    def test_the_keys_of_a_server_that_is_down_are_out_of_reach(
        self, servers: list[Memcached], uri: str
    ) -> None:
        """Anything else would be a second window, a second budget, a code that is not there."""
        store = open_store(uri)
        keys = [f"key{number}" for number in range(30)]
        store.put(dict.fromkeys(keys, "1"), 60)
        lost = [open_store(servers[0].uri).peek(key) == ["1"] for key in keys]
        servers[0].kill()
        for _ in range(3):  # it is not forgotten after some tries either
            assert [unavailable(lambda key=key: store.peek(key)) for key in keys] == lost
            assert [unavailable(lambda key=key: store.mark(key, 60)) for key in keys] == lost
        assert unavailable(lambda: store.peek(*keys))
        assert unavailable(lambda: store.put(dict.fromkeys(keys, "1"), 60))
        servers[0].start()
        assert not any(unavailable(lambda key=key: store.peek(key)) for key in keys)

    def test_so_are_its_limits(self, servers: list[Memcached], uri: str) -> None:
        backend = backend_for(uri, "")
        limits = Limits(lambda: strategy_for(backend.open_limits()), Keys.derive([b"secret"]))
        once = tuple(parse_many("1/hour"))
        names = [str(number) for number in range(10)]
        assert all(limits.hit(once, name) for name in names)
        for server in servers:
            server.kill()
        for _ in range(3):
            assert all(unavailable(lambda name=name: limits.hit(once, name)) for name in names)
            assert all(unavailable(lambda name=name: limits.has_left(once, name)) for name in names)

    def test_a_restart_costs_no_request(self, servers: list[Memcached], uri: str) -> None:
        """Connections that the server has closed are seen as such before they are used."""
        store = open_store(uri)
        keys = [f"key{number}" for number in range(10)]
        at_once(*[lambda key=key: store.put({key: "1"}, 60) for key in keys])
        for server in servers:
            server.stop()
            server.start()
        assert store.peek(*keys) == [None] * 10
        at_once(*[lambda key=key: store.put({key: "1"}, 60) for key in keys])

    def test_a_reset_connection_is_not_used_again(self, servers: list[Memcached]) -> None:
        """The same where the server went away without a word."""
        with Proxy(servers[0].port) as proxy:
            store = open_store(f"memcached://127.0.0.1:{proxy.port}")
            store.put({"key": "1"}, 60)
            proxy.reset()
            assert store.peek("key") == ["1"]

    def test_connections_are_used_again_and_closed_in_the_end(
        self, servers: list[Memcached]
    ) -> None:
        store = open_store(servers[0].uri)
        for number in range(10):
            store.put({f"key{number}": "1"}, 60)
        before = servers[0].statistics()
        assert before["total_connections"] < 5
        del store
        gc.collect()
        until(
            lambda: servers[0].statistics()["curr_connections"] < before["curr_connections"],
            "the connection to be closed",
        )


def unavailable(use: Callable[[], object]) -> bool:
    try:
        use()
    except Unavailable:
        return True
    return False
