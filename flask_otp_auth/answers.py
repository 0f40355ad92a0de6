"""Answers: JSON bodies, and errors with the headers that belong to them."""

import json
import logging
from typing import Any

from flask import Response

from .errors import RequestError, Unauthorized, Unavailable

logger: logging.Logger = logging.getLogger("flask_otp_auth")


def answer(body: dict[str, Any], status: int = 200) -> Response:
    """Return a JSON answer that no one may store (RFC 9111, section 5.2.2.5)."""
    response = Response(json.dumps(body), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def render(error: RequestError) -> Response:
    """Return the answer to a refused request."""
    body: dict[str, Any] = {"type": error.type, "message": error.message}
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
    response = answer(body, error.status)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = _challenge(error)
    if isinstance(error, Unavailable):
        cause = error.__cause__
        logger.error("answered 503: %s", type(cause).__qualname__ if cause else "refused")
    return response


def _challenge(error: Unauthorized) -> str:
    """Return the value of ``WWW-Authenticate`` (RFC 6750, section 3; RFC 9470, section 3)."""
    if error.error is None:
        return "Bearer"
    parts = [f'error="{error.error}"']
    if error.max_age is not None:
        parts.append('error_description="More recent authentication is required"')
        parts.append(f'max_age="{error.max_age}"')
    return "Bearer " + ", ".join(parts)
