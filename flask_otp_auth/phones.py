"""Phone numbers in canonical form (E.164), and the countries that codes are sent to.

This needs the package phonenumbers (the extra ``phone``).
"""

import unicodedata
from collections.abc import Collection

import phonenumbers

from .errors import InvalidIdentifier

#: The codes that a region may have: ISO 3166-1 alpha-2, as far as phonenumbers knows them.
REGIONS = frozenset(phonenumbers.SUPPORTED_REGIONS)

#: What people put between digits, beside the categories below. Letters are not among it: they
#: would spell a vanity number, the scheme ``tel:`` or an extension; nor is what else begins an
#: extension (``;``, ``,``, ``#``).
_PUNCTUATION = frozenset("+./\N{FULLWIDTH PLUS SIGN}\N{MINUS SIGN}")

#: Nd: decimal digits; Zs: spaces; Pd: dashes; Ps, Pe: brackets.
_CATEGORIES = frozenset({"Nd", "Zs", "Pd", "Ps", "Pe"})


def phone(text: str, region: str | None = None) -> str:
    """Return a phone number as E.164, such as ``+493012345678``.

    :param region: where a number without a country code is taken to be; by default numbers
        must have one.
    :raises InvalidIdentifier: if it is not a valid number, or more than one: with an
        extension, or as a ``tel:`` URI.
    """
    # Bidi marks (Cf) come along when a number is pasted, and mean nothing.
    text = "".join(character for character in text if unicodedata.category(character) != "Cf")
    if not all(_may_stand(character) for character in text):
        raise InvalidIdentifier
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        # The library's text may repeat the number, so it stays out of the chain.
        raise InvalidIdentifier from None
    if not phonenumbers.is_valid_number(number):
        raise InvalidIdentifier
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _may_stand(character: str) -> bool:
    return character in _PUNCTUATION or unicodedata.category(character) in _CATEGORIES


def is_in(number: str, regions: Collection[str]) -> bool:
    """Tell whether a number in E.164 belongs to one of these regions.

    Countries that share a calling code (US and CA; GB, GG, IM and JE) are told apart. What is
    no number, and what belongs to no country (satellites), is in none.
    """
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.region_code_for_number(parsed) in regions
