"""Identifiers in canonical form: one person, one spelling.

Two spellings of one address must lead to one account, and two addresses never to one. So an
address is brought into its canonical form before anything else looks at it, and the canonical form
is what codes are sent to.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING

from ..errors import ConfigError, InvalidData, InvalidIdentifier
from .bindings import INVISIBLE
from .store_checks import is_async, refuse_awaitable
from .validators import PHONE_EXTRA

if TYPE_CHECKING:
    from .settings import Settings

#: Characters of an identifier at most: a local part of 64, an ``@``, a domain of 255 (RFC 5321).
MAX_LENGTH = 320

#: Bytes of an e-mail address at most, however its domain is spelt (RFC 5321, section 4.5.3.1.3,
#: less the brackets).
MAX_EMAIL_LENGTH = 254

#: The local part of an e-mail address: words of ASCII with single dots between them, 64 characters
#: at most (RFC 5321, sections 4.1.2 and 4.5.3.1.1).
_LOCAL_PART = re.compile(r"(?!.{65})[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)

#: A phone number as ITU-T E.164 has it.
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")

Canonicaliser = Callable[[str], str]

#: What an actor type's ``identifier=`` may be.
IdentifierSpec = str | tuple[str, ...] | Canonicaliser


def canonicaliser(
    identifier: IdentifierSpec,
    region: str | None = None,
    *,
    special_use: Callable[[], bool] = lambda: False,
) -> Canonicaliser:
    """Return the function that brings an identifier into its canonical form.

    It ignores white space and invisible characters around the identifier, and raises
    :class:`~flask_otp_auth.errors.InvalidIdentifier` for what is none.

    :param identifier: as in ``add_actor_type``: ``"email"``, ``"phone"``, both in a tuple, or a
        function of the app's own.
    :param region: the country of phone numbers without a country code (ISO 3166-1 alpha-2).
    :param special_use: tells at each call whether to take e-mail domains that no mail can be sent
        to, such as ``.test`` and ``.localhost`` (RFC 6761).
    :raises ConfigError: if ``identifier`` is none of these, or its package is missing.
    """
    return partial(_canonical, _form(identifier, region, special_use))


def _form(
    identifier: IdentifierSpec, region: str | None, special_use: Callable[[], bool]
) -> Canonicaliser:
    if is_async(identifier):
        raise ConfigError("identifier= must be a plain function, not async def")
    if callable(identifier):
        return identifier
    if identifier == "email":
        return _email_form(special_use)
    if identifier == "phone":
        return _phone_form(region)
    if isinstance(identifier, (tuple, list)) and sorted(map(str, identifier)) == ["email", "phone"]:
        return partial(_either, _email_form(special_use), _phone_form(region))
    raise ConfigError(
        'identifier= must be "email", "phone", ("email", "phone") or a callable, '
        f"not {identifier!r}"
    )


def _canonical(form: Canonicaliser, text: str) -> str:
    if not isinstance(text, str):
        raise InvalidData("identifier must be a string.")
    try:
        identifier = form(trimmed(text))
        refuse_awaitable(identifier, "identifier=")
        if isinstance(identifier, str) and 0 < len(identifier) <= MAX_LENGTH:
            identifier.encode()  # refuses lone surrogates
            return identifier
    except ValueError:  # InvalidIdentifier is one, and what most parsers raise is another
        raise InvalidIdentifier from None
    raise InvalidIdentifier


def trimmed(text: str) -> str:
    """Return the text without the white space and invisible characters around it.

    Invisible are the format characters (Cf): bidi marks, zero-width characters, byte order marks,
    and what else Unicode doesn't show, such as fillers. They come along when an address is pasted.
    """
    start, end = 0, len(text)
    while start < end and _is_invisible(text[start]):
        start += 1
    while start < end and _is_invisible(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_invisible(character: str) -> bool:
    if character.isspace() or unicodedata.category(character) == "Cf":
        return True
    return INVISIBLE.fullmatch(character) is not None


def _email_form(special_use: Callable[[], bool]) -> Canonicaliser:
    # It takes 50 ms to import: not with the package, and not at the first request.
    import email_validator  # noqa: F401 - loaded now, used later

    return lambda text: email(text, special_use=special_use())


def _phone_form(region: str | None) -> Canonicaliser:
    try:
        from .phones import phone  # here, as its package is an extra
    except ImportError:
        raise ConfigError(f'identifier="phone" {PHONE_EXTRA}') from None
    return partial(phone, region=region)


def _either(email_form: Canonicaliser, phone_form: Canonicaliser, text: str) -> str:
    return email_form(text) if "@" in text else phone_form(text)


def email(text: str, *, special_use: bool = False) -> str:
    """Return an e-mail address in lower case, its domain as an A-label (RFC 5890).

    The local part must be ASCII, so that no look-alike letter can become another one's account by
    lower-casing.

    :param special_use: whether to take the domains that no mail can be sent to (RFC 6761).
    :raises InvalidIdentifier: if it is not an address that mail can be sent to.
    """
    local, _, domain = text.partition("@")
    if not _LOCAL_PART.fullmatch(local):
        raise InvalidIdentifier
    a_label, room = _domain(domain, special_use)
    if len(local) > room:
        raise InvalidIdentifier
    return f"{local}@{a_label}".lower()


# benchmarks/measure.py, one thread: a request for a code takes 15 % longer without the cache.
@lru_cache(maxsize=1024)
def _domain(domain: str, special_use: bool) -> tuple[str, int]:
    """Return a domain as an A-label, and the characters that a local part may have before it."""
    from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

    # email-validator has no argument to take these, so they are checked as names below another.
    taken = special_use and domain.lower().rpartition(".")[2] in SPECIAL_USE_DOMAIN_NAMES
    suffix = ".com" if taken else ""
    try:
        checked = validate_email(
            f"x@{domain}{suffix}",
            check_deliverability=False,
            allow_domain_literal=False,
            allow_display_name=False,
            globally_deliverable=True,
            test_environment=False,
        )
    except EmailNotValidError:
        # The library's text repeats parts of the address, so it stays out of the chain.
        raise InvalidIdentifier from None
    a_label = checked.ascii_domain.removesuffix(suffix)
    spellings = domain, checked.domain.removesuffix(suffix), a_label
    return a_label, MAX_EMAIL_LENGTH - 1 - max(len(one.encode()) for one in spellings)


def stored_form(text: str) -> str:
    """Return the canonical form of a stored e-mail address or phone number, else the text itself.

    :raises InvalidIdentifier: if it looks like one but is none.
    """
    if "@" in text:
        return email(trimmed(text), special_use=True)
    if any(map(str.isalpha, text)):
        return text
    try:
        from .phones import phone  # here, as its package is an extra
    except ImportError:
        return text
    return phone(trimmed(text))


def destination(identifier: str) -> str:
    """Return the mailbox or phone behind a canonical identifier: what messages are counted by.

    Many providers deliver ``ada+shop@`` to ``ada@``, and Gmail ignores dots as well.
    """
    local, at, domain = identifier.rpartition("@")
    if not at:
        return identifier
    local = local.partition("+")[0]
    if domain in ("gmail.com", "googlemail.com"):
        local, domain = local.replace(".", ""), "gmail.com"
    return f"{local}@{domain}"


def is_phone(identifier: str) -> bool:
    """Tell whether a canonical identifier is a phone number."""
    return _E164.fullmatch(identifier) is not None


def line_refusal(identifier: str, settings: "Settings") -> str | None:
    """Return why no code may be sent to a canonical identifier, or ``None``.

    What is not a phone number may always get one.

    :returns: ``"country_not_allowed"``, ``"line_not_allowed"`` or ``None``.
    :raises ConfigError: if it is a phone number and phonenumbers is missing.
    """
    if not is_phone(identifier):
        return None
    try:
        from .phones import is_in, line_type  # here, as its package is an extra
    except ImportError:
        raise ConfigError(f"an identifier that is a phone number {PHONE_EXTRA}") from None
    if settings.phone_countries and not is_in(identifier, settings.phone_countries):
        return "country_not_allowed"
    return None if line_type(identifier) in settings.phone_lines else "line_not_allowed"
