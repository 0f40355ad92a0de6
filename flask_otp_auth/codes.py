"""One-time codes: made, cleaned of what people paste with them, bound to their challenge."""

import hashlib
import hmac
import secrets
import unicodedata
from collections.abc import Iterable

from .keys import mac, pack

#: RFC 4648, section 6. No 0, 1, 8 or 9, so that a code can be read aloud.
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

#: Thirteen base32 characters are 65 bits: beyond guessing, so they need no budget
#: (NIST SP 800-63B-4, section 3.2.2, exempts secrets of 64 bits and more from throttling).
LONG_LENGTH = 13

#: Bytes of randomness that a code is made of.
ENTROPY = 16

#: Zs, Zl, Zp: spaces; Cf: bidi marks and zero-width characters; Pd: dashes.
_FORGIVEN = frozenset({"Zs", "Zl", "Zp", "Cf", "Pd"})


def generate(digits: int, random: bytes | None = None) -> str:
    """Return a code of ``digits`` decimal digits, each equally likely.

    :param random: 128 random bits, if there are some already. They are so many more than a code
        takes that none is likelier than another by more than 2 ** -94 (NIST SP 800-90A Rev. 1,
        appendix A.5.3, asks for 64 more).
    """
    number = int.from_bytes(random or secrets.token_bytes(ENTROPY))
    return f"{number % 10**digits:0{digits}}"


def generate_long(random: bytes | None = None) -> str:
    """Return a code of 65 random bits, for an identifier that is under attack.

    :param random: 128 random bits, if there are some already.
    """
    drawn = random or secrets.token_bytes(ENTROPY)
    return "".join([BASE32[byte % 32] for byte in drawn[:LONG_LENGTH]])


def normalise(text: str) -> str | None:
    """Return the code that was meant by a pasted ``text``, or ``None`` if it can't be one.

    White space, dashes and bidi marks are dropped; any Unicode decimal digit counts as its
    ASCII one; letters are ASCII only and become upper case.
    """
    if text.isascii() and text.isdigit():
        return text
    cleaned = [_canonical(character) for character in text]
    return None if None in cleaned else "".join(filter(None, cleaned)) or None


def _canonical(character: str) -> str | None:
    """Return what ``character`` stands for: ``""`` if nothing, ``None`` if it can't stand."""
    if character.isascii() and character.isalnum():
        return character.upper()
    if character.isspace() or character == "\N{MINUS SIGN}":
        return ""
    if unicodedata.category(character) in _FORGIVEN:
        return ""
    digit = unicodedata.decimal(character, None)
    return None if digit is None else str(digit)


def fits(code: str, length: int, long: bool) -> bool:
    """Tell whether ``code`` has the shape of a code of that length and alphabet."""
    if len(code) != length:
        return False
    return all(character in BASE32 for character in code) if long else code.isdigit()


def digest(key: bytes, parts: Iterable[str], code: str) -> str:
    """Return the HMAC-SHA256, in hex, of a code and of all that it is bound to."""
    return mac(key, pack(*parts, code))


def matches(digests: Iterable[str], expected: str) -> bool:
    """Compare in constant time with each digest that the valid keys give."""
    found = False
    for candidate in digests:
        found |= hmac.compare_digest(candidate, expected)
    return found


def short_hash(text: str) -> str:
    """Return 128 bits of SHA-256 in hex: a name for ``text`` that is safe in any key."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]
