"""E-mail addresses in canonical form, by email-validator."""

from typing import cast

from email_validator import EmailNotValidError, validate_email

from .errors import InvalidIdentifier


def email(text: str) -> str:
    """Return an e-mail address in lower case, its domain as an A-label (RFC 5890).

    The local part must be ASCII, so that no look-alike letter can become another one's
    account by lower-casing. Spaces around the address are dropped.

    :raises InvalidIdentifier: if it is not an address that mail can be sent to.
    """
    try:
        checked = validate_email(
            text.strip(" "), allow_smtputf8=False, check_deliverability=False, strict=True
        )
    except EmailNotValidError:
        # The library's text repeats parts of the address, so it stays out of the chain.
        raise InvalidIdentifier from None
    # Without SMTPUTF8 there always is an ASCII form, and the library holds it to the 254
    # characters of RFC 5321 (section 4.5.3.1.3, less the brackets).
    return cast(str, checked.ascii_email).lower()
