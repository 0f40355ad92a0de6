"""E-mail addresses in canonical form, their domains by email-validator."""

import re
from functools import lru_cache

import email_validator
from email_validator import EmailNotValidError, validate_email

from .errors import InvalidIdentifier

#: Bytes of an address at most, however its domain is spelt (RFC 5321, section 4.5.3.1.3, less the
#: brackets).
MAX_LENGTH = 254

#: A local part: words of ASCII with single dots between them, 64 characters at most (RFC 5321,
#: sections 4.1.2 and 4.5.3.1.1).
_LOCAL_PART = re.compile(r"(?!.{65})[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*", re.ASCII)


def email(text: str) -> str:
    """Return an e-mail address in lower case, its domain as an A-label (RFC 5890).

    The local part must be ASCII, so that no look-alike letter can become another one's
    account by lower-casing. Spaces around the address are dropped.

    :raises InvalidIdentifier: if it is not an address that mail can be sent to.
    """
    local, _, domain = text.strip(" ").partition("@")
    if not _LOCAL_PART.fullmatch(local):
        raise InvalidIdentifier
    a_label, room = _checked(domain, _rules())
    if len(local) > room:
        raise InvalidIdentifier
    return f"{local}@{a_label}".lower()


def _rules() -> tuple[object, ...]:
    """Return what an app may set in email-validator for all its domains."""
    return (
        email_validator.ALLOW_DOMAIN_LITERAL,
        email_validator.GLOBALLY_DELIVERABLE,
        email_validator.TEST_ENVIRONMENT,
        *email_validator.SPECIAL_USE_DOMAIN_NAMES,
    )


@lru_cache(maxsize=1024)
def _checked(domain: str, rules: tuple[object, ...]) -> tuple[str, int]:
    """Return a domain as an A-label, and the characters that a local part may have before it.

    Few domains have most of the addresses, and to check one takes an eighth of a request.

    :param rules: what the answer depends on besides, so that none is kept beyond a change.
    """
    try:
        checked = validate_email(f"x@{domain}", check_deliverability=False)
    except EmailNotValidError:
        # The library's text repeats parts of the address, so it stays out of the chain.
        raise InvalidIdentifier from None
    spellings = domain, checked.domain, checked.ascii_domain
    return checked.ascii_domain, MAX_LENGTH - 1 - max(len(one.encode()) for one in spellings)
