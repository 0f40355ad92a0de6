"""Notes: seen by every process for a day, and never in the way of a request."""

import logging

import pytest
from fakes import FakeStore
from time_machine import Traveller

from flask_otp_auth.core.crypto import Keys
from flask_otp_auth.core.notes import KEPT, LONGEST, REPEAT, Notes
from flask_otp_auth.errors import Unavailable


def notes(store: FakeStore, secret: bytes = b"the secret key of the shop ......") -> Notes:
    """Return the notes as a process has them."""
    return Notes(store, Keys.derive([secret], "shop"))


def test_one_process_reads_what_another_has_left(clock: Traveller) -> None:
    store = FakeStore()
    notes(store).leave("hangs", "a handler hangs")
    reader = notes(store)
    assert reader.read("hangs", "other") == {"hangs": "a handler hangs"}
    clock.shift(KEPT)
    assert reader.read("hangs", "other") == {}


def test_an_upgrade_still_reads_those_from_before(clock: Traveller) -> None:
    store = FakeStore()
    key = "otp_auth:{0b85a99eae9cd8741337674f1ab4ea49}:9501491c239ad8bd34041a35f088e962"
    seal = "68_MHYaTq8bcMYuwyDz7gjocGDa0HW6DGEjPlpaTXcA"
    store.put({key: f'[1767409445.9, "hangs", "a handler hangs"].{seal}'}, KEPT)
    assert notes(store).read("hangs") == {"hangs": "a handler hangs"}


def test_the_newest_of_a_kind_counts() -> None:
    store = FakeStore()
    for text in ("one", "two"):
        notes(store).leave("hangs", text)
    assert notes(store).read("hangs") == {"hangs": "two"}


def test_a_process_leaves_the_same_note_once_an_hour(clock: Traveller) -> None:
    store = FakeStore()
    writer = notes(store)
    for _ in range(3):
        writer.leave("hangs", "a handler hangs")
    writer.leave("other", "something else")
    assert store.verbs == ["put", "put"]
    clock.shift(REPEAT)
    writer.leave("hangs", "a handler hangs")
    assert store.verbs == ["put", "put", "put"]


@pytest.mark.parametrize("error", [Unavailable, ValueError])
def test_an_outage_is_no_fault_of_a_request(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error("of the store")

    store = FakeStore()
    monkeypatch.setattr(store, "put", fail)
    with caplog.at_level(logging.DEBUG, "flask_otp_auth"):
        notes(store).leave("hangs", "a handler hangs")
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]


def test_reading_is() -> None:
    store = FakeStore()
    store.reachable = False
    with pytest.raises(Unavailable):
        notes(store).read("hangs")


def test_a_note_has_an_end() -> None:
    store = FakeStore()
    notes(store).leave("hangs", "x" * 9999)
    assert len(notes(store).read("hangs")["hangs"]) == LONGEST


def test_what_somebody_else_wrote_is_none() -> None:
    store = FakeStore()
    writer = notes(store)
    writer.leave("hangs", "a handler hangs")
    writer.leave("other", "something else")
    first, second = store.items
    store.items[first], store.items[second] = store.items[second], ("garbage", 2e10)
    assert notes(store).read("hangs", "other") == {}
    assert notes(store, b"another secret key of another app").read("hangs") == {}
