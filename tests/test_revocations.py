"""Revocation: of one token, and of all that an actor has, at one trip to the store."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import time_machine
from conftest import ADA, SECRET, START, Api, Customers, Ear, Watched, WatchedStore, bearer
from flask import Flask
from flask.testing import FlaskClient
from forging import parts, register, sign_in

from flask_otp_auth import NotFound, OTPAuth, Unavailable, current_actor, token_required

DAY = 86_400
NOW = int(START.timestamp())


@pytest.fixture
def store() -> WatchedStore:
    """Where the shop keeps what it revokes."""
    return WatchedStore()


@pytest.fixture
def otp_auth(customers: Customers, store: WatchedStore) -> OTPAuth:
    """The extension; the shop's users are another actor type with the same ids."""
    otp_auth = OTPAuth(cache=store)
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("user", customers)
    return otp_auth


def with_page(app: Flask) -> Flask:
    """Give an app a page for everybody who is signed in."""
    app.add_url_rule("/me", "me", token_required(session=True)(lambda: current_actor.email))
    return app


@pytest.fixture
def app(make_app: Callable[..., Flask], otp_auth: OTPAuth) -> Flask:
    """The shop with a page."""
    return with_page(make_app(otp_auth))


def lets_in(app: Flask, token: str) -> bool:
    """Tell whether a token lets in."""
    return app.test_client().get("/me", headers=bearer(token)).status_code == 200


def revoke_all(app: Flask, otp_auth: OTPAuth, actor_type: str = "customer", actor: Any = 1) -> None:
    """Sign an actor out everywhere."""
    with app.app_context():
        otp_auth.revoke_all(actor_type, actor)


class TestRevokeAll:
    """``revoke_all`` ends whatever was issued to an actor until now."""

    def test_ends_every_token_and_every_session(
        self, clock: time_machine.Traveller, app: Flask, otp_auth: OTPAuth, client: FlaskClient
    ) -> None:
        token = sign_in(app)
        client.post("/auth/session", headers=bearer(token))
        clock.shift(60)
        tokens = [token, sign_in(app), Api(client).refresh(token).get_json()["token"]]
        revoke_all(app, otp_auth)
        assert [lets_in(app, token) for token in tokens] == [False, False, False]
        assert [Api(client).refresh(token).status_code for token in tokens] == [401] * 3
        assert client.get("/me").status_code == 401
        assert client.delete("/auth/session").status_code == 200

    def test_counts_to_the_second(
        self, clock: time_machine.Traveller, app: Flask, otp_auth: OTPAuth
    ) -> None:
        revoke_all(app, otp_auth)
        assert not lets_in(app, sign_in(app))
        clock.move_to(NOW + 1)
        assert lets_in(app, sign_in(app, actor_type="user"))
        clock.move_to(NOW + 61)
        assert lets_in(app, sign_in(app))

    def test_leaves_everybody_else_alone(
        self, app: Flask, otp_auth: OTPAuth, customers: Customers
    ) -> None:
        customers.add("bob@example.com")
        ada, bob = sign_in(app), sign_in(app, "bob@example.com")
        user = sign_in(app, actor_type="user")
        revoke_all(app, otp_auth)
        assert [lets_in(app, token) for token in (ada, bob, user)] == [False, True, True]

    def test_ends_the_registration_that_the_actor_began_with(
        self, app: Flask, otp_auth: OTPAuth, customers: Customers
    ) -> None:
        token = register(app)
        bob = customers.add("bob@example.com")
        revoke_all(app, otp_auth, actor=bob.id)
        assert Api(app.test_client()).refresh(token).status_code == 401

    def test_on_a_clock_that_is_behind_brings_nothing_back(
        self, clock: time_machine.Traveller, app: Flask, otp_auth: OTPAuth
    ) -> None:
        token = sign_in(app)
        revoke_all(app, otp_auth)
        clock.shift(-5)
        revoke_all(app, otp_auth)
        clock.shift(5)
        assert not lets_in(app, token)

    def test_lasts_as_long_as_any_session(
        self, clock: time_machine.Traveller, app: Flask, otp_auth: OTPAuth, client: FlaskClient
    ) -> None:
        client.post("/auth/session", headers=bearer(sign_in(app)))
        revoke_all(app, otp_auth)
        clock.move_to(NOW + 30 * DAY - 1)
        assert client.get("/me").status_code == 401

    def test_can_be_repeated(
        self, clock: time_machine.Traveller, app: Flask, otp_auth: OTPAuth
    ) -> None:
        old = sign_in(app)
        revoke_all(app, otp_auth)
        clock.shift(60)
        new = sign_in(app)
        assert lets_in(app, new)
        revoke_all(app, otp_auth)
        assert not lets_in(app, new)
        assert not lets_in(app, old)

    @pytest.mark.parametrize("actor", [1, "1"])
    def test_takes_an_id_as_the_app_has_it_and_tells(
        self, app: Flask, otp_auth: OTPAuth, ear: Ear, actor: object
    ) -> None:
        token = sign_in(app)
        ear.heard.clear()
        revoke_all(app, otp_auth, actor=actor)
        assert ear.heard == [("token_revoked", {"actor_type": "customer", "actor_id": "1"})]
        assert not lets_in(app, token)

    def test_knows_its_actor_types(
        self, app: Flask, otp_auth: OTPAuth, store: WatchedStore
    ) -> None:
        store.calls.clear()
        with pytest.raises(NotFound):
            revoke_all(app, otp_auth, "nobody")
        assert store.calls == []

    def test_says_so_when_the_store_is_out_of_reach(
        self, app: Flask, otp_auth: OTPAuth, store: WatchedStore, ear: Ear
    ) -> None:
        store.reachable = False
        with pytest.raises(Unavailable):
            revoke_all(app, otp_auth)
        assert ear.heard == []

    def test_survives_a_change_of_the_secret_key(
        self, clock: time_machine.Traveller, make_app: Callable[..., Flask], otp_auth: OTPAuth
    ) -> None:
        before = with_page(make_app(otp_auth))
        new = "the-key-that-comes-after-the-one-before"
        after = with_page(make_app(otp_auth, SECRET_KEY=new, SECRET_KEY_FALLBACKS=[SECRET]))
        one, other = sign_in(before), sign_in(before, actor_type="user")
        assert lets_in(after, one)
        revoke_all(before, otp_auth)
        assert not lets_in(after, one)
        assert lets_in(after, other)
        revoke_all(after, otp_auth, "user")
        assert not lets_in(after, other)


class TestTheStore:
    """What is revoked is looked up at one trip, and names nobody."""

    def test_one_trip_for_each_guarded_request_whatever_the_number_of_keys(
        self, make_app: Callable[..., Flask], otp_auth: OTPAuth, store: WatchedStore
    ) -> None:
        app = with_page(
            make_app(otp_auth, SECRET_KEY_FALLBACKS=["an old key of 32 bytes or more.."])
        )
        token = sign_in(app)
        store.calls.clear()
        assert lets_in(app, token)
        assert store.calls == ["peek"]

    def test_keys_of_one_actor_share_a_slot_and_name_nobody(
        self, app: Flask, otp_auth: OTPAuth, store: WatchedStore
    ) -> None:
        token = sign_in(app)
        store.written.clear()
        Api(app.test_client()).revoke(token)
        revoke_all(app, otp_auth)
        one, every = store.written
        tag = every.removeprefix("otp_auth:{").removesuffix("}:revoked")
        assert len(bytes.fromhex(tag)) == 16
        assert one.startswith(f"{every}:")
        assert parts(token)[1]["jti"] not in one

    @pytest.mark.parametrize("value", ["", "garbage", "nan", "9" * 5000])
    def test_what_can_not_be_read_revokes_everything(
        self, app: Flask, otp_auth: OTPAuth, store: WatchedStore, value: str
    ) -> None:
        revoke_all(app, otp_auth)
        (key,) = (key for key in store.written if key.endswith(":revoked"))
        store.put({key: value}, 60)
        assert not lets_in(app, sign_in(app))


class SlowStore(WatchedStore):
    """A store that lets something else happen while it is written to.

    :ivar ttls: how long it was told to keep things.
    """

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] | None = None
        self.ttls: list[int] = []

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        self.ttls.append(ttl)
        happen, self.meanwhile = self.meanwhile, None
        if happen is not None:
            happen()
        super().put(items, ttl)


class TestRaces:
    """A refresh beside ``revoke_all`` saves nobody."""

    def test_a_refresh_that_has_looked_before(
        self, clock: time_machine.Traveller, app: Flask, otp_auth: OTPAuth
    ) -> None:
        token = sign_in(app)

        @otp_auth.claims_loader
        def load(actor_type: str, actor: object) -> dict[str, Any]:
            revoke_all(app, otp_auth)
            clock.shift(5)
            return {}

        fresh = Api(app.test_client()).refresh(token).get_json()["token"]
        assert not lets_in(app, fresh)

    def test_a_refresh_between_the_look_at_the_clock_and_the_write(
        self, clock: time_machine.Traveller, make_app: Callable[..., Flask], customers: Customers
    ) -> None:
        store = SlowStore()
        otp_auth = OTPAuth(cache=store)
        otp_auth.add_actor_type("customer", customers)
        app = with_page(make_app(otp_auth))
        token = sign_in(app)
        fresh: list[str] = []

        def refresh() -> None:
            clock.shift(5)
            fresh.append(Api(app.test_client()).refresh(token).get_json()["token"])

        store.meanwhile = refresh
        revoke_all(app, otp_auth)
        assert [lets_in(app, token) for token in fresh] == [False]


def test_a_session_that_a_shorter_session_ttl_has_ended_can_be_left(
    clock: time_machine.Traveller, make_app: Callable[..., Flask], customers: Customers
) -> None:
    store = SlowStore()
    otp_auth = OTPAuth(cache=store)
    otp_auth.add_actor_type("customer", customers)
    long, short = (make_app(otp_auth, OTP_AUTH_SESSION_TTL=days * DAY) for days in (30, 1))
    client = long.test_client()
    client.post("/auth/session", headers=bearer(sign_in(long)))
    cookie = client.get_cookie("session")
    assert cookie is not None
    clock.shift(2 * DAY)
    store.ttls.clear()
    client = short.test_client()
    client.set_cookie("session", cookie.value)
    assert client.delete("/auth/session").status_code == 200
    assert store.ttls == [1]  # no storage takes less


def test_one_revoked_token_leaves_the_actors_others(
    make_watched: Callable[..., Watched], clock: time_machine.Traveller
) -> None:
    shop = make_watched()
    app = with_page(shop.app)
    token = sign_in(app, ADA)
    other = Api(app.test_client()).refresh(token).get_json()["token"]
    Api(app.test_client()).revoke(token)
    assert not lets_in(app, token)
    assert lets_in(app, other)
