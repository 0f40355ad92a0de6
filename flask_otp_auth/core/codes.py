"""One-time codes as texts: drawn, cleaned of what people paste with them, bound by a digest."""

import hmac
import secrets
import unicodedata
from collections.abc import Iterable

from .crypto import hmac_hex, length_prefixed
from .scopes import Scope

#: Digits of a long code: 66 bits, beyond guessing, so it needs no budget (NIST SP 800-63B-4,
#: section 3.2.2, exempts secrets of 64 bits and more from throttling).
LONG_DIGITS = 20

#: Seconds that a long code lives, and in which one is sent: one of them always has minutes left.
LONG_TTL, LONG_INTERVAL = 600, 420

#: Zs, Zl, Zp: spaces; Cf: bidi marks and zero-width characters; Pd: dashes.
_FORGIVEN = frozenset({"Zs", "Zl", "Zp", "Cf", "Pd"})


def life(ttl: int, *, long: bool) -> int:
    """Return the seconds that a code lives.

    :param ttl: the setting. A purpose that only proves an address may have up to a day, and under
        attack, too, such a code lives that long.
    """
    return max(LONG_TTL, ttl) if long else ttl


def draw(digits: int) -> str:
    """Return a code of ``digits`` decimal digits, each equally likely."""
    return f"{secrets.randbelow(10**digits):0{digits}}"


def normalise(text: str) -> str | None:
    """Return the code that was meant by a pasted ``text``, or ``None`` if it can't be one.

    White space, dashes and bidi marks are dropped; any Unicode decimal digit counts as its
    ASCII one.
    """
    if text.isascii() and text.isdigit():
        return text
    cleaned = [_canonical(character) for character in text]
    return None if None in cleaned else "".join(filter(None, cleaned)) or None


def _canonical(character: str) -> str | None:
    """Return what ``character`` stands for: ``""`` if nothing, ``None`` if it can't stand."""
    if character.isspace() or character == "\N{MINUS SIGN}":
        return ""
    if unicodedata.category(character) in _FORGIVEN:
        return ""
    digit = unicodedata.decimal(character, None)
    return None if digit is None else str(digit)


def digest(key: bytes, scope: Scope, code_id: str, code: str) -> str:
    """Return the HMAC-SHA256, in hex, of a code and of all that it is bound to."""
    return hmac_hex(key, length_prefixed(*scope.parts, code_id, code))


def matches(digests: Iterable[str], expected: str) -> bool:
    """Compare in constant time with each digest that the valid keys give."""
    found = False
    for candidate in digests:
        found |= hmac.compare_digest(candidate, expected)
    return found
