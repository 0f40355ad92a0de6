"""Guards: decorators for an app's own views, and proxies for the authenticated actor."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, cast

from flask import abort, current_app, make_response, request
from werkzeug.exceptions import ServiceUnavailable
from werkzeug.local import LocalProxy
from werkzeug.routing import RoutingException

from .core.bindings import canonical_binding, read_binding
from .core.purposes import check_name
from .errors import InvalidData, OTPRequired, RequestError, Unauthorized, Unavailable
from .web.bearer import bearer_token, find_bearer_token
from .web.context import current_caller
from .web.own_functions import finished
from .web.responses import is_handled, render_error
from .web.sessions import (
    check_max_age,
    current_identity,
    identify_request,
    registration_claims,
    remember_identity,
    remember_registration,
)
from .web.state import current_state

if TYPE_CHECKING:
    from .flows.confirm import Proof
    from .tokens.jwt import Claims

P = ParamSpec("P")

logger: logging.Logger = logging.getLogger("flask_otp_auth")

#: What a guarded view is marked with, for those who look for views: wraps() hands it on.
GUARD, REGISTRATION = "_otp_auth_guard", "registration"

_CONFIRMATION = "_otp_auth_confirmation"


@dataclass(frozen=True, repr=False)
class Registration:
    """Whose registration a view completes.

    :ivar actor_type: the actor type that is registered for.
    :ivar identifier: the identifier that the code was sent to, in canonical form.
    """

    actor_type: str
    identifier: str


def token_required(
    *actor_types: str,
    max_age: int | None = None,
    session: bool = False,
    optional: bool = False,
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Require an authentication token.

    :param actor_types: those that may call the view; none for any.
    :param max_age: seconds since the sign-in at most (RFC 9470).
    :param session: whether a session counts where no token comes. Protect such a view against
        forged requests (CSRF): browsers send the session's cookie on their own.
    :param optional: whether guests may call the view, too. For them ``current_actor`` is falsy.
        A token that is not valid is still refused; a session that has ended makes a guest.
    """
    _check_names(actor_types)
    check_max_age(max_age)

    def admit() -> None:
        try:
            identify_request(actor_types, max_age=max_age, session=session)
        except Unauthorized:
            if not optional or find_bearer_token() is not None:
                raise
            remember_identity((None, None))

    return _guard(admit)


def page_required(
    *actor_types: str, max_age: int | None = None
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Send whoever is not signed in to the sign-in page, and back to where he wanted to go.

    It is ``token_required(session=True)`` for pages: protect such a view against forged requests
    (CSRF).

    :param actor_types: those that may see the page; none for any. The sign-in page is that of the
        first of them.
    :param max_age: seconds since the sign-in at most; of an older one a code is asked for again.
    """
    _check_names(actor_types)
    check_max_age(max_age)

    def admit() -> None:
        try:
            identify_request(actor_types, max_age=max_age)
        except Unauthorized as error:
            from .web.page_redirects import redirect_to_sign_in  # here: few apps have pages

            abort(redirect_to_sign_in(actor_types, error))
        except Unavailable:
            raise ServiceUnavailable from None  # which the app, or Werkzeug, answers with a page

    return _guard(admit)


def registration_required(*actor_types: str) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Require a registration token whose actor has yet to be created.

    As soon as there is one the answer is 409, so a form that is sent twice makes one account.

    :param actor_types: those that may be registered; none for any.
    """
    _check_names(actor_types)

    def admit() -> None:
        claims = current_state().credentials.registration(bearer_token(), actor_types)
        remember_registration(claims)

    return _guard(admit, REGISTRATION)


def otp_required(
    purpose: str,
    *,
    to: Callable[[Any], str | Awaitable[str]],
    binds: Callable[[], Mapping[str, Any] | Awaitable[Mapping[str, Any]]] | None = None,
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Require a code that confirms this very action; below ``token_required``.

    The first call sends a code to the actor and is answered 401 ``otp_required``. The same call
    with the code in the header ``OTP`` runs the view, once, if what it binds is the same. The code
    is used up even if the view fails then.

    :param purpose: the name of a purpose of the app's own; with the app's settings, unless
        :meth:`OTPAuth.purpose` has others for it.
    :param to: returns where the code is sent, of the actor.
    :param binds: returns what is confirmed, of the request: a dict of texts, integers, booleans,
        ``None``, lists and dicts. If the request lacks a field that it reads, that is 400.
    :raises ConfigError: if ``purpose`` can't be the name of one.
    """
    check_name(purpose)
    if not callable(to) or not (binds is None or callable(binds)):
        raise TypeError("to= and binds= of otp_required must be functions")

    def admit() -> None:
        claims, actor = _identity()
        if claims is None:  # a guest
            raise Unauthorized(None)
        subject = f"{claims.actor_type}:{claims.subject}"
        bound = None if binds is None else _bound(purpose, subject, binds)
        identifier = finished(current_app, to(actor))
        if not isinstance(identifier, str):
            raise TypeError(f"to= of otp_required({purpose!r}) must return a text")
        confirmations, caller = current_state().confirmations, current_caller()
        otp = request.headers.get("OTP")
        if otp is None:
            issued = confirmations.send(
                purpose, identifier, caller, subject=subject, binds=bound, step_up=True
            )
            raise OTPRequired(**issued.json())
        challenge = request.headers.get("OTP-Challenge")
        proof = confirmations.verify(
            purpose, identifier, otp, challenge, caller, subject=subject, binds=bound
        )
        setattr(request, _CONFIRMATION, proof)

    return _guard(admit)


def _bound(purpose: str, subject: str, binds: Callable[[], Any]) -> Mapping[str, Any] | None:
    """Return what is confirmed, in plain types.

    :raises InvalidData: if the request lacks it, or has something else in its place.
    """
    try:
        given = finished(current_app, binds())
    except RequestError:
        raise
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise _unbound(purpose, f"raised {type(error).__name__}") from None
    try:
        _, bound = read_binding(canonical_binding(subject, given))
    except TypeError as error:  # whose text is ours
        raise _unbound(purpose, f"can't be bound: {error}") from None
    return bound


def _unbound(purpose: str, reason: str) -> InvalidData:
    # It may be the app's fault as well as the caller's, so it is not passed over in silence.
    logger.warning("binds= of otp_required(%r) %s; answered 400", purpose, reason)
    return InvalidData("What is to be confirmed is missing, or is not what it must be.")


def _guard(
    admit: Callable[[], None], kind: str | None = None
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    def decorate(view: Callable[P, Any]) -> Callable[P, Any]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                admit()
            except RequestError as error:
                answered = _answered(error)
            else:
                return current_app.ensure_sync(view)(*args, **kwargs)
            raise answered

        setattr(guarded, GUARD, kind)
        return guarded

    return decorate


def _answered(error: RequestError) -> RequestError:
    """Return an error that is answered as on our own routes, whatever framework the view is of.

    Flask-smorest and APIFlask handle all HTTP errors, and would drop the header that RFC 9110
    requires of a 401. The code stays, unlike with ``flask.abort(response)``, for those who answer
    it themselves, as in ``except HTTPException as error: return {}, error.code``: where it is
    ``None``, Flask answers 200.
    """
    kind: type[RequestError] = type(error)
    if is_handled(kind):
        # mypy asks the class's instances whether it is hashable.
        kind = _passed_over(kind)  # type: ignore[arg-type]
    # A copy, as the app may raise the same object for others, without the app's own __new__().
    plain = next(each for each in kind.__mro__ if each.__module__ == "builtins")
    answered: RequestError = plain.__new__(kind, *error.args)
    vars(answered).update(vars(error))
    answered.response = make_response(render_error(error))
    answered.__cause__, answered.__context__ = error.__cause__, error.__context__
    answered.__suppress_context__ = error.__suppress_context__
    return answered.with_traceback(error.__traceback__)


@cache
def _passed_over(kind: type[RequestError]) -> type[RequestError]:
    """Return a class of the same errors, which Flask answers as they are, without any handler."""
    return type(kind.__name__, (kind, RoutingException), {"__module__": kind.__module__})


def _check_names(actor_types: tuple[str, ...]) -> None:
    if not all(isinstance(name, str) for name in actor_types):
        raise TypeError("a guard is called with names of actor types: @token_required()")


def _identity() -> tuple[Claims, Any] | tuple[None, None]:
    identity = current_identity()
    if identity is None:
        raise RuntimeError("no token_required guards this view")
    return identity


def _claims() -> Mapping[str, Any]:
    claims, _ = _identity()
    return {} if claims is None else claims.all


def _registration() -> Registration:
    claims = registration_claims()
    return Registration(claims.actor_type, claims.subject)


def _confirmation() -> Proof:
    proof: Proof | None = getattr(request, _CONFIRMATION, None)
    if proof is None:
        raise RuntimeError("no otp_required guards this view")
    return proof


#: The actor of the request's token or session, as the app's store returned it; falsy for a guest.
current_actor: Any = LocalProxy(lambda: _identity()[1])

#: The claims of the request's token or session; empty for a guest.
current_claims: Mapping[str, Any] = cast(Mapping[str, Any], LocalProxy(_claims))

#: The :class:`Registration` of the request's registration token.
current_registration: Registration = cast(Registration, LocalProxy(_registration))

#: The :class:`~flask_otp_auth.flows.confirm.Proof` of the request's code: what was shown, sent and
#: proved.
current_confirmation: Proof = cast("Proof", LocalProxy(_confirmation))
