"""Tokens over their whole life: refreshed, revoked, carried over a change of the secret key."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from conftest import ADA, BOB, SECRET, START, Api, Customers, Ear, WatchedStore
from flask import Flask

from flask_otp_auth import OTPAuth, Unauthorized, token_required
from flask_otp_auth.testing import Outbox

NEW_SECRET = "the-key-that-comes-after-the-one-before"


def part(token: str, index: int) -> dict[str, Any]:
    """Return the header (0) or the claims (1) of a token, as anybody can read them."""
    text = token.split(".")[index]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return decoded


def sign_in(app: Flask, identifier: str = ADA) -> str:
    """Sign somebody in over HTTP and return the token."""
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.generate(identifier)
    token: str = api.verify(outbox.last.otp, identifier).get_json()["token"]
    return token


def register(app: Flask, identifier: str = BOB) -> str:
    """Register somebody over HTTP and return the registration token."""
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.pre_register(identifier)
    token: str = api.register(outbox.last.otp, identifier).get_json()["token"]
    return token


class TestAuthenticationTokens:
    """What is in a token, and who has it."""

    def test_have_the_documented_claims(self, clock: time_machine.Traveller, app: Flask) -> None:
        token = sign_in(app)
        now = int(START.timestamp())
        claims = part(token, 1)
        assert len(claims.pop("jti")) == 32
        assert claims == {
            "iss": "shop",
            "sub": "1",
            "aud": "customer",
            "iat": now,
            "exp": now + 3600,
            "auth_time": now,
            "amr": ["otp"],
        }
        header = part(token, 0)
        assert header.pop("kid")
        assert header == {"typ": "auth+jwt", "alg": "HS256"}

    def test_live_as_long_as_the_app_wants(
        self, clock: time_machine.Traveller, make_app: Callable[..., Flask]
    ) -> None:
        app = make_app(OTP_AUTH_TOKEN_TTL=timedelta(minutes=2), OTP_AUTH_TOKEN_ISSUER="me")
        claims = part(sign_in(app), 1)
        assert claims["exp"] - claims["iat"] == 120
        assert claims["iss"] == "me"

    def test_never_outlive_the_session(
        self, clock: time_machine.Traveller, make_app: Callable[..., Flask]
    ) -> None:
        app = make_app(OTP_AUTH_TOKEN_TTL=60, OTP_AUTH_SESSION_TTL=100)
        api = Api(app.test_client())
        token = sign_in(app)
        clock.shift(50)
        fresh = api.refresh(token).get_json()["token"]
        assert part(fresh, 1)["exp"] == part(token, 1)["auth_time"] + 100

    def test_name_a_flask_login_user_by_its_own_id(self, make_app: Callable[..., Flask]) -> None:
        class User:
            id = 7

            def get_id(self) -> str:
                return "alternative-id"

        class Users:
            def find_by_identifier(self, identifier: str) -> User:
                return User()

            def find_by_id(self, actor_id: str) -> User | None:
                return User() if actor_id == "alternative-id" else None

        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", Users())
        app = make_app(otp_auth)
        with Outbox(app) as outbox:
            token = sign_in(app)
        assert part(token, 1)["sub"] == "alternative-id"
        assert outbox.last.actor_id == "alternative-id"
        assert Api(app.test_client()).refresh(token).status_code == 200

    def test_differ_each_time(self, clock: time_machine.Traveller, app: Flask) -> None:
        tokens = set()
        for _ in range(3):
            tokens.add(part(sign_in(app), 1)["jti"])
            clock.shift(60)
        assert len(tokens) == 3


class TestRegistrationTokens:
    """What comes of a registration, until the app has created the actor."""

    def test_have_the_documented_claims(self, clock: time_machine.Traveller, app: Flask) -> None:
        token = register(app)
        now = int(START.timestamp())
        claims = part(token, 1)
        assert len(claims.pop("jti")) == 32
        assert claims == {
            "iss": "shop",
            "sub": BOB,
            "aud": "customer",
            "iat": now,
            "exp": now + 600,
            "auth_time": now,
            "amr": ["otp"],
        }
        assert part(token, 0)["typ"] == "registration+jwt"

    def test_are_refreshed_once(self, app: Flask, api: Api, customers: Customers, ear: Ear) -> None:
        token = register(app)
        customers.add(BOB)
        answer = api.refresh(token)
        assert answer.status_code == 200
        assert part(answer.get_json()["token"], 1)["sub"] == "2"
        assert ear.of("actor_authenticated") == [
            {"actor_type": "customer", "actor_id": "2", "method": "refresh"}
        ]
        assert api.refresh(token).status_code == 401

    def test_are_kept_until_the_actor_is_there(
        self, app: Flask, api: Api, customers: Customers
    ) -> None:
        token = register(app)
        for _ in range(5):
            answer = api.refresh(token)
            assert (answer.status_code, answer.get_json()["type"]) == (409, "actor_not_created")
        customers.add(BOB)
        assert api.refresh(token).status_code == 200

    def test_are_refreshed_besides_the_grace(
        self, api: Api, outbox: Outbox, customers: Customers
    ) -> None:
        api.pre_register(BOB)
        token = api.register(outbox.last.otp, BOB).get_json()["token"]
        customers.add(BOB)
        assert api.authenticate(outbox.last.otp, BOB).status_code == 200
        assert api.refresh(token).status_code == 200
        assert api.authenticate(outbox.last.otp, BOB).status_code == 400
        assert api.refresh(token).status_code == 401

    def test_expire(
        self, clock: time_machine.Traveller, app: Flask, api: Api, customers: Customers
    ) -> None:
        token = register(app)
        customers.add(BOB)
        clock.shift(600 + 10)  # the leeway
        assert api.refresh(token).status_code == 401

    def test_start_no_session_that_would_be_over(
        self,
        clock: time_machine.Traveller,
        make_app: Callable[..., Flask],
        customers: Customers,
    ) -> None:
        app = make_app(OTP_AUTH_TOKEN_TTL=60, OTP_AUTH_SESSION_TTL=100)
        token = register(app)
        customers.add(BOB)
        clock.shift(100)
        assert Api(app.test_client()).refresh(token).status_code == 401

    def test_do_not_serve_an_actor_that_is_not_active(
        self, app: Flask, api: Api, customers: Customers
    ) -> None:
        token = register(app)
        customers.add(BOB).is_active = False
        assert api.refresh(token).status_code == 409

    def test_can_not_be_revoked_as_they_let_nobody_in(self, app: Flask, api: Api) -> None:
        assert api.revoke(register(app)).status_code == 401

    def test_are_of_one_actor_type(
        self, make_app: Callable[..., Flask], customers: Customers
    ) -> None:
        staff = Customers()
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.add_actor_type("user", staff)
        app = make_app(otp_auth)
        token = register(app)
        staff.add(BOB)
        assert Api(app.test_client()).refresh(token).status_code == 409


class TestRefresh:
    """A token that has not expired gives a fresh one, until the session is over."""

    def test_gives_a_fresh_token(self, clock: time_machine.Traveller, app: Flask, api: Api) -> None:
        token = sign_in(app)
        clock.shift(3000)
        fresh = api.refresh(token).get_json()["token"]
        before, after = part(token, 1), part(fresh, 1)
        assert after["exp"] == before["exp"] + 3000
        assert after["auth_time"] == before["auth_time"]
        assert after["jti"] != before["jti"]

    def test_is_told(self, app: Flask, api: Api, ear: Ear) -> None:
        token = sign_in(app)
        ear.heard.clear()
        api.refresh(token)
        assert ear.heard == [
            (
                "actor_authenticated",
                {"actor_type": "customer", "actor_id": "1", "method": "refresh"},
            )
        ]

    def test_leaves_the_old_token_valid(self, app: Flask, api: Api) -> None:
        token = sign_in(app)
        assert api.refresh(token).status_code == 200
        assert api.refresh(token).status_code == 200

    def test_forgives_a_little_clock_skew(
        self, clock: time_machine.Traveller, app: Flask, api: Api
    ) -> None:
        token = sign_in(app)
        clock.shift(3600 + 9)
        assert api.refresh(token).status_code == 200

    def test_is_too_late_for_an_expired_token(
        self, clock: time_machine.Traveller, app: Flask, api: Api
    ) -> None:
        token = sign_in(app)
        clock.shift(3600 + 10)
        assert api.refresh(token).status_code == 401

    def test_goes_on_until_the_session_has_lasted_long_enough(
        self, clock: time_machine.Traveller, make_app: Callable[..., Flask]
    ) -> None:
        app = make_app(OTP_AUTH_TOKEN_TTL=60, OTP_AUTH_SESSION_TTL=100)
        api = Api(app.test_client())
        token = sign_in(app)
        for _ in range(2):
            clock.shift(45)
            token = api.refresh(token).get_json()["token"]
        clock.shift(9)
        assert api.refresh(token).status_code == 200
        clock.shift(1)
        assert api.refresh(token).status_code == 401

    def test_is_refused_to_an_actor_that_is_gone(
        self, app: Flask, api: Api, customers: Customers
    ) -> None:
        token = sign_in(app)
        customers.accounts.clear()
        assert api.refresh(token).status_code == 401

    def test_is_refused_to_an_actor_that_is_not_active(
        self, app: Flask, api: Api, customers: Customers
    ) -> None:
        token = sign_in(app)
        customers.accounts[0].is_active = False
        assert api.refresh(token).status_code == 401

    def test_is_refused_for_a_revoked_token(self, app: Flask, api: Api) -> None:
        token = sign_in(app)
        api.revoke(token)
        assert api.refresh(token).status_code == 401

    def test_without_http(self, make_app: Callable[..., Flask], customers: Customers) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        app = make_app(otp_auth)
        token = sign_in(app)
        with app.app_context():
            fresh = otp_auth.refresh(token)
            otp_auth.revoke(token)
            with pytest.raises(Unauthorized):
                otp_auth.refresh(token)
            assert otp_auth.refresh(fresh)


class TestRevoke:
    """A revoked token lets nobody in any more."""

    def test_ends_one_token(self, app: Flask, api: Api) -> None:
        token = sign_in(app)
        other = api.refresh(token).get_json()["token"]
        assert api.revoke(token).get_json() == {"success": True}
        assert api.revoke(token).status_code == 401
        assert api.refresh(token).status_code == 401
        assert api.refresh(other).status_code == 200

    def test_is_told(self, app: Flask, api: Api, ear: Ear) -> None:
        token = sign_in(app)
        ear.heard.clear()
        api.revoke(token)
        api.revoke(token)
        assert ear.heard == [("token_revoked", {"actor_type": "customer", "actor_id": "1"})]

    def test_lasts_until_the_token_would_have_expired(
        self, clock: time_machine.Traveller, app: Flask, api: Api
    ) -> None:
        token = sign_in(app)
        api.revoke(token)
        for _ in range(4):
            clock.shift(900)
            assert api.refresh(token).status_code == 401
        clock.shift(9.9)
        assert api.refresh(token).status_code == 401

    @pytest.mark.parametrize("late", [3599.5, 3600, 3609])
    def test_works_in_the_last_moment(
        self, clock: time_machine.Traveller, app: Flask, api: Api, late: float
    ) -> None:
        token = sign_in(app)
        clock.shift(late)
        assert api.revoke(token).status_code == 200
        assert api.refresh(token).status_code == 401


class TestOwnClaims:
    """``claims_loader`` adds claims of the app's own."""

    @pytest.fixture
    def otp_auth(self, customers: Customers) -> OTPAuth:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        return otp_auth

    def test_stand_in_the_token(self, otp_auth: OTPAuth, make_app: Callable[..., Flask]) -> None:
        @otp_auth.claims_loader
        def load(actor_type: str, actor: Any) -> dict[str, Any]:
            return {"type": actor_type, "mail": actor.email}

        app = make_app(otp_auth)
        token = sign_in(app)
        fresh = Api(app.test_client()).refresh(token).get_json()["token"]
        for claims in (part(token, 1), part(fresh, 1)):
            assert (claims["type"], claims["mail"]) == ("customer", ADA)

    def test_are_not_asked_for_a_registration(
        self, otp_auth: OTPAuth, make_app: Callable[..., Flask]
    ) -> None:
        otp_auth.claims_loader(lambda actor_type, actor: {"mail": actor.email})
        assert "mail" not in part(register(make_app(otp_auth)), 1)

    def test_the_loader_stays_a_function(self, otp_auth: OTPAuth) -> None:
        def load(actor_type: str, actor: Any) -> dict[str, Any]:
            return {}

        assert otp_auth.claims_loader(load) is load

    @pytest.mark.parametrize("name", ["iss", "sub", "aud", "iat", "exp", "jti", "auth_time", "amr"])
    def test_have_none_of_the_packages_own_names(
        self, otp_auth: OTPAuth, make_app: Callable[..., Flask], name: str
    ) -> None:
        otp_auth.claims_loader(lambda actor_type, actor: {name: "mine"})
        with pytest.raises(ValueError, match=f"claims_loader must not set {name}"):
            sign_in(make_app(otp_auth))


@dataclass
class Rotation:
    """One deployment before and after a change of its secret key."""

    before: Flask
    after: Flask
    end: Flask


class TestKeyRotation:
    """``SECRET_KEY_FALLBACKS`` carry over all that is under way."""

    @pytest.fixture
    def shop(self, make_app: Callable[..., Flask], customers: Customers) -> Rotation:
        """The shop with its old key, with a new one and the old as fallback, and without."""
        otp_auth = OTPAuth(cache=WatchedStore())
        otp_auth.add_actor_type("customer", customers)
        return Rotation(
            make_app(otp_auth),
            make_app(otp_auth, SECRET_KEY=NEW_SECRET, SECRET_KEY_FALLBACKS=[SECRET]),
            make_app(otp_auth, SECRET_KEY=NEW_SECRET),
        )

    def test_a_code_still_works(self, shop: Rotation) -> None:
        with Outbox(shop.before) as outbox:
            Api(shop.before.test_client()).generate(ADA)
        assert Api(shop.end.test_client()).verify(outbox.last.otp).status_code == 400
        api = Api(shop.after.test_client())
        assert api.verify(outbox.last.otp).status_code == 200
        assert api.verify(outbox.last.otp).status_code == 400

    def test_a_code_works_by_its_challenge(self, shop: Rotation) -> None:
        with Outbox(shop.before) as outbox:
            held = Api(shop.before.test_client()).generate(ADA).get_json()["challenge"]
        api = Api(shop.after.test_client())
        assert api.verify(outbox.last.otp, challenge=held).status_code == 200

    def test_guesses_stay_spent(self, shop: Rotation) -> None:
        with Outbox(shop.before) as outbox:
            Api(shop.before.test_client()).generate(ADA)
        wrong_code = f"{(int(outbox.last.otp) + 1) % 1_000_000:06}"
        for app in (shop.before, shop.after, shop.before, shop.after, shop.before):
            assert Api(app.test_client()).verify(wrong_code).status_code == 400
        assert Api(shop.after.test_client()).verify(outbox.last.otp).status_code == 400

    def test_the_newest_code_is_the_one_under_the_newest_key(self, shop: Rotation) -> None:
        codes = []
        for app in (shop.before, shop.after):
            with Outbox(app) as outbox:
                Api(app.test_client()).generate(ADA)
            codes.append(outbox.last.otp)
        api = Api(shop.after.test_client())
        assert api.verify(codes[1]).status_code == 200

    def test_a_grace_still_works(self, shop: Rotation, customers: Customers) -> None:
        api = Api(shop.before.test_client())
        with Outbox(shop.before) as outbox:
            api.pre_register(BOB)
        api.register(outbox.last.otp, BOB)
        customers.add(BOB)
        api = Api(shop.after.test_client())
        assert api.authenticate(outbox.last.otp, BOB).status_code == 200
        assert api.authenticate(outbox.last.otp, BOB).status_code == 400

    def test_a_token_still_works_and_is_refreshed_under_the_new_key(self, shop: Rotation) -> None:
        token = sign_in(shop.before)
        assert Api(shop.end.test_client()).refresh(token).status_code == 401
        fresh = Api(shop.after.test_client()).refresh(token).get_json()["token"]
        assert part(fresh, 0)["kid"] != part(token, 0)["kid"]
        assert Api(shop.end.test_client()).refresh(fresh).status_code == 200
        assert Api(shop.before.test_client()).refresh(fresh).status_code == 401

    def test_a_revoked_token_stays_revoked(self, shop: Rotation) -> None:
        token = sign_in(shop.before)
        Api(shop.before.test_client()).revoke(token)
        assert Api(shop.after.test_client()).refresh(token).status_code == 401

    def test_a_registration_token_is_still_refreshed_once(
        self, shop: Rotation, customers: Customers
    ) -> None:
        token = register(shop.before)
        customers.add(BOB)
        api = Api(shop.after.test_client())
        assert api.refresh(token).status_code == 200
        assert api.refresh(token).status_code == 401
        assert Api(shop.before.test_client()).refresh(token).status_code == 401

    def test_a_key_that_is_gone_ends_all(self, shop: Rotation) -> None:
        with Outbox(shop.before) as outbox:
            Api(shop.before.test_client()).generate(ADA)
        api = Api(shop.end.test_client())
        assert api.verify(outbox.last.otp).status_code == 400
        assert api.refresh(sign_in(shop.after)).status_code == 200


class TestForgery:
    """Tokens that somebody has made, or made over."""

    @pytest.fixture
    def token(self, app: Flask) -> str:
        return sign_in(app)

    def test_no_part_can_be_changed(self, api: Api, token: str) -> None:
        header, claims, signature = token.split(".")
        other = base64.urlsafe_b64encode(json.dumps({**part(token, 1), "sub": "2"}).encode())
        forged = [
            f"{header}.{other.rstrip(b'=').decode()}.{signature}",
            f"{header}.{claims}.{signature[:-4]}AAAA",
            f"{header}.{claims}.",
            f"{header}.{claims}",
        ]
        for attempt in forged:
            assert api.refresh(attempt).status_code == 401
        assert api.refresh(token).status_code == 200

    def test_an_unsigned_token_is_refused(self, api: Api, token: str) -> None:
        header = {**part(token, 0), "alg": "none"}
        unsigned = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
        assert api.refresh(f"{unsigned}.{token.split('.')[1]}.").status_code == 401

    def test_a_token_of_an_app_with_another_issuer_is_refused(
        self, make_app: Callable[..., Flask], token: str
    ) -> None:
        other = make_app(OTP_AUTH_TOKEN_ISSUER="another")
        assert Api(other.test_client()).refresh(token).status_code == 401

    def test_a_token_of_an_actor_type_that_is_no_more_is_refused(
        self, make_app: Callable[..., Flask], customers: Customers, token: str
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("user", customers)
        app = make_app(otp_auth)

        @app.get("/")
        @token_required("customer")
        def view() -> str:
            return "never"

        client = app.test_client()
        assert Api(client).refresh(token).status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert client.get("/", headers=headers).status_code == 401


def test_a_token_that_is_revoked_while_its_actor_is_switched_off_stays_revoked(
    app: Flask, customers: Customers
) -> None:
    api = Api(app.test_client())
    token = sign_in(app)
    customers.accounts[0].is_active = False
    assert api.revoke(token).status_code == 200
    customers.accounts[0].is_active = True
    assert api.refresh(token).status_code == 401
