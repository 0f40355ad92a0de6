"""Passwordless sign-up and sign-in with one-time codes for Flask."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import (
    ActorNotCreated,
    AmbiguousActor,
    ConfigError,
    DuplicateError,
    InvalidData,
    InvalidIdentifier,
    InvalidOTP,
    NotFound,
    OTPAuthError,
    OTPRequired,
    RateLimited,
    Refused,
    RequestError,
    SignUpRefused,
    Unauthorized,
    Unavailable,
)
from .extension import OTPAuth
from .guards import (
    current_actor,
    current_claims,
    current_confirmation,
    current_registration,
    otp_required,
    page_required,
    registration_required,
    token_required,
)

if TYPE_CHECKING:
    from .core.context import Context
    from .flows.ask import Issued
    from .flows.confirm import Proof
    from .storage.base import Store
    from .storage.sqlite import SQLiteCache
    from .tokens.sign_ins import SignIn
    from .tokens.token import Token
    from .web.canonical import canonicaliser
    from .web.health import health

# Imported when they are asked for, as few apps ask; they take two thirds of the package's time at
# import (`make bench`).
_LAZY = {
    "Context": ".core.context",
    "Issued": ".flows.ask",
    "Proof": ".flows.confirm",
    "SQLiteCache": ".storage.sqlite",
    "SignIn": ".tokens.sign_ins",
    "Store": ".storage.base",
    "Token": ".tokens.token",
    "canonicaliser": ".web.canonical",
    "health": ".web.health",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "ActorNotCreated",
    "AmbiguousActor",
    "ConfigError",
    "Context",
    "DuplicateError",
    "InvalidData",
    "InvalidIdentifier",
    "InvalidOTP",
    "Issued",
    "NotFound",
    "OTPAuth",
    "OTPAuthError",
    "OTPRequired",
    "Proof",
    "RateLimited",
    "Refused",
    "RequestError",
    "SQLiteCache",
    "SignIn",
    "SignUpRefused",
    "Store",
    "Token",
    "Unauthorized",
    "Unavailable",
    "canonicaliser",
    "current_actor",
    "current_claims",
    "current_confirmation",
    "current_registration",
    "health",
    "otp_required",
    "page_required",
    "registration_required",
    "token_required",
]
