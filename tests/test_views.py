"""The JSON API: each route's answers and errors, as they stand on the wire."""

from collections.abc import Callable

import pytest
import time_machine
from conftest import ADA, BOB, Api, Customers, Watched, bearer, wrong
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_otp_auth import OTPAuth, current_registration, registration_required
from flask_otp_auth.testing import Outbox

GENERATED = "If an account exists with this identifier, an OTP will be sent."
PRE_REGISTERED = "Please validate the OTP to continue with the registration process."

ROUTES = ("generate", "pre_register", "verify", "register", "authenticate")
REDEEMING = ("verify", "register", "authenticate")


def call(api: Api, route: str, identifier: str = ADA) -> TestResponse:
    """Call one of the five routes that take a body."""
    method = getattr(api, route)
    return method("123456", identifier) if route in REDEEMING else method(identifier)


class TestSuccess:
    """What each route answers when all is well."""

    def test_generate(self, api: Api, outbox: Outbox) -> None:
        answer = api.generate(ADA)
        assert answer.status_code == 200
        assert answer.mimetype == "application/json"
        challenge = answer.get_json()["challenge"]
        assert len(challenge) == 32
        assert answer.get_json() == {
            "message": GENERATED,
            "challenge": challenge,
            "expires_in": 300,
            "resend_after": 60,
        }
        assert outbox.last.identifier == ADA

    def test_pre_register(self, api: Api, outbox: Outbox) -> None:
        answer = api.pre_register(BOB)
        assert answer.status_code == 200
        assert answer.get_json() == {
            "message": PRE_REGISTERED,
            "challenge": answer.get_json()["challenge"],
            "expires_in": 300,
            "resend_after": 60,
        }
        assert outbox.last.purpose == "registration"

    def test_verify(self, api: Api, outbox: Outbox) -> None:
        api.generate(ADA)
        answer = api.verify(outbox.last.otp, ADA)
        assert answer.status_code == 200
        assert list(answer.get_json()) == ["token"]

    def test_register(self, api: Api, outbox: Outbox) -> None:
        api.pre_register(BOB)
        answer = api.register(outbox.last.otp, BOB)
        assert answer.status_code == 200
        assert list(answer.get_json()) == ["token"]

    def test_authenticate(self, api: Api, outbox: Outbox) -> None:
        api.generate(ADA)
        answer = api.authenticate(outbox.last.otp, ADA)
        assert answer.status_code == 200
        assert list(answer.get_json()) == ["token"]

    def test_refresh(self, api: Api, signed_in: str) -> None:
        answer = api.refresh(signed_in)
        assert answer.status_code == 200
        assert list(answer.get_json()) == ["token"]

    def test_revoke(self, api: Api, signed_in: str) -> None:
        answer = api.revoke(signed_in)
        assert answer.status_code == 200
        assert answer.get_json() == {"success": True}


@pytest.fixture
def signed_in(api: Api, outbox: Outbox) -> str:
    """Ada's token."""
    api.generate(ADA)
    return api.verify(outbox.last.otp, ADA).get_json()["token"]


def test_a_whole_sign_up_over_http(app: Flask, customers: Customers, outbox: Outbox) -> None:
    @app.post("/customers")
    @registration_required("customer")
    def join() -> dict[str, int]:
        return {"id": customers.add(current_registration.identifier).id}

    client = app.test_client()
    api = Api(client)
    challenge = api.pre_register(BOB).get_json()["challenge"]
    otp = outbox.last.otp
    ticket = api.register(otp, BOB, challenge=challenge).get_json()["token"]
    assert client.post("/customers", headers=bearer(ticket)).get_json() == {"id": 2}
    token = api.authenticate(otp, BOB, challenge=challenge).get_json()["token"]
    assert api.revoke(token).status_code == 200


class TestErrors:
    """What each refusal looks like: a status, a type and a message, nothing else."""

    @pytest.mark.parametrize("route", REDEEMING)
    def test_no_code_was_issued(self, api: Api, route: str) -> None:
        answer = call(api, route)
        assert answer.status_code == 400
        assert answer.get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}

    @pytest.mark.parametrize("route", ROUTES)
    def test_the_identifier_is_not_valid_for_the_actor_type(self, api: Api, route: str) -> None:
        answer = call(api, route, "+4915112345678")
        assert answer.status_code == 400
        assert answer.get_json() == {
            "type": "invalid_data",
            "message": "The identifier is not valid.",
        }

    @pytest.mark.parametrize("route", ROUTES)
    def test_a_field_is_missing(self, api: Api, route: str) -> None:
        path = {"authenticate": ""}.get(route, "/" + route.replace("_", "-"))
        answer = api.post(f"/otp{path}")
        assert answer.status_code == 400
        assert answer.get_json() == {
            "type": "invalid_data",
            "message": "identifier must be a text.",
        }

    @pytest.mark.parametrize("route", ROUTES)
    def test_the_actor_type_is_not_registered(self, client: FlaskClient, route: str) -> None:
        answer = call(Api(client, actor_type="robot"), route)
        assert answer.status_code == 404
        assert answer.get_json() == {"type": "not_found", "message": "Not found"}

    def test_an_unknown_actor_type_comes_before_a_bad_body(self, client: FlaskClient) -> None:
        answer = client.post("/auth/robot/otp/verify", data="hello")
        assert answer.status_code == 404

    @pytest.mark.parametrize("route", ["generate", "pre-register", "verify", "register"])
    def test_the_body_is_not_json(self, client: FlaskClient, route: str) -> None:
        answer = client.post(f"/auth/customer/otp/{route}", data={"identifier": ADA})
        assert answer.status_code == 415
        assert answer.get_json() == {
            "type": "unsupported_media_type",
            "message": "The body must be application/json.",
        }

    def test_the_body_is_too_large(self, api: Api) -> None:
        answer = api.generate(ADA, padding="x" * 4096)
        assert answer.status_code == 413
        assert answer.get_json() == {
            "type": "payload_too_large",
            "message": "The body is too large.",
        }

    def test_a_duplicate(self, api: Api, outbox: Outbox, customers: Customers) -> None:
        api.pre_register(BOB)
        customers.add(BOB)
        answer = api.register(outbox.last.otp, BOB)
        assert answer.status_code == 409
        assert answer.get_json() == {
            "type": "duplicate_error",
            "message": "An account with this identifier already exists.",
        }

    def test_the_actor_is_not_created_yet(self, api: Api, outbox: Outbox) -> None:
        api.pre_register(BOB)
        token = api.register(outbox.last.otp, BOB).get_json()["token"]
        expected = {
            "type": "actor_not_created",
            "message": "The account has not been created yet.",
        }
        for answer in (api.authenticate(outbox.last.otp, BOB), api.refresh(token)):
            assert answer.status_code == 409
            assert answer.get_json() == expected

    def test_the_address_is_over_its_limit(
        self, make_app: Callable[..., Flask], clock: time_machine.Traveller
    ) -> None:
        api = Api(make_app(OTP_AUTH_IP_GENERATE_LIMITS="1/hour").test_client())
        api.generate(ADA)
        answer = api.generate(ADA)
        assert answer.status_code == 429
        assert answer.headers["Retry-After"] == "3600"
        assert answer.get_json() == {
            "type": "rate_limited",
            "message": "Too many requests",
            "retry_after": 3600,
        }

    def test_the_store_is_out_of_reach(self, make_watched: Callable[..., Watched]) -> None:
        shop = make_watched()
        shop.store.reachable = False
        answer = Api(shop.app.test_client()).generate(ADA)
        assert answer.status_code == 503
        assert answer.get_json() == {
            "type": "unavailable",
            "message": "The service is temporarily unavailable.",
        }

    def test_no_token(self, client: FlaskClient) -> None:
        for path in ("/auth/token/refresh", "/auth/token/revoke"):
            answer = client.post(path)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.get_json() == {"type": "unauthorized", "message": "Unauthorized"}

    def test_a_bad_token(self, api: Api) -> None:
        for answer in (api.refresh("nonsense"), api.revoke("nonsense")):
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
            assert answer.get_json() == {"type": "unauthorized", "message": "Unauthorized"}


class TestOneBodyForEveryBadCode:
    """Whoever guesses learns nothing from the refusal."""

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

    def test_not_even_a_code(self, api: Api, outbox: Outbox, refusal: TestResponse) -> None:
        api.generate(ADA)
        assert self.same(api.verify("?", ADA), refusal)

    def test_used(self, api: Api, outbox: Outbox, refusal: TestResponse) -> None:
        api.generate(ADA)
        assert api.verify(outbox.last.otp, ADA).status_code == 200
        assert self.same(api.verify(outbox.last.otp, ADA), refusal)

    def test_exhausted(self, api: Api, outbox: Outbox, refusal: TestResponse) -> None:
        api.generate(ADA)
        answers = [api.verify(wrong(outbox.last.otp), ADA) for _ in range(6)]
        assert all(self.same(answer, refusal) for answer in answers)
        assert self.same(api.verify(outbox.last.otp, ADA), refusal)

    def test_expired(
        self,
        clock: time_machine.Traveller,
        api: Api,
        outbox: Outbox,
        refusal: TestResponse,
    ) -> None:
        api.generate(ADA)
        clock.shift(300)
        assert self.same(api.verify(outbox.last.otp, ADA), refusal)

    def test_of_another_purpose(self, api: Api, outbox: Outbox, refusal: TestResponse) -> None:
        api.pre_register(BOB)
        assert self.same(api.verify(outbox.last.otp, BOB), refusal)

    def test_a_decoy(self, api: Api, outbox: Outbox, refusal: TestResponse) -> None:
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
    answers["revoke"] = api.revoke(token)
    answers["revoked"] = api.refresh(token)
    answers["pre-register"] = api.pre_register(BOB)
    answers["register"] = api.register(outbox.last.otp, BOB)
    answers["no actor"] = api.authenticate(outbox.last.otp, BOB)
    answers["bad data"] = api.generate(7)
    answers["no actor type"] = Api(client, actor_type="robot").generate()
    answers["no JSON"] = client.post("/auth/customer/otp/generate")
    answers["too large"] = api.generate(ADA, padding="x" * 4096)
    answers["options"] = client.options("/auth/customer/otp/generate")
    shop.store.reachable = False
    answers["outage"] = api.verify("123456", ADA)
    shop.store.reachable = True
    answers["limit"] = [api.verify("123456", ADA) for _ in range(10)][-1]
    return answers


@pytest.fixture
def every_kind(make_watched: Callable[..., Watched]) -> dict[str, TestResponse]:
    """An answer of each kind, by its name."""
    shop = make_watched(OTP_AUTH_IP_VERIFY_LIMITS="10/hour")
    with Outbox(shop.app) as outbox:
        return answers_of_every_kind(shop, outbox)


def test_the_kinds_of_answers_are_all_there(every_kind: dict[str, TestResponse]) -> None:
    assert {name: answer.status_code for name, answer in every_kind.items()} == {
        "generate": 200,
        "wrong": 400,
        "verify": 200,
        "refresh": 200,
        "revoke": 200,
        "revoked": 401,
        "pre-register": 200,
        "register": 200,
        "no actor": 409,
        "bad data": 400,
        "no actor type": 404,
        "no JSON": 415,
        "too large": 413,
        "options": 200,
        "outage": 503,
        "limit": 429,
    }


def test_no_answer_may_be_stored(every_kind: dict[str, TestResponse]) -> None:
    for name, answer in every_kind.items():
        assert answer.headers.getlist("Cache-Control") == ["no-store"], name


def test_every_answer_is_json(every_kind: dict[str, TestResponse]) -> None:
    del every_kind["options"]
    for name, answer in every_kind.items():
        assert answer.headers["Content-Type"] == "application/json", name


def test_an_error_has_a_type_and_a_message(every_kind: dict[str, TestResponse]) -> None:
    errors = [answer for answer in every_kind.values() if answer.status_code >= 400]
    for answer in errors:
        assert answer.get_json().keys() - {"retry_after"} == {"type", "message"}


def test_no_answer_sets_a_cookie(every_kind: dict[str, TestResponse]) -> None:
    for name, answer in every_kind.items():
        assert "Set-Cookie" not in answer.headers, name


class TestTheAppsOwnFaults:
    """What happens when the app's actor store raises."""

    @pytest.fixture
    def broken(self, make_app: Callable[..., Flask]) -> Api:
        """An app whose actors can't be read."""

        class Broken:
            def find_by_identifier(self, identifier: str) -> None:
                raise LookupError(identifier)

            def find_by_id(self, actor_id: str) -> None:
                raise LookupError(actor_id)

        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", Broken())
        return Api(make_app(otp_auth, PROPAGATE_EXCEPTIONS=False).test_client())

    @pytest.mark.parametrize("route", ["generate", "pre_register"])
    def test_are_a_500_that_may_not_be_stored(self, broken: Api, route: str) -> None:
        answer = call(broken, route)
        assert answer.status_code == 500
        assert answer.headers["Cache-Control"] == "no-store"
        assert ADA not in answer.text

    def test_are_the_apps_to_handle(self, broken: Api) -> None:
        app = broken.client.application
        app.register_error_handler(LookupError, lambda error: ("sorry", 502))
        answer = broken.generate(ADA)
        assert (answer.status_code, answer.text) == (502, "sorry")
        assert answer.headers["Cache-Control"] == "no-store"

    def test_may_not_be_stored_whatever_the_app_answers(self, broken: Api) -> None:
        headers = {"Cache-Control": "public, max-age=60"}
        app = broken.client.application
        app.register_error_handler(LookupError, lambda error: ("sorry", 502, headers))
        assert broken.generate(ADA).headers.getlist("Cache-Control") == ["no-store"]


class TestNoEcho:
    """Errors never repeat what was sent."""

    @pytest.mark.parametrize("route", ROUTES)
    def test_of_an_identifier(self, api: Api, route: str) -> None:
        answer = call(api, route, "echo-echo <b>@")
        assert answer.status_code == 400
        assert "echo" not in answer.text

    @pytest.mark.parametrize("otp", ["echo-echo", "echo" * 33])
    def test_of_a_code(self, api: Api, otp: str) -> None:
        answer = api.verify(otp, ADA)
        assert answer.status_code == 400
        assert "echo" not in answer.text

    def test_of_a_challenge(self, api: Api) -> None:
        answer = api.generate(ADA, challenge="echo" * 17)
        assert answer.status_code == 400
        assert "echo" not in answer.text

    def test_of_an_actor_type(self, client: FlaskClient) -> None:
        answer = Api(client, actor_type="echo").generate()
        assert answer.status_code == 404
        assert "echo" not in answer.text

    def test_of_a_token(self, api: Api) -> None:
        answer = api.refresh("echo.echo.echo")
        assert answer.status_code == 401
        assert "echo" not in answer.text + answer.headers["WWW-Authenticate"]

    def test_of_a_body_that_is_no_json(self, client: FlaskClient) -> None:
        answer = client.post(
            "/auth/customer/otp/generate", data="{echo", content_type="application/json"
        )
        assert answer.status_code == 400
        assert "echo" not in answer.text


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
        assert answer.headers["Allow"].split(", ") in (["OPTIONS", "POST"], ["POST", "OPTIONS"])

    def test_options_tells_them(self, client: FlaskClient) -> None:
        answer = client.options("/auth/customer/otp/generate")
        assert answer.status_code == 200
        assert set(answer.allow) == {"OPTIONS", "POST"}
        assert answer.data == b""

    def test_a_slash_at_the_end_is_another_url(self, client: FlaskClient) -> None:
        assert client.post("/auth/customer/otp/generate/", json={}).status_code == 404


class TestMounting:
    """Where the routes are."""

    def test_under_the_prefix_of_the_settings(self, make_app: Callable[..., Flask]) -> None:
        client = make_app(OTP_AUTH_URL_PREFIX="/api/login").test_client()
        assert Api(client, "/api/login").generate().status_code == 200
        assert Api(client).generate().status_code == 404

    @pytest.fixture
    def bare(self, make_app: Callable[..., Flask], customers: Customers) -> tuple[OTPAuth, Flask]:
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
        refusal = api.verify("123456", ADA)
        assert refusal.get_json()["type"] == "invalid_otp"
        assert refusal.headers["Cache-Control"] == "no-store"


class TestTheHostHeader:
    """Anybody can set it, so nothing is made of it."""

    HOSTS = ("shop.example", "evil.example:8080", "a b", "")

    @pytest.mark.parametrize("host", HOSTS)
    def test_changes_no_answer(self, client: FlaskClient, host: str) -> None:
        body = {"identifier": ADA, "otp": "123456"}
        answer = client.post("/auth/customer/otp/verify", json=body, headers={"Host": host})
        assert answer.get_json() == {"type": "invalid_otp", "message": "Invalid OTP"}
        assert "evil" not in str(answer.headers)

    def test_changes_no_token(self, client: FlaskClient, api: Api, outbox: Outbox) -> None:
        api.generate(ADA)
        answer = client.post(
            "/auth/customer/otp/verify",
            json={"identifier": ADA, "otp": outbox.last.otp},
            headers={"Host": "evil.example"},
        )
        assert api.refresh(answer.get_json()["token"]).status_code == 200
