"""Real answers are those of the document, all of them and no others."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from contract import Contract
from fakes import (
    ADA,
    BOB,
    Api,
    Customers,
    MakeApp,
    MakeWatched,
    Watched,
    bearer,
    register,
    sign_in,
    wrong,
)
from flask.testing import FlaskClient
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from pems import pem
from werkzeug.test import TestResponse

from flask_otp_auth import (
    ActorNotCreated,
    DuplicateError,
    InvalidData,
    InvalidOTP,
    NotFound,
    OTPAuth,
    RateLimited,
    Refused,
    RequestError,
    Unauthorized,
    Unavailable,
)
from flask_otp_auth.errors import PayloadTooLarge, UnsupportedMediaType
from flask_otp_auth.testing import Outbox
from flask_otp_auth.web.api import ROUTES, Route


class Shop:
    """The shop whose answers are held to its document."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.app = watched.app
        self.contract = Contract(watched.otp_auth.openapi(watched.app)).watch(watched.app)
        self.client: FlaskClient = watched.app.test_client()

    def call(self, route: Route, actor_type: str = "customer", **options: Any) -> TestResponse:
        """Send a request, with the body that the route wants if none is given."""
        path = route.rule.replace("<actor_type>", actor_type).replace("<sign_in_id>", "0.x")
        if route.body is not None and "data" not in options:
            options.setdefault("json", {"identifier": ADA, "otp": "123456"})
        return self.client.open(f"/auth{path}", method=route.method, **options)


def bad_body(shop: Shop, route: Route) -> TestResponse:
    return shop.call(route, json={})


def as_it_comes(shop: Shop, route: Route) -> TestResponse:
    """Send a wrong code, or no token."""
    return shop.call(route)


def no_such_thing(shop: Shop, route: Route) -> TestResponse:
    if route.body is not None:
        return shop.call(route, "robot")
    return shop.call(route, headers=bearer(sign_in(shop.app)))


def too_much(shop: Shop, route: Route) -> TestResponse:
    return shop.call(route, data=b" " * 5000, content_type="application/json")


def not_json(shop: Shop, route: Route) -> TestResponse:
    return shop.call(route, data=b"{}", content_type="text/plain")


def gate(shop: Shop, route: Route) -> TestResponse:
    @shop.watched.otp_auth.before_code
    def refuse(asked: object) -> None:
        raise Refused

    return shop.call(route)


def default_limit(shop: Shop, route: Route) -> TestResponse:
    Limiter(get_remote_address, app=shop.app, default_limits=["1/hour"], storage_uri="memory://")
    shop.call(route)
    return shop.call(route)


def outage(shop: Shop, route: Route) -> TestResponse:
    token = sign_in(shop.app)
    shop.client.post("/auth/session", headers=bearer(token))
    shop.watched.store.reachable = False
    return shop.call(route, headers={} if "cookie" in route.credentials else bearer(token))


def not_created(shop: Shop, route: Route) -> TestResponse:
    api = Api(shop.client)
    if route.body is None:
        return shop.call(route, headers=bearer(register(shop.app)))
    with Outbox(shop.app) as outbox:
        api.pre_register(BOB)
        body = {"identifier": BOB, "otp": outbox.last.otp}
        api.register(body["otp"])
    return shop.call(route, json=body)


def already_there(shop: Shop, route: Route) -> TestResponse:
    with Outbox(shop.app) as outbox:
        Api(shop.client).pre_register(BOB)
        shop.watched.customers.add(BOB)
        return shop.call(route, json={"identifier": BOB, "otp": outbox.last.otp})


PROVOKED: dict[type[RequestError], Callable[[Shop, Route], TestResponse]] = {
    InvalidData: bad_body,
    InvalidOTP: as_it_comes,
    NotFound: no_such_thing,
    PayloadTooLarge: too_much,
    UnsupportedMediaType: not_json,
    Refused: gate,
    Unauthorized: as_it_comes,
    RateLimited: default_limit,
    Unavailable: outage,
    ActorNotCreated: not_created,
    DuplicateError: already_there,
}


@pytest.mark.parametrize(
    ("route", "error"),
    [
        pytest.param(route, error, id=f"{route.operation}-{error.__name__}")
        for route in ROUTES
        for error in route.errors
    ],
)
def test_each_refusal_that_the_document_tells_of_happens(
    make_watched: MakeWatched, route: Route, error: type[RequestError]
) -> None:
    shop = Shop(make_watched(OTP_AUTH_ALWAYS_RETURN_SUCCESS=error is not DuplicateError))
    answer = PROVOKED[error](shop, route)
    assert (answer.status_code, answer.get_json()["type"]) == (error.status, error.type)
    assert (route.operation, error.status, error.type) in shop.contract.seen


@pytest.mark.parametrize("plain", [False, True], ids=["default", "plain-answers"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
def test_no_refusal_is_missing_in_the_document(
    make_watched: MakeWatched, route: Route, plain: bool
) -> None:
    """Each route meets all that can go wrong; an answer that is not told of is an error."""
    for provoke in PROVOKED.values():
        shop = Shop(make_watched(OTP_AUTH_ALWAYS_RETURN_SUCCESS=not plain))
        provoke(shop, route)
        assert shop.contract.seen


def test_each_success_that_the_document_tells_of_happens(
    make_app: MakeApp, customers: Customers
) -> None:
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    app = make_app(otp_auth, OTP_AUTH_TOKEN_ALGORITHM="ES256", OTP_AUTH_TOKEN_KEYS=[pem("ES256")])
    contract = Contract(otp_auth.openapi(app)).watch(app)
    client = app.test_client()
    api = Api(client)
    with Outbox(app) as outbox:
        api.start(BOB)
        registration = api.finish(outbox.last.otp, BOB).get_json()
        assert registration.keys() == {"token", "registration"}
        customers.add(BOB)
        api.refresh(registration["token"])
        api.pre_register("eve@example.com")
        api.register(outbox.last.otp, "eve@example.com")
        customers.add("eve@example.com")
        headers = bearer(api.authenticate(outbox.last.otp, "eve@example.com").get_json()["token"])
    other = bearer(sign_in(app, "eve@example.com"))
    here, there = client.get("/auth/sign-ins", headers=other).get_json()["sign_ins"]
    assert (here["current"], there["current"]) == (True, False)
    client.post("/auth/session", headers=other)
    client.delete(f"/auth/sign-ins/{there['id']}")
    client.delete("/auth/sign-ins")
    client.delete("/auth/session")
    assert client.post("/auth/token/revoke", headers=headers).status_code == 401
    api.revoke(sign_in(app))
    client.get("/auth/.well-known/jwks.json")
    succeeded = {operation for operation, status, _ in contract.seen if status == 200}
    assert succeeded == {route.operation for route in ROUTES}


class Walk:
    """Somebody who uses the routes in any order, rightly and wrongly."""

    def __init__(self, shop: Shop, customers: Customers, seed: int) -> None:
        self._random = random.Random(seed)
        self._shop = shop
        self._customers = customers
        self._tokens = ["a.b.c"]
        self._challenges: list[object] = [None, "x", "x" * 65, 7]

    def run(self, steps: int) -> None:
        with Outbox(self._shop.app) as outbox:
            self._outbox = outbox
            for _ in range(steps):
                self._step()

    def _step(self) -> None:
        if self._random.random() < 0.1:
            self._customers.add(self._who())
        route = self._random.choice(ROUTES)
        token = self._random.choice(self._tokens[-3:])
        options: dict[str, Any] = {}
        if self._random.random() < 0.7:
            options["headers"] = bearer(token)
        if route.body is not None:
            options["json"] = self._body()
        answer = self._shop.call(
            route, self._random.choice(["customer"] * 9 + ["robot"]), **options
        )
        body = answer.get_json()
        self._tokens += [body["token"]] if "token" in body else []
        self._challenges += [body["challenge"]] if "challenge" in body else []

    def _who(self) -> str:
        return self._random.choice([ADA, BOB, "eve@example.com", "zoe@example.com"])

    def _body(self) -> dict[str, object]:
        sent = list(self._outbox)[-3:]
        message = self._random.choice(sent) if sent else None
        if message is None or self._random.random() < 0.4:
            return {"identifier": self._who(), "otp": self._random.choice(["000000", "x", None])}
        otp = message.otp if self._random.random() < 0.8 else wrong(message.otp)
        challenge = self._random.choice(self._challenges[:4] + self._challenges[-3:])
        return {"identifier": message.identifier, "otp": otp, "challenge": challenge}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"OTP_AUTH_ALWAYS_RETURN_SUCCESS": False, "OTP_AUTH_RESEND_INTERVAL": 1},
        {"OTP_AUTH_REQUIRE_CHALLENGE": True, "OTP_AUTH_RESEND_INTERVAL": 0},
        {"OTP_AUTH_IP_GENERATE_LIMITS": "9/hour", "OTP_AUTH_ACTOR_LIMITS": "1/hour"},
    ],
    ids=["default", "plain-answers", "challenges", "limits"],
)
def test_no_answer_falls_outside_of_the_document(
    make_watched: MakeWatched, settings: dict[str, Any], seed: int
) -> None:
    """A walk through all flows, each answer of which the document has a place for."""
    watched = make_watched(**settings)
    shop = Shop(watched)
    Walk(shop, watched.customers, seed).run(200)
    assert len(shop.contract.seen) > 20  # a walk that gets nowhere tests nothing


def test_an_answer_that_the_document_does_not_tell_of_is_noticed(watched: Watched) -> None:
    """The check itself can fail."""
    shop = Shop(watched)
    del shop.contract.document["paths"]["/auth/token/revoke"]["post"]["responses"]["401"]
    with pytest.raises(AssertionError, match="tokenRevoke answers 401"):
        shop.client.post("/auth/token/revoke")
    schema = shop.contract.document["components"]["schemas"]["OTPIssuedAnswer"]
    del schema["properties"]["challenge"]
    with pytest.raises(AssertionError, match=r"otpGenerate answers .*challenge"):
        Api(shop.client).generate()
