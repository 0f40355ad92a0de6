"""The bearer token of a request (RFC 6750, section 2.1)."""

from flask import request

from ..errors import Unauthorized


def find_bearer_token() -> str | None:
    """Return the request's bearer token; ``None`` if it doesn't claim to have one.

    A request that names the scheme and then no token has an empty one.
    """
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def bearer_token() -> str:
    """Return the request's bearer token.

    :raises Unauthorized: if there is none.
    """
    token = find_bearer_token()
    if not token:
        raise Unauthorized(None)
    return token
