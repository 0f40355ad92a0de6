"""The JSON API: a table of routes, and one function for each: read, call the flow, answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Blueprint, Response, request
from flask_limiter import RateLimitExceeded

from ..errors import (
    ActorNotCreated,
    DuplicateError,
    InvalidData,
    InvalidOTP,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    Refused,
    RequestError,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from . import sessions
from .bearer import bearer_token
from .bodies import CodeBody, IdentifierBody, read_body
from .context import current_caller
from .responses import (
    NO_STORE,
    PUBLIC,
    SUCCESS,
    IssuedAnswer,
    KeysAnswer,
    SessionAnswer,
    SignInsAnswer,
    SuccessAnswer,
    TokenAnswer,
    cover_prefix,
    forbid_storing,
    issued_answer,
    json_response,
    render_error,
    render_limit_of_app,
    sign_ins_answer,
    token_answer,
)
from .state import current_state

B = TypeVar("B", IdentifierBody, CodeBody)

GENERATED = "If an account exists with this identifier, an OTP will be sent."
PRE_REGISTERED = "Please validate the OTP to continue with the registration process."
STARTED = "An OTP will be sent."


def _read(actor_type: str, schema: type[B]) -> B:
    current_state().actors.get(actor_type)  # an unknown one is 404, whatever the body
    return read_body(request, schema)


def generate(actor_type: str) -> IssuedAnswer:
    """Ask for a code to sign in with."""
    body = _read(actor_type, IdentifierBody)
    issued = current_state().issuer.generate(
        actor_type, body.identifier, current_caller(body.proof)
    )
    return issued_answer(issued, GENERATED)


def pre_register(actor_type: str) -> IssuedAnswer:
    """Ask for a code to register with."""
    body = _read(actor_type, IdentifierBody)
    issued = current_state().issuer.pre_register(
        actor_type, body.identifier, current_caller(body.proof)
    )
    return issued_answer(issued, PRE_REGISTERED)


def start(actor_type: str) -> IssuedAnswer:
    """Ask for a code to sign in or to register with, whichever it turns out to be."""
    body = _read(actor_type, IdentifierBody)
    issued = current_state().issuer.start(actor_type, body.identifier, current_caller(body.proof))
    return issued_answer(issued, STARTED)


def verify(actor_type: str) -> TokenAnswer:
    """Sign in with a code of ``generate``."""
    body = _read(actor_type, CodeBody)
    token = current_state().redeemer.verify(
        actor_type, body.identifier, body.otp, body.challenge, current_caller()
    )
    return token_answer(token)


def register(actor_type: str) -> TokenAnswer:
    """Exchange a code of ``pre_register`` for a registration token."""
    body = _read(actor_type, CodeBody)
    token = current_state().redeemer.register(
        actor_type, body.identifier, body.otp, body.challenge, current_caller()
    )
    return token_answer(token)


def authenticate(actor_type: str) -> TokenAnswer:
    """Sign in with a code once more right after a registration, else as ``verify``."""
    body = _read(actor_type, CodeBody)
    token = current_state().redeemer.authenticate(
        actor_type, body.identifier, body.otp, body.challenge, current_caller()
    )
    return token_answer(token)


def finish(actor_type: str) -> TokenAnswer:
    """Exchange a code of ``start``: somebody new gets a registration token, which is said."""
    body = _read(actor_type, CodeBody)
    token = current_state().redeemer.finish(
        actor_type, body.identifier, body.otp, body.challenge, current_caller()
    )
    answer = token_answer(token)
    if token.registration:
        answer["registration"] = True
    return answer


def refresh() -> TokenAnswer:
    """Exchange the request's token for a fresh one."""
    return token_answer(current_state().credentials.refresh(bearer_token(), current_caller()))


def revoke() -> SuccessAnswer:
    """End the sign-in that the request's token belongs to."""
    current_state().credentials.revoke(bearer_token())
    return SUCCESS


# Those of the session's routes that change anything are DELETE: browsers send that to another
# origin only after a preflight (CORS), so a foreign page can't send it with the session's cookie.


def sign_ins() -> SignInsAnswer:
    """List the sign-ins of the actor whose token or session comes with the request."""
    claims, actor = sessions.identify_request()
    return sign_ins_answer(
        current_state().credentials.sign_ins(claims.actor_type, actor, claims.sid)
    )


def end_sign_in(sign_in_id: str) -> SuccessAnswer:
    """End one sign-in of the actor whose token or session comes with the request."""
    claims, actor = sessions.identify_request()
    if not current_state().credentials.end_sign_in(claims.actor_type, actor, sign_in_id):
        raise NotFound
    return SUCCESS


def end_other_sign_ins() -> SuccessAnswer:
    """End all sign-ins of that actor but the one of the request itself."""
    claims, actor = sessions.identify_request()
    current_state().credentials.end_other_sign_ins(claims.actor_type, actor, claims.sid)
    return SUCCESS


def begin_session() -> SessionAnswer:
    """Begin a session with the request's token."""
    claims = sessions.begin(bearer_token())
    return {"user": {"actor_type": claims["aud"], "actor_id": claims["sub"]}}


def end_session() -> SuccessAnswer:
    """End the current session. Idempotent."""
    sessions.end()
    return SUCCESS


def jwks() -> KeysAnswer:
    """Publish the keys that verify our tokens (RFC 7517, section 5)."""
    keys = current_state().credentials.public_keys
    if not keys:
        raise NotFound
    return {"keys": keys}


#: What a request may come with: the OpenAPI document's names for it, any one of which will do.
BEARER = ("bearer",)
IDENTITY = ("bearer", "cookie")
SESSION_IF_ANY = ("cookie", None)


@dataclass(frozen=True)
class Route:
    """One route. What a view returns is in its annotation: the OpenAPI document reads it there.

    :ivar operation: its name in the OpenAPI document and in clients that are made from it; it stays
        as it is when a view is renamed.
    :ivar errors: what it may be refused with; a test holds it to that.
    :ivar body: the dataclass of the body; ``None`` where neither body nor media type count.
    :ivar credentials: what a request comes with, any one of these; ``None`` stands for nothing.
    :ivar leads_to: the operation that takes what the answer has, a challenge or an id.
    :ivar cache: what caches may do with the answer.
    """

    method: str
    rule: str
    view: Callable[..., Mapping[str, Any]]
    operation: str
    errors: tuple[type[RequestError], ...]
    body: type[IdentifierBody] | type[CodeBody] | None = None
    credentials: tuple[str | None, ...] = ()
    leads_to: str | None = None
    cache: str = NO_STORE

    @property
    def endpoint(self) -> str:
        """The endpoint's name within the blueprint."""
        return self.view.__name__

    def answer(self, **arguments: str) -> Response:
        """Call the view, and answer in JSON, whatever JSON provider the app has.

        :param arguments: what the URL says; the app's prefix may have parts of its own.
        """
        own = {name: arguments[name] for name in arguments if f"<{name}>" in self.rule}
        return json_response(self.view(**own), self.cache)


# A limit can come everywhere: the app's own default limits count on our routes as well.
_ANY = (RateLimited, Unavailable)
_WITH_BODY = (InvalidData, NotFound, PayloadTooLarge, UnsupportedMediaType, *_ANY)
_ASKED = (*_WITH_BODY, Refused)
_GUESSED = (*_WITH_BODY, InvalidOTP)
_IDENTIFIED = (Unauthorized, *_ANY)

ROUTES = (
    Route(
        "POST", "/<actor_type>/otp/generate", generate, "otpGenerate",
        _ASKED, IdentifierBody, leads_to="otpVerify",
    ),
    Route(
        "POST", "/<actor_type>/otp/pre-register", pre_register, "otpPreRegister",
        (*_ASKED, DuplicateError), IdentifierBody, leads_to="otpRegister",
    ),
    Route(
        "POST", "/<actor_type>/otp/start", start, "otpStart",
        _ASKED, IdentifierBody, leads_to="otpFinish",
    ),
    Route("POST", "/<actor_type>/otp/verify", verify, "otpVerify", _GUESSED, CodeBody),
    Route(
        "POST", "/<actor_type>/otp/register", register, "otpRegister",
        (*_GUESSED, DuplicateError), CodeBody,
    ),
    Route(
        "POST", "/<actor_type>/otp", authenticate, "otpAuthenticate",
        (*_GUESSED, ActorNotCreated), CodeBody,
    ),
    Route(
        "POST", "/<actor_type>/otp/finish", finish, "otpFinish",
        (*_GUESSED, ActorNotCreated), CodeBody,
    ),
    Route(
        "POST", "/token/refresh", refresh, "tokenRefresh",
        (*_IDENTIFIED, ActorNotCreated), credentials=BEARER,
    ),
    Route("POST", "/token/revoke", revoke, "tokenRevoke", _IDENTIFIED, credentials=BEARER),
    Route(
        "GET", "/sign-ins", sign_ins, "signInsList",
        _IDENTIFIED, credentials=IDENTITY, leads_to="signInsEnd",
    ),
    Route(
        "DELETE", "/sign-ins", end_other_sign_ins, "signInsEndOthers",
        _IDENTIFIED, credentials=IDENTITY,
    ),
    Route(
        "DELETE", "/sign-ins/<sign_in_id>", end_sign_in, "signInsEnd",
        (*_IDENTIFIED, NotFound), credentials=IDENTITY,
    ),
    Route("POST", "/session", begin_session, "sessionBegin", _IDENTIFIED, credentials=BEARER),
    Route("DELETE", "/session", end_session, "sessionEnd", _ANY, credentials=SESSION_IF_ANY),
    Route(
        "GET", "/.well-known/jwks.json", jwks, "keysList", (NotFound, RateLimited), cache=PUBLIC
    ),
)  # fmt: skip


def build_blueprint() -> Blueprint:
    """Return a new blueprint with every route of the API."""
    blueprint = Blueprint("otp_auth", __name__)
    for route in ROUTES:
        blueprint.add_url_rule(route.rule, route.endpoint, route.answer, methods=[route.method])
    blueprint.register_error_handler(RequestError, render_error)
    blueprint.register_error_handler(RateLimitExceeded, render_limit_of_app)
    blueprint.before_request(lambda: current_state().address_notice())
    blueprint.after_request(forbid_storing)
    blueprint.record(cover_prefix)
    # APIFlask can't make its document beside a blueprint that has no such attribute.
    blueprint.enable_openapi = False  # type: ignore[attr-defined]  # it is APIFlask's
    return blueprint
