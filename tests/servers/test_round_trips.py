"""Round trips to Redis, counted on the wire: five for any request, six for a right answer.

Deliveries are held back, as in production they come after the answer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from fakes import ADA, BOB, SECRET, Api, Customers, bearer, wrong
from flask import Flask
from stores import Proxy, Redis, Storages, until
from werkzeug.test import TestResponse

from flask_otp_auth import (
    OTPAuth,
    current_actor,
    otp_required,
    registration_required,
    token_required,
)
from flask_otp_auth.testing import Outbox
from flask_otp_auth.testing.executors import Held
from flask_otp_auth.web.api import ROUTES
from flask_otp_auth.web.context import current_caller

MOST, MOST_IF_RIGHT = 5, 6


@dataclass
class Shop:
    """A shop on Redis behind a proxy, with a client that keeps cookies."""

    app: Flask
    customers: Customers
    jobs: Held
    outbox: Outbox
    server: Redis

    def __post_init__(self) -> None:
        self.api = Api(self.app.test_client())

    def code(self, ask: Callable[[], object]) -> str:
        """Ask for a code, let it be delivered and return it."""
        ask()
        self.jobs.run()
        return self.outbox.last.otp

    def login_code(self) -> str:
        """Return a login code of Ada's."""
        return self.code(self.api.generate)

    def token(self) -> str:
        """Sign Ada in and return the token."""
        return self.api.verify(self.login_code()).get_json()["token"]

    def registration(self) -> tuple[str, str]:
        """Register Bob, who has no account yet, and return the code and the token."""
        code = self.code(self.api.pre_register)
        return code, self.api.register(code).get_json()["token"]

    def session(self) -> None:
        """Begin a session of Ada's."""
        assert self.call("POST", "/auth/session", self.token()).status_code == 200

    def call(
        self, method: str, path: str, token: str | None = None, **headers: str
    ) -> TestResponse:
        """Call a route with a token, or else with the session."""
        authorization = bearer(token) if token else {}
        return self.api.client.open(path, method=method, headers={**authorization, **headers})

    def pass_window(self) -> None:
        """Wait until every resend window is over: no key but theirs ends within a second."""
        found = self.server.ask("KEYS", "*")
        windows = [key for key in found if 0 < self.server.ask("PTTL", key) <= 1000]
        until(lambda: not windows or not self.server.ask("EXISTS", *windows), "the end of it")


MakeShop = Callable[..., Shop]


@pytest.fixture
def server(storages: Storages) -> Redis:
    server = storages["redis"]
    server.ask("FLUSHALL")  # what earlier tests have left
    return server


@pytest.fixture
def proxy(server: Redis) -> Iterator[Proxy]:
    """Counts what goes to Redis and back."""
    with Proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def make_shop(server: Redis, proxy: Proxy, customers: Customers) -> Iterator[MakeShop]:
    """Make a shop whose connection stands and whose scripts are loaded."""
    outboxes = []

    def make(**config: Any) -> Shop:
        app, jobs = Flask("shop"), Held()
        app.config.update(
            TESTING=True,
            SECRET_KEY=SECRET,
            OTP_AUTH_DELIVERY="background",
            OTP_AUTH_STORAGE_URI=f"redis://127.0.0.1:{proxy.port}",
            **config,
        )
        otp_auth = OTPAuth(executor=jobs)
        otp_auth.add_actor_type("customer", customers)
        otp_auth.purpose("transfer")
        otp_auth.init_app(app)
        add_views(app, otp_auth, customers)
        outboxes.append(Outbox(app).__enter__())
        shop = Shop(app, customers, jobs, outboxes[-1], server)
        Api(app.test_client(), address="192.0.2.1").generate("nobody@example.com")
        shop.jobs.run()
        return shop

    yield make
    for outbox in outboxes:
        outbox.__exit__(None, None, None)


def add_views(app: Flask, otp_auth: OTPAuth, customers: Customers) -> None:
    """Give the app a view behind each guard."""

    @app.get("/me")
    @token_required("customer", session=True)
    def me() -> dict[str, str]:
        return {"id": str(current_actor.id)}

    @app.post("/transfer")
    @token_required("customer")
    @otp_required("transfer", to=lambda actor: actor.email)
    def transfer() -> dict[str, str]:
        return {"id": str(current_actor.id)}

    @app.post("/join")
    @registration_required()
    def join() -> dict[str, str]:
        return {"token": otp_auth.complete(customers.add(BOB))}

    # As the pages do.
    state = app.extensions["otp_auth"]

    @app.post("/ask-with-link/<who>")
    def ask(who: str) -> dict[str, Any]:
        issued = state.issuer.start("customer", who, current_caller(), link_to="https://a.example/")
        return dict(issued.json())

    @app.get("/opens/<who>/<link>")
    def opens(who: str, link: str) -> dict[str, bool]:
        return {"opens": state.redeemer.opens("customer", who, link)}

    @app.post("/follow/<who>/<link>/<challenge>")
    def follow(who: str, link: str, challenge: str) -> dict[str, str]:
        token = state.redeemer.follow("customer", who, link, challenge, current_caller())
        return {"token": token}


# -- what is counted: each returns a request that is ready to be sent ---------------------

Request = Callable[[], TestResponse]
Prepare = Callable[[Shop], Request]


def ask_again(shop: Shop) -> Request:
    shop.api.generate()
    return shop.api.generate


def ask_beyond_the_limit(shop: Shop) -> Request:
    shop.api.generate()
    shop.pass_window()
    return shop.api.generate


def ask_by_credit(shop: Shop) -> Request:
    shop.token()
    return shop.api.generate


def ask_from_a_used_up_address(shop: Shop) -> Request:
    shop.api.generate()
    return ask_again(shop)


def guess_from_a_used_up_address(shop: Shop) -> Request:
    for _ in range(2):
        shop.api.verify("000000")
    return partial(shop.api.verify, "000000")


def guess(shop: Shop) -> Request:
    return partial(shop.api.verify, wrong(shop.login_code()))


def guess_at_nothing(shop: Shop) -> Request:
    return partial(shop.api.verify, "000000")


def guess_beyond_the_limit(shop: Shop) -> Request:
    shop.api.verify("000000")
    return guess_at_nothing(shop)


def right_code(shop: Shop) -> Request:
    return partial(shop.api.verify, shop.login_code())


def long_code(shop: Shop) -> Request:
    shop.api.verify("000000")
    return right_code(shop)


def registration_code(shop: Shop) -> Request:
    return partial(shop.api.register, shop.code(shop.api.pre_register))


def code_of_somebody_who_joined(shop: Shop) -> Request:
    request = registration_code(shop)
    shop.customers.add(BOB)
    return request


def login_code_in_place_of_grace(shop: Shop) -> Request:
    return partial(shop.api.authenticate, shop.login_code(), ADA)


def grace_too_early(shop: Shop) -> Request:
    return partial(shop.api.authenticate, shop.registration()[0])


def grace(shop: Shop) -> Request:
    request = grace_too_early(shop)
    shop.customers.add(BOB)
    return request


def door_code_of(identifier: str) -> Prepare:
    def prepare(shop: Shop) -> Request:
        code = shop.code(partial(shop.api.start, identifier))
        return partial(shop.api.finish, code, identifier)

    return prepare


def link_of(identifier: str) -> Prepare:
    def prepare(shop: Shop) -> Request:
        asked = shop.call("POST", f"/ask-with-link/{identifier}").get_json()
        shop.jobs.run()
        link = str(shop.outbox.last.link).rpartition("/")[2]
        return partial(shop.call, "POST", f"/follow/{identifier}/{link}/{asked['challenge']}")

    return prepare


def looked_at_link(shop: Shop) -> Request:
    link_of(ADA)(shop)
    link = str(shop.outbox.last.link).rpartition("/")[2]
    return partial(shop.call, "GET", f"/opens/{ADA}/{link}")


def with_token(method: str, path: str, **headers: str) -> Prepare:
    return lambda shop: partial(shop.call, method, path, shop.token(), **headers)


def with_session(method: str, path: str) -> Prepare:
    def prepare(shop: Shop) -> Request:
        shop.session()
        return partial(shop.call, method, path)

    return prepare


def with_registration(path: str) -> Prepare:
    return lambda shop: partial(shop.call, "POST", path, shop.registration()[1])


def refreshed_registration(shop: Shop) -> Request:
    request = with_registration("/auth/token/refresh")(shop)
    shop.customers.add(BOB)
    return request


def session_after_session(shop: Shop) -> Request:
    shop.session()
    return with_token("POST", "/auth/session")(shop)


def end_another_sign_in(shop: Shop) -> Request:
    token, other = shop.token(), shop.token()
    (found,) = (
        each["id"]
        for each in shop.call("GET", "/auth/sign-ins", token).get_json()["sign_ins"]
        if not each["current"]
    )
    assert shop.call("GET", "/me", other).status_code == 200
    return partial(shop.call, "DELETE", f"/auth/sign-ins/{found}", token)


def transfer_with_code(shop: Shop) -> Request:
    token = shop.token()
    code = shop.code(partial(shop.call, "POST", "/transfer", token))
    return partial(shop.call, "POST", "/transfer", token, OTP=code)


@dataclass(frozen=True)
class Case:
    """A request.

    :ivar route: the endpoint, or the path of a view of the app's own.
    :ivar status: what is answered.
    :ivar trips: how often the app waits for Redis.
    """

    route: str
    what: str
    status: int
    trips: int
    prepare: Prepare
    config: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.route}: {self.what}"


ONE_SEND = {"OTP_AUTH_SEND_LIMITS": "1/hour", "OTP_AUTH_RESEND_INTERVAL": 1}
ONE_GUESS = {"OTP_AUTH_VERIFY_LIMITS": "1/day"}
ONE_REQUEST = {"OTP_AUTH_IP_GENERATE_LIMITS": "1/hour", "OTP_AUTH_IP_VERIFY_LIMITS": "1/hour"}
FIREFOX = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
SIGN_INS = "/auth/sign-ins"

CASES = [
    Case("generate", "for a member", 200, 4, lambda shop: shop.api.generate),
    Case("generate", "for nobody", 200, 4, lambda shop: partial(shop.api.generate, BOB)),
    Case("generate", "within the window", 200, 3, ask_again),
    Case("generate", "beyond SEND_LIMITS", 200, 5, ask_beyond_the_limit, ONE_SEND),
    Case("generate", "with a credit", 200, 5, ask_by_credit, ONE_SEND),
    Case("generate", "too often", 429, 2, ask_from_a_used_up_address, ONE_REQUEST),
    Case("pre_register", "for nobody", 200, 4, lambda shop: shop.api.pre_register),
    Case("start", "for a member", 200, 4, lambda shop: shop.api.start),
    Case("verify", "right", 200, 6, right_code),
    Case("verify", "right, long", 200, 6, long_code, ONE_GUESS),
    Case("verify", "right, the last guess", 200, 8, right_code, ONE_GUESS),
    Case("verify", "wrong", 400, 3, guess),
    Case("verify", "wrong, the last guess", 400, 5, guess, ONE_GUESS),
    Case("verify", "wrong, nothing is live", 400, 3, guess_at_nothing),
    Case("verify", "no guess left", 400, 2, guess_beyond_the_limit, ONE_GUESS),
    Case("verify", "too often", 429, 2, guess_from_a_used_up_address, ONE_REQUEST),
    Case("register", "right", 200, 6, registration_code),
    Case("register", "right, of a member", 409, 4, code_of_somebody_who_joined),
    Case("authenticate", "grace", 200, 5, grace),
    Case("authenticate", "grace, too early", 409, 2, grace_too_early),
    Case("authenticate", "login code", 200, 6, login_code_in_place_of_grace),
    Case("finish", "a member", 200, 6, door_code_of(ADA)),
    Case("finish", "somebody new", 200, 6, door_code_of(BOB)),
    Case("/opens", "a link is looked at", 200, 1, looked_at_link),
    Case("/follow", "a member", 200, 6, link_of(ADA)),
    Case("/follow", "somebody new", 200, 5, link_of(BOB)),
    Case("refresh", "same device", 200, 2, with_token("POST", "/auth/token/refresh")),
    Case("refresh", "new device", 200, 3, with_token("POST", "/auth/token/refresh", **FIREFOX)),
    Case("refresh", "of a registration", 200, 5, refreshed_registration),
    Case("revoke", "a sign-in", 200, 3, with_token("POST", "/auth/token/revoke")),
    Case("sign_ins", "a list", 200, 2, with_token("GET", SIGN_INS)),
    Case("end_sign_in", "another one", 200, 3, end_another_sign_in),
    Case("end_other_sign_ins", "none", 200, 3, with_token("DELETE", SIGN_INS)),
    Case("begin_session", "the first", 200, 2, with_token("POST", "/auth/session")),
    Case("begin_session", "another", 200, 4, session_after_session),
    Case("end_session", "a session", 200, 2, with_session("DELETE", "/auth/session")),
    Case("jwks", "no keys", 404, 0, with_token("GET", "/auth/.well-known/jwks.json")),
    Case("/me", "a token", 200, 1, with_token("GET", "/me")),
    Case("/me", "a session", 200, 1, with_session("GET", "/me")),
    Case("/join", "a registration is completed", 200, 4, with_registration("/join")),
    Case("/transfer", "a code is asked for", 401, 5, with_token("POST", "/transfer")),
    Case("/transfer", "with the code", 200, 5, transfer_with_code),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_request_waits_for_redis_as_often_as_stands_in_the_table(
    case: Case, make_shop: MakeShop, proxy: Proxy
) -> None:
    shop = make_shop(**case.config)
    request = case.prepare(shop)
    before = proxy.trips
    status = request().status_code
    assert (status, proxy.trips - before) == (case.status, case.trips)


def test_every_route_stands_in_the_table() -> None:
    assert {case.route for case in CASES} >= {route.endpoint for route in ROUTES}


def test_no_request_has_more_than_the_design_allows() -> None:
    """But the one in a day that is right with the last guess, and makes codes long besides."""
    right = {"verify", "register", "authenticate", "finish", "/follow"}
    beyond = [
        str(case)
        for case in CASES
        if case.trips > (MOST_IF_RIGHT if case.route in right and case.status == 200 else MOST)
    ]
    assert beyond == ["verify: right, the last guess"]
