"""Phone numbers in canonical form (E.164), and the countries and lines that codes are sent to.

This needs the package phonenumbers (the extra ``phone``).
"""

import re
import unicodedata
from collections.abc import Collection
from typing import Literal

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType

from ..errors import InvalidIdentifier

#: The codes that a region may have: ISO 3166-1 alpha-2, as far as phonenumbers knows them.
REGIONS = frozenset(phonenumbers.SUPPORTED_REGIONS)

LineType = Literal["mobile", "fixed", "personal", "voip", "other"]

#: What people put between digits, beside the categories below. Letters are not among it: they
#: would spell a vanity number, the scheme ``tel:`` or an extension; nor is what else begins an
#: extension (``;``, ``,``, ``#``).
_PUNCTUATION = frozenset("+./\N{FULLWIDTH PLUS SIGN}\N{MINUS SIGN}")

#: Nd: decimal digits; Zs: spaces; Pd: dashes; Ps, Pe: brackets.
_CATEGORIES = frozenset({"Nd", "Zs", "Pd", "Ps", "Pe"})

#: Second spellings of mobile numbers, by calling code: a pattern of the national number, and what
#: reaches the same handset. Codes go to the latter, so a mistake here could not let a stranger in.
_SPELLINGS: dict[int, tuple[tuple[re.Pattern[str], str], ...]] = {
    # Mexico: until 2019, 1 from abroad and 044 or 045 at home stood before a mobile number.
    52: ((re.compile(r"(?:1|01|044|045)(\d{10})"), r"\1"),),
    # Argentina: 9 before a mobile number is left out by many. Nothing tells a landline from one
    # that lacks its 9, so all are taken for mobile.
    54: ((re.compile(r"(\d{10})"), r"9\1"),),
    # Brazil: mobile numbers got a 9 until 2016; WhatsApp still shows old ones without.
    55: ((re.compile(r"(\d\d)([6-9]\d{7})"), r"\g<1>9\2"),),
    # Benin: all numbers got 01 in 2024.
    229: ((re.compile(r"(\d{8})"), r"01\1"),),
    # Gabon: in 2019, 02, 05, 06 became 062, 065, 066, and 04, 07 became 074, 077.
    241: ((re.compile(r"0?([256]\d{6})"), r"6\1"), (re.compile(r"0?([47]\d{6})"), r"7\1")),
}

_LINE_TYPES: dict[int, LineType] = {
    PhoneNumberType.MOBILE: "mobile",
    # North America gives both from the same blocks.
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE: "fixed",
    PhoneNumberType.PERSONAL_NUMBER: "personal",
    PhoneNumberType.VOIP: "voip",
}
_MOBILE = {kind for kind, line in _LINE_TYPES.items() if line == "mobile"}


def phone(text: str, region: str | None = None) -> str:
    """Return a phone number as E.164, such as ``+4915112345678``.

    Numbers that people of a country write in two ways (Mexico's former +52 1) get one spelling.

    :param region: where a number without a country code is taken to be; by default numbers
        must have one.
    :raises InvalidIdentifier: if it is not a valid number, or more than one: with an
        extension, or as a ``tel:`` URI.
    """
    text = "".join(map(_as_typed, text))
    if not all(_may_stand(character) for character in text):
        raise InvalidIdentifier
    try:
        number = _with_plus(_respelt(phonenumbers.parse(text, region)), text)
    except phonenumbers.NumberParseException:
        # The library's text may repeat the number, so it stays out of the chain.
        raise InvalidIdentifier from None
    if not phonenumbers.is_valid_number(number):
        raise InvalidIdentifier
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def line_type(number: str) -> LineType:
    """Return what kind of line a number in E.164 has.

    ``"other"`` is all that no code is ever sent to: premium-rate, shared-cost and toll-free
    numbers, pagers, mailboxes, company numbers, satellites and other networks of no country, and
    what is no valid number.
    """
    parsed = _parsed(number)
    if parsed is None or phonenumbers.region_code_for_number(parsed) not in REGIONS:
        return "other"
    return _LINE_TYPES.get(phonenumbers.number_type(parsed), "other")


def is_in(number: str, regions: Collection[str]) -> bool:
    """Tell whether a number in E.164 belongs to one of these regions.

    Countries that share a calling code (US and CA; GB, GG, IM and JE) are told apart. What is
    no number, and what belongs to no country (satellites), is in none.
    """
    parsed = _parsed(number)
    return parsed is not None and phonenumbers.region_code_for_number(parsed) in regions


def _as_typed(character: str) -> str:
    """Return what a pasted character would be if it were typed."""
    # Bidi marks (Cf) mean nothing; the library doesn't know all spaces (Zs), such as those that
    # French typesetting puts between digits.
    return {"Cf": "", "Zs": " "}.get(unicodedata.category(character), character)


def _may_stand(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character) in _CATEGORIES


def _parsed(number: str) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None


def _with_plus(number: PhoneNumber, text: str) -> PhoneNumber:
    """Return the mobile number that lacks its plus, if the text is one, or else the number.

    Germany and Indonesia, among others, have landlines of so many digits that ``4915112345678``
    could be one at home.
    """
    other = _parsed("+" + phonenumbers.normalize_digits_only(text))
    if other is None or other.country_code != number.country_code or _is_mobile(number):
        return number
    return other if _is_mobile(other) else number


def _is_mobile(number: PhoneNumber) -> bool:
    return phonenumbers.number_type(number) in _MOBILE


def _respelt(number: PhoneNumber) -> PhoneNumber:
    """Return the number in the one spelling that its country writes in two ways, or itself."""
    national = phonenumbers.national_significant_number(number)
    for pattern, form in _SPELLINGS.get(number.country_code or 0, ()):
        if match := pattern.fullmatch(national):
            other = _parsed(f"+{number.country_code}{match.expand(form)}")
            if other is not None and _is_mobile(other):
                return other
    return number
