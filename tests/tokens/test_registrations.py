"""Registration rights: each is taken once, by the holder of its token."""

from collections.abc import Iterator

import pytest
import time_machine
from fakes import FakeStore

from flask_otp_auth.core.crypto import Keys
from flask_otp_auth.tokens.registrations import RegistrationRights

OLD, NEW = b"the old secret key of the shop ...", b"the new secret key of the shop ..."
SID, OTHER_SID = "5" * 32, "6" * 32
KEY = "otp_auth:{51c05e89d26c2912b8883bf1e479107b}:00"


@pytest.fixture(autouse=True)
def now() -> Iterator[time_machine.Traveller]:
    """The clock, at a whole second."""
    with time_machine.travel(1_700_000_000, tick=False) as clock:
        yield clock


@pytest.fixture
def store() -> FakeStore:
    """Where rights are kept."""
    return FakeStore()


def rights(store: FakeStore, *secrets: bytes) -> RegistrationRights:
    """Return the rights of an app with these secret keys, the newest last."""
    return RegistrationRights(store, Keys.derive(secrets or (NEW,), "shop"))


def test_one_is_taken_once(store: FakeStore) -> None:
    rights(store).put(SID, 600)
    assert [rights(store).take(SID) for _ in range(2)] == [True, False]


def test_it_can_be_looked_at_before(store: FakeStore) -> None:
    rights(store).put(SID, 600)
    assert [rights(store).has(sid) for sid in (SID, SID, OTHER_SID)] == [True, True, False]
    assert rights(store).take(SID)
    assert not rights(store).has(SID)


def test_it_ends_to_the_second(store: FakeStore, now: time_machine.Traveller) -> None:
    rights(store).put(SID, 600)
    store.items = {key: (value, float("inf")) for key, (value, _) in store.items.items()}
    now.shift(599)
    assert rights(store).has(SID)
    now.shift(1)
    assert not rights(store).has(SID)


def test_a_former_secret_key_still_gives_it(store: FakeStore) -> None:
    rights(store, OLD).put(SID, 600)
    assert not rights(store, NEW).has(SID)
    assert rights(store, OLD, NEW).take(SID)


def test_one_that_was_copied_to_another_key_is_none(store: FakeStore) -> None:
    for sid in (SID, OTHER_SID):
        rights(store).put(sid, 600)
    store.items = dict(zip(reversed(store.items), store.items.values(), strict=True))
    assert [rights(store).has(sid) for sid in (SID, OTHER_SID)] == [False, False]


def test_an_upgrade_still_finds_those_from_before(store: FakeStore) -> None:
    seal = "2cbpYqsNBgZy1aBeLUIJqMlQXkVlmkqONmhzcahAoV8"
    store.put({KEY: f'[1700000600.0, "{KEY}"].{seal}'}, 600)
    assert rights(store).take(SID)
