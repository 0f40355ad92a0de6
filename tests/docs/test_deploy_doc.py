"""docs/deploy.md keeps its word: its code is run, its figures are measured again."""

import json
import pickle
import re
import socket
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import redis
import sentry_sdk
from fakes import ADA, SECRET, Api, Customers, MakeApp, SignalRecorder
from flask import Flask, request
from launch import ROOT
from sentry_sdk.transport import Transport
from stores import Memcached, Redis
from trackers import templates_as_before

from flask_otp_auth import OTPAuth
from flask_otp_auth.core.settings import Settings
from flask_otp_auth.signals import otp_generated
from flask_otp_auth.storage.backends import backend_for
from flask_otp_auth.storage.base import probe
from flask_otp_auth.testing import Outbox

TEXT = (ROOT / "docs" / "deploy.md").read_text()
URIS, MEMCACHED, EXECUTOR, WORKER, PROXY, SENTRY = re.findall(
    r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL
)
CONFIGURATION, USER = re.findall(r"^```conf\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

#: Codes and sign-ins of a measurement.
CODES = 500


def run(code: str, **names: Any) -> dict[str, Any]:
    """Run a block of the page and return what it defines."""
    exec(compile(code, "docs/deploy.md", "exec"), names)  # noqa: S102 - the page's own
    return names


# -- settings -----------------------------------------------------------------------------


@pytest.mark.parametrize("line", [*URIS.splitlines(), MEMCACHED])
def test_each_uri_is_one_that_can_be_used(line: str, tmp_path: Path) -> None:
    app = SimpleNamespace(config={})
    run(line.replace("/var/lib/shop", str(tmp_path)), app=app)
    settings = Settings.load({**app.config, "SECRET_KEY": SECRET})
    for uri in filter(None, (settings.storage_uri, settings.sign_ins_uri)):
        assert backend_for(uri, "")


def test_every_scheme_in_the_table_is_one() -> None:
    table = TEXT.partition("## Which storage")[2].partition("```")[0]
    schemes = re.findall(r"`([a-z+]+)://`", table)
    assert len(schemes) == 12
    for scheme in schemes:
        memcached = {"OTP_AUTH_SIGN_INS_URI": "redis://host"} if scheme == "memcached" else {}
        config = {"OTP_AUTH_STORAGE_URI": f"{scheme}://host/x", "SECRET_KEY": SECRET, **memcached}
        assert Settings.load(config)


def test_the_proxy_that_is_trusted_names_the_visitor() -> None:
    app = Flask("shop")
    app.add_url_rule("/", view_func=lambda: str(request.remote_addr))
    run(PROXY, app=app)
    said = "203.0.113.1, 203.0.113.2"
    assert app.test_client().get("/", headers={"X-Forwarded-For": said}).text == "203.0.113.2"


# -- Redis as the page would have it ------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    """A Redis with the page's configuration."""
    options = [word for line in CONFIGURATION.splitlines() for word in f"--{line}".split()]
    with Redis(tmp_path / "redis", *options) as server:
        yield server


def shop_on(make_app: MakeApp, uri: str, **config: Any) -> Api:
    """Return the routes of a shop on that storage, whose codes are delivered at once."""
    return Api(make_app(OTP_AUTH_STORAGE_URI=uri, **config).test_client())


def test_limits_outlive_a_restart_and_codes_do_not(server: Redis, make_app: MakeApp) -> None:
    app = make_app(OTP_AUTH_STORAGE_URI=server.uri, OTP_AUTH_IP_GENERATE_LIMITS="1/hour")
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        assert api.generate(ADA).status_code == 200
    server.stop()
    server.start()
    statuses = [status_of(api.generate, ADA), status_of(api.verify, outbox.last.otp)]
    assert statuses == [429, 400]


def status_of(route: Callable[..., Any], *arguments: str) -> int:
    """Return a status, after the answers that only say that a connection was closed."""
    for _ in range(9):
        status: int = route(*arguments).status_code
        if status != 503:
            break
    return status


def test_a_user_with_few_rights_is_enough(server: Redis, make_app: MakeApp) -> None:
    server.ask("ACL", "SETUSER", *USER.split()[1:])
    uri = f"redis://shop:secret@127.0.0.1:{server.port}"
    probe(backend_for(uri, "").open_store())
    app = make_app(OTP_AUTH_STORAGE_URI=uri, OTP_AUTH_IP_GENERATE_LIMITS="1/hour")
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.generate(ADA)
    assert api.generate(ADA).status_code == 429
    token = api.verify(outbox.last.otp).get_json()["token"]
    assert api.refresh(token).status_code == 200
    assert api.revoke(token).status_code == 200
    assert api.refresh(token).status_code == 401
    with redis.Redis(port=server.port, username="shop", password="secret") as client:
        for forbidden in (["GET", "other"], ["KEYS", "*"], ["CONFIG", "GET", "*"]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*forbidden)


# -- figures ------------------------------------------------------------------------------


Measure = Callable[[], tuple[int, int]]


def figures(storage: str) -> list[float]:
    """Return the bytes of one code and, where the page has them, of one sign-in."""
    row = re.findall(rf"^\| {storage} \| ([\d.]+) kB \| \S+ GB \| ([\d.]*)", TEXT, re.MULTILINE)
    return [float(cell) * 1000 for cell in row[0] if cell]


class TestFigures:
    """The table of sizes, measured on a few hundred codes and sign-ins."""

    def test_of_redis(self, tmp_path: Path, make_app: MakeApp) -> None:
        with Redis(tmp_path / "redis") as server:

            def measure() -> tuple[int, int]:
                return server.ask("DBSIZE"), server.ask("INFO", "memory")["used_memory"]

            keys, *sizes = measured(make_app, measure, OTP_AUTH_STORAGE_URI=server.uri)
        assert "is 4 keys" in TEXT
        assert keys == 4
        assert sizes == pytest.approx(figures("Redis"), rel=0.15)

    def test_of_memcached(self, tmp_path: Path, make_app: MakeApp) -> None:
        with Memcached(tmp_path / "memcached") as server:
            keys, size, _ = measured(
                make_app,
                lambda: statistics(server.port),
                OTP_AUTH_STORAGE_URI=server.uri,
                OTP_AUTH_SIGN_INS_URI=f"sqlite:///{tmp_path}/sign_ins.sqlite3",
            )
        assert keys == 4
        assert [size] == pytest.approx(figures("Memcached"), rel=0.15)

    def test_of_sqlite(self, tmp_path: Path, make_app: MakeApp) -> None:
        path = tmp_path / "codes.sqlite3"

        def measure() -> tuple[int, int]:
            connection = sqlite3.connect(path)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            (keys,) = connection.execute(
                "SELECT (SELECT count(*) FROM otp_cache) + (SELECT count(*) FROM otp_hit)"
            ).fetchone()
            connection.close()
            return keys, path.stat().st_size

        keys, *sizes = measured(make_app, measure, OTP_AUTH_STORAGE_URI=f"sqlite:///{path}")
        assert keys == 4 + 1  # each hit on the one address is a row
        assert sizes == pytest.approx(figures("SQLite"), rel=0.35)  # pages are more or less full


def measured(make_app: MakeApp, measure: Measure, **config: Any) -> list[float]:
    """Return the keys and the bytes that one code takes, and the bytes of one sign-in."""
    otp_auth, customers = OTPAuth(), Customers()
    otp_auth.add_actor_type("customer", customers)
    app = make_app(otp_auth, OTP_AUTH_IP_GENERATE_LIMITS="100000/hour", **config)
    api = Api(app.test_client())

    def ask(number: int) -> None:
        customers.accounts = []
        customers.add(f"user{number:07}@example.com")
        assert api.generate(f"user{number:07}@example.com").status_code == 200

    def sign_in(number: int) -> None:
        firefox = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"}
        with app.test_request_context(headers=firefox):
            otp_auth.sign_in("customer", SimpleNamespace(id=number))

    with Outbox(app):
        return [*growth(measure, ask), growth(measure, sign_in)[1]]


def growth(measure: Measure, work: Callable[[int], None]) -> list[float]:
    """Return by how much each count grows for each piece of work; the first one doesn't count."""
    work(CODES)
    before = measure()
    for number in range(CODES):
        work(number)
    return [(after - first) / CODES for first, after in zip(before, measure(), strict=True)]


def statistics(port: int) -> tuple[int, int]:
    """Return how many items a Memcached has, and their bytes."""
    told = b""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"stats\r\n")
        while not told.endswith(b"END\r\n"):
            told += connection.recv(65_536)
    lines = dict(line.split()[1:] for line in told.decode().splitlines() if "STAT " in line)
    return int(lines["curr_items"]), int(lines["bytes"])


# -- deliveries ---------------------------------------------------------------------------


class FakeQueue:
    """A queue of jobs that workers in other processes would run."""

    def __init__(self) -> None:
        self.jobs: list[bytes] = []

    def enqueue(self, function: Callable[..., None], *args: Any, result_ttl: int) -> None:
        self.jobs.append(pickle.dumps((function, args)))

    def work(self) -> None:
        for job in self.jobs:
            function, args = pickle.loads(job)  # noqa: S301 - what was pickled above
            function(*args)


def test_a_queue_of_jobs_carries_no_code_and_delivers(
    make_app: MakeApp, customers: Customers
) -> None:
    queue = FakeQueue()
    otp_auth = run(EXECUTOR, queue=queue, OTPAuth=OTPAuth)["otp_auth"]
    otp_auth.add_actor_type("customer", customers)
    app = make_app(otp_auth, OTP_AUTH_DELIVERY="background")
    recorder = SignalRecorder(app)
    assert Api(app.test_client()).generate(ADA).status_code == 200
    assert recorder.of("otp_generated") == []
    run(WORKER, create_app=lambda: app)["work"](queue)
    (sent,) = recorder.of("otp_generated")
    assert sent["otp"].encode() not in b"".join(queue.jobs)


# -- error trackers -----------------------------------------------------------------------


class Kept(Transport):
    """A transport of Sentry's events that keeps them."""

    events: ClassVar[list[str]] = []

    def capture_envelope(self, envelope: Any) -> None:
        self.events.append(json.dumps(envelope.get_event(), default=str))


@pytest.fixture
def sentry(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Sentry as the page sets it up; what it reports."""
    monkeypatch.setattr(Kept, "events", [])
    init = sentry_sdk.init

    def start(**options: Any) -> None:
        init(**{**options, "dsn": "https://key@sentry.invalid/1", "transport": Kept})

    monkeypatch.setattr(sentry_sdk, "init", start)
    with templates_as_before(), sentry_sdk.isolation_scope():
        run(SENTRY, os=SimpleNamespace(environ={}))
        yield Kept.events
    init()


def test_a_tracker_sees_no_code(sentry: list[str], make_app: MakeApp) -> None:
    """Not even when a handler raises, or the app reports an error within a request."""
    app = make_app()
    sent = []

    @otp_generated.connect_via(app)
    def fail(sender: Flask, identifier: str, otp: str, **_: Any) -> None:
        message = f"{otp} is your code"
        sent.append(message)
        raise OSError(f"the mail server refused {message!r}")

    @app.after_request
    def report(response: Any) -> Any:
        sentry_sdk.capture_message("an answer was sent")
        return response

    api = Api(app.test_client())
    api.generate(ADA)
    (otp,) = (message.split()[0] for message in sent)
    api.verify(otp)
    assert len(sentry) >= 3
    assert Counter(otp in event for event in sentry) == {False: len(sentry)}
    assert not any(ADA in event for event in sentry)
