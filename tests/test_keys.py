"""Keys: one for each use, rotating with the fallbacks, hiding what they name."""

import json

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Signer, TimestampSigner

from flask_otp_auth.keys import Keys, Names, Seal, is_past, pack

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"])))


@given(TEXTS, TEXTS)
def test_packing_tells_any_two_lists_apart(one: list[str], other: list[str]) -> None:
    assert (pack(*one) == pack(*other)) == (one == other)


def test_each_use_has_a_key_of_its_own() -> None:
    keys = Keys.derive([b"one secret", b"another"])
    every = [key for use in Keys.fields for key in getattr(keys, use)]
    assert len(set(every)) == len(every) == 2 * len(Keys.fields)
    assert {len(key) for key in every} == {32}


def test_derived_keys_stand_in_the_order_of_the_secrets() -> None:
    old, new = Keys.derive([b"old"]), Keys.derive([b"new"])
    both = Keys.derive([b"old", b"new"])
    assert both.digests == old.digests + new.digests


def test_keys_are_the_same_in_every_process() -> None:
    assert Keys.derive([b"secret"]) == Keys.derive([b"secret"])


def test_keys_do_not_show_in_a_log() -> None:
    keys = Keys.derive([b"secret"])
    assert repr(keys.digests[0]) not in repr(keys)


def test_a_name_hides_what_it_names() -> None:
    name = Names([b"key"]).tag("customer", "ada@example.com")
    assert len(bytes.fromhex(name)) == 16
    assert name != Names([b"other"]).tag("customer", "ada@example.com")


def test_the_newest_key_names_and_all_are_looked_under() -> None:
    old, new, both = Names([b"old"]), Names([b"new"]), Names([b"old", b"new"])
    assert both.tag("ada") == new.tag("ada")
    assert both.tags("ada") == [new.tag("ada"), old.tag("ada")]


def test_what_is_sealed_comes_back() -> None:
    seal = Seal([b"key"], "challenge")
    assert seal.open(seal.close(12.5, "id", 6, True)) == (12.5, ["id", 6, True])


def test_a_seal_of_the_old_key_opens_and_the_newest_closes() -> None:
    old, new = Seal([b"old"], "challenge"), Seal([b"new"], "challenge")
    both = Seal([b"old", b"new"], "challenge")
    assert both.open(old.close(1, "id")) == (1, ["id"])
    assert new.open(both.close(1, "id")) == (1, ["id"])
    assert old.open(both.close(1, "id")) is None


def test_a_seal_of_one_kind_opens_no_other() -> None:
    sealed = Seal([b"key"], "challenge").close(1, "id")
    assert Seal([b"key"], "grace").open(sealed) is None


@given(st.data())
def test_a_changed_seal_does_not_open(data: st.DataObject) -> None:
    seal = Seal([b"key"], "challenge")
    sealed = seal.close(1, "id")
    place = data.draw(st.integers(0, len(sealed) - 2))  # the last base64 character has spare bits
    character = data.draw(st.characters().filter(lambda c: c != sealed[place]))
    assert seal.open(sealed[:place] + character + sealed[place + 1 :]) is None


@given(st.text())
def test_no_text_of_others_opens(text: str) -> None:
    assert Seal([b"key"], "challenge").open(text) is None


def test_nothing_opens_to_nothing() -> None:
    assert Seal([b"key"], "challenge").open(None) is None


@pytest.mark.parametrize("signer", [Signer, TimestampSigner])
def test_a_signature_made_for_another_use_does_not_open(signer: type[Signer]) -> None:
    forged = signer(b"key").sign(json.dumps([1, "id"])).decode()
    assert Seal([b"key"], "challenge").open(forged) is None


def test_a_deadline_has_come_when_its_moment_has(clock: time_machine.Traveller) -> None:
    clock.move_to(1_000_000)
    assert is_past(999_999.999)
    assert is_past(1_000_000)
    assert not is_past(1_000_000.001)
