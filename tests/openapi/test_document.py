"""The OpenAPI document says all that the code says, and nothing else."""

import dataclasses
import typing
from typing import Any

import pytest
from contract import Contract, operations_of
from fakes import Customers, MakeApp
from flask import Blueprint, Flask
from openapi_spec_validator import validate

from flask_otp_auth import ConfigError, OTPAuth, errors
from flask_otp_auth.openapi.schemas import Schemas, documentation
from flask_otp_auth.web import bodies, responses
from flask_otp_auth.web.api import ROUTES, Route

OPERATIONS = {
    "otpGenerate": "POST /auth/{actor_type}/otp/generate",
    "otpPreRegister": "POST /auth/{actor_type}/otp/pre-register",
    "otpStart": "POST /auth/{actor_type}/otp/start",
    "otpVerify": "POST /auth/{actor_type}/otp/verify",
    "otpRegister": "POST /auth/{actor_type}/otp/register",
    "otpAuthenticate": "POST /auth/{actor_type}/otp",
    "otpFinish": "POST /auth/{actor_type}/otp/finish",
    "tokenRefresh": "POST /auth/token/refresh",
    "tokenRevoke": "POST /auth/token/revoke",
    "signInsList": "GET /auth/sign-ins",
    "signInsEndOthers": "DELETE /auth/sign-ins",
    "signInsEnd": "DELETE /auth/sign-ins/{sign_in_id}",
    "sessionBegin": "POST /auth/session",
    "sessionEnd": "DELETE /auth/session",
    "keysList": "GET /auth/.well-known/jwks.json",
}


@pytest.fixture
def document(otp_auth: OTPAuth, app: Flask) -> dict[str, Any]:
    return otp_auth.openapi(app)


@pytest.fixture
def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The operations by their ids."""
    return {name: told for name, _, told in operations_of(document)}


def schema_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def test_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    validate(document)


class TestRoutes:
    def test_each_route_of_the_app_is_an_operation(
        self, app: Flask, document: dict[str, Any]
    ) -> None:
        rules = {
            f"{method} {rule}".replace("<", "{").replace(">", "}")
            for rule in app.url_map.iter_rules()
            if rule.endpoint.startswith("otp_auth.")
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        }
        assert {path for _, path, _ in operations_of(document)} == rules

    def test_operation_ids_stay_as_they_are(self, document: dict[str, Any]) -> None:
        """Clients that were generated from the document call operations by these names."""
        assert {name: path for name, path, _ in operations_of(document)} == OPERATIONS

    def test_an_operation_says_what_its_view_does(self, operations: dict[str, Any]) -> None:
        for route in ROUTES:
            summary = operations[route.operation]["summary"]
            assert summary
            assert summary == (route.view.__doc__ or "").strip()

    def test_actor_types_are_those_that_are_registered(
        self, otp_auth: OTPAuth, app: Flask, customers: Customers
    ) -> None:
        otp_auth.add_actor_type("staff", customers, digits=8)
        path = otp_auth.openapi(app)["paths"]["/auth/{actor_type}/otp/start"]
        (parameter,) = path["parameters"]
        assert (parameter["name"], parameter["in"], parameter["required"]) == (
            "actor_type",
            "path",
            True,
        )
        assert parameter["schema"] == {"type": "string", "enum": ["customer", "staff"]}

    def test_an_app_without_actor_types_has_a_valid_document_as_well(
        self, make_app: MakeApp
    ) -> None:
        otp_auth = OTPAuth()
        document = otp_auth.openapi(make_app(otp_auth))
        (parameter,) = document["paths"]["/auth/{actor_type}/otp"]["parameters"]
        assert "enum" not in parameter["schema"]  # which may not be empty
        validate(document)

    def test_paths_are_those_where_the_blueprint_is_mounted(
        self, make_app: MakeApp, customers: Customers
    ) -> None:
        otp_auth = OTPAuth(register_blueprint=False)
        otp_auth.add_actor_type("customer", customers)
        app = make_app(otp_auth)
        with pytest.raises(ConfigError, match=r"app\.register_blueprint"):
            otp_auth.openapi(app)
        api = Blueprint("api", "shop", url_prefix="/api")
        api.register_blueprint(otp_auth.blueprint, url_prefix="/<string(length=2):lang>/auth")
        app.register_blueprint(api)
        document = otp_auth.openapi(app)
        validate(document)
        item = document["paths"]["/api/{lang}/auth/{actor_type}/otp/generate"]
        assert [parameter["name"] for parameter in item["parameters"]] == ["lang", "actor_type"]
        (link,) = item["post"]["responses"]["200"]["links"].values()
        assert link["parameters"] == {
            "lang": "$request.path.lang",
            "actor_type": "$request.path.actor_type",
        }

    def test_an_app_under_a_root_of_its_own_says_so(
        self, document: dict[str, Any], otp_auth: OTPAuth, app: Flask
    ) -> None:
        assert "servers" not in document
        app.config["APPLICATION_ROOT"] = "/shop"
        assert otp_auth.openapi(app)["servers"] == [{"url": "/shop"}]


class TestBodies:
    @pytest.mark.parametrize("kind", [bodies.IdentifierBody, bodies.CodeBody])
    def test_each_field_is_told_with_its_bounds(
        self, document: dict[str, Any], kind: type[Any]
    ) -> None:
        schema = schema_of(document, f"OTP{kind.__name__}")
        fields = dataclasses.fields(kind)
        assert list(schema["properties"]) == [field.name for field in fields]
        needed = [field.name for field in fields if field.default is dataclasses.MISSING]
        assert schema["required"] == needed
        for field in fields:
            told = schema["properties"][field.name]
            assert told["maxLength"] == field.metadata["max_length"]
            assert told["type"] == ("string" if field.name in needed else ["string", "null"])
            assert told["description"]

    def test_a_route_takes_the_body_of_its_record(self, operations: dict[str, Any]) -> None:
        for route in ROUTES:
            body = operations[route.operation].get("requestBody")
            if route.body is None:
                assert body is None
            else:
                assert body["required"]
                reference = f"#/components/schemas/OTP{route.body.__name__}"
                assert body["content"]["application/json"]["schema"] == {"$ref": reference}

    def test_front_ends_are_told_to_use_one_field(self, document: dict[str, Any]) -> None:
        told = schema_of(document, "OTPCodeBody")["properties"]["otp"]
        assert "one text field that takes any number of digits" in told["description"]
        assert "20" in told["description"]
        assert "pattern" not in told


class TestAnswers:
    @pytest.mark.parametrize(
        "kind",
        [found for found in vars(responses).values() if typing.is_typeddict(found)],
        ids=lambda kind: kind.__name__,
    )
    def test_each_field_is_told(self, document: dict[str, Any], kind: type[Any]) -> None:
        schema = schema_of(document, f"OTP{kind.__name__}")
        assert list(schema["properties"]) == list(kind.__annotations__)
        assert schema["description"]

    def test_types_are_those_of_the_annotations(self, document: dict[str, Any]) -> None:
        sign_in = schema_of(document, "OTPSignInItem")["properties"]
        types = {name: told["type"] for name, told in sign_in.items()}
        assert types == {
            "id": "string",
            "browser": ["string", "null"],
            "platform": ["string", "null"],
            "since": "string",
            "current": "boolean",
        }
        sign_ins = schema_of(document, "OTPSignInsAnswer")["properties"]["sign_ins"]
        assert sign_ins == {
            "type": "array",
            "items": {"$ref": "#/components/schemas/OTPSignInItem"},
        }
        token = schema_of(document, "OTPTokenAnswer")
        assert token["required"] == ["token"]
        assert token["properties"]["registration"]["enum"] == [True]
        keys = schema_of(document, "OTPKeysAnswer")["properties"]["keys"]
        assert keys == {"type": "array", "items": {"type": "object"}}

    def test_what_has_no_schema_is_refused(self) -> None:
        with pytest.raises(TypeError, match="there is no schema for <class 'bytes'>"):
            Schemas().of(bytes)

    @pytest.mark.parametrize(
        ("asking", "taking"),
        [
            ("otpGenerate", "otpVerify"),
            ("otpPreRegister", "otpRegister"),
            ("otpStart", "otpFinish"),
        ],
    )
    def test_links_lead_from_the_request_for_a_code_to_where_it_goes(
        self, operations: dict[str, Any], asking: str, taking: str
    ) -> None:
        assert operations[asking]["responses"]["200"]["links"] == {
            taking: {
                "operationId": taking,
                "parameters": {"actor_type": "$request.path.actor_type"},
                "requestBody": {
                    "identifier": "$request.body#/identifier",
                    "challenge": "$response.body#/challenge",
                },
            }
        }

    def test_a_link_leads_from_the_list_of_sign_ins_to_the_end_of_one(
        self, operations: dict[str, Any]
    ) -> None:
        assert operations["signInsList"]["responses"]["200"]["links"] == {
            "signInsEnd": {
                "operationId": "signInsEnd",
                "parameters": {"sign_in_id": "$response.body#/sign_ins/0/id"},
            }
        }


#: The types of errors on the wire.
TYPES = {
    found.type
    for found in vars(errors).values()
    if isinstance(found, type)
    and issubclass(found, errors.RequestError)
    and found is not errors.RequestError
}


class TestErrors:
    def test_each_type_has_a_schema_and_a_page(self, document: dict[str, Any]) -> None:
        told = {}
        for schema in document["components"]["schemas"].values():
            if "type" in schema["properties"]:
                (kind,) = schema["properties"]["type"]["enum"]
                told[kind] = schema
        assert told.keys() == TYPES
        for kind, schema in told.items():
            assert schema["required"][:2] == ["type", "message"]
            page = f"https://flask-otp-auth.readthedocs.io/en/stable/errors/{kind}.html"
            assert page in schema["description"]

    def test_each_type_has_a_response_for_the_apps_own_views(
        self, document: dict[str, Any]
    ) -> None:
        told = document["components"]["responses"]
        assert len(told) == len(TYPES)
        required = told["OTPRequired"]["content"]["application/json"]
        (example,) = required["examples"].values()
        assert example["value"].keys() == {
            *("type", "message", "challenge", "expires_in", "resend_after"),
        }
        assert told["OTPUnauthorized"]["headers"].keys() == {"WWW-Authenticate"}
        assert told["OTPRateLimited"]["headers"].keys() == {"Retry-After"}
        assert "headers" not in told["OTPNotFound"]

    @pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.operation)
    def test_a_route_tells_of_each_status_that_it_is_refused_with(
        self, operations: dict[str, Any], route: Route
    ) -> None:
        told = set(operations[route.operation]["responses"]) - {"200"}
        assert told == {str(error.status) for error in route.errors}

    def test_two_types_of_one_status_are_told_both(self, operations: dict[str, Any]) -> None:
        told = operations["otpVerify"]["responses"]["400"]["content"]["application/json"]
        kinds = [schema["$ref"].rpartition("/")[2] for schema in told["schema"]["oneOf"]]
        assert kinds == ["OTPInvalidData", "OTPInvalidOTP"]
        assert told["examples"].keys() == {"invalid_data", "invalid_otp"}

    def test_a_limit_says_when_to_try_again(self, document: dict[str, Any]) -> None:
        schema = schema_of(document, "OTPRateLimited")
        assert schema["required"] == ["type", "message", "retry_after"]
        assert schema["properties"]["retry_after"] == {"type": "integer"}


class TestSecurity:
    def test_a_request_comes_with_what_its_route_asks_for(self, operations: dict[str, Any]) -> None:
        bearer, cookie = {"bearer": []}, {"cookie": []}
        found = {name: told["security"] for name, told in operations.items() if told["security"]}
        assert found == {
            "tokenRefresh": [bearer],
            "tokenRevoke": [bearer],
            "signInsList": [bearer, cookie],
            "signInsEndOthers": [bearer, cookie],
            "signInsEnd": [bearer, cookie],
            "sessionBegin": [bearer],
            "sessionEnd": [cookie, {}],
        }

    def test_the_cookie_is_the_apps_own(self, make_app: MakeApp, otp_auth: OTPAuth) -> None:
        app = make_app(otp_auth, SESSION_COOKIE_NAME="shop_session")
        schemes = otp_auth.openapi(app)["components"]["securitySchemes"]
        assert schemes["cookie"]["name"] == "shop_session"
        assert (schemes["cookie"]["type"], schemes["cookie"]["in"]) == ("apiKey", "cookie")
        assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")


class TestTexts:
    def test_examples_are_what_their_schemas_say(self, document: dict[str, Any]) -> None:
        contract = Contract(document)
        for _, _, operation in operations_of(document):
            places = [operation["requestBody"]] if "requestBody" in operation else []
            places += [contract.resolve(told) for told in operation["responses"].values()]
            for place in places:
                content = place["content"]["application/json"]
                found = [one["value"] for one in content.get("examples", {}).values()]
                found += [content["example"]] if "example" in content else []
                assert found
                for example in found:
                    assert contract.errors(content["schema"], example) == []

    def test_examples_have_the_apps_own_times(self, make_app: MakeApp, otp_auth: OTPAuth) -> None:
        app = make_app(otp_auth, OTP_AUTH_TTL=120, OTP_AUTH_RESEND_INTERVAL=30)
        path = otp_auth.openapi(app)["paths"]["/auth/{actor_type}/otp/generate"]
        told = path["post"]["responses"]["200"]
        (example,) = told["content"]["application/json"]["examples"].values()
        assert (example["value"]["expires_in"], example["value"]["resend_after"]) == (120, 30)

    def test_no_markup_of_docstrings_is_left(self, document: dict[str, Any]) -> None:
        assert ":ivar" not in str(document)
        assert ":class:`" not in str(document)

    def test_a_docstring_is_read_as_sphinx_reads_it(self) -> None:
        class Documented:
            """Says :class:`~flask.Flask` and :meth:`run`.

            :ivar first: over
                two lines.
            :ivar second: the last.
            """

        assert documentation(Documented) == (
            "Says `flask.Flask` and `run`.",
            {"first": "over two lines.", "second": "the last."},
        )

    def test_a_class_without_a_docstring_has_no_description(self) -> None:
        """As under ``python -OO``."""

        class Bare(typing.TypedDict):
            name: str

        schemas = Schemas()
        schemas.named_of(Bare)
        assert schemas.named["OTPBare"] == {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}},
        }


def test_needs_an_app_with_the_extension(otp_auth: OTPAuth) -> None:
    with pytest.raises(ConfigError, match="init_app"):
        otp_auth.openapi(Flask("shop"))
