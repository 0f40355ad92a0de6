"""The code of ``docs/openapi.md`` does what the text around it says.

Its client in TypeScript is run by tests/openapi/test_typescript.py.
"""

import re
from typing import Any

import flask_smorest
import pytest
from apiflask import APIFlask
from apispec import APISpec
from fakes import SECRET
from flask import Flask
from launch import ROOT
from openapi_spec_validator import validate

from flask_otp_auth import OTPAuth
from flask_otp_auth.web.api import ROUTES

PAGE = (ROOT / "docs" / "openapi.md").read_text()
SERVING, SMOREST, APIFLASK, APIFAIRY, APISPEC = re.findall(r"(?ms)^```python\n(.*?)^```", PAGE)
PATH = "/auth/{actor_type}/otp/start"


def run(code: str, **names: Any) -> dict[str, Any]:
    exec(code, names)  # noqa: S102 - our own documentation
    return names


def test_every_operation_is_named() -> None:
    (line,) = re.findall(r"(?m)^- Each route is an operation.*$", PAGE)
    assert sorted(re.findall(r"`(\w+)`", line)) == sorted(route.operation for route in ROUTES)


def test_serving(otp_auth: OTPAuth) -> None:
    app = Flask("shop")
    app.config.update(TESTING=True, SECRET_KEY=SECRET)
    run(SERVING, app=app, otp_auth=otp_auth)
    assert app.test_client().get("/auth/openapi.json").get_json() == otp_auth.openapi(app)


def test_smorest(app: Flask, otp_auth: OTPAuth) -> None:
    app.config.update(API_TITLE="Shop", API_VERSION="1", OPENAPI_VERSION="3.0.2")
    names = run(SMOREST, app=app, otp_auth=otp_auth, flask_smorest=flask_smorest)
    assert PATH in names["api"].spec.to_dict()["paths"]


def test_apiflask(otp_auth: OTPAuth) -> None:
    app = APIFlask("shop")
    app.config.update(TESTING=True, SECRET_KEY=SECRET)
    otp_auth.init_app(app)
    run(APIFLASK, app=app, otp_auth=otp_auth)
    assert PATH in app.test_client().get("/openapi.json").get_json()["paths"]


@pytest.mark.filterwarnings("ignore:Flask-SQLAlchemy integration requires")
def test_apifairy(app: Flask, otp_auth: OTPAuth) -> None:
    import apifairy  # here: it says at import that there is no marshmallow-sqlalchemy

    app.import_name = __name__  # where it looks for a description
    run(APIFAIRY, app=app, otp_auth=otp_auth, apifairy=apifairy)
    assert PATH in app.test_client().get("/apispec.json").get_json()["paths"]


def test_apispec(app: Flask, otp_auth: OTPAuth) -> None:
    spec = run(APISPEC, otp_auth=otp_auth, APISpec=APISpec)["spec"].to_dict()
    validate(spec)
    assert spec["paths"].keys() > {"/me", PATH}
    assert "OTPUnauthorized" in spec["components"]["responses"]
