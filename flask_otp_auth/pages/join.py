"""Joining: who has proved an identifier that has no actor fills in the app's sign-up form."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from flask import Response, after_this_request

from ..errors import ActorNotCreated, DuplicateError, RequestError, SignUpRefused, Unauthorized
from ..messages.translation import gettext as _
from ..tokens.token import Token
from ..web.context import current_caller
from ..web.flow_cookies import TTL, new_id
from . import sign_in
from .entering import enter
from .forms import SignUpForm, bound_form, empty_form
from .masks import shown
from .problems import PageExpired, Problem, check_form, problem_of
from .rendering import render, render_flow
from .visits import Visit, redirect


class ProofExpired(PageExpired):
    """The proof of an identifier was used, or is too old."""


def begin(visit: Visit, token: Token) -> Response:
    """Go on to the form, or create the actor at once where there is none.

    :param token: the registration token.
    """
    ttl = max(TTL, visit.actor_type.settings.registration_token_ttl)
    visit.flow = replace(visit.flow, id=new_id(), proof=str(token), ttl=ttl)
    if visit.name in visit.state.page_parts.forms:
        return visit.keep(redirect(visit.url("join")), visit.flow)
    try:
        return _join(visit, {})
    except RequestError as error:  # the code is used: the proof must not be lost
        return show_problem(visit, error)
    except Exception:  # nor where the app's own page of errors is shown
        after_this_request(lambda response: visit.keep(response, visit.flow))
        raise


def show(visit: Visit) -> Response:
    """Show the form to who has proved an identifier."""
    if visit.flow.proof is None:
        return redirect(visit.url("sign_in"))
    try:
        # Somebody who has an account by now is signed in by the answer.
        with _proving(), suppress(DuplicateError):
            visit.state.credentials.registration(visit.flow.proof, (visit.name,), unused=True)
    except ProofExpired:
        return visit.forget(redirect(visit.url("sign_in")))
    return _page(visit, empty_form(visit))


def act(visit: Visit) -> Response:
    """Create the actor, and sign it in."""
    if visit.flow.proof is None and visit.identity is not None:  # sent twice
        return redirect(visit.after_sign_in())
    visit.check_flow_form()
    form = bound_form(visit)
    if form is None:
        return _join(visit, {})
    if not form.validate():
        return _page(visit, form, check_form())
    return _join(visit, form.values)


def show_problem(visit: Visit, error: RequestError) -> Response:
    """Show the form again, with what was filled in; or the first page if the proof is over."""
    if visit.flow.proof is None or isinstance(error, ProofExpired):
        visit.flow = replace(visit.flow, proof=None, challenge=None)
        return sign_in.show_problem(visit, PageExpired())
    has_form = visit.name in visit.state.page_parts.forms
    if isinstance(error, SignUpRefused) and not has_form:
        return visit.forget(render(visit, "error.html", problem_of(error)))
    try:
        form = bound_form(visit)
    except RequestError:  # of the body itself
        form = empty_form(visit)
    return _page(visit, form, _problem(visit, error))


def _join(visit: Visit, fields: Mapping[str, Any]) -> Response:
    """Create the actor and sign it in; the right to join is taken last, and looked for before."""
    credentials, caller = visit.state.credentials, current_caller()
    with _proving():
        if visit.flow.proof is None:
            raise ProofExpired
        try:
            claims = credentials.registration(visit.flow.proof, (visit.name,), unused=True)
            actor = visit.actor_type.create(claims.subject, fields)
            token = credentials.complete(claims, actor, caller)
        except DuplicateError:  # created meanwhile: by a double click, or in another tab
            token = credentials.refresh(visit.flow.proof, caller)
    return enter(visit, token)


@contextmanager
def _proving() -> Iterator[None]:
    try:
        yield
    except Unauthorized:
        raise ProofExpired from None


def _problem(visit: Visit, error: RequestError) -> Problem:
    if not isinstance(error, ActorNotCreated):
        return problem_of(error)
    # A store may take anything for a duplicate, such as a name that must be unique as well.
    has_form = visit.name in visit.state.page_parts.forms
    if has_form and visit.actor_type.find_including_inactive(visit.flow.identifier or "") is None:
        return Problem(_("Something that you have filled in belongs to another account already."))
    return Problem(_("Your account can't be used yet."))


def _page(visit: Visit, form: SignUpForm | None, problem: Problem | None = None) -> Response:
    return render_flow(
        visit,
        "join.html",
        visit.flow,
        problem,
        masked=shown(visit.flow.identifier or ""),
        form=form,
        join_url=visit.url("join"),
    )
