"""The JSON API: each route's answers and errors, as they stand on the wire."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import jwt
import pytest
from fakes import (
    ADA,
    BOB,
    SECRET,
    START,
    Api,
    Customers,
    MakeApp,
    MakeWatched,
    SignalRecorder,
    Watched,
    bearer,
    sign_in,
    wrong,
)
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from pems import pem
from time_machine import Traveller
from visitors import begin_session
from werkzeug.routing import UnicodeConverter
from werkzeug.test import TestResponse

from flask_otp_auth import ConfigError, OTPAuth
from flask_otp_auth.testing import Outbox
from flask_otp_auth.web.api import ROUTES, Route

MESSAGES = {
    "generate": "If an account exists with this identifier, an OTP will be sent.",
    "pre_register": "Please validate the OTP to continue with the registration process.",
    "start": "An OTP will be sent.",
}
ASKING = tuple(MESSAGES)
REDEEMING = ("verify", "register", "authenticate", "finish")
WITH_BODY = (*ASKING, *REDEEMING)
WITH_TOKEN = (
    ("POST", "/auth/token/refresh"),
    ("POST", "/auth/token/revoke"),
    ("POST", "/auth/session"),
    ("GET", "/auth/sign-ins"),
    ("DELETE", "/auth/sign-ins"),
    ("DELETE", "/auth/sign-ins/1.abc"),
)
JSON = "application/json"
INVALID_OTP = {"type": "invalid_otp", "message": "Invalid OTP"}


Call = Callable[..., TestResponse]


def call(api: Api, route: str, identifier: object = ADA, **fields: object) -> TestResponse:
    """Call one of the routes that take a body."""
    method = getattr(api, route)
    if route in REDEEMING:
        return method("123456", identifier, **fields)
    return method(identifier, **fields)


def path_of(route: str) -> str:
    """Return the path of one of the routes that take a body."""
    name = {"authenticate": ""}.get(route, "/" + route.replace("_", "-"))
    return f"/auth/customer/otp{name}"


@pytest.fixture
def signed_in(app: Flask) -> str:
    """Ada's token."""
    return sign_in(app)


class TestRoutes:
    """The table, which the OpenAPI document is made from."""

    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.endpoint)
    def test_a_route_reads_the_body_that_its_record_names(
        self, client: FlaskClient, route: Route
    ) -> None:
        answer = client.open(
            "/auth" + route.rule.replace("<actor_type>", "customer"),
            method=route.method,
            data=b"{}",
            content_type="text/plain",
        )
        assert (answer.status_code == 415) is (route.body is not None)


class TestSuccess:
    """What each route answers when all is well."""

    @pytest.mark.parametrize("route", ASKING)
    def test_to_a_request_for_a_code(self, api: Api, outbox: Outbox, route: str) -> None:
        identifier = BOB if route == "pre_register" else ADA
        answer = call(api, route, identifier)
        assert answer.status_code == 200
        assert answer.mimetype == "application/json"
        challenge = answer.get_json()["challenge"]
        assert 0 < len(challenge) <= 64
        assert answer.get_json() == {
            "message": MESSAGES[route],
            "challenge": challenge,
            "expires_in": 300,
            "resend_after": 60,
        }
        assert outbox.last.identifier == identifier

    @pytest.mark.parametrize("route", ASKING)
    @pytest.mark.parametrize("challenge", [None, "", "of long ago"])
    def test_a_challenge_in_a_request_for_a_code_is_ignored(
        self, api: Api, route: str, challenge: str | None
    ) -> None:
        answer = call(api, route, challenge=challenge)
        assert answer.status_code == 200
        assert answer.get_json()["challenge"] != challenge

    @pytest.mark.parametrize(
        ("ask", "answer_with"),
        [
            (Api.generate, Api.verify),
            (Api.pre_register, Api.register),
            (Api.generate, Api.authenticate),
        ],
        ids=["verify", "register", "authenticate"],
    )
    def test_to_a_right_code(self, api: Api, outbox: Outbox, ask: Call, answer_with: Call) -> None:
        challenge = ask(api).get_json()["challenge"]
        code = outbox.last
        answer = answer_with(api, code.otp, code.identifier, challenge=challenge)
        assert (answer.status_code, list(answer.get_json())) == (200, ["token"])

    def test_finish_for_a_member(self, api: Api, outbox: Outbox) -> None:
        challenge = api.start(ADA).get_json()["challenge"]
        answer = api.finish(outbox.last.otp, ADA, challenge=challenge)
        assert (answer.status_code, list(answer.get_json())) == (200, ["token"])
        assert typ(answer) == "auth+jwt"

    def test_finish_for_somebody_new(self, api: Api, outbox: Outbox) -> None:
        api.start(BOB)
        answer = api.finish(outbox.last.otp, BOB)
        assert answer.status_code == 200
        assert answer.get_json().keys() == {"token", "registration"}
        assert answer.get_json()["registration"] is True
        assert typ(answer) == "registration+jwt"

    def test_refresh(self, api: Api, signed_in: str) -> None:
        answer = api.refresh(signed_in)
        assert (answer.status_code, list(answer.get_json())) == (200, ["token"])

    def test_revoke(self, api: Api, signed_in: str) -> None:
        answer = api.revoke(signed_in)
        assert (answer.status_code, answer.get_json()) == (200, {"success": True})
        assert api.refresh(signed_in).status_code == 401

    def test_a_challenge_that_is_null_is_absent(self, api: Api, outbox: Outbox) -> None:
        api.generate(ADA, challenge=None)
        assert api.verify(outbox.last.otp, ADA, challenge=None).status_code == 200


def typ(answer: TestResponse) -> str:
    """Return what kind of token an answer has."""
    kind: str = jwt.get_unverified_header(answer.get_json()["token"])["typ"]
    return kind


class TestSignIns:
    """What an actor sees of its devices, and ends."""

    FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

    @pytest.fixture
    def phone(self, clock: Traveller, app: Flask) -> str:
        """The token of Ada's other device, on which she signed in an hour ago."""
        token = sign_in(app)
        clock.shift(3600)
        return token

    @pytest.fixture
    def laptop(self, phone: str, app: Flask) -> FlaskClient:
        """A browser that Ada has just signed in with, by its session."""
        client = app.test_client()
        assert begin_session(client, sign_in(app, user_agent=self.FIREFOX)) == 200
        return client

    def test_are_listed(self, laptop: FlaskClient, client: FlaskClient, phone: str) -> None:
        answer = laptop.get("/auth/sign-ins")
        assert answer.status_code == 200
        here, there = answer.get_json()["sign_ins"]
        assert here.keys() == {"id", "browser", "platform", "since", "current"}
        assert (here["browser"], here["platform"], here["current"]) == ("Firefox", "Linux", True)
        assert (there["browser"], there["current"]) == (None, False)
        since = [datetime.fromisoformat(item["since"]) for item in (here, there)]
        assert since == [START.replace(microsecond=0) + timedelta(hours=n) for n in (1, 0)]
        other = client.get("/auth/sign-ins", headers=bearer(phone)).get_json()["sign_ins"]
        assert [item["current"] for item in other] == [False, True]
        assert [item["id"] for item in other] == [here["id"], there["id"]]

    def test_one_is_ended(self, laptop: FlaskClient, client: FlaskClient, phone: str) -> None:
        here, there = laptop.get("/auth/sign-ins").get_json()["sign_ins"]
        answer = laptop.delete(f"/auth/sign-ins/{there['id']}")
        assert (answer.status_code, answer.get_json()) == (200, {"success": True})
        assert client.get("/auth/sign-ins", headers=bearer(phone)).status_code == 401
        left = laptop.get("/auth/sign-ins").get_json()["sign_ins"]
        assert [item["id"] for item in left] == [here["id"]]

    def test_one_that_there_is_not_is_not_found(self, laptop: FlaskClient) -> None:
        for unknown in ("1.0123456789abcdef0123456789abcdef", "x", "99.é"):
            answer = laptop.delete(f"/auth/sign-ins/{unknown}")
            assert (answer.status_code, answer.get_json()["type"]) == (404, "not_found")

    def test_of_somebody_else_is_not_found(
        self, app: Flask, client: FlaskClient, customers: Customers, signed_in: str
    ) -> None:
        customers.add(BOB)
        token = sign_in(app, BOB)
        (of_ada,) = client.get("/auth/sign-ins", headers=bearer(signed_in)).get_json()["sign_ins"]
        answer = client.delete(f"/auth/sign-ins/{of_ada['id']}", headers=bearer(token))
        assert answer.status_code == 404
        assert client.get("/auth/sign-ins", headers=bearer(signed_in)).status_code == 200

    def test_all_others_are_ended(
        self, laptop: FlaskClient, client: FlaskClient, phone: str
    ) -> None:
        answer = laptop.delete("/auth/sign-ins")
        assert (answer.status_code, answer.get_json()) == (200, {"success": True})
        assert client.get("/auth/sign-ins", headers=bearer(phone)).status_code == 401
        (left,) = laptop.get("/auth/sign-ins").get_json()["sign_ins"]
        assert left["current"]

    def test_a_bad_token_is_not_made_up_for_by_a_session(self, laptop: FlaskClient) -> None:
        assert laptop.get("/auth/sign-ins", headers=bearer("nonsense")).status_code == 401


class TestPublicKeys:
    def test_may_be_kept_by_everybody(self, make_app: MakeApp) -> None:
        app = make_app(OTP_AUTH_TOKEN_ALGORITHM="EdDSA", OTP_AUTH_TOKEN_KEYS=[pem("EdDSA")])
        answer = app.test_client().get("/auth/.well-known/jwks.json")
        assert answer.status_code == 200
        assert [key["kty"] for key in answer.get_json()["keys"]] == ["OKP"]
        assert answer.headers.getlist("Cache-Control") == ["public, max-age=300"]

    def test_there_are_none_of_a_symmetric_algorithm(self, client: FlaskClient) -> None:
        answer = client.get("/auth/.well-known/jwks.json")
        assert (answer.status_code, answer.get_json()["type"]) == (404, "not_found")
        assert answer.headers["Cache-Control"] == "no-store"


class TestErrors:
    """What each refusal looks like: a status, a type and a message, nothing else."""

    @pytest.mark.parametrize("route", REDEEMING)
    def test_no_code_was_issued(self, api: Api, route: str) -> None:
        answer = call(api, route)
        assert (answer.status_code, answer.get_json()) == (400, INVALID_OTP)

    @pytest.mark.parametrize("route", WITH_BODY)
    @pytest.mark.parametrize(
        "identifier",
        ["", "+4915112345678", "ada", "ada@@example.com", "ada@\ud800.com", "аda@example.com"],
        ids=ascii,
    )
    def test_the_identifier_is_not_valid_for_the_actor_type(
        self, api: Api, route: str, identifier: str
    ) -> None:
        answer = call(api, route, identifier)
        assert answer.status_code == 400
        assert answer.get_json() == {
            "type": "invalid_data",
            "message": "The identifier is not valid.",
        }

    @pytest.mark.parametrize("route", WITH_BODY)
    @pytest.mark.parametrize("challenge", [7, "c" * 65, "\udcff", ["c"]], ids=ascii)
    def test_a_challenge_is_malformed(self, api: Api, route: str, challenge: object) -> None:
        answer = call(api, route, challenge=challenge)
        assert (answer.status_code, answer.get_json()["type"]) == (400, "invalid_data")

    @pytest.mark.parametrize("route", REDEEMING)
    @pytest.mark.parametrize(
        "otp", ["", " ", "\0", "123456\0", "\ud800", "12345²", "1234.6", "-‮", "½23456", "😀"],
        ids=ascii,
    )  # fmt: skip
    def test_what_can_be_no_code_costs_no_guess(
        self, watched: Watched, route: str, otp: str
    ) -> None:
        answer = getattr(Api(watched.app.test_client()), route)(otp, ADA)
        assert (answer.status_code, answer.get_json()) == (400, INVALID_OTP)
        assert watched.store.calls == []
        assert watched.limits.calls.count("hit") == 1  # the address

    @pytest.mark.parametrize("route", WITH_BODY)
    def test_the_actor_type_is_not_registered(self, client: FlaskClient, route: str) -> None:
        answer = call(Api(client, actor_type="robot"), route)
        assert answer.status_code == 404
        assert answer.get_json() == {"type": "not_found", "message": "Not found"}

    def test_an_unknown_actor_type_comes_before_a_bad_body(self, client: FlaskClient) -> None:
        answer = client.post("/auth/robot/otp/verify", data="hello")
        assert answer.status_code == 404

    def test_a_duplicate_uses_the_code_up_and_begins_no_grace(
        self, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        customers.add(BOB)
        assert api.register(wrong(outbox.last.otp), BOB).get_json() == INVALID_OTP
        answer = api.register(outbox.last.otp, BOB)
        assert answer.status_code == 409
        assert answer.get_json() == {
            "type": "duplicate_error",
            "message": "An account with this identifier already exists.",
        }
        for answer in (api.register(outbox.last.otp, BOB), api.authenticate(outbox.last.otp, BOB)):
            assert (answer.status_code, answer.get_json()) == (400, INVALID_OTP)

    def test_the_actor_is_not_created_yet(self, api: Api, outbox: Outbox) -> None:
        api.pre_register(BOB)
        token = api.register(outbox.last.otp, BOB).get_json()["token"]
        expected = {
            "type": "actor_not_created",
            "message": "The account has not been created yet.",
        }
        for answer in (api.authenticate(outbox.last.otp, BOB), api.refresh(token)):
            assert (answer.status_code, answer.get_json()) == (409, expected)

    def test_the_store_is_out_of_reach(self, watched: Watched) -> None:
        watched.store.reachable = False
        answer = Api(watched.app.test_client()).verify("123456", ADA)
        assert answer.status_code == 503
        assert answer.get_json() == {
            "type": "unavailable",
            "message": "The service is temporarily unavailable.",
        }

    @pytest.mark.parametrize(("method", "path"), WITH_TOKEN)
    def test_no_token(self, client: FlaskClient, method: str, path: str) -> None:
        answer = client.open(path, method=method)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.get_json() == {"type": "unauthorized", "message": "Unauthorized"}

    @pytest.mark.parametrize(("method", "path"), WITH_TOKEN)
    def test_a_bad_token(self, client: FlaskClient, method: str, path: str) -> None:
        answer = client.open(path, method=method, headers=bearer("nonsense"))
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        assert answer.get_json() == {"type": "unauthorized", "message": "Unauthorized"}


@pytest.mark.parametrize("route", WITH_BODY)
@pytest.mark.parametrize(
    ("body", "status", "type_", "message"),
    [
        (b"", 400, "invalid_data", "The body is not valid JSON in UTF-8."),
        (b'{"identifier": "a", "a": NaN}', 400, "invalid_data",
         "The body is not valid JSON in UTF-8."),
        (b"[]", 400, "invalid_data", "The body must be a JSON object."),
        (b"{}", 400, "invalid_data", "identifier must be a text."),
        (b'{"identifier": 7}', 400, "invalid_data", "identifier must be a text."),
        (b" " * 4097, 413, "payload_too_large", "The body is too large."),
        (None, 415, "unsupported_media_type", "The body must be application/json."),
    ],
)  # fmt: skip
def test_a_body_that_is_refused_has_no_effect(
    watched: Watched, route: str, body: bytes | None, status: int, type_: str, message: str
) -> None:
    recorder = SignalRecorder(watched.app)
    content = {"data": "a=b"} if body is None else {"data": body, "content_type": JSON}
    answer = watched.app.test_client().post(path_of(route), **content)
    assert (answer.status_code, answer.get_json()) == (status, {"type": type_, "message": message})
    assert (watched.store.calls, watched.limits.calls, watched.customers.calls) == ([], [], [])
    assert recorder.heard == []


@pytest.mark.parametrize(
    "send",
    [
        lambda api: api.generate("echo-echo <b>@"),
        lambda api: api.verify("echo-echo"),
        lambda api: api.verify("echo" * 33),
        lambda api: api.generate(challenge="echo" * 17),
        lambda api: replace(api, actor_type="echo").generate(),
        lambda api: api.refresh("echo.echo.echo"),
        lambda api: api.client.post(path_of("generate"), data="{echo", content_type=JSON),
    ],
    ids=["identifier", "code", "long code", "challenge", "actor type", "token", "body"],
)
def test_a_refusal_repeats_nothing_that_was_sent(
    api: Api, send: Callable[[Api], TestResponse]
) -> None:
    answer = send(api)
    assert answer.status_code in (400, 401, 404)
    assert "echo" not in answer.text + str(answer.headers)


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", None])
def test_where_no_body_is_asked_for_none_is_looked_at(
    client: FlaskClient, signed_in: str, content_type: str | None
) -> None:
    for path in ("/auth/token/refresh", "/auth/session", "/auth/token/revoke"):
        answer = client.post(
            path, data=b"{" * 5000, content_type=content_type, headers=bearer(signed_in)
        )
        assert answer.status_code == 200, path


class TestOneBodyForEveryBadCode:
    """A guesser learns nothing from the refusal."""

    @pytest.fixture
    def refusal(self, api: Api) -> TestResponse:
        """The answer to a code for an identifier that has none."""
        return api.verify("123456", "nobody@example.com")

    def same(self, answer: TestResponse, refusal: TestResponse) -> bool:
        return (answer.status, answer.data, answer.headers) == (
            refusal.status,
            refusal.data,
            refusal.headers,
        )

    def test_wrong(self, api: Api, outbox: Outbox, refusal: TestResponse) -> None:
        api.generate(ADA)
        assert self.same(api.verify(wrong(outbox.last.otp), ADA), refusal)

    def test_not_even_a_code(self, api: Api, refusal: TestResponse) -> None:
        api.generate(ADA)
        assert self.same(api.verify("?", ADA), refusal)

    def test_used(self, api: Api, outbox: Outbox, refusal: TestResponse) -> None:
        api.generate(ADA)
        assert api.verify(outbox.last.otp, ADA).status_code == 200
        assert self.same(api.verify(outbox.last.otp, ADA), refusal)

    def test_the_budget_is_used_up(self, api: Api, outbox: Outbox, refusal: TestResponse) -> None:
        api.generate(ADA)
        answers = [api.verify(wrong(outbox.last.otp), ADA) for _ in range(20)]
        assert all(self.same(answer, refusal) for answer in answers)
        assert self.same(api.verify(outbox.last.otp, ADA), refusal)

    def test_expired(
        self, clock: Traveller, api: Api, outbox: Outbox, refusal: TestResponse
    ) -> None:
        api.generate(ADA)
        clock.shift(300)
        assert self.same(api.verify(outbox.last.otp, ADA), refusal)

    def test_of_another_purpose(self, api: Api, outbox: Outbox, refusal: TestResponse) -> None:
        api.pre_register(BOB)
        assert self.same(api.verify(outbox.last.otp, BOB), refusal)

    @pytest.mark.parametrize("challenge", ["", "c" * 64, "\0", "../..", "ü" * 64], ids=ascii)
    def test_with_a_challenge_that_is_none(
        self, api: Api, outbox: Outbox, refusal: TestResponse, challenge: str
    ) -> None:
        api.generate(ADA)
        assert self.same(api.verify(outbox.last.otp, ADA, challenge=challenge), refusal)

    def test_never_sent(self, api: Api, refusal: TestResponse) -> None:
        challenge = api.generate(BOB).get_json()["challenge"]
        assert self.same(api.verify("123456", BOB, challenge=challenge), refusal)


def answers_of_every_kind(shop: Watched, outbox: Outbox) -> dict[str, TestResponse]:
    """Return an answer of each status that the blueprint gives."""
    client = shop.app.test_client()
    api = Api(client)
    answers = {"generate": api.generate(ADA), "wrong": api.verify("000", ADA)}
    answers["verify"] = api.verify(outbox.last.otp, ADA)
    token = answers["verify"].get_json()["token"]
    answers["refresh"] = api.refresh(token)
    answers["sign-ins"] = client.get("/auth/sign-ins", headers=bearer(token))
    answers["revoke"] = api.revoke(token)
    answers["revoked"] = api.refresh(token)
    answers["pre-register"] = api.pre_register(BOB)
    answers["register"] = api.register(outbox.last.otp, BOB)
    answers["no actor"] = api.authenticate(outbox.last.otp, BOB)
    answers["bad data"] = api.generate(7)
    answers["no actor type"] = Api(client, actor_type="robot").generate()
    answers["no JSON"] = client.post("/auth/customer/otp/generate")
    answers["too large"] = api.generate(ADA, padding="x" * 4096)
    answers["no keys"] = client.get("/auth/.well-known/jwks.json")
    answers["options"] = client.options("/auth/customer/otp/generate")
    answers["no method"] = client.get("/auth/customer/otp/generate")
    answers["no path"] = client.get("/auth/nowhere")
    shop.store.reachable = False
    answers["outage"] = api.verify("123456", ADA)
    shop.store.reachable = True
    answers["limit"] = [api.verify("123456", ADA) for _ in range(10)][-1]
    return answers


class TestEveryKindOfAnswer:
    @pytest.fixture
    def every_kind(self, make_watched: MakeWatched) -> dict[str, TestResponse]:
        """An answer of each kind, by its name."""
        shop = make_watched(OTP_AUTH_IP_VERIFY_LIMITS="10/hour")
        with Outbox(shop.app) as outbox:
            return answers_of_every_kind(shop, outbox)

    def test_is_there(self, every_kind: dict[str, TestResponse]) -> None:
        assert {name: answer.status_code for name, answer in every_kind.items()} == {
            "generate": 200,
            "wrong": 400,
            "verify": 200,
            "refresh": 200,
            "sign-ins": 200,
            "revoke": 200,
            "revoked": 401,
            "pre-register": 200,
            "register": 200,
            "no actor": 409,
            "bad data": 400,
            "no actor type": 404,
            "no JSON": 415,
            "too large": 413,
            "no keys": 404,
            "options": 200,
            "no method": 405,
            "no path": 404,
            "outage": 503,
            "limit": 429,
        }

    def test_may_be_stored_by_nobody(self, every_kind: dict[str, TestResponse]) -> None:
        for name, answer in every_kind.items():
            assert answer.headers.getlist("Cache-Control") == ["no-store"], name

    def test_is_json(self, every_kind: dict[str, TestResponse]) -> None:
        for name in set(every_kind) - {"options", "no method", "no path"}:
            assert every_kind[name].headers["Content-Type"] == "application/json", name

    def test_has_a_type_and_a_message_if_it_is_an_error(
        self, every_kind: dict[str, TestResponse]
    ) -> None:
        for name in set(every_kind) - {"no method", "no path"}:
            if every_kind[name].status_code >= 400:
                fields = every_kind[name].get_json().keys() - {"retry_after"}
                assert fields == {"type", "message"}, name

    def test_sets_no_cookie(self, every_kind: dict[str, TestResponse]) -> None:
        for name, answer in every_kind.items():
            assert "Set-Cookie" not in answer.headers, name


class TestFaultsOfTheApp:
    """What happens when the app's actor store raises."""

    @pytest.fixture
    def broken(self, make_app: MakeApp) -> Api:
        """An app whose actors can't be read, which generate needs to do with plain answers."""

        class Broken:
            def find_by_identifier(self, identifier: str) -> None:
                raise LookupError(identifier)

            def find_by_id(self, actor_id: str) -> None:
                raise LookupError(actor_id)

        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", Broken(), always_return_success=False)
        return Api(make_app(otp_auth, PROPAGATE_EXCEPTIONS=False).test_client())

    @pytest.mark.parametrize("route", ASKING[:2])
    def test_are_a_500_that_may_not_be_stored(self, broken: Api, route: str) -> None:
        answer = call(broken, route)
        assert answer.status_code == 500
        assert answer.headers["Cache-Control"] == "no-store"
        assert ADA not in answer.text

    def test_are_the_apps_to_handle(self, broken: Api) -> None:
        headers = {"Cache-Control": "public, max-age=60"}
        app = broken.client.application
        app.register_error_handler(LookupError, lambda error: ("sorry", 502, headers))
        answer = broken.generate(ADA)
        assert (answer.status_code, answer.text) == (502, "sorry")
        assert answer.headers.getlist("Cache-Control") == ["no-store"]


class TestBearer:
    """How a token is sent (RFC 6750, section 2.1)."""

    @pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
    def test_the_scheme_is_case_insensitive(
        self, client: FlaskClient, signed_in: str, scheme: str
    ) -> None:
        headers = {"Authorization": f"{scheme} {signed_in}"}
        assert client.post("/auth/token/refresh", headers=headers).status_code == 200

    @pytest.mark.parametrize("value", ["", "Bearer", "Bearer  ", "Basic YTpi", "Token {token}"])
    def test_anything_else_is_no_token(
        self, client: FlaskClient, signed_in: str, value: str
    ) -> None:
        headers = {"Authorization": value.format(token=signed_in)}
        answer = client.post("/auth/token/refresh", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    @pytest.mark.parametrize("token", ["é.é.é", "..", "a.b.c", "e30.e30.e30", "x" * 5000])
    def test_a_malformed_token_is_refused(self, api: Api, token: str) -> None:
        assert api.refresh(token).status_code == 401

    def test_a_token_in_the_query_or_the_body_is_no_token(
        self, client: FlaskClient, signed_in: str
    ) -> None:
        fields = {"access_token": signed_in, "token": signed_in}
        answer = client.post("/auth/token/refresh", query_string=fields, json=fields)
        assert answer.status_code == 401


class TestMethods:
    """What other methods get."""

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
    @pytest.mark.parametrize(
        "path", ["/auth/customer/otp/generate", "/auth/customer/otp", "/auth/token/refresh"]
    )
    def test_are_not_allowed(self, client: FlaskClient, method: str, path: str) -> None:
        answer = client.open(path, method=method)
        assert answer.status_code == 405
        assert set(answer.allow) == {"OPTIONS", "POST"}

    def test_options_tells_them(self, client: FlaskClient) -> None:
        answer = client.options("/auth/customer/otp/generate")
        assert answer.status_code == 200
        assert set(answer.allow) == {"OPTIONS", "POST"}
        assert answer.data == b""

    def test_a_slash_at_the_end_is_another_url(self, client: FlaskClient) -> None:
        assert client.post("/auth/customer/otp/generate/", json={}).status_code == 404


class TestMounting:
    """Where the routes are."""

    def test_under_the_prefix_of_the_settings(self, make_app: MakeApp) -> None:
        client = make_app(OTP_AUTH_URL_PREFIX="/api/login").test_client()
        assert Api(client, "/api/login").generate().status_code == 200
        assert Api(client).generate().status_code == 404

    @pytest.fixture
    def bare(self, make_app: MakeApp, customers: Customers) -> tuple[OTPAuth, Flask]:
        """An app that mounts the blueprint by hand."""
        otp_auth = OTPAuth(register_blueprint=False)
        otp_auth.add_actor_type("customer", customers)
        return otp_auth, make_app(otp_auth)

    def test_nowhere_without_a_blueprint(self, bare: tuple[OTPAuth, Flask]) -> None:
        _, app = bare
        assert Api(app.test_client()).generate().status_code == 404

    def test_by_hand_under_any_prefix(self, bare: tuple[OTPAuth, Flask]) -> None:
        otp_auth, app = bare
        app.register_blueprint(otp_auth.blueprint, url_prefix="/api/v1/auth")
        self.works_at("/api/v1/auth", app)

    def test_nested_in_a_blueprint_of_the_app(self, bare: tuple[OTPAuth, Flask]) -> None:
        otp_auth, app = bare
        api = Blueprint("api", "shop", url_prefix="/api")
        api.register_blueprint(otp_auth.blueprint, url_prefix="/auth")
        app.register_blueprint(api, url_prefix="/v2")
        self.works_at("/v2/auth", app)

    def test_under_a_prefix_with_the_language_in_it(self, bare: tuple[OTPAuth, Flask]) -> None:
        otp_auth, app = bare

        @app.url_value_preprocessor
        def take_language(endpoint: str | None, values: dict[str, object] | None) -> None:
            if values is not None:
                values.pop("lang", None)

        app.register_blueprint(otp_auth.blueprint, url_prefix="/<lang>/auth")
        self.works_at("/de/auth", app)
        assert "Cache-Control" not in app.test_client().get("/de/author").headers

    def test_under_a_prefix_that_nobody_takes_the_language_from(
        self, bare: tuple[OTPAuth, Flask]
    ) -> None:
        otp_auth, app = bare
        app.register_blueprint(otp_auth.blueprint, url_prefix="/<lang>/auth")
        self.works_at("/de/auth", app)

    @pytest.mark.parametrize(
        ("prefix", "told"),
        [
            ("/<country:lang>/auth", "converter 'country'"),
            ("/<actor_type>/auth", "actor_type"),
            ("/<token>/auth", "token"),
        ],
    )
    def test_a_prefix_that_can_not_be_mounted_is_told(
        self, make_app: MakeApp, prefix: str, told: str
    ) -> None:
        with pytest.raises(ConfigError, match=f"OTP_AUTH_URL_PREFIX can't be the path.*{told}"):
            make_app(OTP_AUTH_URL_PREFIX=prefix)

    def test_under_a_prefix_whose_converter_asks_the_app_s_own_map(
        self, customers: Customers
    ) -> None:
        class Country(UnicodeConverter):
            def __init__(self, url_map: Any) -> None:
                super().__init__(url_map)
                self.regex = url_map.countries

        app, otp_auth = Flask("shop"), OTPAuth()
        app.url_map.countries = "de|at"  # type: ignore[attr-defined] # the app's own
        app.url_map.converters["country"] = Country
        app.config.update(TESTING=True, SECRET_KEY=SECRET)
        app.config["OTP_AUTH_URL_PREFIX"] = "/<country:land>/auth"
        otp_auth.add_actor_type("customer", customers)
        otp_auth.init_app(app)
        self.works_at("/de/auth", app)

    def test_at_the_root(self, bare: tuple[OTPAuth, Flask]) -> None:
        otp_auth, app = bare
        app.register_blueprint(otp_auth.blueprint)
        assert Api(app.test_client(), "").generate(ADA).status_code == 200
        assert "Cache-Control" not in app.test_client().get("/nowhere").headers

    def test_twice_under_two_names(self, bare: tuple[OTPAuth, Flask]) -> None:
        otp_auth, app = bare
        app.register_blueprint(otp_auth.blueprint, url_prefix="/old")
        app.register_blueprint(otp_auth.blueprint, url_prefix="/new", name="new")
        self.works_at("/old", app)
        assert Api(app.test_client(), "/new").generate(BOB).status_code == 200

    def works_at(self, prefix: str, app: Flask) -> None:
        api = Api(app.test_client(), prefix)
        with Outbox(app) as outbox:
            assert api.generate(ADA).status_code == 200
        assert api.verify(outbox.last.otp, ADA).status_code == 200
        assert api.verify("123456", ADA).get_json() == INVALID_OTP
        for answer in (api.verify("123456", ADA), api.client.get(f"{prefix}/nowhere")):
            assert answer.headers["Cache-Control"] == "no-store"

    def test_of_other_routes_of_the_app_nothing_is_changed(self, app: Flask) -> None:
        app.add_url_rule("/authors", view_func=lambda: "the authors")
        client = app.test_client()
        for path in ("/authors", "/nowhere", "/authority"):
            assert "Cache-Control" not in client.get(path).headers


@pytest.mark.parametrize("host", ["shop.example", "evil.example:8080", "a b", ""])
def test_the_host_header_changes_nothing(api: Api, outbox: Outbox, host: str) -> None:
    """Anybody can set it, so nothing is made of it."""
    api.generate(ADA)
    body = {"identifier": ADA, "otp": outbox.last.otp}
    first, second = (
        api.client.post(path_of("verify"), json=body, headers={"Host": host}) for _ in range(2)
    )
    assert second.get_json() == INVALID_OTP
    assert api.refresh(first.get_json()["token"]).status_code == 200
