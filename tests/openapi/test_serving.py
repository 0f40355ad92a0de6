"""``openapi.json`` and ``flask otp openapi``."""

import json
import subprocess
import sys

import pytest
from fakes import SECRET, Api, Customers, MakeApp
from flask import Blueprint, Flask

from flask_otp_auth import OTPAuth

PATH = "/auth/openapi.json"


@pytest.fixture
def app(otp_auth: OTPAuth, make_app: MakeApp) -> Flask:
    """A shop that serves its document."""
    return make_app(otp_auth, OTP_AUTH_OPENAPI=True)


class TestRoute:
    def test_there_is_none_unless_an_app_asks_for_it(self, make_app: MakeApp) -> None:
        app = make_app()
        assert app.test_client().get(PATH).status_code == 404
        assert not [rule for rule in app.url_map.iter_rules() if "openapi" in rule.rule]

    def test_serves_the_document_for_five_minutes(self, otp_auth: OTPAuth, app: Flask) -> None:
        answer = app.test_client().get(PATH)
        assert answer.status_code == 200
        assert answer.mimetype == "application/json"
        assert answer.get_json() == otp_auth.openapi(app)
        assert answer.headers.getlist("Cache-Control") == ["public, max-age=300"]

    def test_who_has_it_is_told_so(self, app: Flask) -> None:
        client = app.test_client()
        etag = client.get(PATH).headers["ETag"]
        answer = client.get(PATH, headers={"If-None-Match": etag})
        assert (answer.status_code, answer.data) == (304, b"")
        assert answer.headers["ETag"] == etag
        assert answer.headers["Cache-Control"] == "public, max-age=300"
        assert client.get(PATH, headers={"If-None-Match": '"other"'}).status_code == 200

    def test_a_new_actor_type_makes_another_document(
        self, otp_auth: OTPAuth, app: Flask, customers: Customers
    ) -> None:
        client = app.test_client()
        etag = client.get(PATH).headers["ETag"]
        otp_auth.add_actor_type("staff", customers)
        assert client.get(PATH, headers={"If-None-Match": etag}).status_code == 200

    def test_other_answers_are_kept_by_nobody(self, app: Flask) -> None:
        for answer in (app.test_client().post(PATH), Api(app.test_client()).generate()):
            assert answer.headers["Cache-Control"] == "no-store"

    def test_goes_where_the_blueprint_goes(self, make_app: MakeApp, customers: Customers) -> None:
        otp_auth = OTPAuth(register_blueprint=False)
        otp_auth.add_actor_type("customer", customers)
        app = make_app(otp_auth, OTP_AUTH_OPENAPI=True)
        api = Blueprint("api", "shop", url_prefix="/api")
        api.register_blueprint(otp_auth.blueprint, url_prefix="/<lang>/auth")
        app.register_blueprint(api)
        answer = app.test_client().get("/api/de/auth/openapi.json")
        assert "/api/{lang}/auth/session" in answer.get_json()["paths"]

    @pytest.mark.parametrize(("served", "status"), [(True, 200), (False, 404)])
    def test_may_be_mounted_before_the_settings_are_read(
        self, customers: Customers, served: bool, status: int
    ) -> None:
        otp_auth = OTPAuth(register_blueprint=False)
        app = Flask("shop")
        app.config.update(TESTING=True, SECRET_KEY=SECRET, OTP_AUTH_OPENAPI=served)
        app.register_blueprint(otp_auth.blueprint, url_prefix="/auth")
        otp_auth.init_app(app)
        answer = app.test_client().get(PATH)
        assert answer.status_code == status
        if not served:
            assert answer.get_json()["type"] == "not_found"
            assert answer.headers["Cache-Control"] == "no-store"


class TestCommand:
    def test_prints_the_document(self, otp_auth: OTPAuth, make_app: MakeApp) -> None:
        app = make_app(otp_auth)  # which need not serve it
        ran = app.test_cli_runner().invoke(args=["otp", "openapi"])
        assert ran.exit_code == 0
        assert json.loads(ran.output) == otp_auth.openapi(app)


PROGRAM = f"""
import sys
from flask import Flask
from flask_otp_auth import OTPAuth
app = Flask("shop")
app.config.update(TESTING=True, SECRET_KEY={SECRET!r}, OTP_AUTH_OPENAPI=True)
otp_auth = OTPAuth(app)
app.test_client().post("/auth/token/refresh")
unused = {{"flask_otp_auth.openapi", "apispec"}}
assert not unused & set(sys.modules)
otp_auth.openapi(app)
assert unused & set(sys.modules) == {{"flask_otp_auth.openapi"}}
"""


def test_nothing_of_it_is_imported_until_it_is_used() -> None:
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
