"""Signing somebody in, in an app's own tests."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from browsers import JoinableCustomers
from fakes import ADA, BOB, SECRET, Api, Customers, MakeApp
from flask import Flask
from flask.testing import FlaskClient

from flask_otp_auth import ConfigError, OTPAuth, Refused, current_actor, signals, token_required
from flask_otp_auth.core.gates import Asked
from flask_otp_auth.testing import Outbox, no_limits, sign_in


@pytest.fixture
def make_shop(make_app: MakeApp) -> MakeApp:
    """Make the shop with a page behind a guard."""

    def make(store: Customers, otp_auth: OTPAuth | None = None, **given: Any) -> Flask:
        otp_auth = otp_auth or OTPAuth()
        config = {name: given.pop(name) for name in list(given) if name.isupper()}
        otp_auth.add_actor_type("customer", store, **given)
        app = make_app(otp_auth, **config)

        @app.get("/me")
        @token_required("customer", session=True)
        def me() -> str:
            return str(current_actor.email)

        return app

    return make


@pytest.fixture
def app(make_shop: MakeApp, customers: Customers) -> Flask:
    """The shop, whose customers pages could not add."""
    return make_shop(customers)


def test_a_member_gets_a_token(client: FlaskClient) -> None:
    ada = sign_in(client, "customer", " Ada@Example.com ")
    assert (ada.actor_type, ada.identifier) == ("customer", ADA)
    assert ada.headers == {"Authorization": f"Bearer {ada.token}"}
    assert client.get("/me", headers=ada.headers).text == ADA
    assert client.get("/me").status_code == 401


def test_a_repr_holds_no_token(client: FlaskClient) -> None:
    ada = sign_in(client, "customer", ADA)
    assert ada.token not in repr(ada)


def test_the_cookie_is_signed_in_as_well_where_a_test_says_so(client: FlaskClient) -> None:
    sign_in(client, "customer", ADA, session=True)
    assert client.get("/me").text == ADA


def test_with_pages_the_cookie_always_is(make_shop: MakeApp, customers: Customers) -> None:
    client = make_shop(customers, OTP_AUTH_PAGES=True).test_client()
    sign_in(client, "customer", ADA)
    assert client.get("/me").text == ADA


@pytest.mark.parametrize("sign_up", ["open", "closed", lambda identifier: False])
def test_somebody_new_joins_through_the_store(make_shop: MakeApp, sign_up: Any) -> None:
    store = JoinableCustomers()
    client = make_shop(store, sign_up=sign_up).test_client()
    bob = sign_in(client, "customer", BOB)
    assert client.get("/me", headers=bob.headers).text == BOB
    assert ([each.email for each in store.accounts], store.filled_in) == ([BOB], [{}])
    sign_in(client, "customer", BOB)
    assert len(store.accounts) == 1


def test_somebody_new_joins_through_a_function(client: FlaskClient, customers: Customers) -> None:
    bob = sign_in(client, "customer", BOB, create=customers.add)
    assert client.get("/me", headers=bob.headers).text == BOB


def test_nobody_joins_where_a_test_does_not_say_how(client: FlaskClient) -> None:
    with pytest.raises(LookupError, match=r"Customers has no create\(\).*pass create="):
        sign_in(client, "customer", BOB)


@pytest.mark.parametrize(
    "config",
    [
        {"OTP_AUTH_DELIVERY": "background"},
        {"OTP_AUTH_REQUIRE_CHALLENGE": True},
        {"OTP_AUTH_STORAGE_URI": "sqlite:///{}/codes.sqlite3"},
    ],
)
def test_it_works_with_any_settings(
    make_shop: MakeApp, customers: Customers, config: dict[str, Any], tmp_path: Any
) -> None:
    config = {
        name: value.format(tmp_path) if isinstance(value, str) else value
        for name, value in config.items()
    }
    client = make_shop(customers, **config).test_client()
    ada = sign_in(client, "customer", ADA)
    assert client.get("/me", headers=ada.headers).text == ADA


@pytest.mark.parametrize(
    ("prefix", "defaults"),
    [("/<lang>/auth", {}), ("/<int:shop>/auth", {}), ("/<lang>/auth", {"lang": "de"})],
)
def test_it_works_wherever_the_routes_are(
    make_shop: MakeApp, customers: Customers, prefix: str, defaults: dict[str, str]
) -> None:
    otp_auth = OTPAuth(register_blueprint=False)
    app = make_shop(customers, otp_auth)
    app.register_blueprint(otp_auth.blueprint, url_prefix=prefix, url_defaults=defaults)
    client = app.test_client()
    ada = sign_in(client, "customer", ADA)
    assert client.get("/me", headers=ada.headers).text == ADA


def test_it_works_on_a_subdomain(customers: Customers) -> None:
    app, otp_auth = Flask("shop", subdomain_matching=True), OTPAuth(register_blueprint=False)
    app.config.update(TESTING=True, SECRET_KEY=SECRET, SERVER_NAME="shop.example")
    otp_auth.add_actor_type("customer", customers)
    otp_auth.init_app(app)
    app.register_blueprint(otp_auth.blueprint, url_prefix="/auth", subdomain="api")
    assert sign_in(app.test_client(), "customer", ADA).identifier == ADA


def test_threads_take_turns(make_shop: MakeApp, customers: Customers) -> None:
    app = make_shop(customers)
    parts = app.extensions["otp_auth"]
    with ThreadPoolExecutor(4) as threads:
        signed_in = [threads.submit(sign_in, app.test_client(), "customer", ADA) for _ in range(12)]
        assert [each.result().identifier for each in signed_in] == [ADA] * 12
    assert app.extensions["otp_auth"] is parts


def test_a_part_of_another_kind_is_not_guessed(make_shop: MakeApp, customers: Customers) -> None:
    otp_auth = OTPAuth(register_blueprint=False)
    app = make_shop(customers, otp_auth)
    app.register_blueprint(otp_auth.blueprint, url_prefix="/<any(north, south):shop>/auth")
    with pytest.raises(ConfigError, match="whose parts are texts or numbers"):
        sign_in(app.test_client(), "customer", ADA)


def test_no_limit_counts_it(make_shop: MakeApp, customers: Customers) -> None:
    app = make_shop(customers, ip_generate_limits="1/hour", resend_interval=60)
    client = app.test_client()
    for _ in range(3):
        sign_in(client, "customer", ADA)
    with Outbox(app) as outbox:
        assert Api(client).generate(ADA).status_code == 200
        assert len(outbox) == 1
        assert Api(client).generate(ADA).status_code == 429


def test_it_says_why_no_code_was_sent(make_shop: MakeApp, customers: Customers) -> None:
    app = make_shop(customers, send_limits="1/hour", resend_interval=0)
    api = Api(app.test_client())
    for _ in range(3):
        api.start(ADA)
    with pytest.raises(AssertionError, match=r"no code was sent \(cooldown\): reset\(app\)"):
        sign_in(app.test_client(), "customer", ADA)


def test_it_says_what_a_route_answered(make_shop: MakeApp, customers: Customers) -> None:
    otp_auth = OTPAuth()

    @otp_auth.before_code
    def refuse(asked: Asked) -> None:
        raise Refused

    client = make_shop(customers, otp_auth).test_client()
    with pytest.raises(AssertionError, match=r"POST /auth/customer/otp/start answered 403"):
        sign_in(client, "customer", ADA)


class TestNoLimits:
    def test_lets_everybody_ask_again_and_again(
        self, make_shop: MakeApp, customers: Customers
    ) -> None:
        app = make_shop(customers, ip_generate_limits="1/hour", verify_limits="1/day")
        api = Api(app.test_client())
        with Outbox(app) as outbox, no_limits(app):
            for number in range(5):
                assert api.generate(ADA).status_code == 200
                assert len(outbox) == number + 1
                api.verify("000000", ADA)
            assert api.verify(outbox.last.otp, ADA).status_code == 200
        assert api.generate(ADA).status_code == 200
        assert api.generate(ADA).status_code == 429

    def test_keeps_codes_and_sign_ins(self, make_shop: MakeApp, customers: Customers) -> None:
        app = make_shop(customers)
        client: FlaskClient = app.test_client()
        before = sign_in(client, "customer", ADA)
        with no_limits(app):
            assert client.get("/me", headers=before.headers).status_code == 200
            within = sign_in(client, "customer", ADA)
        assert client.get("/me", headers=within.headers).status_code == 200

    def test_holds_the_apps_handlers_back_where_an_outbox_does(
        self, make_shop: MakeApp, customers: Customers
    ) -> None:
        app, sent = make_shop(customers), []

        @signals.otp_generated.connect_via(app)
        def mail(sender: Flask, otp: str, **_: Any) -> None:
            sent.append(otp)

        with Outbox(app) as outbox, no_limits(app):
            Api(app.test_client()).generate(ADA)
        assert (len(outbox), sent) == (1, [])

    def test_is_for_purposes_and_types_with_limits_of_their_own(
        self, make_shop: MakeApp, customers: Customers
    ) -> None:
        otp_auth = OTPAuth()
        contact = otp_auth.purpose("contact", resend_interval=90)
        app = make_shop(customers, otp_auth, resend_interval=120)
        with app.app_context(), Outbox(app) as outbox, no_limits(app):
            for _ in range(2):
                contact.send(ADA)
        assert len(outbox) == 2
