"""docs/deploy.md keeps its word: its settings are used, its figures are measured again."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from conftest import Api, Customers
from flask import Flask, request
from limits import parse_many
from servers import ROOT
from stores import Memcached, Redis

from flask_otp_auth import OTPAuth
from flask_otp_auth.backends import backend_for
from flask_otp_auth.config import Settings
from flask_otp_auth.keys import Keys
from flask_otp_auth.limits import Limits, strategy_for
from flask_otp_auth.store import probe

TEXT = (ROOT / "docs" / "deploy.md").read_text()
URIS, PROXY = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
CONFIGURATION, USER = re.findall(r"^```conf\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

#: Codes that are sent for a measurement.
CODES = 500


def figure(storage: str) -> float:
    """Return the bytes of one code that the page tells."""
    (kilobytes,) = re.findall(rf"^\| {storage} \| ([\d.]+) kB \|", TEXT, re.MULTILINE)
    return float(kilobytes) * 1000


class TestSettings:
    @pytest.mark.parametrize("line", URIS.splitlines())
    def test_each_uri_is_one_that_can_be_used(self, line: str) -> None:
        app = Flask("shop")
        exec(line)  # noqa: S102 - the page's own
        settings = Settings.load({**app.config, "SECRET_KEY": "x" * 32})
        assert backend_for(settings.storage_uri, "")

    def test_the_proxy_that_is_trusted_names_the_visitor(self) -> None:
        app = Flask("shop")
        app.add_url_rule("/", view_func=lambda: str(request.remote_addr))
        exec(PROXY)  # noqa: S102 - the page's own
        said = "203.0.113.1, 203.0.113.2"
        assert app.test_client().get("/", headers={"X-Forwarded-For": said}).text == "203.0.113.2"


class TestRedis:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Redis]:
        """A Redis as the page would have it."""
        options = [f"--{word}" if first else word for line in CONFIGURATION.splitlines()
                   for first, word in zip((True, False), line.split(), strict=True)]  # fmt: skip
        with Redis(tmp_path / "redis", *options) as server:
            yield server

    def test_limits_and_what_is_looked_at_outlive_a_restart(self, server: Redis) -> None:
        backend = backend_for(server.uri, "")
        limits = Limits(lambda: strategy_for(backend.open_limits()), Keys.derive([b"secret"]))
        once = tuple(parse_many("1/hour"))
        assert limits.hit(once, "ada")
        backend.open_store().put({"revoked": "1", "right": "1"}, 60)
        server.stop()
        server.start()
        assert not limits.hit(once, "ada")
        assert backend.open_store().peek("revoked") == ["1"]
        assert not backend.open_store().take("right")

    def test_a_user_with_few_rights_is_enough(self, server: Redis) -> None:
        server.ask("ACL", "SETUSER", *USER.split()[1:])
        backend = backend_for(f"redis://shop:secret@127.0.0.1:{server.port}", "")
        assert probe(backend.open_store()) is None
        limits = Limits(lambda: strategy_for(backend.open_limits()), Keys.derive([b"least"]))
        once = tuple(parse_many("1/hour"))
        assert [limits.hit(once, "a"), limits.has_left(once, "a")] == [True, False]
        assert limits.retry_after(once, "a") > 3500
        with redis.Redis(port=server.port, username="shop", password="secret") as client:
            for forbidden in (["GET", "other"], ["KEYS", "*"], ["CONFIG", "GET", "*"]):
                with pytest.raises(redis.exceptions.NoPermissionError):
                    client.execute_command(*forbidden)


class TestFigures:
    def measured(
        self, make_app: Callable[..., Flask], uri: str, measure: Callable[[], tuple[int, int]]
    ) -> tuple[float, float]:
        """Return the keys and the bytes that one code takes."""
        customers = Customers()
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        app = make_app(
            otp_auth, OTP_AUTH_STORAGE_URI=uri, OTP_AUTH_IP_GENERATE_LIMITS="100000/hour"
        )
        api = Api(app.test_client())
        customers.add("first@example.com")
        api.generate("first@example.com")
        before = measure()
        for number in range(CODES):
            customers.accounts = []
            customers.add(f"user{number:07}@example.com")
            assert api.generate(f"user{number:07}@example.com").status_code == 200
        keys, size = measure()
        return (keys - before[0]) / CODES, (size - before[1]) / CODES

    def test_of_redis(self, tmp_path: Path, make_app: Callable[..., Flask]) -> None:
        with Redis(tmp_path / "redis") as server:

            def measure() -> tuple[int, int]:
                return server.ask("DBSIZE"), server.ask("INFO", "memory")["used_memory"]

            keys, size = self.measured(make_app, server.uri, measure)
        assert "is 9 keys" in TEXT
        assert keys == 9
        assert size == pytest.approx(figure("Redis"), rel=0.15)

    def test_of_memcached(self, tmp_path: Path, make_app: Callable[..., Flask]) -> None:
        with Memcached(tmp_path / "memcached") as server:

            def measure() -> tuple[int, int]:
                told = server.statistics()
                return int(told["curr_items"]), int(told["bytes"])

            keys, size = self.measured(make_app, server.uri, measure)
        assert keys == 9
        assert size == pytest.approx(figure("Memcached"), rel=0.15)

    def test_of_sqlite(self, tmp_path: Path, make_app: Callable[..., Flask]) -> None:
        path = tmp_path / "codes.sqlite3"

        def measure() -> tuple[int, int]:
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (keys,) = connection.execute(
                "SELECT (SELECT count(*) FROM otp_cache) + (SELECT count(*) FROM otp_hit)"
            ).fetchone()
            connection.close()
            return keys, path.stat().st_size

        keys, size = self.measured(make_app, f"sqlite:///{path}", measure)
        assert keys == 9 + 1  # each hit on the one address is a row
        assert size == pytest.approx(figure("SQLite"), rel=0.15)


def test_every_setting_that_it_names_is_one() -> None:
    assert {f"OTP_AUTH_{name.upper()}" for name in Settings.__dataclass_fields__} >= set(
        re.findall(r"OTP_AUTH_\w+", TEXT)
    )
