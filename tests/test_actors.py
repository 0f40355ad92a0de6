"""Actor types: who signs in, where accounts are found, what is special to them."""

from types import SimpleNamespace
from typing import Any

import pytest
from flask_login import UserMixin

from flask_otp_auth.actors import Actors, ActorType, actor_id
from flask_otp_auth.config import Settings
from flask_otp_auth.errors import ConfigError, InvalidData, InvalidIdentifier, NotFound


class Accounts:
    """An actor store of accounts by e-mail address and by id."""

    def __init__(self, *accounts: Any) -> None:
        self.accounts = accounts

    def find_by_identifier(self, identifier: str) -> Any | None:
        return next((a for a in self.accounts if a.email == identifier), None)

    def find_by_id(self, wanted: str) -> Any | None:
        return next((a for a in self.accounts if str(a.id) == wanted), None)


def build(
    *accounts: Any, name: Any = "customer", identifier: Any = "email", **given: Any
) -> ActorType:
    return ActorType.build(name, Accounts(*accounts), identifier, given)


def account(**facts: Any) -> SimpleNamespace:
    return SimpleNamespace(id=7, email="ada@example.com", **facts)


class LoginUser(UserMixin):
    """A user of Flask-Login, whose id in a session is not its primary key."""

    id = 7

    def get_id(self) -> str:
        return "session-7"


@pytest.mark.parametrize(
    ("actor", "its_id"),
    [(account(), "7"), (account(get_id=lambda: 8), "8"), (LoginUser(), "session-7")],
    ids=["id", "get_id", "flask-login"],
)
def test_an_actors_id_is_what_flask_login_would_take_else_its_id(actor: Any, its_id: str) -> None:
    assert actor_id(actor) == its_id


@pytest.mark.parametrize("name", ["customer", "Back-Office_2", "x", "x" * 64])
def test_an_actor_type_has_a_name_fit_for_a_url(name: str) -> None:
    assert build(name=name).name == name


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a/b", "a.b", "kundé", "a\n", None, 7])
def test_any_other_name_is_refused(name: object) -> None:
    with pytest.raises(ConfigError, match="1 to 64 letters"):
        build(name=name)


@pytest.mark.parametrize("method", ["find_by_identifier", "find_by_id"])
@pytest.mark.parametrize("instead", [None, "a text"])
def test_a_store_without_its_two_methods_is_refused(method: str, instead: object) -> None:
    store = SimpleNamespace(**{"find_by_identifier": str, "find_by_id": str, method: instead})
    with pytest.raises(ConfigError, match=rf"'customer' has no method {method}\(\)"):
        ActorType.build("customer", store, "email", {})


def test_no_store_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no method"):
        ActorType.build("customer", None, "email", {})


def test_a_bad_identifier_form_or_override_is_refused() -> None:
    with pytest.raises(ConfigError, match="identifier="):
        build(identifier="pigeon")
    with pytest.raises(ConfigError, match="digits must"):
        build(digits=4)


def test_an_identifier_is_brought_into_its_types_canonical_form() -> None:
    assert build().canonical(" ADA@example.com") == "ada@example.com"
    assert build(identifier=str.upper).canonical("ada") == "ADA"


@pytest.mark.parametrize("identifier", [None, 7, b"ada@example.com", ["ada@example.com"]])
def test_an_identifier_must_be_a_text(identifier: object) -> None:
    with pytest.raises(InvalidData, match="must be a text"):
        build().canonical(identifier)


def test_an_identifier_must_be_valid_for_its_type() -> None:
    with pytest.raises(InvalidIdentifier):
        build().canonical("ada")


def test_an_actor_is_found_by_identifier_and_by_id() -> None:
    ada = account()
    kind = build(ada)
    assert kind.find_by_identifier("ada@example.com") is ada
    assert kind.find_by_id("7") is ada
    assert kind.find_by_identifier("bob@example.com") is None
    assert kind.find_by_id("8") is None


@pytest.mark.parametrize("inactive", [False, 0, None])
def test_an_actor_that_is_not_active_counts_as_unknown(inactive: object) -> None:
    kind = build(account(is_active=inactive))
    assert kind.find_by_identifier("ada@example.com") is None
    assert kind.find_by_id("7") is None


def test_an_actor_that_was_switched_off_keeps_its_identifier() -> None:
    ada = account(is_active=False)
    assert build(ada).find_owner("ada@example.com") is ada
    assert build(ada).find_owner("bob@example.com") is None


def test_an_actor_that_says_it_is_active_is_found() -> None:
    assert build(account(is_active=True)).find_by_id("7") is not None


def test_an_actor_that_counts_as_false_is_an_actor_all_the_same() -> None:
    class Empty(Accounts):
        id, email = 7, "ada@example.com"

        def __len__(self) -> int:
            return 0

    assert build(Empty()).find_by_id("7") is not None


def test_a_types_own_settings_stand_in_place_of_the_apps() -> None:
    staff = build(name="staff", digits=8)
    actors = Actors({"customer": build(), "staff": staff}, Settings(digits=7, ttl=60))
    assert actors.get("customer")[1] == Settings(digits=7, ttl=60)
    assert actors.get("staff") == (staff, Settings(digits=8, ttl=60))


def test_two_apps_that_share_a_type_keep_their_own_settings() -> None:
    types = {"customer": build(digits=8)}
    one, other = Actors(types, Settings(ttl=60)), Actors(types, Settings(ttl=120))
    assert one.get("customer")[1].ttl == 60
    assert other.get("customer")[1].ttl == 120
    assert one.get("customer")[1].ttl == 60


def test_a_type_may_be_registered_late() -> None:
    types: dict[str, ActorType] = {}
    actors = Actors(types, Settings())
    with pytest.raises(NotFound):
        actors.get("customer")
    assert actors.names == []
    types["customer"] = build()
    assert actors.get("customer")[0] == types["customer"]
    assert actors.names == ["customer"]


def test_a_type_is_resolved_once() -> None:
    actors = Actors({"customer": build(digits=8)}, Settings())
    assert actors.get("customer") is actors.get("customer")


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"verify_limits": "101/day"}, "OTP_AUTH_VERIFY_LIMITS"),
        ({"session_ttl": 60}, "OTP_AUTH_TOKEN_TTL"),
    ],
)
def test_settings_of_its_own_must_not_contradict_the_apps(
    given: dict[str, Any], fault: str
) -> None:
    actors = Actors({"staff": build(name="staff", **given)}, Settings())
    with pytest.raises(ConfigError, match=f"actor type staff: {fault}"):
        actors.get("staff")


@pytest.mark.parametrize(("answer", "found"), [(True, True), (False, False)])
def test_is_active_may_be_a_method(answer: bool, found: bool) -> None:
    class Actor:
        id = 1

        def is_active(self) -> bool:
            return answer

    class Store:
        def find_by_identifier(self, identifier: str) -> Actor:
            return Actor()

        def find_by_id(self, actor_id: str) -> Actor:
            return Actor()

    kind = ActorType.build("customer", Store(), "email", {})
    assert (kind.find_by_identifier("ada@example.com") is not None) is found
