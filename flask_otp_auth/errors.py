"""What can go wrong, one class for each row of the wire's error table.

Every :class:`RequestError` knows its HTTP status, its type and its message. A message is
fixed text: it never repeats what a caller sent, so it can't carry a code or an identifier.
"""


class OTPAuthError(Exception):
    """The base of every error that this package raises."""


class ConfigError(OTPAuthError):
    """The configuration can't be used; raised while the app is being set up.

    :ivar faults: every fault that was found, each with the way to mend it.
    """

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n".join(("flask-otp-auth can't start:", *(f"- {f}" for f in faults))))


class AmbiguousActor(OTPAuthError):
    """Several accounts have the same identifier or id; no code is sent to any of them."""

    def __init__(self) -> None:
        super().__init__("several accounts have the same identifier or id")


class RequestError(OTPAuthError):
    """A request that is refused; an app may raise and catch these in its own views.

    :ivar status: the HTTP status code.
    :ivar type: the machine-readable kind, as on the wire.
    :ivar message: the text for people, as on the wire.
    :ivar retry_after: seconds until a new try makes sense, or ``None``.
    """

    status = 400
    type = "invalid_data"
    message: str = "The request is not valid."

    def __init__(self, message: str | None = None, *, retry_after: int | None = None) -> None:
        if message is not None:
            self.message = message
        self.retry_after = retry_after
        super().__init__(self.message)


class InvalidData(RequestError):
    """A field is missing or is not what it must be."""


class InvalidIdentifier(InvalidData, ValueError):
    """The identifier is not an address of the kind that its actor type uses."""

    message = "The identifier is not valid."


class InvalidOTP(RequestError):
    """The code doesn't let in: wrong, expired, used, exhausted or never issued.

    Which of these it was is told to no caller, only to handlers of ``otp_rejected``.
    """

    type = "invalid_otp"
    message = "Invalid OTP"


class Unauthorized(RequestError):
    """The bearer token or the session is missing or does not let in (RFC 6750, section 3).

    :ivar error: the error code of RFC 6750 or RFC 9470, or ``None`` where no token came.
    :ivar max_age: the age in seconds that a sign-in may have here at most (RFC 9470).
    """

    status = 401
    type = "unauthorized"
    message = "Unauthorized"

    def __init__(self, error: str | None = "invalid_token", *, max_age: int | None = None) -> None:
        self.error = error
        self.max_age = max_age
        super().__init__()


class NotFound(RequestError):
    """The actor type is not registered, or (in plain mode) there is no such actor."""

    status = 404
    type = "not_found"
    message = "Not found"


class DuplicateError(RequestError):
    """The identifier already has an actor."""

    status = 409
    type = "duplicate_error"
    message = "An account with this identifier already exists."


class ActorNotCreated(RequestError):
    """The code or token is right, but the app has yet to create the actor."""

    status = 409
    type = "actor_not_created"
    message = "The account has not been created yet."


class PayloadTooLarge(RequestError):
    """The body is larger than 4 KiB."""

    status = 413
    type = "payload_too_large"
    message = "The body is too large."


class UnsupportedMediaType(RequestError):
    """The body is not ``application/json``."""

    status = 415
    type = "unsupported_media_type"
    message = "The body must be application/json."


class RateLimited(RequestError):
    """A limit is reached; ``retry_after`` says for how many seconds."""

    status = 429
    type = "rate_limited"
    message = "Too many requests"


class Unavailable(RequestError):
    """The store or the limiter can't be reached: nothing was sent, no one was let in."""

    status = 503
    type = "unavailable"
    message = "The service is temporarily unavailable."
