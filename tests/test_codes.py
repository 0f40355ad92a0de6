"""Codes: drawn evenly, forgiven what people paste, bound to all that they are for."""

import re
import sys
import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flask_otp_auth import codes

SHORT = st.text("0123456789", min_size=6, max_size=10)
LONG = st.text(codes.BASE32, min_size=13, max_size=13)

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


@pytest.mark.parametrize("digits", range(6, 11))
def test_a_short_code_has_so_many_decimal_digits(digits: int) -> None:
    for _ in range(100):
        code = codes.generate(digits)
        assert codes.fits(code, digits, long=False)


@pytest.mark.parametrize(
    ("number", "code"),
    [(0, "000000"), (7, "000007"), (999_999, "999999"), (1_000_000, "000000"),
     (2**128 - 1, str(2**128 - 1)[-6:])],
)  # fmt: skip
def test_a_short_code_is_the_rest_of_128_random_bits(number: int, code: str) -> None:
    assert codes.generate(6, number.to_bytes(codes.ENTROPY)) == code


@given(st.binary(min_size=16, max_size=16))
def test_a_long_code_is_made_of_65_random_bits_each_of_which_counts(random: bytes) -> None:
    code = codes.generate_long(random)
    values = [codes.BASE32.index(character) for character in code]
    assert values == [byte % 32 for byte in random[:13]]


def test_no_two_short_codes_in_a_row_are_alike() -> None:
    assert len({codes.generate(10) for _ in range(100)}) == 100


def test_a_long_code_has_65_bits() -> None:
    assert len(set(codes.BASE32)) == 32
    assert codes.LONG_LENGTH * 5 == 65
    assert codes.fits(codes.generate_long(), codes.LONG_LENGTH, long=True)


def test_a_long_code_uses_each_character_of_its_alphabet() -> None:
    drawn = Counter("".join(codes.generate_long() for _ in range(200)))
    assert set(drawn) == set(codes.BASE32)


def test_no_two_long_codes_are_alike() -> None:
    assert len({codes.generate_long() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    ("pasted", "meant"),
    [
        ("123456", "123456"),
        (" 123 456\r\n", "123456"),
        ("123-456", "123456"),
        ("123–456", "123456"),
        ("１２３ 456", "123456"),
        ("١٢٣٤٥٦", "123456"),
        ("\u202a123456\u202c", "123456"),
        ("abcdefghij234", "ABCDEFGHIJ234"),
        ("ABCD-EFGH-IJ23-4", "ABCDEFGHIJ234"),
    ],
)
def test_what_people_paste_is_forgiven(pasted: str, meant: str) -> None:
    assert codes.normalise(pasted) == meant


@pytest.mark.parametrize(
    "pasted",
    ["", " ", "-", "12345²", "12345½", "Ⅻ", "123.456", "123,456", "12345é", "1e5+", "\x00123456",
     "１２３ＡＢＣ", "ſſſſſſ", "\N{KELVIN SIGN}23456", "\ud800"],
)  # fmt: skip
def test_what_can_not_be_a_code_has_none(pasted: str) -> None:
    assert codes.normalise(pasted) is None


@given(SHORT | LONG)
def test_a_code_is_its_own_normal_form(code: str) -> None:
    assert codes.normalise(code) == code


@given(SHORT, st.lists(st.tuples(st.integers(0, 10), st.sampled_from(SPACES + DASHES + MARKS))))
def test_spaces_dashes_and_marks_may_stand_anywhere(
    code: str, additions: list[tuple[int, str]]
) -> None:
    pasted = code
    for place, character in additions:
        pasted = pasted[:place] + character + pasted[place:]
    assert codes.normalise(pasted) == code


@given(st.lists(st.sampled_from(DECIMALS), min_size=6, max_size=10))
def test_any_decimal_digit_of_unicode_counts(digits: list[str]) -> None:
    assert codes.normalise("".join(digits)) == "".join(str(unicodedata.decimal(d)) for d in digits)


@given(st.text(max_size=20) | st.text(codes.BASE32 + SPACES + DASHES, max_size=20))
def test_a_normal_form_is_ascii_upper_case_and_stays_as_it_is(pasted: str) -> None:
    code = codes.normalise(pasted)
    assert code is None or re.fullmatch("[0-9A-Z]+", code)
    assert code is None or codes.normalise(code) == code


@pytest.mark.parametrize(
    ("code", "length", "long"),
    [("12345", 6, False), ("1234567", 6, False), ("12345A", 6, False), ("", 6, False),
     ("A" * 12, 13, True), ("A" * 14, 13, True), ("A" * 12 + "1", 13, True), ("a" * 13, 13, True)],
)  # fmt: skip
def test_a_code_of_another_shape_does_not_fit(code: str, length: int, long: bool) -> None:
    assert not codes.fits(code, length, long)


def test_digits_are_no_long_code_unless_base32_has_them() -> None:
    assert codes.fits("2345672345672", 13, long=True)
    assert not codes.fits("0123456789012", 13, long=True)


PARTS = ("customer", "ada@example.com", "login", "f00d")


def test_a_digest_is_an_hmac_that_does_not_show_the_code() -> None:
    digest = codes.digest(b"k" * 32, PARTS, "123456")
    assert len(bytes.fromhex(digest)) == 32
    assert "123456" not in digest
    assert codes.digest(b"k" * 32, PARTS, "123456") == digest


@pytest.mark.parametrize("changed", range(len(PARTS)))
def test_a_digest_is_bound_to_each_part(changed: int) -> None:
    others = [part + "x" * (place == changed) for place, part in enumerate(PARTS)]
    assert codes.digest(b"k", others, "123456") != codes.digest(b"k", PARTS, "123456")


def test_a_digest_is_bound_to_its_code_and_its_key() -> None:
    digests = {codes.digest(key, PARTS, code) for key in (b"a", b"b") for code in ("1", "2")}
    assert len(digests) == 4


def test_parts_can_not_trade_characters() -> None:
    assert codes.digest(b"k", ("ab", "c"), "1") != codes.digest(b"k", ("a", "bc"), "1")
    assert codes.digest(b"k", ("a", "1"), "2") != codes.digest(b"k", ("a",), "12")


def test_a_digest_under_any_valid_key_matches() -> None:
    assert codes.matches(["old", "new"], "old")
    assert codes.matches(["old", "new"], "new")
    assert not codes.matches(["old", "new"], "other")
    assert not codes.matches([], "other")


def test_digests_are_compared_in_constant_time_and_all_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    assert codes.matches(["same", "other"], "same")
    assert compared == [("same", "same"), ("other", "same")]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_short_hash_is_fit_for_any_key(text: str) -> None:
    name = codes.short_hash(text)
    assert len(bytes.fromhex(name)) == 16
    assert codes.short_hash(text + "x") != name
