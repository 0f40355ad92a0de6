"""The first page: it asks where to send a code, and sends it."""

import time
from dataclasses import replace

from flask import Response, request

from ..core.identifiers import MAX_LENGTH
from ..errors import InvalidIdentifier, RequestError
from ..flows.ask import NotDue
from ..web.context import current_caller
from ..web.destinations import safe_next
from ..web.flow_cookies import TTL, new_id
from .problems import problem_of
from .rendering import render_flow
from .visits import Visit, redirect


def show(visit: Visit) -> Response:
    """Ask for the identifier, or send on who is signed in."""
    if "next" in request.args:
        visit.flow = replace(visit.flow, next=safe_next(request.args["next"]))
    place = visit.after_sign_in()
    if not visit.is_again:
        if visit.identity is not None:
            return redirect(place)
        if visit.flow.again is not None:  # that sign-in has ended
            visit.flow = replace(visit.flow, again=None, identifier=None)
    return _page(visit)


def act(visit: Visit) -> Response:
    """Send a code, whoever it is."""
    visit.check_flow_form()
    if visit.is_again and visit.flow.identifier is not None:
        return ask(visit, visit.flow.identifier)
    identifier = typed_identifier(visit)
    # What was typed is not fixed: it can be corrected.
    visit.flow = replace(visit.flow, again=None)
    return ask(visit, identifier)


def show_problem(visit: Visit, error: RequestError) -> Response:
    """Show the page again."""
    return _page(visit, error)


def ask(visit: Visit, identifier: str, *, sent_again: bool = False) -> Response:
    """Send a code, and go on to the page that asks for it.

    :param sent_again: whether it is another one to the same person.
    """
    canonical = visit.actor_type.canonical(identifier)
    issuer, caller = visit.state.issuer, current_caller()
    send = issuer.start if visit.is_door_open else issuer.generate
    try:
        issued = send(visit.name, canonical, caller, link_to=visit.link_prefix())
    except NotDue as not_due:
        # A code is on its way. Without a place to type it in a double click would lead nowhere, and
        # a stranger who asks each minute would keep its owner out.
        issued = not_due.issued
    flow = replace(
        visit.flow,
        id=new_id(),
        purpose=visit.purpose,
        identifier=canonical,
        challenge=issued.challenge,
        asked_at=int(time.time()),
        sent_again=sent_again,
        proof=None,
        ttl=TTL,
    )
    return visit.keep(redirect(visit.url("code")), flow)


def _page(visit: Visit, error: RequestError | None = None) -> Response:
    kept = visit.flow.identifier or ""
    is_fixed = bool(kept) and visit.flow.again is not None
    return render_flow(
        visit,
        "sign_in.html",
        visit.flow,
        None if error is None else problem_of(error, visit.kind),
        kind=visit.kind,
        identifier=kept if is_fixed else visit.typed("identifier")[:MAX_LENGTH] or kept,
        is_fixed=is_fixed,
        is_open=visit.is_door_open,
    )


def typed_identifier(visit: Visit) -> str:
    """Return the identifier that was typed.

    :raises InvalidIdentifier: if it is too long to be one.
    """
    typed = visit.form.get("identifier", "")
    if len(typed) > MAX_LENGTH:
        raise InvalidIdentifier
    return typed
