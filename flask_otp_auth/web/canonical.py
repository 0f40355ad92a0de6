"""The canonical form of identifiers, for an app's own table."""

from flask import current_app

from ..core import identifiers
from ..core.identifiers import Canonicaliser, IdentifierSpec


def canonicaliser(identifier: IdentifierSpec = "email", region: str | None = None) -> Canonicaliser:
    """Return the function that brings identifiers into their canonical form.

    It does what an actor type with the same ``identifier=`` does, so an app can bring its own
    table into that form, and compare what somebody typed.

    :param identifier: as in :meth:`~flask_otp_auth.OTPAuth.add_actor_type`.
    :param region: the country of phone numbers without a country code, such as ``"DE"``.
    :raises ConfigError: if ``identifier`` can't be used, or its package is not installed.
    """
    return identifiers.canonicaliser(identifier, region, special_use=_in_development)


def _in_development() -> bool:
    # Outside of an app the proxy is false.
    return bool(current_app) and (current_app.debug or current_app.testing)
