"""The JSON API: parse, call the flow, answer."""

from collections.abc import Callable
from functools import wraps

from flask import Blueprint, Request, Response, request

from . import sessions, signals
from .answers import answer, render
from .errors import NotFound, RateLimited, RequestError
from .flows import Flows
from .guards import bearer_token
from .issuing import Issued, Issuing
from .limits import address_bucket
from .parsing import parse_body
from .state import State, current_state
from .values import Limit

GENERATED = "If an account exists with this identifier, an OTP will be sent."
PRE_REGISTERED = "Please validate the OTP to continue with the registration process."

#: How long public keys may be kept, and by whom.
FOR_ALL = "public, max-age=300"

Issue = Callable[[Issuing, str, str, str | None], Issued]
Redeem = Callable[[Flows, str, str, str, str | None], str]


def build_blueprint() -> Blueprint:
    """Return a new blueprint with every route of the API."""
    blueprint = Blueprint("otp_auth", __name__)
    for rule, endpoint, view in (
        ("/<actor_type>/otp/generate", "generate", _issuing(Issuing.generate, GENERATED)),
        ("/<actor_type>/otp/pre-register", "pre_register",
         _issuing(Issuing.pre_register, PRE_REGISTERED)),
        ("/<actor_type>/otp/verify", "verify", _redeeming(Flows.verify)),
        ("/<actor_type>/otp/register", "register", _redeeming(Flows.register)),
        ("/<actor_type>/otp", "authenticate", _redeeming(Flows.authenticate)),
        ("/token/refresh", "refresh", refresh),
        ("/token/revoke", "revoke", revoke),
        ("/session", "begin_session", begin_session),
    ):  # fmt: skip
        blueprint.add_url_rule(rule, endpoint, _rendered(view), methods=["POST"])
    for rule, endpoint, view, method in (
        ("/session", "end_session", end_session, "DELETE"),
        ("/.well-known/jwks.json", "jwks", jwks, "GET"),
    ):
        blueprint.add_url_rule(rule, endpoint, _rendered(view), methods=[method])
    blueprint.after_request(_forbid_storing)
    return blueprint


def _forbid_storing(response: Response) -> Response:
    # Whatever an app's own error handler says; but keys are for all to keep.
    if response.headers.get("Cache-Control") not in ("no-store", FOR_ALL):
        response.headers["Cache-Control"] = "no-store"
    return response


def _rendered(view: Callable[..., Response]) -> Callable[..., Response]:
    """Answer a refusal here: the way through Flask's handlers costs more than most requests."""

    @wraps(view)
    def rendered(**arguments: str) -> Response:
        try:
            return view(**arguments)
        except RequestError as error:
            return render(error)

    return rendered


def _issuing(flow: Issue, message: str) -> Callable[[str], Response]:
    def view(actor_type: str) -> Response:
        state = current_state()
        _, settings = state.actors.get(actor_type)
        asked = _request()
        body = parse_body(asked, otp=False)
        _count(state, asked, "generate", settings.ip_generate_limits)
        issued = flow(state.issuing, actor_type, body.identifier, body.challenge)
        return answer(
            {
                "message": message,
                "challenge": issued.challenge,
                "expires_in": issued.expires_in,
                "resend_after": issued.resend_after,
            }
        )

    return view


def _redeeming(flow: Redeem) -> Callable[[str], Response]:
    def view(actor_type: str) -> Response:
        state = current_state()
        _, settings = state.actors.get(actor_type)
        asked = _request()
        body = parse_body(asked, otp=True)
        _count(state, asked, "verify", settings.ip_verify_limits)
        token = flow(state.flows, actor_type, body.identifier, body.otp, body.challenge)
        return answer({"token": token})

    return view


def _request() -> Request:
    """Return the request itself, as each use of Flask's proxy costs a look-up of its context."""
    return request._get_current_object()  # type: ignore[attr-defined, no-any-return] # of the proxy


def _count(state: State, asked: Request, what: str, limit: Limit) -> None:
    """Count the request against its address, before anything is done for it.

    :raises RateLimited: if the address has none left.
    """
    bucket = address_bucket(asked.remote_addr)
    if state.limits.hit(limit, "address", what, bucket):
        return
    state.emit(signals.rate_limited, endpoint=asked.endpoint, address=asked.remote_addr)
    raise RateLimited(retry_after=state.limits.retry_after(limit, "address", what, bucket))


def refresh() -> Response:
    """Exchange the request's token for a fresh one."""
    return answer({"token": current_state().credentials.refresh(bearer_token())})


def revoke() -> Response:
    """Revoke the request's token."""
    current_state().credentials.revoke(bearer_token())
    return answer({"success": True})


def begin_session() -> Response:
    """Begin a session with the request's token."""
    facts = sessions.begin(bearer_token())
    return answer({"user": {"actor_type": facts["aud"], "actor_id": facts["sub"]}})


def end_session() -> Response:
    """End the request's session; well done, too, where there is none."""
    sessions.end()
    return answer({"success": True})


def jwks() -> Response:
    """Publish the keys that verify our tokens (RFC 7517, section 5)."""
    keys = current_state().credentials.public_keys
    if not keys:
        raise NotFound
    response = answer({"keys": keys})
    response.headers["Cache-Control"] = FOR_ALL
    return response
