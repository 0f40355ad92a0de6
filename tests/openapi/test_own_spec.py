"""``otp_auth.document(spec)``: our part in a document of the app's own."""

from typing import Any

import flask_smorest
import pytest
from apiflask import APIFlask
from apispec import APISpec
from apispec.exceptions import APISpecError
from contract import operations_of
from fakes import SECRET, MakeApp
from flask import Flask
from flask.views import MethodView
from marshmallow import Schema, fields
from openapi_spec_validator import validate

from flask_otp_auth import ConfigError, OTPAuth, token_required
from flask_otp_auth.web.api import ROUTES

IDS = {route.operation for route in ROUTES}


class NotFound(Schema):
    """A schema of the app's own, with a name that one of our errors has."""

    email = fields.String()


def spec_of(version: str = "3.1.0", **options: Any) -> APISpec:
    return APISpec("Shop", "1", version, **options)


def ids_of(document: dict[str, Any]) -> set[str]:
    return {name for name, _, _ in operations_of(document)}


class TestAPISpec:
    def test_has_all_that_the_document_of_ours_has(self, otp_auth: OTPAuth, app: Flask) -> None:
        spec = spec_of()
        assert otp_auth.document(spec, app) is spec
        found, ours = spec.to_dict(), otp_auth.openapi(app)
        validate(found)
        assert found["paths"] == ours["paths"]
        assert found["components"] == ours["components"]

    @pytest.mark.parametrize("version", ["3.0.2", "3.0.3"])
    def test_of_openapi_3_0_is_written_in_its_words(
        self, otp_auth: OTPAuth, app: Flask, version: str
    ) -> None:
        found = otp_auth.document(spec_of(version), app).to_dict()
        validate(found)
        challenge = found["components"]["schemas"]["OTPCodeBody"]["properties"]["challenge"]
        assert (challenge["type"], challenge["nullable"]) == ("string", True)

    def test_of_swagger_2_is_refused(self, otp_auth: OTPAuth, app: Flask) -> None:
        for spec in (spec_of("2.0"), {"swagger": "2.0"}):
            with pytest.raises(ConfigError, match="OpenAPI 3"):
                otp_auth.document(spec, app)

    def test_keeps_what_the_app_says_of_its_tokens(self, otp_auth: OTPAuth, app: Flask) -> None:
        spec, scheme = spec_of(), {"type": "http", "scheme": "bearer"}
        spec.components.security_scheme("bearer", scheme)
        found = otp_auth.document(spec, app).to_dict()
        assert found["components"]["securitySchemes"]["bearer"] == scheme

    def test_may_be_given_twice(self, otp_auth: OTPAuth, app: Flask) -> None:
        spec = spec_of()
        once = otp_auth.document(spec, app).to_dict()
        assert otp_auth.document(spec, app).to_dict() == once

    def test_our_operations_are_not_held_to_the_apps_security(
        self, otp_auth: OTPAuth, app: Flask
    ) -> None:
        found = otp_auth.document(spec_of(security=[{"bearer": []}]), app).to_dict()
        assert found["paths"]["/auth/{actor_type}/otp"]["post"]["security"] == []

    def test_plugins_work_again_even_if_a_path_is_refused(
        self, otp_auth: OTPAuth, app: Flask, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any, **__: Any) -> None:
            raise APISpecError

        spec = spec_of()
        plugins = spec.plugins
        monkeypatch.setattr(spec, "path", refuse)
        with pytest.raises(APISpecError):
            otp_auth.document(spec, app)
        assert spec.plugins is plugins


class TestWhichApp:
    def test_is_the_only_one_that_there_is(self, otp_auth: OTPAuth, app: Flask) -> None:
        """In an app factory no app is the current one yet."""
        assert ids_of(otp_auth.document(spec_of()).to_dict()) == IDS
        assert ids_of(otp_auth.openapi()) == IDS

    def test_of_several_is_the_current_one(
        self, otp_auth: OTPAuth, app: Flask, make_app: MakeApp
    ) -> None:
        other = make_app(otp_auth, OTP_AUTH_URL_PREFIX="/in")
        with other.app_context():
            assert "/in/session" in otp_auth.openapi()["paths"]
        with app.app_context():
            assert "/auth/session" in otp_auth.document(spec_of()).to_dict()["paths"]
        with pytest.raises(RuntimeError, match="application context"):
            otp_auth.openapi()


def check_both(app: Flask, url: str, path: str = "/me") -> None:
    """See that a document has ours beside a view of the app's own."""
    found = app.test_client().get(url).get_json()
    validate(found)
    assert found["paths"].keys() > {path, "/auth/{actor_type}/otp/start"}
    assert found["components"]["schemas"].keys() > {"NotFound", "OTPNotFound"}


@pytest.mark.parametrize("version", ["3.0.2", "3.1.0"])
def test_smorest_has_ours_beside_its_own(otp_auth: OTPAuth, app: Flask, version: str) -> None:
    app.config.update(API_TITLE="Shop", API_VERSION="1", OPENAPI_VERSION=version)
    app.config.update(OPENAPI_URL_PREFIX="/docs")
    api = flask_smorest.Api(app)
    blueprint = flask_smorest.Blueprint("shop", __name__)

    @blueprint.route("/me/<int:number>")
    class Me(MethodView):
        @blueprint.doc(security=[{"bearer": []}])
        @blueprint.response(200, NotFound)
        @token_required("customer")
        def get(self, number: int) -> dict[str, str]:
            return {}

    otp_auth.document(api.spec)
    api.register_blueprint(blueprint)  # after ours: its plugins still work
    check_both(app, "/docs/openapi.json", "/me/{number}")


@pytest.mark.parametrize("as_object", [False, True])
@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_apiflask_has_ours_beside_its_own(otp_auth: OTPAuth, as_object: bool, version: str) -> None:
    app = APIFlask("shop")
    app.config.update(TESTING=True, SECRET_KEY=SECRET, OPENAPI_VERSION=version)
    app.config["SPEC_PROCESSOR_PASS_OBJECT"] = as_object
    otp_auth.init_app(app)
    app.spec_processor(otp_auth.document)

    @app.get("/me")
    @app.output(NotFound)
    @token_required("customer")
    def me() -> dict[str, str]:
        return {}

    check_both(app, "/openapi.json")


@pytest.mark.filterwarnings("ignore:Flask-SQLAlchemy integration requires")
@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
def test_apifairy_has_ours_beside_its_own(otp_auth: OTPAuth, app: Flask, version: str) -> None:
    import apifairy  # here: it says at import that there is no marshmallow-sqlalchemy
    from flask_marshmallow import Marshmallow

    app.import_name = __name__  # where it looks for a description
    app.config["APIFAIRY_APISPEC_VERSION"] = version
    Marshmallow(app)
    fairy = apifairy.APIFairy(app)
    fairy.process_apispec(otp_auth.document)

    @app.get("/me")
    @apifairy.response(NotFound)
    @token_required("customer")
    def me() -> dict[str, str]:
        return {}

    check_both(app, "/apispec.json")
