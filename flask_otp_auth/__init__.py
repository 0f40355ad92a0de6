"""Passwordless sign-up and sign-in with one-time codes for Flask."""

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
    RateLimited,
    RequestError,
    Unauthorized,
    Unavailable,
)
from .extension import OTPAuth
from .guards import (
    current_actor,
    current_claims,
    current_registration,
    registration_required,
    token_required,
)
from .issuing import Issued

__all__ = [
    "ActorNotCreated",
    "AmbiguousActor",
    "ConfigError",
    "DuplicateError",
    "InvalidData",
    "InvalidIdentifier",
    "InvalidOTP",
    "Issued",
    "NotFound",
    "OTPAuth",
    "OTPAuthError",
    "RateLimited",
    "RequestError",
    "Unauthorized",
    "Unavailable",
    "current_actor",
    "current_claims",
    "current_registration",
    "registration_required",
    "token_required",
]
