"""What most tests share: a shop with customers, its app, its outbox, and a clock to turn."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from blinker import NamedSignal
from cachelib import SimpleCache
from flask import Flask
from flask.testing import FlaskClient
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from hypothesis import HealthCheck, settings
from limits.storage import MemoryStorage
from werkzeug.test import TestResponse

from flask_otp_auth import OTPAuth, Unavailable, signals
from flask_otp_auth.store import Store, store_for
from flask_otp_auth.testing import Outbox

pytest_plugins = ["stores", "attacks"]  # storages that are servers; attacks, counted

SECRET = "a-secret-key-of-more-than-32-bytes-for-tests"
START = datetime(2026, 1, 2, 3, 4, 5, 900_000, tzinfo=UTC)

# A busy machine is no fault of the package.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Mutation testing runs the same examples for each mutant, and under callers of its own.
settings.register_profile(
    "mutate", deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck
)
settings.load_profile("busy")

#: A customer, and somebody whom the shop doesn't know.
ADA = "ada@example.com"
BOB = "bob@example.com"


@dataclass
class Customer:
    """An account of the shop."""

    id: int
    email: str
    is_active: bool = True


@dataclass
class Customers:
    """The shop's accounts: an actor store, and what the app itself does with them."""

    accounts: list[Customer] = field(default_factory=list)

    def add(self, email: str) -> Customer:
        customer = Customer(len(self.accounts) + 1, email)
        self.accounts.append(customer)
        return customer

    def find_by_identifier(self, identifier: str) -> Customer | None:
        return next((c for c in self.accounts if c.email == identifier), None)

    def find_by_id(self, actor_id: str) -> Customer | None:
        return next((c for c in self.accounts if str(c.id) == actor_id), None)


@pytest.fixture
def customers() -> Customers:
    """The shop's customers; Ada is one of them."""
    customers = Customers()
    customers.add("ada@example.com")
    return customers


@pytest.fixture
def make_app(customers: Customers) -> Callable[..., Flask]:
    """Make an app of the shop with settings of the test's own."""

    def make(otp_auth: OTPAuth | None = None, **config: Any) -> Flask:
        app = Flask("shop")
        app.config.update({"TESTING": True, "SECRET_KEY": SECRET, **config})
        if otp_auth is None:
            otp_auth = OTPAuth()
            otp_auth.add_actor_type("customer", customers)
        otp_auth.init_app(app)
        return app

    return make


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The shop with default settings, in memory."""
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the shop."""
    return app.test_client()


@pytest.fixture
def outbox(app: Flask) -> Iterator[Outbox]:
    """The codes that the shop sends."""
    with Outbox(app) as outbox:
        yield outbox


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that stands still until the test moves it: ``clock.shift(60)``."""
    with time_machine.travel(START, tick=False) as clock:
        yield clock


def bearer(token: str) -> dict[str, str]:
    """Return the headers of a request with a token."""
    return {"Authorization": f"Bearer {token}"}


class WatchedStore(Store):
    """A store in memory that notes what it is asked for, and that can be cut off."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.written: dict[str, str] = {}
        self.reachable = True
        self.in_turn = False
        self._store = store_for(SimpleCache(threshold=50_000))

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        self._note("put")
        self.written.update(items)
        self._store.put(items, ttl)

    def peek(self, *keys: str) -> Sequence[str | None]:
        self._note("peek")
        return self._store.peek(*keys)

    def take(self, key: str) -> bool:
        self._note("take")
        return self._store.take(key)

    def mark(self, key: str, ttl: int) -> bool:
        self._note("mark")
        return self._store.mark(key, ttl)

    @contextmanager
    def turn(self) -> Iterator[None]:
        self.in_turn = True
        try:
            yield
        finally:
            self.in_turn = False

    def _note(self, verb: str) -> None:
        if not self.reachable:
            raise Unavailable
        self.calls.append(verb)


class WatchedLimits(MemoryStorage):
    """A storage of limits that notes what it is asked for, and that can be cut off."""

    STORAGE_SCHEME = ("watched",)

    def __init__(self, uri: str | None = None, **options: Any) -> None:
        self.calls: list[str] = []
        self.reachable = True
        super().__init__(uri, **options)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        self._note("hit")
        return super().acquire_entry(key, limit, expiry, amount)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        self._note("test")
        return super().get_moving_window(key, limit, expiry)

    def _note(self, verb: str) -> None:
        if not self.reachable:
            raise ConnectionRefusedError
        self.calls.append(verb)


@dataclass
class Watched:
    """The shop on a store and on limits that can be watched and cut off."""

    app: Flask
    otp_auth: OTPAuth
    store: WatchedStore
    limits: WatchedLimits
    customers: Customers

    def forget(self) -> None:
        """Forget what was asked of the store and of the limits until now."""
        self.store.calls.clear()
        self.store.written.clear()
        self.limits.calls.clear()


@pytest.fixture
def make_watched(customers: Customers) -> Callable[..., Watched]:
    """Make a watched shop with settings of the test's own."""

    def make(**config: Any) -> Watched:
        app = Flask("shop")
        app.config.update({"TESTING": True, "SECRET_KEY": SECRET, **config})
        limiter = Limiter(
            get_remote_address, app=app, storage_uri="watched://", strategy="moving-window"
        )
        store = WatchedStore()
        otp_auth = OTPAuth(cache=store, limiter=limiter)
        otp_auth.add_actor_type("customer", customers)
        otp_auth.init_app(app)
        assert isinstance(limiter.storage, WatchedLimits)
        watched = Watched(app, otp_auth, store, limiter.storage, customers)
        watched.forget()
        return watched

    return make


@dataclass
class Api:
    """The routes of the blueprint, called by their names."""

    client: FlaskClient
    prefix: str = "/auth"
    actor_type: str = "customer"

    def generate(self, identifier: object = ADA, **fields: object) -> TestResponse:
        return self.post("/otp/generate", identifier=identifier, **fields)

    def pre_register(self, identifier: object = BOB, **fields: object) -> TestResponse:
        return self.post("/otp/pre-register", identifier=identifier, **fields)

    def verify(self, otp: object, identifier: object = ADA, **fields: object) -> TestResponse:
        return self.post("/otp/verify", identifier=identifier, otp=otp, **fields)

    def register(self, otp: object, identifier: object = BOB, **fields: object) -> TestResponse:
        return self.post("/otp/register", identifier=identifier, otp=otp, **fields)

    def authenticate(self, otp: object, identifier: object = BOB, **fields: object) -> TestResponse:
        return self.post("/otp", identifier=identifier, otp=otp, **fields)

    def post(self, route: str, **fields: object) -> TestResponse:
        return self.client.post(f"{self.prefix}/{self.actor_type}{route}", json=fields)

    def refresh(self, token: str) -> TestResponse:
        return self.client.post(f"{self.prefix}/token/refresh", headers=bearer(token))

    def revoke(self, token: str) -> TestResponse:
        return self.client.post(f"{self.prefix}/token/revoke", headers=bearer(token))


@pytest.fixture
def api(client: FlaskClient) -> Api:
    """The shop's routes, called by their names."""
    return Api(client)


class Ear:
    """Hears every signal that an app sends.

    :ivar heard: the name and the arguments of each signal, the oldest first.
    """

    def __init__(self, app: Flask) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self._receivers = []
        for name, signal in vars(signals).items():
            if isinstance(signal, NamedSignal):
                self._listen(name, signal, app)

    def _listen(self, name: str, signal: NamedSignal, app: Flask) -> None:
        def hear(sender: Flask, **arguments: Any) -> None:
            self.heard.append((name, arguments))

        self._receivers.append(hear)  # blinker itself holds it weakly
        signal.connect(hear, app)

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the arguments of each signal of that name."""
        return [arguments for heard, arguments in self.heard if heard == name]

    def reasons(self, name: str = "otp_rejected") -> list[str]:
        """Return the reason of each signal of that name."""
        return [arguments["reason"] for arguments in self.of(name)]


@pytest.fixture
def ear(app: Flask) -> Ear:
    """Hears every signal that the shop sends."""
    return Ear(app)


def wrong(otp: str) -> str:
    """Return a code of the same shape that is not the right one."""
    if otp.isdigit():
        return f"{(int(otp) + 1) % 10 ** len(otp):0{len(otp)}}"
    return ("B" if otp[0] == "A" else "A") + otp[1:]
