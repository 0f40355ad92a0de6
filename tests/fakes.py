"""Stand-ins that tests share: a shop's customers, a store, a storage of limits, recorders."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
from blinker import NamedSignal
from flask import Flask
from flask.testing import FlaskClient
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits.storage import MemoryStorage
from werkzeug.test import TestResponse

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.errors import Unavailable
from flask_otp_auth.storage.base import Store
from flask_otp_auth.testing import Outbox

#: A customer of the shop, and somebody who has no account.
ADA = "ada@example.com"
BOB = "bob@example.com"

START = datetime(2026, 1, 2, 3, 4, 5, 900_000, tzinfo=UTC)

#: A moment at a whole second.
NOW = 1_700_000_000

SECRET = "a-secret-key-of-more-than-32-bytes-for-tests"


@dataclass
class Customer:
    """An account of the shop."""

    id: int
    email: str
    is_active: bool = True


@dataclass
class Customers:
    """The shop's accounts: an actor store, and what the app itself does with them.

    :ivar calls: which finder was called with what, the oldest first.
    """

    accounts: list[Customer] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)

    def add(self, email: str) -> Customer:
        customer = Customer(len(self.accounts) + 1, email)
        self.accounts.append(customer)
        return customer

    def find_by_identifier(self, identifier: str) -> Customer | None:
        self.calls.append(("find_by_identifier", identifier))
        return next((c for c in self.accounts if c.email == identifier), None)

    def find_by_id(self, actor_id: str) -> Customer | None:
        self.calls.append(("find_by_id", actor_id))
        return next((c for c in self.accounts if str(c.id) == actor_id), None)


@dataclass(frozen=True)
class Somebody:
    """An account, known by its address alone, so that processes need not share a table."""

    id: str


@dataclass
class Everybody:
    """An actor store in which everybody has an account, or nobody."""

    joined: bool = True

    def find_by_identifier(self, identifier: str) -> Somebody | None:
        return Somebody(identifier) if self.joined else None

    find_by_id = find_by_identifier


class FakeStore(Store):
    """A store in a dict that tells what it is asked for, and that can be cut off.

    :ivar items: the values and deadlines by key.
    :ivar calls: the verb and the keys of each call, the oldest first.
    :ivar reachable: whether it answers.
    :ivar before_take: called before each take, to get between two steps of a flow.
    :ivar fails_at: number of the call (from 0) from which on it doesn't answer.
    """

    def __init__(self) -> None:
        self.items: dict[str, tuple[str, float]] = {}
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self.reachable = True
        self.before_take: Callable[[], None] = lambda: None
        self.fails_at: int | None = None

    @property
    def verbs(self) -> list[str]:
        """The verbs of the calls."""
        return [verb for verb, _ in self.calls]

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        self._note("put", *items)
        self.items.update((key, (value, time.time() + ttl)) for key, value in items.items())

    def peek(self, *keys: str) -> Sequence[str | None]:
        self._note("peek", *keys)
        return [self._live(key) for key in keys]

    def take(self, *keys: str, value: str | None = None) -> Sequence[bool]:
        self.before_take()
        self._note("take", *keys)
        return [self._take(key, value) for key in keys]

    def mark(self, key: str, ttl: int, value: str = "1") -> bool:
        self._note("mark", key)
        if self._live(key) is not None:
            return False
        self.items[key] = (value, time.time() + ttl)
        return True

    def _take(self, key: str, value: str | None) -> bool:
        found = self._live(key)
        if found is None or value not in (None, found):
            return False
        del self.items[key]
        return True

    def _live(self, key: str) -> str | None:
        value, deadline = self.items.get(key, (None, 0.0))
        return value if deadline > time.time() else None

    def _note(self, verb: str, *keys: str) -> None:
        if not self.reachable or (self.fails_at is not None and len(self.calls) >= self.fails_at):
            raise Unavailable
        self.calls.append((verb, keys))


class NoTimer:
    """Says that it runs already, so that limits starts no thread.

    One that asks for the time just when a test puts the clock back would fail.
    """

    def start(self) -> None:
        """Do nothing."""

    def is_alive(self) -> bool:
        return True


class FakeLimits(MemoryStorage):
    """A storage of limits that tells what it is asked for, and that can be cut off."""

    STORAGE_SCHEME = ("fake",)

    timer = property(lambda _: NoTimer(), lambda *_: None)

    def __init__(self, uri: str | None = None, **options: Any) -> None:
        self.calls: list[str] = []
        self.reachable = True
        super().__init__(uri, **options)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        self._note("hit")
        return super().acquire_entry(key, limit, expiry, amount)

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        self._note("look")
        return super().get_moving_window(key, limit, expiry)

    def _note(self, verb: str) -> None:
        if not self.reachable:
            raise ConnectionRefusedError
        self.calls.append(verb)


class SignalRecorder:
    """Keeps every signal that an app sends.

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

    @property
    def names(self) -> list[str]:
        """The names of all signals."""
        return [name for name, _ in self.heard]

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return the arguments of each signal of that name."""
        return [arguments for heard, arguments in self.heard if heard == name]

    def reasons(self, name: str = "otp_rejected") -> list[str]:
        """Return the reason of each signal of that name."""
        return [arguments["reason"] for arguments in self.of(name)]


def bearer(token: str) -> dict[str, str]:
    """Return the headers of a request with a token."""
    return {"Authorization": f"Bearer {token}"}


def claims_of(token: str) -> dict[str, Any]:
    """Return a token's claims, as anybody can read them."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@dataclass
class Api:
    """The routes of the blueprint, called by their names."""

    client: FlaskClient
    prefix: str = "/auth"
    actor_type: str = "customer"
    address: str = "127.0.0.1"

    def generate(self, identifier: object = ADA, **fields: object) -> TestResponse:
        return self.post("/otp/generate", identifier=identifier, **fields)

    def pre_register(self, identifier: object = BOB, **fields: object) -> TestResponse:
        return self.post("/otp/pre-register", identifier=identifier, **fields)

    def start(self, identifier: object = ADA, **fields: object) -> TestResponse:
        return self.post("/otp/start", identifier=identifier, **fields)

    def verify(self, otp: object, identifier: object = ADA, **fields: object) -> TestResponse:
        return self.post("/otp/verify", identifier=identifier, otp=otp, **fields)

    def register(self, otp: object, identifier: object = BOB, **fields: object) -> TestResponse:
        return self.post("/otp/register", identifier=identifier, otp=otp, **fields)

    def authenticate(self, otp: object, identifier: object = BOB, **fields: object) -> TestResponse:
        return self.post("/otp", identifier=identifier, otp=otp, **fields)

    def finish(self, otp: object, identifier: object = ADA, **fields: object) -> TestResponse:
        return self.post("/otp/finish", identifier=identifier, otp=otp, **fields)

    def post(self, route: str, **fields: object) -> TestResponse:
        return self.client.post(
            f"{self.prefix}/{self.actor_type}{route}",
            json=fields,
            environ_overrides={"REMOTE_ADDR": self.address},
        )

    def refresh(self, token: str) -> TestResponse:
        return self.client.post(f"{self.prefix}/token/refresh", headers=bearer(token))

    def revoke(self, token: str) -> TestResponse:
        return self.client.post(f"{self.prefix}/token/revoke", headers=bearer(token))


@dataclass
class Watched:
    """The shop on a store and on limits that can be watched and cut off."""

    app: Flask
    otp_auth: OTPAuth
    store: FakeStore
    limits: FakeLimits
    customers: Customers

    def forget_calls(self) -> None:
        """Forget what was asked until now."""
        self.store.calls.clear()
        self.limits.calls.clear()
        self.customers.calls.clear()


def watch(customers: Customers, **config: Any) -> Watched:
    """Make a watched shop."""
    app = Flask("shop")
    app.config.update({"TESTING": True, "SECRET_KEY": SECRET, **config})
    limiter = Limiter(get_remote_address, app=app, storage_uri="fake://", strategy="moving-window")
    store = FakeStore()
    otp_auth = OTPAuth(cache=store, limiter=limiter)
    otp_auth.add_actor_type("customer", customers)
    otp_auth.init_app(app)
    assert isinstance(limiter.storage, FakeLimits)
    watched = Watched(app, otp_auth, store, limiter.storage, customers)
    watched.forget_calls()
    return watched


#: Fixtures that make a shop with settings of the test's own.
MakeApp = Callable[..., Flask]
MakeWatched = Callable[..., Watched]


def wrong(otp: str) -> str:
    """Return a code of the same shape that is not the right one."""
    return f"{(int(otp) + 1) % 10 ** len(otp):0{len(otp)}}"


def sign_in(
    app: Flask, identifier: str = ADA, actor_type: str = "customer", *, user_agent: str = ""
) -> str:
    """Sign somebody in over HTTP and return the authentication token."""
    api = Api(app.test_client(), actor_type=actor_type)
    if user_agent:
        api.client.environ_base["HTTP_USER_AGENT"] = user_agent
    with Outbox(app) as outbox:
        api.generate(identifier)
    token: str = api.verify(outbox.last.otp, identifier).get_json()["token"]
    return token


def register(app: Flask, identifier: str = BOB, actor_type: str = "customer") -> str:
    """Register somebody over HTTP and return the registration token."""
    api = Api(app.test_client(), actor_type=actor_type)
    with Outbox(app) as outbox:
        api.pre_register(identifier)
    token: str = api.register(outbox.last.otp, identifier).get_json()["token"]
    return token
