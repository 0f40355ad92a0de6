"""Answers: the JSON bodies of the API, its errors, and what caches may keep."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

from flask import Response, current_app, request
from flask.blueprints import BlueprintSetupState
from flask.typing import ErrorHandlerCallable, ResponseReturnValue
from flask_limiter import RateLimitExceeded

from ..errors import RateLimited, RequestError

if TYPE_CHECKING:
    from ..flows.ask import Issued
    from ..tokens.sign_ins import SignIn
    from ..tokens.token import Token

NO_STORE = "no-store"

#: For what is the same for everybody: public keys.
PUBLIC = "public, max-age=300"

#: For a file whose URL holds a hash of what is in it (RFC 8246).
FOREVER = "public, max-age=31536000, immutable"


class IssuedAnswer(TypedDict):
    """A code was asked for; the same whether one is sent or not.

    :ivar message: a text for people.
    :ivar challenge: what may be sent back with the code.
    :ivar expires_in: seconds that a code is valid; it has 6 to 20 digits, and one field is for all.
    :ivar resend_after: seconds after which another code can be asked for.
    """

    message: str
    challenge: str
    expires_in: int
    resend_after: int


class TokenAnswer(TypedDict):
    """A token.

    :ivar token: a JWT, for the header ``Authorization: Bearer``.
    :ivar registration: there if the token is for registration, as it is for somebody new.
    """

    token: str
    registration: NotRequired[Literal[True]]


class SignInItem(TypedDict):
    """A sign-in on one device.

    :ivar browser: in words, if it is known; so is ``platform``.
    :ivar since: a time of ISO 8601, in UTC.
    :ivar current: whether it is the one of the request.
    """

    id: str
    browser: str | None
    platform: str | None
    since: str
    current: bool


class SignInsAnswer(TypedDict):
    """The actor's live sign-ins."""

    sign_ins: list[SignInItem]


class UserItem(TypedDict):
    """Whose session it is."""

    actor_type: str
    actor_id: str


class SessionAnswer(TypedDict):
    """A session has begun."""

    user: UserItem


class SuccessAnswer(TypedDict):
    """It is done, or there was nothing to do."""

    success: Literal[True]


class KeysAnswer(TypedDict):
    """The public keys, as a JWK set (RFC 7517, section 5)."""

    keys: list[dict[str, Any]]


SUCCESS: SuccessAnswer = {"success": True}


def json_response(body: Mapping[str, Any], cache: str) -> Response:
    """Return a JSON answer, its names in the order of the body.

    :param cache: what caches may do with it.
    """
    response = Response(json.dumps(body), mimetype="application/json")
    response.headers["Cache-Control"] = cache
    return response


def issued_answer(issued: Issued, message: str) -> IssuedAnswer:
    """Return the answer to a request for a code."""
    return {
        "message": message,
        "challenge": issued.challenge,
        "expires_in": issued.expires_in,
        "resend_after": issued.resend_after,
    }


def token_answer(token: Token) -> TokenAnswer:
    """Return the answer that hands out a token."""
    return {"token": token}


def sign_ins_answer(sign_ins: list[SignIn]) -> SignInsAnswer:
    """Return the answer that lists sign-ins."""
    return {
        "sign_ins": [
            {
                "id": sign_in.id,
                "browser": sign_in.browser,
                "platform": sign_in.platform,
                "since": sign_in.since.isoformat(timespec="seconds"),
                "current": sign_in.current,
            }
            for sign_in in sign_ins
        ]
    }


def render_error(error: RequestError) -> ResponseReturnValue:
    """Answer a refusal on our own routes.

    The app's handler of our errors has its say; one for all HTTP errors or all exceptions has
    not, as it would give an API's client the app's own error page.
    """
    handler = _app_handler(type(error))
    if handler is None:
        return error.get_response()
    answer: ResponseReturnValue = current_app.ensure_sync(handler)(error)
    return answer


def is_handled(error: type[RequestError]) -> bool:
    """Tell whether the app has a handler for an error, be it one for all HTTP errors."""
    spec = current_app.error_handler_spec
    names = (*request.blueprints, None)
    return any(cls in spec[name][None] for name in names for cls in error.__mro__)


def _app_handler(error: type[RequestError]) -> ErrorHandlerCallable | None:
    """Return the handler that the app, or a blueprint of its own round ours, has for an error."""
    ours = [cls for cls in error.__mro__ if issubclass(cls, RequestError)]
    for name in (*request.blueprints, None):
        handlers = current_app.error_handler_spec[name][None]
        for cls in ours:
            handler = handlers.get(cls)
            if handler not in (None, render_error):
                return handler
    return None


def render_limit_of_app(error: RateLimitExceeded) -> ResponseReturnValue:
    """Answer a limit of the app's own Flask-Limiter in the form that the API's clients know.

    One that is passed as ``limiter=`` has none for our routes, but others may.
    """
    window = error.limit.limit.get_expiry()  # the longest that there is to wait
    return render_error(RateLimited(retry_after=window))


def forbid_storing(response: Response) -> Response:
    """Keep an answer out of caches (RFC 9111, 5.2.2.5), whatever a handler of the app says."""
    kept = response.headers.get("Cache-Control") in (PUBLIC, FOREVER)
    if response.status_code not in (200, 304) or not kept:
        response.headers["Cache-Control"] = NO_STORE
    return response


def cover_prefix(state: BlueprintSetupState) -> None:
    """Extend that to what Flask itself refuses under our prefix: unknown paths, other methods."""
    prefix = (state.url_prefix or "").rstrip("/")
    if prefix:
        parts = re.split("<[^>]*>", prefix)  # such as <lang>
        pattern = re.compile(".+?".join(map(re.escape, parts)) + "(/|$)")
        state.app.after_request(partial(_forbid_storing_under, pattern))


def _forbid_storing_under(prefix: re.Pattern[str], response: Response) -> Response:
    # No route of the blueprint was found, so Flask doesn't run its after_request.
    if request.routing_exception is not None and prefix.match(request.path):
        response.headers["Cache-Control"] = NO_STORE
    return response
