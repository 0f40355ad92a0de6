"""Identifiers in canonical form: one person, one spelling.

Two spellings of one address must meet in one account, and two addresses never in one. So an
address is brought into its canonical form before anything else looks at it.
"""

import re
from collections.abc import Callable, Collection
from functools import partial

from .errors import ConfigError, InvalidIdentifier
from .values import PHONE_EXTRA

#: Characters of an identifier at most: a local part of 64, an ``@``, a domain of 255 (RFC 5321).
MAX_LENGTH = 320

#: A phone number as ITU-T E.164 has it.
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")

Canonicaliser = Callable[[str], str]

#: What an actor type's ``identifier=`` may be.
Kind = str | tuple[str, ...] | Canonicaliser


def canonicaliser(kind: Kind, region: str | None = None) -> Canonicaliser:
    """Return the function for an actor type's ``identifier=``.

    :param kind: ``"email"``, ``"phone"``, both in a tuple, or a function of the app's own.
    :param region: the country of phone numbers without a country code.
    :raises ConfigError: if ``kind`` is none of these, or its package is missing.
    """
    if callable(kind):
        return kind
    if kind == "email":
        return _email()
    if kind == "phone":
        return _phone(region)
    if isinstance(kind, (tuple, list)) and sorted(map(str, kind)) == ["email", "phone"]:
        return partial(_either, _email(), _phone(region))
    raise ConfigError(
        f'identifier= must be "email", "phone", ("email", "phone") or a callable, not {kind!r}'
    )


def _email() -> Canonicaliser:
    from .emails import email  # here, as its library takes long to import

    return email


def _phone(region: str | None) -> Canonicaliser:
    try:
        from .phones import phone  # here, as its package is an extra
    except ImportError:
        raise ConfigError(f'identifier="phone" {PHONE_EXTRA}') from None
    return partial(phone, region=region)


def _either(email: Canonicaliser, phone: Canonicaliser, text: str) -> str:
    return email(text) if "@" in text else phone(text)


def is_allowed(identifier: str, countries: Collection[str]) -> bool:
    """Tell whether codes may be sent to a canonical identifier.

    :param countries: the only ones whose phone numbers get codes; none for all. What is not a
        phone number is in no country, so it may always get one.
    """
    if not countries or not _E164.fullmatch(identifier):
        return True
    from .phones import is_in  # here, as its package is an extra

    return is_in(identifier, countries)


def canonical(function: Canonicaliser, text: str) -> str:
    """Return the canonical form of ``text``.

    :raises InvalidIdentifier: if it has none, is empty, too long or not encodable.
    """
    try:
        identifier = function(text)
    except ValueError:  # InvalidIdentifier is one, and what most parsers raise is another
        raise InvalidIdentifier from None
    if not isinstance(identifier, str) or not 0 < len(identifier) <= MAX_LENGTH:
        raise InvalidIdentifier
    try:
        identifier.encode()
    except UnicodeEncodeError:
        raise InvalidIdentifier from None
    return identifier
