"""The pages: GET shows, POST acts. An error is shown by the page that it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Response, abort, request

from ..errors import RequestError
from ..web.page_redirects import has_pages
from ..web.state import current_state
from . import account, code, join, link, sign_in
from .problems import problem_of
from .rendering import render
from .visits import Visit


@dataclass(frozen=True)
class Page:
    """One page.

    :ivar show: answers GET and HEAD.
    :ivar act: answers POST.
    :ivar show_problem: shows the page again, with an error that either of them raised.
    """

    show: Callable[[Visit], Response]
    act: Callable[[Visit], Response]
    show_problem: Callable[[Visit, RequestError], Response]


#: By the name of the endpoint.
VIEWS = {
    "sign_in": Page(sign_in.show, sign_in.act, sign_in.show_problem),
    "code": Page(code.show, code.act, code.show_problem),
    "resend": Page(code.show, code.send_again, code.show_problem),
    "join": Page(join.show, join.act, join.show_problem),
    "link": Page(link.show, link.act, link.show_problem),
    "sign_out": Page(account.show_sign_out, account.sign_out, account.show_sign_out_problem),
    "devices": Page(account.show_devices, account.end_devices, account.show_devices_problem),
}


def answer(page: str, actor_type: str, token: str) -> Response:
    """Answer a request for a page.

    :param page: the name of its endpoint.
    :param token: the end of a link.
    """
    state = current_state()
    if not has_pages(state, actor_type):
        abort(404)
    visit, view = Visit(state.actors.get(actor_type), token), VIEWS[page]
    try:
        return view.act(visit) if request.method == "POST" else view.show(visit)
    except RequestError as error:
        return _show_problem(visit, view, error)


def _show_problem(visit: Visit, view: Page, error: RequestError) -> Response:
    try:
        return view.show_problem(visit, error)
    except RequestError as another:  # what the page shows can't be read
        return render(visit, "error.html", problem_of(another))
