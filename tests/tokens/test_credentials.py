"""Credentials: what a token, a refresh, a sign-out does, without HTTP."""

import copy
import json
import pickle
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from blinker import NamedSignal
from fakes import ADA, BOB, NOW, Customers, FakeStore, claims_of
from limits.strategies import MovingWindowRateLimiter
from time_machine import Traveller
from werkzeug.local import LocalProxy

from flask_otp_auth.core.actors import ActorRegistry, ActorTypeSpec
from flask_otp_auth.core.budgets import Budget, Budgets
from flask_otp_auth.core.context import NO_CALLER, Caller, Context, NoCaller
from flask_otp_auth.core.crypto import KeyHasher, Keys
from flask_otp_auth.core.keyset import symmetric_keys
from flask_otp_auth.core.settings import Settings
from flask_otp_auth.core.validators import limit
from flask_otp_auth.errors import (
    ActorNotCreated,
    DuplicateError,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
)
from flask_otp_auth.storage.memory import MemoryLimitStorage
from flask_otp_auth.tokens.admissions import Prepared
from flask_otp_auth.tokens.credentials import Credentials, Token
from flask_otp_auth.tokens.jwt import TokenIssuer
from flask_otp_auth.tokens.registrations import RegistrationRights
from flask_otp_auth.tokens.sign_ins import SignIns

DAY = 86_400
OLD, NEW = b"o" * 32, b"n" * 32


@dataclass
class Shop:
    """The credentials of a shop whose customers and users have the same ids.

    :ivar store: where the rights of registrations are.
    :ivar sign_ins: where the sign-ins are.
    :ivar heard: the name and the arguments of each signal.
    :ivar claims: the shop's own claims; an exception is raised.
    """

    secrets: tuple[bytes, ...] = (NEW,)
    settings: Settings = field(default_factory=lambda: Settings(token_issuer="shop"))
    customers: Customers = field(default_factory=Customers)
    store: FakeStore = field(default_factory=FakeStore)
    sign_ins: FakeStore = field(default_factory=FakeStore)
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    claims: Mapping[str, Any] | Exception = field(default_factory=dict)
    names: tuple[str, ...] = ("customer", "user")

    def __post_init__(self) -> None:
        keys = Keys.derive(self.secrets, "shop")
        types = {name: ActorTypeSpec.build(name, self.customers) for name in self.names}
        self.actors = ActorRegistry(types, self.settings)
        self.limits = MemoryLimitStorage()
        self.credentials = Credentials(
            self.actors,
            TokenIssuer(symmetric_keys(keys.tokens), "HS256", "shop", 10),
            SignIns(self.sign_ins, keys),
            RegistrationRights(self.store, keys),
            self.emit,
            self.load_claims,
            Budgets(lambda: MovingWindowRateLimiter(self.limits), KeyHasher(keys.names)),
        )

    def emit(self, signal: NamedSignal, **arguments: object) -> None:
        self.heard.append((signal.name.replace("-", "_"), arguments))

    def load_claims(self, actor_type: str, actor: Any) -> Mapping[str, Any]:
        if isinstance(self.claims, Exception):
            raise self.claims
        return self.claims

    def prepare(self, actor_type: str = "customer", caller: Caller = NO_CALLER) -> Prepared:
        """Prepare to sign Ada in with a code that was right."""
        kind, ada = self.actors.get(actor_type), self.customers.accounts[0]
        return self.credentials.prepare(kind, ada, identifier=ADA, method="otp", caller=caller)

    def sign_in(self, actor_type: str = "customer", caller: Caller = NO_CALLER) -> Token:
        """Sign Ada in with a code that was right."""
        return self.credentials.begin(self.prepare(actor_type, caller))

    def register(self, identifier: str = BOB, actor_type: str = "customer") -> Token:
        """Register Bob with a code that was right."""
        kind = self.actors.get(actor_type)
        prepared = self.credentials.prepare_registration(kind, identifier)
        return self.credentials.begin_registration(prepared)

    def is_valid(self, token: str) -> bool:
        try:
            self.credentials.identify(token)
        except Unauthorized:
            return False
        return True


MakeShop = Callable[..., Shop]


@pytest.fixture
def make_shop() -> MakeShop:
    """Make a shop where Ada is a customer, with settings of the test's own."""

    def make(*, secrets: tuple[bytes, ...] = (NEW,), like: Shop | None = None, **own: Any) -> Shop:
        shared = {} if like is None else {"store": like.store, "sign_ins": like.sign_ins}
        shop = Shop(secrets, Settings(token_issuer="shop", **own), **shared)
        shop.customers.add(ADA)
        return shop

    return make


@pytest.fixture
def shop(make_shop: MakeShop) -> Shop:
    """The shop with default settings."""
    return make_shop()


def caller(browser: str | None = "Firefox", platform: str | None = "Linux") -> Caller:
    """Return the caller of a request from a browser."""
    context = Context("en", datetime.now(UTC), browser, platform, "192.0.2.1")
    return NoCaller(context=context)


class TestTokens:
    """A token is a text that knows whose it is."""

    def test_an_authentication_token_knows_its_actor(self, shop: Shop) -> None:
        token = shop.sign_in()
        assert token.actor is shop.customers.accounts[0]
        assert (token.actor_type, token.identifier, token.registration) == ("customer", ADA, False)

    def test_a_registration_token_knows_its_identifier(self, shop: Shop) -> None:
        token = shop.register()
        assert token.actor is None
        assert (token.actor_type, token.identifier, token.registration) == ("customer", BOB, True)

    def test_it_is_a_plain_text_for_all_others(self, shop: Shop) -> None:
        token = shop.sign_in()
        text = str(token)
        assert type(text) is str
        assert token == text
        assert {token: 1}[text] == 1
        assert json.dumps({"token": token}) == f'{{"token": "{text}"}}'
        assert f"Bearer {token}" == f"Bearer {text}"

    def test_its_repr_shows_nothing_of_it(self, shop: Shop) -> None:
        token = shop.sign_in()
        assert repr(token) == "<Token for customer>"
        assert token[-40:] not in f"{[token]} {SimpleNamespace(token=token)}"

    def test_it_can_be_copied_and_pickled(self) -> None:
        token = Token("a.b.c", "ada", "customer", ADA)
        for twin in (copy.copy(token), copy.deepcopy(token), pickle.loads(pickle.dumps(token))):  # noqa: S301 - of our own making
            assert (twin, twin.actor, twin.identifier) == (token, "ada", ADA)


class TestSigningIn:
    """The order: claims, slot and token ready, then the code, then the slot."""

    def test_a_token_has_the_documented_claims(self, shop: Shop) -> None:
        claims = claims_of(shop.sign_in())
        assert len(claims.pop("jti")) == 32
        assert claims.pop("sid") == shop.credentials.sign_ins("customer", 1)[0].id
        assert claims == {
            "iss": "shop",
            "sub": "1",
            "aud": "customer",
            "iat": NOW,
            "exp": NOW + 3600,
            "auth_time": NOW,
            "amr": ["otp"],
        }

    def test_it_is_signalled(self, shop: Shop) -> None:
        context = caller().context
        shop.sign_in(caller=NoCaller(context=context))
        assert shop.heard == [
            (
                "actor_authenticated",
                {
                    "actor_type": "customer",
                    "actor_id": "1",
                    "identifier": ADA,
                    "method": "otp",
                    "new_device": True,
                    "context": context,
                },
            )
        ]

    def test_what_is_prepared_is_no_sign_in_yet(self, shop: Shop) -> None:
        prepared = shop.prepare()
        assert not shop.is_valid(prepared.token)
        assert shop.heard == []
        assert shop.is_valid(shop.credentials.begin(prepared))

    def test_a_lost_slot_is_made_up_for_with_another_token(self, shop: Shop) -> None:
        prepared = [shop.prepare() for _ in range(40)]
        tokens = [shop.credentials.begin(one) for one in prepared]
        assert sum(map(shop.is_valid, tokens)) == 32

    @pytest.mark.parametrize("claims", [{"iss": "mine"}, {"a": object()}, RuntimeError("x"), [1]])
    def test_own_claims_that_fail_use_up_nothing(self, shop: Shop, claims: Any) -> None:
        shop.claims = claims
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            shop.sign_in()
        assert shop.sign_ins.calls == []

    def test_own_claims_stand_in_each_token_but_a_registration_s(self, shop: Shop) -> None:
        shop.claims = {"role": "admin"}
        token = shop.sign_in()
        fresh = shop.credentials.refresh(token, NO_CALLER)
        assert [claims_of(one).get("role") for one in (token, fresh)] == ["admin", "admin"]
        assert "role" not in claims_of(shop.register())

    def test_a_token_never_outlives_its_sign_in(self, make_shop: MakeShop, now: Traveller) -> None:
        shop = make_shop(token_ttl=60, session_ttl=100)
        token = shop.sign_in()
        now.shift(50)
        fresh = shop.credentials.refresh(token, NO_CALLER)
        assert claims_of(fresh)["exp"] == NOW + 100

    def test_no_more_than_max_sign_ins(self, make_shop: MakeShop) -> None:
        shop = make_shop(max_sign_ins=2)
        tokens = [shop.sign_in() for _ in range(3)]
        assert [shop.is_valid(token) for token in tokens] == [False, True, True]


class TestSigningInWithoutACode:
    """``sign_in``: for an app's own password form, OAuth and the like."""

    def test_says_how(self, shop: Shop) -> None:
        ada = shop.customers.accounts[0]
        token = shop.credentials.sign_in("customer", ada, ("pwd", "otp"), caller())
        assert claims_of(token)["amr"] == ["pwd", "otp"]
        assert (token.actor, token.identifier) == (ada, None)
        ((_, arguments),) = shop.heard
        assert (arguments["method"], arguments["identifier"]) == ("app", None)

    def test_a_refresh_keeps_how(self, shop: Shop) -> None:
        ada = shop.customers.accounts[0]
        token = shop.credentials.sign_in("customer", ada, ["pwd"], NO_CALLER)
        assert claims_of(shop.credentials.refresh(token, NO_CALLER))["amr"] == ["pwd"]

    @pytest.mark.parametrize("amr", ["pwd", (), [1], b"pwd"])
    def test_how_is_a_list_of_texts(self, shop: Shop, amr: Any) -> None:
        with pytest.raises(TypeError, match=r'^amr must be a tuple of texts, such as \("pwd",\)$'):
            shop.credentials.sign_in("customer", shop.customers.accounts[0], amr, NO_CALLER)

    def test_an_inactive_actor_is_refused(self, shop: Shop) -> None:
        shop.customers.accounts[0].is_active = False
        with pytest.raises(Unauthorized):
            shop.credentials.sign_in("customer", shop.customers.accounts[0], ("pwd",), NO_CALLER)

    def test_nobody_is_a_mistake(self, shop: Shop) -> None:
        with pytest.raises(TypeError, match=r"^an actor must have an id"):
            shop.credentials.sign_in("customer", None, ("pwd",), NO_CALLER)


class TestIdentifying:
    """A token counts while its sign-in and its actor do."""

    def test_returns_claims_and_actor_in_one_round_trip(self, shop: Shop) -> None:
        token = shop.sign_in()
        shop.sign_ins.calls.clear()
        claims, actor = shop.credentials.identify(token, ("customer",))
        assert (claims.subject, actor) == ("1", shop.customers.accounts[0])
        assert shop.sign_ins.verbs == ["peek"]
        assert shop.store.calls == []

    def test_a_sign_in_is_of_one_actor_type(self, shop: Shop) -> None:
        token = shop.sign_in("user")
        assert shop.is_valid(token)
        with pytest.raises(Unauthorized):
            shop.credentials.identify(token, ("customer",))

    @pytest.mark.parametrize("change", ["inactive", "gone"])
    def test_an_actor_that_has_left_is_refused(self, shop: Shop, change: str) -> None:
        token = shop.sign_in()
        if change == "gone":
            shop.customers.accounts.clear()
        else:
            shop.customers.accounts[0].is_active = False
        assert not shop.is_valid(token)
        with pytest.raises(Unauthorized):
            shop.credentials.refresh(token, NO_CALLER)

    def test_max_age_counts_from_the_sign_in(self, shop: Shop, now: Traveller) -> None:
        token = shop.sign_in()
        now.shift(30)
        assert shop.credentials.identify(token, max_age=30)
        now.shift(1)
        fresh = shop.credentials.refresh(token, NO_CALLER)
        with pytest.raises(Unauthorized) as caught:
            shop.credentials.identify(fresh, max_age=30)
        assert caught.value.error == "insufficient_user_authentication"
        assert caught.value.max_age == 30

    def test_an_outage_is_no_refusal(self, shop: Shop) -> None:
        token = shop.sign_in()
        shop.sign_ins.reachable = False
        with pytest.raises(Unavailable):
            shop.credentials.identify(token)
        shop.sign_ins.reachable = True
        assert shop.is_valid(token)

    def test_an_actor_type_that_was_given_up_is_refused(self, shop: Shop) -> None:
        token = shop.sign_in("user")
        fewer = Shop(names=("customer",), store=shop.store, sign_ins=shop.sign_ins)
        registration = shop.credentials.registration(shop.register("eve@example.com", "user"))
        with pytest.raises(Unauthorized):
            fewer.credentials.identify(token, ("user",))
        with pytest.raises(Unauthorized):
            fewer.credentials.complete(registration, shop.customers.accounts[0], NO_CALLER)


class TestRefreshing:
    """A token that has not expired gives a fresh one of the same sign-in."""

    def test_a_fresh_token_is_of_the_same_sign_in(self, shop: Shop, now: Traveller) -> None:
        token = shop.sign_in()
        now.shift(3000)
        fresh = shop.credentials.refresh(token, NO_CALLER)
        before, after = claims_of(token), claims_of(fresh)
        assert after["exp"] == before["exp"] + 3000
        assert [after[name] for name in ("sid", "auth_time", "amr")] == [
            before[name] for name in ("sid", "auth_time", "amr")
        ]
        assert after["jti"] != before["jti"]
        assert shop.is_valid(token)
        assert fresh.actor is shop.customers.accounts[0]
        assert fresh.identifier is None

    def test_it_is_signalled_and_tells_a_copy_on_another_device(self, shop: Shop) -> None:
        token = shop.sign_in(caller=caller("Firefox", "Linux"))
        shop.heard.clear()
        for where in (NO_CALLER, caller("Firefox", "Linux"), caller("Chrome", "Windows")):
            shop.credentials.refresh(token, where)
        told = [arguments for _, arguments in shop.heard]
        assert [(one["method"], one["identifier"]) for one in told] == [("refresh", None)] * 3
        assert [one["new_device"] for one in told] == [None, False, True]

    def test_it_goes_on_until_the_sign_in_has_lasted_long_enough(
        self, make_shop: MakeShop, now: Traveller
    ) -> None:
        shop = make_shop(token_ttl=60, session_ttl=100)
        token = shop.sign_in()
        for _ in range(2):
            now.shift(45)
            token = shop.credentials.refresh(token, NO_CALLER)
        now.shift(9)
        assert shop.credentials.refresh(token, NO_CALLER)
        now.shift(1)
        with pytest.raises(Unauthorized):
            shop.credentials.refresh(token, NO_CALLER)

    def test_an_expired_token_is_too_late(self, shop: Shop, now: Traveller) -> None:
        token = shop.sign_in()
        now.shift(3600 + 10)  # the leeway
        with pytest.raises(Unauthorized):
            shop.credentials.refresh(token, NO_CALLER)


class TestRegistrations:
    """A registration token is exchanged once, when the app has created the actor."""

    def test_has_the_documented_claims(self, shop: Shop) -> None:
        claims = claims_of(shop.register())
        assert len(claims.pop("jti")) == len(claims.pop("sid")) == 32
        assert claims == {
            "iss": "shop",
            "sub": BOB,
            "aud": "customer",
            "iat": NOW,
            "exp": NOW + 600,
            "auth_time": NOW,
            "amr": ["otp"],
        }

    def test_is_refreshed_once(self, shop: Shop, now: Traveller) -> None:
        token = shop.register()
        bob = shop.customers.add(BOB)
        now.shift(60)
        fresh = shop.credentials.refresh(token, caller())
        assert (fresh.actor, fresh.identifier, fresh.registration) == (bob, BOB, False)
        assert claims_of(fresh)["auth_time"] == NOW
        assert shop.is_valid(fresh)
        ((_, arguments),) = shop.heard
        assert (arguments["method"], arguments["identifier"]) == ("refresh", None)
        with pytest.raises(Unauthorized):
            shop.credentials.refresh(token, NO_CALLER)

    @pytest.mark.parametrize("inactive", [False, True])
    def test_keeps_its_right_until_there_is_an_active_actor(
        self, shop: Shop, inactive: bool
    ) -> None:
        token = shop.register()
        if inactive:
            shop.customers.add(BOB).is_active = False
        for _ in range(3):
            with pytest.raises(ActorNotCreated):
                shop.credentials.refresh(token, NO_CALLER)
        shop.customers.accounts[1:] = []
        shop.customers.add(BOB)
        assert shop.credentials.refresh(token, NO_CALLER)

    def test_keeps_its_right_when_own_claims_fail(self, shop: Shop) -> None:
        token = shop.register()
        shop.customers.add(BOB)
        shop.claims = RuntimeError("database is down")
        with pytest.raises(RuntimeError):
            shop.credentials.refresh(token, NO_CALLER)
        shop.claims = {}
        assert shop.credentials.refresh(token, NO_CALLER)

    def test_is_completed_in_place_of_the_refresh(self, shop: Shop) -> None:
        token = shop.register()
        claims = shop.credentials.registration(token)
        bob = shop.customers.add(BOB)
        fresh = shop.credentials.complete(claims, bob, caller())
        assert (fresh.actor, fresh.identifier) == (bob, BOB)
        assert shop.is_valid(fresh)
        for again in (
            lambda: shop.credentials.complete(claims, bob, NO_CALLER),
            lambda: shop.credentials.refresh(token, NO_CALLER),
        ):
            with pytest.raises(Unauthorized):
                again()

    def test_is_not_completed_for_an_inactive_actor(self, shop: Shop) -> None:
        claims = shop.credentials.registration(shop.register())
        bob = shop.customers.add(BOB)
        bob.is_active = False
        with pytest.raises(ActorNotCreated):
            shop.credentials.complete(claims, bob, NO_CALLER)

    @pytest.mark.parametrize("active", [True, False])
    def test_is_a_duplicate_once_there_is_an_actor(self, shop: Shop, active: bool) -> None:
        token = shop.register()
        assert shop.credentials.registration(token, ("customer",)).subject == BOB
        shop.customers.add(BOB).is_active = active
        with pytest.raises(DuplicateError):
            shop.credentials.registration(token)

    def test_is_of_one_actor_type_and_no_sign_in(self, shop: Shop) -> None:
        token = shop.register()
        for refused in (
            lambda: shop.credentials.registration(token, ("user",)),
            lambda: shop.credentials.registration(shop.sign_in()),
            lambda: shop.credentials.identify(token),
            lambda: shop.credentials.revoke(token),
            lambda: shop.credentials.begin_session(token),
        ):
            with pytest.raises(Unauthorized):
                refused()

    def test_expires(self, shop: Shop, now: Traveller) -> None:
        token = shop.register()
        shop.customers.add(BOB)
        now.shift(609)
        assert shop.credentials.registration(shop.register("eve@example.com"))
        now.shift(1)
        with pytest.raises(Unauthorized):
            shop.credentials.refresh(token, NO_CALLER)

    def test_begins_no_sign_in_that_would_be_over(
        self, make_shop: MakeShop, now: Traveller
    ) -> None:
        shop = make_shop(token_ttl=60, session_ttl=100)
        token = shop.register()
        shop.customers.add(BOB)
        now.shift(100)
        with pytest.raises(Unauthorized):
            shop.credentials.refresh(token, NO_CALLER)

    @pytest.mark.parametrize("value", ["1", "", "garbage"])
    def test_a_forged_right_is_none(self, shop: Shop, value: str) -> None:
        token = shop.register()
        shop.customers.add(BOB)
        shop.store.items = {key: (value, float("inf")) for key in shop.store.items}
        with pytest.raises(Unauthorized):
            shop.credentials.refresh(token, NO_CALLER)

    def test_one_right_does_not_stand_for_another(self, shop: Shop) -> None:
        token = shop.register()
        shop.register("eve@example.com")
        (key, _), (_, theirs) = shop.store.items.items()
        shop.store.items = {key: theirs}
        shop.customers.add(BOB)
        with pytest.raises(Unauthorized):
            shop.credentials.refresh(token, NO_CALLER)


class TestRevoking:
    """A sign-out takes the slot: all tokens of the sign-in end, and no other's."""

    def test_ends_every_copy_and_refreshed_token(self, shop: Shop) -> None:
        token, other = shop.sign_in(), shop.sign_in()
        fresh = shop.credentials.refresh(token, NO_CALLER)
        shop.credentials.revoke(fresh)
        assert [shop.is_valid(one) for one in (token, fresh, other)] == [False, False, True]
        for ended in (token, fresh):
            with pytest.raises(Unauthorized):
                shop.credentials.revoke(ended)

    def test_is_signalled_once(self, shop: Shop) -> None:
        token = shop.sign_in()
        shop.heard.clear()
        shop.credentials.revoke(token)
        assert shop.heard == [("token_revoked", {"actor_type": "customer", "actor_id": "1"})]

    def test_who_loses_a_race_is_refused(self, shop: Shop) -> None:
        token = shop.sign_in()

        def overtake() -> None:
            shop.sign_ins.before_take = lambda: None
            shop.credentials.revoke(token)

        shop.sign_ins.before_take = overtake
        shop.heard.clear()
        with pytest.raises(Unauthorized):
            shop.credentials.revoke(token)
        assert len(shop.heard) == 1

    def test_works_while_the_actor_is_inactive(self, shop: Shop) -> None:
        token = shop.sign_in()
        shop.customers.accounts[0].is_active = False
        shop.credentials.revoke(token)
        shop.customers.accounts[0].is_active = True
        assert not shop.is_valid(token)

    @pytest.mark.parametrize("setting", [{"session_ttl": 60}, {"max_sign_ins": 1}])
    def test_ends_what_does_not_count_meanwhile(
        self,
        make_shop: Callable[..., Shop],
        now: Traveller,
        setting: dict[str, int],
    ) -> None:
        """Or it would count again once the setting is changed back."""
        shop = make_shop()
        tokens = [shop.sign_in() for _ in range(6)]
        sessions = [shop.credentials.begin_session(token) for token in tokens[2:4]]
        now.shift(60)
        strict = make_shop(like=shop, token_ttl=60, **setting)
        for token in tokens[:2]:
            strict.credentials.revoke(token)
        for session in sessions:
            strict.credentials.end_session(session)
        for token in tokens[4:]:
            assert strict.credentials.end_sign_in("customer", 1, claims_of(token)["sid"])
        assert not any(map(shop.is_valid, tokens))

    @pytest.mark.parametrize("by", [1, "1", "the actor"])
    def test_all_of_an_actor_end(self, shop: Shop, by: object) -> None:
        ada = shop.customers.accounts[0]
        tokens = [shop.sign_in() for _ in range(3)]
        tokens.append(shop.credentials.refresh(tokens[0], NO_CALLER))
        user = shop.sign_in("user")
        shop.heard.clear()
        shop.credentials.revoke_all("customer", ada if by == "the actor" else by)
        assert not any(map(shop.is_valid, tokens))
        assert shop.is_valid(user)
        assert shop.heard == [("token_revoked", {"actor_type": "customer", "actor_id": "1"})]

    def test_a_new_sign_in_counts_at_once(self, shop: Shop) -> None:
        shop.credentials.revoke_all("customer", 1)
        assert shop.is_valid(shop.sign_in())

    @pytest.mark.parametrize("nobody", [None, "", LocalProxy(lambda: None), b"1", [1], {"id": 1}])
    def test_nobody_is_a_mistake(self, shop: Shop, nobody: object) -> None:
        wanted = re.escape(f"an actor or its id is needed, not {nobody!r}")
        with pytest.raises(TypeError, match=f"^{wanted}$"):
            shop.credentials.revoke_all("customer", nobody)

    def test_an_unknown_actor_type_is_not_found(self, shop: Shop) -> None:
        with pytest.raises(NotFound):
            shop.credentials.revoke_all("nobody", 1)
        with pytest.raises(NotFound):
            shop.credentials.sign_in("nobody", shop.customers.accounts[0], ("pwd",), NO_CALLER)
        assert shop.sign_ins.calls == []

    def test_an_outage_is_told(self, shop: Shop) -> None:
        shop.sign_ins.reachable = False
        with pytest.raises(Unavailable):
            shop.credentials.revoke_all("customer", 1)
        assert shop.heard == []


class TestSignIns:
    """An actor sees its sign-ins, and ends one or all others."""

    def test_are_listed_with_the_current_one(self, shop: Shop) -> None:
        one = shop.sign_in(caller=caller("Firefox", "Linux"))
        shop.sign_in(caller=caller("Safari", "iOS"))
        sid = claims_of(one)["sid"]
        listed = shop.credentials.sign_ins("customer", shop.customers.accounts[0], sid)
        assert [(sign_in.browser, sign_in.current) for sign_in in listed] == [
            ("Safari", False),
            ("Firefox", True),
        ]

    def test_one_ends(self, shop: Shop) -> None:
        one, other = shop.sign_in(), shop.sign_in()
        shop.heard.clear()
        sid = claims_of(one)["sid"]
        assert shop.credentials.end_sign_in("customer", 1, sid) is True
        assert shop.credentials.end_sign_in("customer", 1, sid) is False
        assert shop.credentials.end_sign_in("customer", 1, "garbage") is False
        assert [shop.is_valid(token) for token in (one, other)] == [False, True]
        assert len(shop.heard) == 1

    def test_somebody_else_s_does_not(self, shop: Shop) -> None:
        shop.customers.add(BOB)
        token = shop.sign_in()
        assert shop.credentials.end_sign_in("customer", 2, claims_of(token)["sid"]) is False
        assert shop.is_valid(token)

    def test_all_others_end(self, shop: Shop) -> None:
        tokens = [shop.sign_in() for _ in range(3)]
        shop.heard.clear()
        sid = claims_of(tokens[1])["sid"]
        assert shop.credentials.end_other_sign_ins("customer", 1, sid) == 2
        assert [shop.is_valid(token) for token in tokens] == [False, True, False]
        assert shop.credentials.end_other_sign_ins("customer", 1, sid) == 0
        assert shop.heard == [("token_revoked", {"actor_type": "customer", "actor_id": "1"})]


class TestSessions:
    """What a session keeps of a token."""

    def test_has_the_claims_of_the_token_but_its_end_and_the_app_s_own(self, shop: Shop) -> None:
        shop.claims = {"note": "x" * 5000}
        token = shop.sign_in()
        session = shop.credentials.begin_session(token)
        assert shop.credentials.begin_session(token, is_fresh=True) == session
        claims = claims_of(token)
        del claims["note"]
        assert session == {**claims, "exp": NOW + 30 * DAY}
        assert shop.credentials.verify_session(session)[1] is shop.customers.accounts[0]

    def test_ends_with_its_sign_in(self, shop: Shop) -> None:
        session = shop.credentials.begin_session(token := shop.sign_in())
        shop.credentials.end_session(session)
        with pytest.raises(Unauthorized):
            shop.credentials.verify_session(session)
        assert not shop.is_valid(token)

    @pytest.mark.parametrize("session", [None, {}, "garbage"])
    def test_to_end_what_is_none_does_nothing(self, shop: Shop, session: object) -> None:
        shop.credentials.end_session(session)
        assert shop.heard == []

    @pytest.mark.parametrize("subject", ["", "None"])
    def test_to_end_one_of_nobody_does_nothing(self, shop: Shop, subject: str) -> None:
        """No actor has such an id, but a browser must not be kept from signing in by it."""
        session = shop.credentials.begin_session(token := shop.sign_in())
        shop.heard.clear()
        shop.credentials.end_session({**session, "sub": subject})
        assert shop.heard == []
        assert shop.is_valid(token)

    def test_to_end_it_twice_does_nothing_more(self, shop: Shop) -> None:
        session = shop.credentials.begin_session(shop.sign_in())
        shop.heard.clear()
        for _ in range(2):
            shop.credentials.end_session(session)
        assert len(shop.heard) == 1


class TestActorLimits:
    """Refreshes, sign-outs and sessions of one actor are counted together."""

    @pytest.fixture
    def shop(self, make_shop: MakeShop) -> Shop:
        """A shop that lets an actor do two things an hour."""
        return make_shop(actor_limits=limit("2/hour"))

    def test_the_actor_is_told_when_to_come_back(self, shop: Shop, now: Traveller) -> None:
        token = shop.sign_in()
        shop.credentials.refresh(token, NO_CALLER)
        now.shift(60)
        shop.credentials.begin_session(token)
        for refused in (
            lambda: shop.credentials.refresh(token, NO_CALLER),
            lambda: shop.credentials.revoke(token),
            lambda: shop.credentials.begin_session(token),
        ):
            with pytest.raises(RateLimited) as caught:
                refused()
            assert caught.value.retry_after == 3540
        assert shop.is_valid(token)

    def test_each_actor_has_its_own(self, shop: Shop) -> None:
        token, user = shop.sign_in(), shop.sign_in("user")
        for _ in range(2):
            shop.credentials.refresh(token, NO_CALLER)
        assert shop.credentials.refresh(user, NO_CALLER)

    def test_a_token_that_was_revoked_uses_up_nothing(self, shop: Shop) -> None:
        stolen, token = shop.sign_in(), shop.sign_in()
        shop.credentials.revoke(stolen)
        for _ in range(5):
            with pytest.raises(Unauthorized):
                shop.credentials.refresh(stolen, NO_CALLER)
        assert shop.credentials.refresh(token, NO_CALLER)

    def test_a_registration_is_counted_by_its_identifier(self, shop: Shop) -> None:
        token = shop.register("1")  # which looks like Ada's id
        for _ in range(2):
            with pytest.raises(ActorNotCreated):
                shop.credentials.refresh(token, NO_CALLER)
        with pytest.raises(RateLimited):
            shop.credentials.refresh(token, NO_CALLER)
        assert shop.credentials.refresh(shop.sign_in(), NO_CALLER)

    @pytest.mark.parametrize("who", [("actor", "customer", "1"), ("registration", "customer", ADA)])
    def test_an_upgrade_goes_on_counting_where_the_version_before_stopped(
        self, shop: Shop, who: tuple[str, ...]
    ) -> None:
        hasher = KeyHasher(Keys.derive((NEW,), "shop").names)
        before = Budgets(lambda: MovingWindowRateLimiter(shop.limits), hasher)
        token = shop.sign_in() if who[0] == "actor" else shop.register(ADA)
        for _ in range(2):
            before.take(Budget(limit("2/hour"), who))
        with pytest.raises(RateLimited):
            shop.credentials.refresh(token, NO_CALLER)


class TestKeyRotation:
    """``SECRET_KEY_FALLBACKS`` carry over what is under way."""

    def test_a_token_still_works_and_is_refreshed_under_the_new_key(
        self, make_shop: MakeShop
    ) -> None:
        before = make_shop(secrets=(OLD,))
        after = make_shop(secrets=(OLD, NEW), like=before)
        end = make_shop(secrets=(NEW,), like=before)
        token = before.sign_in()
        fresh = after.credentials.refresh(token, NO_CALLER)
        assert after.is_valid(fresh)
        assert not end.is_valid(token)
        after.credentials.revoke(fresh)
        assert not before.is_valid(token)

    def test_a_registration_token_is_still_exchanged_once(self, make_shop: MakeShop) -> None:
        before = make_shop(secrets=(OLD,))
        after = make_shop(secrets=(OLD, NEW), like=before)
        token = before.register()
        for shop in (before, after):
            shop.customers.add(BOB)
        assert after.credentials.refresh(token, NO_CALLER)
        for shop in (after, before):
            with pytest.raises(Unauthorized):
                shop.credentials.refresh(token, NO_CALLER)


def test_whatever_a_log_prints_of_a_prepared_sign_in_shows_nothing(shop: Shop) -> None:
    prepared = shop.prepare()
    shown = repr([prepared, prepared.draft, prepared.proposal, prepared.token, time.time()])
    assert ADA not in shown
    assert prepared.proposal.sid not in shown
