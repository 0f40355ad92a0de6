"""What the signals say, as arguments of messages."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from fakes import ADA

from flask_otp_auth.core.context import Context

#: English, and the languages that the package has catalogues of.
LANGUAGES = ("en", "de", "fr", "es", "ar")

LONG_CODE = "12345678901234567890"

#: What a code confirms.
RENT = {"amount": "950.00", "payee": "Bob & <Sons>"}


def context(locale: str | None = "en", **changes: Any) -> Context:
    """Return what is known of a request from Firefox on Linux."""
    known = {"browser": "Firefox", "platform": "Linux", "address": "192.0.2.7", **changes}
    return Context(locale, datetime(2026, 1, 2, 15, 4, 5, tzinfo=UTC), **known)


def login_code(locale: str | None = "en", **changes: Any) -> dict[str, Any]:
    """Return the arguments of ``otp_generated``."""
    return {**registration_code(locale), "actor_id": "1", **changes}


def registration_code(locale: str | None = "en", **changes: Any) -> dict[str, Any]:
    """Return the arguments of ``pre_register_otp_generated``."""
    return {
        "actor_type": "customer",
        "identifier": ADA,
        "otp": "314159",
        "expires_at": datetime.now(UTC) + timedelta(minutes=5),
        "challenge": "a-challenge",
        "context": context(locale),
        "link": None,
        **changes,
    }


def confirmation_code(locale: str | None = "en", **changes: Any) -> dict[str, Any]:
    """Return the arguments of ``confirmation_otp_generated``."""
    return {
        "purpose": "payment",
        "identifier": ADA,
        "otp": "314159",
        "subject": "1",
        "binds": RENT,
        "expires_at": datetime.now(UTC) + timedelta(minutes=5),
        "challenge": "a-challenge",
        "context": context(locale),
        **changes,
    }


def suppressed(reason: str, locale: str | None = "en") -> dict[str, Any]:
    """Return the arguments of ``otp_suppressed``."""
    return {
        "actor_type": "customer",
        "identifier": ADA,
        "purpose": "door",
        "reason": reason,
        "context": context(locale),
    }


def signed_in(locale: str | None = "en", **changes: Any) -> dict[str, Any]:
    """Return the arguments of ``actor_authenticated``, on a new device."""
    return {
        "actor_type": "customer",
        "actor_id": "1",
        "identifier": ADA,
        "method": "otp",
        "new_device": True,
        "context": context(locale),
        **changes,
    }


#: The arguments for each template, in a language.
MESSAGES: dict[str, Callable[..., dict[str, Any]]] = {
    "code": login_code,
    "confirmation": confirmation_code,
    "already_registered": lambda locale="en": suppressed("already_registered", locale),
    "unknown_actor": lambda locale="en": suppressed("unknown_actor", locale),
    "new_device": signed_in,
}
