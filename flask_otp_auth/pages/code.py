"""The page that asks for the code, and what follows from a right one."""

import time

from flask import Response

from ..core.identifiers import is_phone
from ..core.purposes import DOOR
from ..errors import InvalidData, RequestError
from ..tokens.token import Token
from ..web.context import current_caller
from ..web.flow_cookies import Flow
from . import join, sign_in
from .entering import enter
from .masks import shown
from .problems import PageExpired, Problem, problem_of, wrong_code
from .rendering import render_flow
from .visits import Visit, redirect


def show(visit: Visit) -> Response:
    """Ask for the code, if this browser has asked for one."""
    if visit.flow.proof is not None:
        return redirect(visit.url("join"))
    if visit.flow.identifier is None or visit.flow.challenge is None:
        return redirect(visit.url("sign_in"))
    return _page(visit)


def act(visit: Visit) -> Response:
    """Sign in whose code is right, or let him join."""
    if visit.flow.challenge is None and visit.identity is not None:  # sent twice
        return redirect(visit.after_sign_in())
    if visit.flow.proof is not None:  # sent twice by somebody new
        return redirect(visit.url("join"))
    visit.check_flow_form()
    return admit(visit, redeem(visit, visit.flow))


def send_again(visit: Visit) -> Response:
    """Send a new code, where one is due; say so in either case."""
    visit.check_flow_form()
    if visit.flow.identifier is None:
        raise PageExpired
    return sign_in.ask(visit, visit.flow.identifier, sent_again=True)


def show_problem(visit: Visit, error: RequestError) -> Response:
    """Show the page again, or the first one if this browser has not asked for a code."""
    if visit.flow.identifier is None or visit.flow.challenge is None:
        return sign_in.show_problem(visit, error)
    # A right code may have been sent twice at once. Then the other answer let him in or join, and
    # the browser must not go back to the place of before.
    return _page(visit, problem_of_code(error), is_new=False)


def admit(visit: Visit, token: Token) -> Response:
    """Sign in who has proved an identifier, or let him join.

    :param token: what the code was redeemed for.
    """
    if not token.registration:
        return enter(visit, token)
    return join.begin(visit, token)


def redeem(visit: Visit, flow: Flow) -> Token:
    """Redeem the code that was typed.

    :param flow: says whose it is, and that somebody has asked for it.
    """
    if flow.identifier is None or flow.challenge is None:  # a form of another page
        raise PageExpired
    redeemer, otp = visit.state.redeemer, visit.form.get("otp", "")
    answer = redeemer.finish if flow.purpose == DOOR.name else redeemer.verify
    return answer(visit.name, flow.identifier, otp, flow.challenge, current_caller())


def problem_of_code(error: RequestError) -> Problem:
    """Return what the page says of an error: what can't be a code is no right one either."""
    if isinstance(error, InvalidData) and not isinstance(error, PageExpired):
        return wrong_code()
    return problem_of(error)


def _page(visit: Visit, problem: Problem | None = None, *, is_new: bool = True) -> Response:
    flow, settings = visit.flow, visit.actor_type.settings
    identifier, resend_at = flow.identifier or "", flow.asked_at + settings.resend_interval
    return render_flow(
        visit,
        "code.html",
        flow,
        problem,
        is_new=is_new,
        masked=shown(identifier),
        is_phone=is_phone(identifier),
        is_open=flow.purpose == DOOR.name,
        is_fixed=flow.again is not None,
        sent_again=flow.sent_again and problem is None,
        resend_in=max(0, resend_at - int(time.time())),
        code_url=visit.url("code"),
        resend_url=visit.url("resend"),
    )
