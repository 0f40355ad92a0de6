"""The link beside a code. To open it changes nothing: programs that scan mails do so, too."""

from dataclasses import replace

from flask import Response, abort

from ..core.identifiers import MAX_LENGTH
from ..core.scopes import Scope
from ..errors import InvalidIdentifier, RequestError
from ..web.context import current_caller
from ..web.flow_cookies import Flow
from .code import admit, problem_of_code, redeem
from .masks import shown
from .problems import PageExpired, Problem, problem_of
from .rendering import render_flow
from .sign_in import typed_identifier
from .visits import Visit, redirect


def show(visit: Visit) -> Response:
    """Show one button to the browser that has asked, and a form to any other."""
    _check_links(visit)
    is_own = _opens(visit, visit.flow)
    if not is_own and visit.identity is not None:  # signed in with the code itself
        return redirect(visit.after_sign_in())
    return _page(visit, is_own=is_own)


def act(visit: Visit) -> Response:
    """Sign in who presses the button, or who types the code of the same message."""
    _check_links(visit)
    visit.check_flow_form()
    if "identifier" in visit.form:
        return _answer_elsewhere(visit)
    flow = visit.flow
    if flow.identifier is None or flow.challenge is None:
        raise PageExpired
    token = visit.state.redeemer.follow(
        visit.name,
        flow.identifier,
        visit.token,
        flow.challenge,
        current_caller(),
        purpose=flow.purpose,
    )
    return admit(visit, token)


def show_problem(visit: Visit, error: RequestError) -> Response:
    """Show the form, with what was wrong."""
    is_own = isinstance(error, PageExpired) and _opens(visit, visit.flow)
    if isinstance(error, InvalidIdentifier):
        return _page(visit, problem_of(error, visit.kind))
    return _page(visit, problem_of_code(error), is_own=is_own)


def _check_links(visit: Visit) -> None:
    if not visit.state.settings.links:
        abort(404)


def _opens(visit: Visit, flow: Flow) -> bool:
    if flow.identifier is None or flow.challenge is None:
        return False
    opens = visit.state.redeemer.opens
    return opens(visit.name, flow.identifier, visit.token, purpose=flow.purpose)


def _answer_elsewhere(visit: Visit) -> Response:
    """Take address and code in a browser that has not asked for them.

    Who has the link has the message. So it stands in for the challenge that this browser lacks.
    """
    identifier = visit.actor_type.canonical(typed_identifier(visit))
    scope = Scope(visit.name, visit.purpose, identifier)
    flow = replace(visit.flow, purpose=visit.purpose, identifier=identifier, challenge="-")
    if _opens(visit, flow):
        flow = replace(flow, challenge=visit.state.challenges.new(scope))
    token = redeem(visit, flow)
    visit.flow = flow
    return admit(visit, token)


def _page(visit: Visit, problem: Problem | None = None, *, is_own: bool = False) -> Response:
    return render_flow(
        visit,
        "link.html",
        visit.flow,
        problem,
        is_own=is_own,
        masked=shown(visit.flow.identifier or "") if is_own else "",
        kind=visit.kind,
        identifier="" if is_own else visit.typed("identifier")[:MAX_LENGTH],
        link_url=visit.url("link", token=visit.token),
    )
