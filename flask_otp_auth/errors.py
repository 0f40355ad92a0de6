"""What can go wrong, one class for each row of the wire's error table.

Every :class:`RequestError` knows its HTTP status, its type and its message. A message is
fixed text: it never repeats what a caller sent, so it can't carry a code or an identifier.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

#: Where each type of error has a page of its own.
PAGES = "https://flask-otp-auth.readthedocs.io/en/stable/errors/{type}.html"


class OTPAuthError(Exception):
    """The base of every error that this package raises."""


class ConfigError(OTPAuthError):
    """The configuration can't be used; raised while the app is being set up.

    :ivar faults: every fault that was found, each with the way to mend it.
    """

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("\n".join(("flask-otp-auth can't start:", *(f"- {f}" for f in faults))))


@contextmanager
def collecting(faults: list[str]) -> Iterator[None]:
    """Add the faults of a :class:`ConfigError` to a list, so that the next check can be made."""
    try:
        yield
    except ConfigError as error:
        faults += error.faults


class AmbiguousActor(OTPAuthError):
    """Several accounts have the same identifier or id; no code is sent to any of them."""

    def __init__(self) -> None:
        super().__init__("several accounts have the same identifier or id")


class RequestError(OTPAuthError, HTTPException):
    """A request that is refused; an app may raise and catch these in its own views.

    It is an HTTP exception with a JSON answer, so Flask and the frameworks on it send that answer
    unless the app has an ``errorhandler`` for it.

    :ivar status: the HTTP status code.
    :ivar type: the machine-readable kind, as on the wire.
    :ivar message: the text for people, as on the wire.
    :ivar retry_after: seconds until a new try makes sense, or ``None``.
    :ivar data: the answer's body as a dict; Flask-RESTful and Flask-RESTX look for this name.
    """

    status = 400
    type = "invalid_data"
    message: str = "The request is not valid."

    def __init__(self, message: str | None = None, *, retry_after: int | None = None) -> None:
        if message is not None:
            self.message = message
        self.code: int | None = self.status
        self.retry_after = retry_after
        super().__init__(self.message)

    @property
    def data(self) -> dict[str, Any]:
        """The body of the answer."""
        if isinstance(self.response, Response) and self.response.is_json:
            settled: dict[str, Any] = self.response.get_json()
            return settled
        body: dict[str, Any] = {"type": self.type, "message": self.message}
        if self.retry_after is not None:
            body["retry_after"] = self.retry_after
        return body

    @property
    def extra_headers(self) -> dict[str, str]:
        """The headers that belong to the answer, its content type excepted."""
        headers = {"Cache-Control": "no-store"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers

    def get_headers(self, *_: Any, **__: Any) -> list[tuple[str, str]]:
        """Return the answer's headers; Werkzeug's signature."""
        return [("Content-Type", "application/json"), *self.extra_headers.items()]

    def get_body(self, *_: Any, **__: Any) -> str:
        """Return the answer's body as JSON; Werkzeug's signature."""
        return json.dumps(self.data)

    def get_response(self, *_: Any, **__: Any) -> Response:
        """Return the whole answer; Werkzeug's signature."""
        if isinstance(self.response, Response):  # a guard has settled it
            return self.response
        return Response(self.get_body(), self.status, self.get_headers())

    def __str__(self) -> str:
        return self.message


class InvalidData(RequestError):
    """A field is missing or is not what it must be."""


class InvalidIdentifier(InvalidData, ValueError):
    """The identifier is not an address of the kind that its actor type uses."""

    message = "The identifier is not valid."


class InvalidOTP(RequestError):
    """The code was not accepted: wrong, expired, used or never issued.

    Which of these it was is told to no caller, only to handlers of ``otp_rejected``.
    """

    type = "invalid_otp"
    message = "Invalid OTP"


class Unauthorized(RequestError):
    """The bearer token or the session is missing or not valid (RFC 6750, section 3).

    :ivar error: the error code of RFC 6750 or RFC 9470, or ``None`` where no token came.
    :ivar max_age: the greatest age in seconds that a sign-in may have here (RFC 9470).
    """

    status = 401
    type = "unauthorized"
    message = "Unauthorized"

    def __init__(self, error: str | None = "invalid_token", *, max_age: int | None = None) -> None:
        self.error = error
        self.max_age = max_age
        super().__init__()

    @property
    def extra_headers(self) -> dict[str, str]:
        """The headers of the answer, with ``WWW-Authenticate`` as RFC 6750 and RFC 9470 have it."""
        parts = [] if self.error is None else [f'error="{self.error}"']
        if self.max_age is not None:
            parts.append('error_description="More recent authentication is required"')
            parts.append(f'max_age="{self.max_age}"')
        challenge = " ".join(("Bearer", ", ".join(parts))).rstrip()
        return {**super().extra_headers, "WWW-Authenticate": challenge}


class OTPRequired(RequestError):
    """The action needs a code that was just sent; repeat it with the header ``OTP``.

    :ivar challenge: for the header ``OTP-Challenge``, if the client keeps it.
    :ivar expires_in: seconds that the code is valid.
    :ivar resend_after: seconds after which another one can be sent.
    """

    status = 401
    type = "otp_required"
    message = "A one-time code is required."

    def __init__(self, challenge: str, expires_in: int, resend_after: int) -> None:
        self.challenge = challenge
        self.expires_in = expires_in
        self.resend_after = resend_after
        super().__init__()

    @property
    def extra_headers(self) -> dict[str, str]:
        """The headers of the answer, with ``WWW-Authenticate`` in the manner of RFC 9470."""
        challenge = 'Bearer error="insufficient_user_authentication"'
        return {**super().extra_headers, "WWW-Authenticate": challenge}

    @property
    def data(self) -> dict[str, Any]:
        """The body of the answer."""
        return {
            **super().data,
            "challenge": self.challenge,
            "expires_in": self.expires_in,
            "resend_after": self.resend_after,
        }


class Refused(RequestError):
    """The app's own gate refuses to send a code (``before_code``)."""

    status = 403
    type = "refused"
    message = "Refused"


class SignUpRefused(Refused):
    """The app's store refuses to create an actor (``create``, for pages).

    The text is shown to the person who wants to join.
    """

    message = "You can't join here."


class NotFound(RequestError):
    """There is no such actor type, sign-in or public key, or (with plain answers) no such actor."""

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
    """Storage or limiter is out of reach, or the queue is full: nothing was sent or given."""

    status = 503
    type = "unavailable"
    message = "The service is temporarily unavailable."
