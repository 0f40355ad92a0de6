"""Derived keys: one for each use, rotating with the fallbacks, hiding what they name."""

import dataclasses
import json
from hashlib import sha256
from typing import Any

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from itsdangerous import Serializer, Signer, TimestampSigner, URLSafeSerializer

from flask_otp_auth.core.crypto import (
    KeyHasher,
    Keys,
    Sealer,
    hmac_hex,
    is_expired,
    length_prefixed,
)

TEXTS = st.lists(st.text(st.characters(codec=None)))
USES = [field.name for field in dataclasses.fields(Keys)]
NEVER = 1e11


@given(TEXTS, TEXTS)
def test_no_two_lists_of_texts_are_joined_alike(one: list[str], other: list[str]) -> None:
    assert (length_prefixed(*one) == length_prefixed(*other)) == (one == other)


def test_the_hmac_is_that_of_rfc_4231() -> None:
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_hex(b"Jefe", b"what do ya want for nothing?") == expected


@pytest.mark.parametrize(
    ("deadline", "expired"), [(999_999.999, True), (1_000_000, True), (1_000_000.001, False)]
)
def test_a_deadline_has_come_when_its_moment_has(deadline: float, expired: bool) -> None:
    with time_machine.travel(1_000_000, tick=False):
        assert is_expired(deadline) == expired


class TestKeys:
    """Every use has a key of its own, derived from each of the app's secret keys."""

    def test_each_use_has_a_key_of_its_own(self) -> None:
        keys = Keys.derive([b"one secret", b"another"], "shop")
        every = [key for use in USES for key in getattr(keys, use)]
        assert len(set(every)) == len(every) == 2 * len(USES)
        assert {len(key) for key in every} == {32}

    @pytest.mark.parametrize("use", USES)
    def test_they_stand_in_the_order_of_the_secrets(self, use: str) -> None:
        old, new, both = (
            getattr(Keys.derive(secrets, "shop"), use)
            for secrets in ([b"old"], [b"new"], [b"old", b"new"])
        )
        assert both == old + new

    @pytest.mark.parametrize("use", USES)
    def test_only_those_of_tokens_and_sign_ins_depend_on_the_issuer(self, use: str) -> None:
        one, other = (getattr(Keys.derive([b"secret"], name), use) for name in ("shop", "office"))
        assert (one != other) == (use in ("tokens", "slots"))

    def test_they_are_the_same_in_every_process(self) -> None:
        one, other = (dataclasses.astuple(Keys.derive([b"secret"], "shop")) for _ in range(2))
        assert one == other

    def test_an_upgrade_changes_none_of_them(self) -> None:
        """Or it ends what is stored, sealed and signed, and the changelog has to say so."""
        keys = Keys.derive([b"secret"], "shop")
        assert {use: getattr(keys, use)[0].hex()[:16] for use in USES} == {
            "tokens": "d39be238cd943beb",
            "digests": "9d52ab2177574b22",
            "names": "cffb35b430c59566",
            "slots": "7e0eec2589be64b4",
            "seals": "e794c4b26f4d0265",
            "audit": "6dcf2b57401040bb",
            "challenges": "3be0249db54789f1",
            "cookies": "f3051e12f22f15bc",
            "links": "4b1ff4600ffa9365",
            "test_identities": "61df3311a1d8b869",
        }

    def test_they_do_not_show_in_a_log(self) -> None:
        keys = Keys.derive([b"secret"], "shop")
        assert repr(keys.digests[0]) not in repr(keys)


class TestKeyHasher:
    """The keys of store and limiter reveal no identifier."""

    def test_a_hash_depends_on_the_key(self) -> None:
        digest = KeyHasher([b"key"]).digest("customer", "ada@example.com")
        assert len(bytes.fromhex(digest)) == 16
        assert digest != KeyHasher([b"other"]).digest("customer", "ada@example.com")

    def test_the_newest_key_comes_first(self) -> None:
        old, new, both = KeyHasher([b"old"]), KeyHasher([b"new"]), KeyHasher([b"old", b"new"])
        assert both.digest("ada") == new.digest("ada")
        assert both.digests("ada") == [new.digest("ada"), old.digest("ada")]

    def test_an_upgrade_changes_none(self) -> None:
        hasher = KeyHasher([b"old", b"key"])
        expected = "a0d8fb43809ec3a3f364e34cdd9767e6"
        assert hasher.digest("one", "two") == hasher.digests("one", "two")[0] == expected


class TestSealer:
    """What is sealed comes back until its deadline; nothing else does."""

    @pytest.mark.parametrize(
        "fields",
        [
            pytest.param([], id="none"),
            pytest.param(["id", 6, True, None, 1.5], id="plain"),
            pytest.param([{"amount": "12"}, ["a"]], id="nested"),
            pytest.param(["Zürich \ud800 \0"], id="any text"),
        ],
    )
    def test_the_fields_come_back(self, fields: list[Any]) -> None:
        sealer = Sealer([b"key"], "challenge")
        text = sealer.dumps(NEVER, *fields)
        assert text.isascii()
        assert sealer.loads(text) == fields

    def test_nothing_comes_back_once_the_deadline_is_past(self) -> None:
        sealer = Sealer([b"key"], "challenge")
        text = sealer.dumps(1_000_000, "id")
        with time_machine.travel(999_999.5, tick=False):
            assert sealer.loads(text) == ["id"]
        with time_machine.travel(1_000_000, tick=False):
            assert sealer.loads(text) is None

    def test_the_newest_key_seals_and_all_open(self) -> None:
        old, new, both = (
            Sealer(keys, "challenge") for keys in ([b"old"], [b"new"], [b"old", b"new"])
        )
        assert both.loads(old.dumps(NEVER, "id")) == ["id"]
        assert new.loads(both.dumps(NEVER, "id")) == ["id"]
        assert old.loads(both.dumps(NEVER, "id")) is None

    def test_an_upgrade_still_opens_what_was_sealed_before(self) -> None:
        text = '[10000000000.0, "id", 7].0DBJe7jhFMiKdvwvjOnq8xdWRTb-Vkf61ixDn7NhDOo'
        assert Sealer([b"key"], "salt").loads(text) == ["id", 7]

    def test_a_text_sealed_under_one_salt_is_not_taken_under_another(self) -> None:
        text = Sealer([b"key"], "challenge").dumps(NEVER, "id")
        assert Sealer([b"key"], "grace").loads(text) is None

    @given(st.data())
    def test_a_changed_text_is_not_taken(self, data: st.DataObject) -> None:
        sealer = Sealer([b"key"], "challenge")
        text = sealer.dumps(NEVER, "id")
        place = data.draw(st.integers(0, len(text) - 2))  # the last base64 character has spare bits
        # Decoders of base64 take both alphabets for one.
        same = str.maketrans("+/", "-_")
        different = st.characters(codec=None).filter(lambda c: c.translate(same) != text[place])
        character = data.draw(different)
        assert sealer.loads(text[:place] + character + text[place + 1 :]) is None

    @given(st.text(st.characters(codec=None)))
    def test_no_text_of_others_is_taken(self, text: str) -> None:
        assert Sealer([b"key"], "challenge").loads(text) is None

    @pytest.mark.parametrize(
        "garbage",
        [
            pytest.param(None, id="nothing"),
            pytest.param(b"[1].x", id="bytes"),
            pytest.param(7, id="a number"),
            pytest.param(["a"], id="a list"),
            pytest.param("\ud800.x", id="a lone surrogate"),
            pytest.param("[" * 100_000 + ".x", id="deep JSON"),
        ],
    )
    def test_garbage_of_any_type_counts_as_absent(self, garbage: object) -> None:
        assert Sealer([b"key"], "challenge").loads(garbage) is None

    @pytest.mark.parametrize("signer", [Signer, TimestampSigner])
    def test_a_signature_made_for_another_use_is_not_taken(self, signer: type[Signer]) -> None:
        forged = signer(b"key").sign(json.dumps([NEVER, "id"])).decode()
        assert Sealer([b"key"], "challenge").loads(forged) is None

    @pytest.mark.parametrize("maker", [Serializer, URLSafeSerializer])
    def test_a_text_of_the_app_s_own_serializer_is_not_taken(self, maker: Any) -> None:
        forged = maker(b"key", salt="challenge").dumps([NEVER, "id"])
        assert Sealer([b"key"], "challenge").loads(forged) is None

    @pytest.mark.parametrize("payload", ["[]", '["id"]', "[null]", "{}", "7", "[", "[" * 100_000])
    def test_a_wrong_shape_counts_as_absent_although_its_signature_is_right(
        self, payload: str
    ) -> None:
        signer = Signer(b"key", salt="challenge", key_derivation="hmac", digest_method=sha256)
        sealer = Sealer([b"key"], "challenge")
        assert sealer.loads(signer.sign(f"[{NEVER}]").decode()) == []
        assert sealer.loads(signer.sign(payload).decode()) is None
