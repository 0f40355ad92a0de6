"""Codes: drawn evenly, forgiven what people paste, bound to all that they are for."""

import sys
import unicodedata
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_otp_auth.core import codes
from flask_otp_auth.core.scopes import Scope

CODES = st.text("0123456789", min_size=6, max_size=codes.LONG_DIGITS)

SPACES = " \t\r\n\N{NO-BREAK SPACE}\N{EN SPACE}\N{IDEOGRAPHIC SPACE}\N{LINE SEPARATOR}"
DASHES = "-\N{HYPHEN}\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}\N{FULLWIDTH HYPHEN-MINUS}"
MARKS = (
    "\N{ZERO WIDTH SPACE}\N{ZERO WIDTH JOINER}\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}"
    "\N{LEFT-TO-RIGHT EMBEDDING}\N{POP DIRECTIONAL FORMATTING}\N{FIRST STRONG ISOLATE}"
    "\N{POP DIRECTIONAL ISOLATE}\N{SOFT HYPHEN}\N{ZERO WIDTH NO-BREAK SPACE}"
)
DECIMALS = [
    chr(point) for point in range(sys.maxunicode + 1) if unicodedata.category(chr(point)) == "Nd"
]

SCOPE = Scope("customer", "login", "ada@example.com", "bound")


class TestDrawing:
    @pytest.mark.parametrize("digits", [6, 10, codes.LONG_DIGITS])
    def test_a_code_has_so_many_decimal_digits(self, digits: int) -> None:
        drawn = [codes.draw(digits) for _ in range(200)]
        assert all(code.isascii() and code.isdigit() for code in drawn)
        assert {len(code) for code in drawn} == {digits}

    @pytest.mark.parametrize("number", [0, 7, 999_999])
    def test_small_numbers_have_leading_zeros(
        self, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        monkeypatch.setattr("secrets.randbelow", lambda limit: {1_000_000: number}[limit])
        assert codes.draw(6) == str(number).zfill(6)

    def test_each_digit_comes_in_each_place(self) -> None:
        drawn = [codes.draw(6) for _ in range(300)]
        assert {len(Counter(place)) for place in zip(*drawn, strict=True)} == {10}

    def test_a_long_code_has_more_than_64_bits(self) -> None:
        """NIST SP 800-63B-4, section 3.2.2: such secrets need no throttling."""
        assert 10**codes.LONG_DIGITS > 2**64


class TestPasted:
    @pytest.mark.parametrize(
        ("pasted", "meant"),
        [
            ("123456", "123456"),
            (" 123 456\r\n", "123456"),
            ("123–456", "123456"),
            ("１２３ 456", "123456"),
            ("١٢٣٤٥٦", "123456"),
            ("\u202a123456\u202c", "123456"),
            ("12345 67890 12345 67890", "12345678901234567890"),
        ],
    )
    def test_what_people_paste_is_forgiven(self, pasted: str, meant: str) -> None:
        assert codes.normalise(pasted) == meant

    @pytest.mark.parametrize(
        "pasted",
        ["", " ", "-", "12345²", "²", "12345½", "Ⅻ", "123.456", "123,456", "+123456", "1e5",
         "\x00123456", "12345O", "一二三四五六", "\ud800"],
    )  # fmt: skip
    def test_what_can_not_be_a_code_is_none(self, pasted: str) -> None:
        assert codes.normalise(pasted) is None

    @given(CODES, st.lists(st.tuples(st.integers(0, 20), st.sampled_from(SPACES + DASHES + MARKS))))
    def test_spaces_dashes_and_marks_may_stand_anywhere(
        self, code: str, additions: list[tuple[int, str]]
    ) -> None:
        pasted = code
        for place, character in additions:
            pasted = pasted[:place] + character + pasted[place:]
        assert codes.normalise(pasted) == code

    @given(st.lists(st.sampled_from(DECIMALS), min_size=6, max_size=10))
    def test_any_decimal_digit_of_unicode_counts(self, digits: list[str]) -> None:
        meant = "".join(str(unicodedata.decimal(digit)) for digit in digits)
        assert codes.normalise("".join(digits)) == meant


class TestDigests:
    def test_a_digest_is_an_hmac_that_does_not_show_the_code(self) -> None:
        digest = codes.digest(b"k" * 32, SCOPE, "f00d", "123456")
        assert len(bytes.fromhex(digest)) == 32
        assert "123456" not in digest

    def test_a_digest_is_bound_to_its_key_its_scope_its_id_and_its_code(self) -> None:
        changed = [
            (b"k", SCOPE, "f00d", "123456"),
            (b"x", SCOPE, "f00d", "123456"),
            (b"k", SCOPE, "f00e", "123456"),
            (b"k", SCOPE, "f00d", "123457"),
            *(
                (b"k", replace(SCOPE, **{name: "other"}), "f00d", "123456")
                for name in ("actor_type", "purpose", "identifier", "bound")
            ),
        ]
        assert len({codes.digest(*arguments) for arguments in changed}) == 8

    def test_an_upgrade_does_not_change_it(self) -> None:
        expected = "b7f17e248b3fc8a1091217c4fe95e494503e837c9ffb98f839251704fe50cdf1"
        assert codes.digest(b"k" * 32, SCOPE, "f00d", "123456") == expected

    def test_a_digest_under_any_valid_key_matches(self) -> None:
        assert codes.matches(["old", "new"], "old")
        assert codes.matches(["old", "new"], "new")
        assert not codes.matches(["old", "new"], "other")
        assert not codes.matches([], "other")

    def test_digests_are_compared_in_constant_time_and_all_of_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        compared = []
        monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((a, b)) or a == b)
        assert codes.matches(["same", "other"], "same")
        assert compared == [("same", "same"), ("other", "same")]
