"""Actor types: who signs in, where accounts are found, what is special to them."""

import asyncio
import functools
from collections import namedtuple
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from flask_login import UserMixin

from flask_otp_auth.core.actors import ActorRegistry, ActorType, ActorTypeSpec, actor_id, is_active
from flask_otp_auth.core.settings import Settings
from flask_otp_auth.errors import ConfigError, InvalidData, InvalidIdentifier, NotFound

ADA, BOB = "ada@example.com", "bob@example.com"


class Accounts:
    """An actor store of accounts by e-mail address and by id."""

    def __init__(self, *accounts: Any) -> None:
        self.accounts = accounts

    def find_by_identifier(self, identifier: str) -> Any | None:
        return next((a for a in self.accounts if a.email == identifier), None)

    def find_by_id(self, wanted: str) -> Any | None:
        return next((a for a in self.accounts if str(a.id) == wanted), None)


class Returns:
    """A store that returns the same to whoever asks."""

    def __init__(self, found: Any) -> None:
        self.found = found

    def find_by_identifier(self, identifier: str) -> Any:
        return self.found() if callable(self.found) else self.found

    find_by_id = find_by_identifier


class LoginUser(UserMixin):
    """A user of Flask-Login, whose id in a session is not its primary key."""

    id = 7

    def get_id(self) -> str:
        return "session-7"


class Unsaved(UserMixin):
    """A user of Flask-Login whom the database has yet to give an id."""

    id = None


def account(**facts: Any) -> SimpleNamespace:
    return SimpleNamespace(id=7, email=ADA, **facts)


def spec(
    store: Any = None, *, name: Any = "customer", identifier: Any = "email", **given: Any
) -> ActorTypeSpec:
    return ActorTypeSpec.build(
        name, store or Accounts(), identifier, given.pop("sign_up", "open"), given
    )


def build(store: Any = None, **given: Any) -> ActorType:
    return spec(store, **given).resolve(Settings(), special_use=lambda: False)


class TestTheId:
    """What tokens call an actor by."""

    @pytest.mark.parametrize(
        ("actor", "its_id"),
        [(account(), "7"), (account(get_id=lambda: 8), "8"), (LoginUser(), "session-7")],
        ids=["id", "get_id", "flask-login"],
    )
    def test_it_is_what_flask_login_would_take_else_the_id(self, actor: Any, its_id: str) -> None:
        assert actor_id(actor) == its_id

    def test_it_may_be_zero(self) -> None:
        assert actor_id(SimpleNamespace(id=0)) == "0"

    @pytest.mark.parametrize(
        "actor",
        [object(), UserMixin(), Unsaved(), SimpleNamespace(id=None), SimpleNamespace(id=""),
         account(get_id=lambda: None), SimpleNamespace(id=lambda: 7), LoginUser],
        ids=["object", "flask-login", "unsaved", "none", "empty", "get_id", "method", "class"],
    )  # fmt: skip
    def test_an_actor_without_one_is_an_error(self, actor: Any) -> None:
        with pytest.raises(
            TypeError, match=r"^an actor must have an id; this .* has none \(yet\)$"
        ):
            actor_id(actor)

    def test_bytes_are_none_as_no_store_would_find_their_text(self) -> None:
        with pytest.raises(ValueError, match=r"id of this SimpleNamespace is bytes.* get_id\(\)"):
            actor_id(SimpleNamespace(id=b"\x00\x07"))
        assert actor_id(SimpleNamespace(id=b"\x00\x07", get_id=lambda: "0007")) == "0007"

    def test_a_coroutine_is_none(self) -> None:
        class Actor:
            async def get_id(self) -> str:
                return "7"

        with pytest.raises(TypeError, match=r"Actor\.get_id must not be async"):
            actor_id(Actor())


class TestRegistration:
    """What may be an actor type is told when it is added."""

    @pytest.mark.parametrize("name", ["customer", "Back-Office_2", "x", "x" * 64])
    def test_it_has_a_name_fit_for_a_url(self, name: str) -> None:
        assert build(name=name).name == name

    @pytest.mark.parametrize(
        "name",
        ["", "x" * 65, "a b", "a/b", "a.b", "kundé", "a\n", None, 7, [], "openapi.json",
         ".well-known"],
    )  # fmt: skip
    def test_any_other_name_is_refused(self, name: object) -> None:
        with pytest.raises(
            ConfigError, match=r"- an actor type is 1 to 64 letters, digits, - or _, not "
        ):
            build(name=name)

    @pytest.mark.parametrize("name", ["token", "session", "sign-ins", "static"])
    def test_so_is_the_name_of_a_route(self, name: str) -> None:
        with pytest.raises(
            ConfigError, match=rf"- {name!r} is the name of a route, so it can't be"
        ):
            build(name=name)

    @pytest.mark.parametrize("method", ["find_by_identifier", "find_by_id"])
    @pytest.mark.parametrize("instead", [None, "a text"])
    def test_a_store_without_its_two_methods_is_refused(self, method: str, instead: object) -> None:
        store = SimpleNamespace(**{"find_by_identifier": str, "find_by_id": str, method: instead})
        with pytest.raises(
            ConfigError, match=rf"- the store of actor type 'customer' has no method {method}\(\)$"
        ):
            build(store)

    def test_a_class_in_place_of_a_store_is_refused(self) -> None:
        the_class = (
            r"- Accounts\.find_by_identifier\(\) can't be called as find_by_identifier"
            r"\(identifier\); the store of actor type 'customer' must be an instance, not a class$"
        )
        with pytest.raises(ConfigError, match=the_class):
            build(Accounts)

    def test_a_class_whose_methods_need_no_instance_is_a_store(self) -> None:
        class Directory:
            find_by_identifier = staticmethod(lambda identifier: account())
            find_by_id = staticmethod(lambda actor_id: None)

        assert build(Directory).find_by_identifier(ADA).id == 7

    def test_a_method_that_takes_too_little_is_refused(self) -> None:
        store = SimpleNamespace(find_by_identifier=str, find_by_id=str, create=lambda address: None)
        with pytest.raises(
            ConfigError, match=r"create\(\) can't be .* create\(identifier, fields\)"
        ):
            build(store)

    @pytest.mark.parametrize("sign_up", ["invited", None, True])
    def test_sign_up_is_open_closed_or_a_function(self, sign_up: Any) -> None:
        with pytest.raises(
            ConfigError, match=r'- sign_up= must be "open", "closed" or a callable, not '
        ):
            build(sign_up=sign_up)

    def test_a_bad_identifier_form_or_override_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="identifier="):
            build(identifier="pigeon")
        with pytest.raises(ConfigError, match=r"- digits must"):
            build(digits=4)


async def lookup(*_: Any) -> Any:
    """A finder, a creator or a gate, as in an app on asyncio."""


def generate(*_: Any) -> Any:
    """Answer with a yield in place of a return."""
    yield False


async def stream(*_: Any) -> Any:
    """Do the same in an app on asyncio."""
    yield False


class Asked(Accounts):
    """A store whose answer to who is active has to be waited for."""

    def is_active(self, actor: Any) -> Any:
        return lookup()


class AsyncCall:
    async def __call__(self, identifier: str) -> Any: ...


class TestAsyncStores:
    """A coroutine is true whatever it would return, so it must never pass for an answer."""

    @pytest.mark.parametrize("method", ["find_by_identifier", "find_by_id", "create", "is_active"])
    @pytest.mark.parametrize(
        "function",
        [lookup, functools.partial(lookup, "shop"), AsyncCall()],
        ids=["function", "partial", "callable"],
    )
    def test_one_is_refused_when_it_is_added(self, method: str, function: Any) -> None:
        store = SimpleNamespace(**{"find_by_identifier": str, "find_by_id": str, method: function})
        is_async = (
            rf"- SimpleNamespace\.{method}\(\) is async def; the store of actor type 'customer' "
            "must be a plain one, whose methods return an actor or None$"
        )
        with pytest.raises(ConfigError, match=is_async):
            build(store)

    def test_a_decorator_that_runs_the_coroutine_mends_it(self) -> None:
        def waits(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def run(*args: Any) -> Any:
                return asyncio.run(function(*args))

            return run

        class Store:
            @waits
            async def find_by_identifier(self, identifier: str) -> Any:
                return account()

            @waits
            async def find_by_id(self, actor_id: str) -> Any:
                return account()

        assert build(Store()).find_by_identifier(ADA).id == 7

    @pytest.mark.parametrize(
        "make", [lookup, lambda: asyncio.Future(loop=asyncio.new_event_loop())]
    )
    def test_one_that_can_not_be_seen_is_refused_at_the_first_call(self, make: Any) -> None:
        """That no warning says "never awaited" is seen to by pytest."""

        def call() -> Any:
            made.append(make())
            return made[-1]

        made: list[Any] = []
        actor_type = build(Returns(call))
        try:
            with pytest.raises(
                TypeError,
                match=r"^Returns\.find_by_identifier\(\) must not be async: .* in place of a value",
            ):
                actor_type.find_by_identifier(ADA)
        finally:
            for one in made:
                if isinstance(one, asyncio.Future):
                    one.get_loop().close()

    def test_nor_is_who_may_sign_up(self) -> None:
        with pytest.raises(
            ConfigError, match=r"- sign_up= must be a plain function, not async def$"
        ):
            build(sign_up=lookup)

    @pytest.mark.parametrize(
        ("ask", "whose"),
        [
            (lambda: build(Returns(lookup)).find_by_identifier(ADA), "find_by_identifier"),
            (lambda: build(Returns(lookup)).find_including_inactive(ADA), "find_by_identifier"),
            (lambda: build(Returns(lookup)).find_by_id("7"), "find_by_id"),
            (lambda: build(Accounts(account(is_active=lookup))).find_by_id("7"), "is_active"),
            (lambda: build(Asked(account())).find_by_identifier(ADA), "is_active"),
            (lambda: build(sign_up=lambda _: lookup()).may_sign_up(ADA), "sign_up="),
        ],
    )
    def test_whatever_answers_is_held_to_it_at_each_call(
        self, ask: Callable[[], Any], whose: str
    ) -> None:
        with pytest.raises(
            TypeError, match=rf"{whose}.* must not be async: it returned .* in place of a value$"
        ):
            ask()

    @pytest.mark.parametrize(
        ("ask", "whose"),
        [
            (lambda: build(Returns(generate)).find_by_identifier(ADA), "find_by_identifier"),
            (lambda: build(Accounts(account(is_active=generate))).find_by_id("7"), "is_active"),
            (lambda: build(Accounts(account(is_active=stream))).find_by_id("7"), "is_active"),
            (lambda: build(sign_up=generate).may_sign_up(ADA), "sign_up="),
            (lambda: build(sign_up=stream).may_sign_up(ADA), "sign_up="),
        ],
    )
    def test_a_generator_is_no_answer_either(self, ask: Callable[[], Any], whose: str) -> None:
        with pytest.raises(TypeError, match=rf"{whose}.* must not have a yield in it"):
            ask()


Row = namedtuple("Row", "id email")


class TestWhatIsReturned:
    """What is no actor ends in an error that names the store."""

    @pytest.mark.parametrize(
        ("found", "kind"),
        [(True, "bool"), (False, "bool"), (7, "int"), ("ada", "str"), ([], "list"),
         ([account()], "list"), ((account(),), "tuple"), ({"id": 7}, "dict"), ({7}, "set"),
         (object(), "object"), (account().__class__(email=ADA), "SimpleNamespace"),
         (SimpleNamespace(id=None), "SimpleNamespace"), (Unsaved(), "Unsaved")],
    )  # fmt: skip
    def test_it_is_an_actor_or_none(self, found: Any, kind: str) -> None:
        for method in ("find_by_identifier", "find_by_id"):
            with pytest.raises(TypeError) as caught:
                getattr(build(Returns(found)), method)("7")
            assert str(caught.value) == (
                f"Returns.{method}() must return an actor (an object with an id that is not "
                f"empty) or None, not an object of the class {kind}"
            )

    def test_the_error_repeats_no_data(self) -> None:
        with pytest.raises(TypeError) as caught:
            build(Returns(["a-private-name"])).find_by_identifier(ADA)
        assert "private" not in str(caught.value)
        assert caught.value.__suppress_context__

    def test_a_row_that_is_a_tuple_with_an_id_is_an_actor(self) -> None:
        assert build(Returns(Row(7, ADA))).find_by_id("7") == (7, ADA)

    def test_an_actor_that_counts_as_false_is_an_actor_all_the_same(self) -> None:
        class Empty(Accounts):
            id, email = 7, ADA

            def __len__(self) -> int:
                return 0

        assert build(Returns(Empty())).find_by_id("7") is not None


class TestCreating:
    """A store may create actors, for the pages."""

    @staticmethod
    def creating(made: Callable[..., Any]) -> ActorType:
        return build(
            SimpleNamespace(find_by_identifier=str, find_by_id=str, create=made), name="customer"
        )

    def test_what_somebody_filled_in_comes_to_the_store(self) -> None:
        actor_type = self.creating(
            lambda email, fields: SimpleNamespace(id=7, email=email, **fields)
        )
        assert actor_type.has_create
        made = actor_type.create(ADA, {"nickname": "countess"})
        assert (made.id, made.email, made.nickname) == (7, ADA, "countess")

    def test_not_each_store_can(self) -> None:
        assert not build(Accounts()).has_create

    def test_it_has_to_return_the_actor(self) -> None:
        with pytest.raises(
            TypeError, match=r"^SimpleNamespace\.create\(\) must return an actor, not None$"
        ):
            self.creating(lambda email, fields: None).create(ADA, {})
        with pytest.raises(
            TypeError, match=r"^SimpleNamespace\.create\(\) must return an actor \(an"
        ):
            self.creating(lambda email, fields: True).create(ADA, {})


class TestIdentifiers:
    """The canonical form that a type asks for."""

    def test_an_identifier_is_brought_into_its_types_canonical_form(self) -> None:
        assert build().canonical(" ADA@example.com") == ADA
        assert build(identifier=str.upper).canonical("ada") == "ADA"

    @pytest.mark.parametrize("identifier", [None, 7, b"ada@example.com", [ADA]])
    def test_it_must_be_a_text(self, identifier: object) -> None:
        with pytest.raises(InvalidData, match=r"^identifier must be a string\.$"):
            build().canonical(identifier)

    def test_it_must_be_valid_for_its_type(self) -> None:
        with pytest.raises(InvalidIdentifier):
            build().canonical("ada")


class TestFinding:
    """Who is known, and who counts as unknown."""

    def test_an_actor_is_found_by_identifier_and_by_id(self) -> None:
        ada = account()
        actor_type = build(Accounts(ada))
        assert actor_type.find_by_identifier(ADA) is ada
        assert actor_type.find_by_id("7") is ada
        assert actor_type.find_by_identifier(BOB) is None
        assert actor_type.find_by_id("8") is None

    def test_one_that_is_found_by_another_actors_id_is_nobody(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """As by a column that is not what ``get_id()`` returns."""
        store = SimpleNamespace(find_by_identifier=str, find_by_id=lambda wanted: LoginUser())
        assert build(store).find_by_id("session-7") is not None
        assert caplog.messages == []
        assert build(store).find_by_id("7") is None
        assert caplog.messages == [
            "SimpleNamespace.find_by_id() must return the actor whose id it is asked for, which is "
            "what get_id() of LoginUser says, or else its id: what it found counts as unknown"
        ]

    @pytest.mark.parametrize("switched_off", [False, 0, None, lambda: False])
    def test_an_actor_that_is_not_active_counts_as_unknown(self, switched_off: object) -> None:
        actor_type = build(Accounts(account(is_active=switched_off)))
        assert actor_type.find_by_identifier(ADA) is None
        assert actor_type.find_by_id("7") is None

    def test_but_keeps_its_identifier(self) -> None:
        ada = account(is_active=False)
        assert build(Accounts(ada)).find_including_inactive(ADA) is ada
        assert build(Accounts(ada)).find_including_inactive(BOB) is None

    @pytest.mark.parametrize("active", [True, 1, lambda: True])
    def test_an_actor_that_says_it_is_active_is_found(self, active: object) -> None:
        assert build(Accounts(account(is_active=active))).find_by_id("7") is not None

    def test_an_actor_whose_property_fails_has_not_said_that_it_is_active(self) -> None:
        class Member(SimpleNamespace):
            @property
            def is_active(self) -> bool:
                return not self.profile.blocked

        with pytest.raises(AttributeError, match="blocked"):
            build(Accounts(Member(id=7, email=ADA, profile=None))).find_by_identifier(ADA)

    @pytest.mark.parametrize("text", ["f", "N", "false", "disabled", b"\x00", lambda: "0"])
    def test_a_text_says_neither_as_it_is_always_true(self, text: object) -> None:
        with pytest.raises(TypeError, match=r"SimpleNamespace\.is_active must be True or False"):
            build(Accounts(account(is_active=text))).find_by_id("7")
        store = Accounts(account())
        store.is_active = lambda actor: text() if callable(text) else text  # type: ignore[attr-defined] # it may have one
        with pytest.raises(TypeError, match=r"Accounts\.is_active\(\) must be True or False"):
            build(store).find_by_identifier(ADA)

    @pytest.mark.parametrize("nothing", ["", b""])
    def test_an_empty_one_is_no(self, nothing: object) -> None:
        assert build(Accounts(account(is_active=nothing))).find_by_id("7") is None

    def test_a_store_may_say_who_is_active_in_place_of_the_actor(self) -> None:
        class Store(Accounts):
            def is_active(self, actor: Any) -> bool:
                return not actor.disabled

        ada = account(disabled=True, is_active=True)
        actor_type = build(Store(ada))
        assert is_active(ada)
        assert not actor_type.is_active(ada)
        assert actor_type.find_by_identifier(ADA) is None
        ada.disabled, ada.is_active = False, False
        assert actor_type.find_by_identifier(ADA) is ada


class TestSignUp:
    """Who may join."""

    @pytest.mark.parametrize(
        ("sign_up", "may"),
        [
            ("open", True),
            ("closed", False),
            (lambda i: i == ADA, True),
            (lambda i: i != ADA, False),
        ],
    )
    def test_it_is_everybody_nobody_or_whom_the_app_lets_through(
        self, sign_up: Any, may: bool
    ) -> None:
        assert build(sign_up=sign_up).may_sign_up(ADA) is may


class TestRegistry:
    """The types of one app."""

    def test_a_types_own_settings_stand_in_place_of_the_apps(self) -> None:
        types = {"customer": spec(), "staff": spec(name="staff", digits=8)}
        registry = ActorRegistry(types, Settings(digits=7, ttl=200))
        customer, staff = registry.get("customer").settings, registry.get("staff").settings
        assert (customer.digits, customer.ttl) == (7, 200)
        assert (staff.digits, staff.ttl) == (8, 200)

    def test_two_apps_that_share_a_type_keep_their_own_settings(self) -> None:
        types = {"customer": spec(digits=8)}
        one, other = (ActorRegistry(types, Settings(ttl=ttl)) for ttl in (200, 220))
        assert [r.get("customer").settings.ttl for r in (one, other, one)] == [200, 220, 200]

    def test_a_type_may_be_added_later(self) -> None:
        types: dict[str, ActorTypeSpec] = {"staff": spec(name="staff")}
        registry = ActorRegistry(types, Settings())
        with pytest.raises(NotFound):
            registry.get("customer")
        assert registry.names == ("staff",)
        types["customer"] = spec(identifier=str.upper)
        assert registry.get("customer").canonical("ada") == "ADA"
        assert registry.names == ("staff", "customer")

    def test_a_name_that_is_added_again_is_another_type_for_later_apps_only(self) -> None:
        """As in an app factory that adds its types, and is called once for each test."""
        types = {"customer": spec(Accounts(account()))}
        first = ActorRegistry(types, Settings())
        types["customer"] = spec(Accounts())
        second = ActorRegistry(types, Settings())
        assert first.get("customer").find_by_identifier(ADA) is not None
        assert second.get("customer").find_by_identifier(ADA) is None

    def test_a_type_is_resolved_once(self) -> None:
        registry = ActorRegistry({"customer": spec(digits=8)}, Settings())
        assert registry.get("customer") is registry.get("customer")

    def test_all_contradictions_with_the_app_s_settings_are_told_at_once(self) -> None:
        types = {
            "staff": spec(name="staff", verify_limits="101/day"),
            "customer": spec(),
            "guest": spec(name="guest", session_ttl=60),
        }
        with pytest.raises(ConfigError) as caught:
            ActorRegistry(types, Settings())
        staff, guest = caught.value.faults
        assert staff.startswith("actor type staff: OTP_AUTH_VERIFY_LIMITS")
        assert guest.startswith("actor type guest: OTP_AUTH_TOKEN_TTL")

    def test_windows_that_do_not_move_are_counted_twice_here_too(self) -> None:
        types = {"staff": spec(name="staff", verify_limits="30/day")}
        assert ActorRegistry(types, Settings()).names == ("staff",)
        with pytest.raises(ConfigError, match="actor type staff: OTP_AUTH_VERIFY_LIMITS"):
            ActorRegistry(types, Settings(), moving=False)

    def test_special_use_domains_are_taken_as_soon_as_the_app_is_in_testing(self) -> None:
        app = SimpleNamespace(testing=False)
        registry = ActorRegistry({"customer": spec()}, Settings(), special_use=lambda: app.testing)
        with pytest.raises(InvalidIdentifier):
            registry.get("customer").canonical("ada@shop.test")
        app.testing = True
        assert registry.get("customer").canonical("Ada@Shop.test") == "ada@shop.test"

    def test_each_app_has_its_own_region_for_phone_numbers(self) -> None:
        types = {"driver": spec(name="driver", identifier="phone")}
        home = ActorRegistry(types, Settings(phone_region="DE"))
        assert home.get("driver").canonical("0151 12345678") == "+4915112345678"
        with pytest.raises(InvalidIdentifier):
            ActorRegistry(types, Settings()).get("driver").canonical("0151 12345678")
