"""The pages of somebody who is signed in: sign-out, and the devices that he is signed in on."""

from flask import Response

from ..errors import RequestError
from ..messages.facts import moment
from ..web import sessions
from .problems import Problem, problem_of
from .rendering import render
from .visits import Visit, redirect


def show_sign_out(visit: Visit) -> Response:
    """Show the button."""
    return _sign_out_page(visit)


def sign_out(visit: Visit) -> Response:
    """End the session, and every copy of its cookie."""
    if visit.identity is None:
        return visit.forget(_signed_out(visit))
    visit.check_session_form(visit.identity[0].sid)
    sessions.end()
    return visit.forget(redirect(visit.after_sign_out()))


def show_sign_out_problem(visit: Visit, error: RequestError) -> Response:
    """Show the button again."""
    return _sign_out_page(visit, problem_of(error))


def show_devices(visit: Visit) -> Response:
    """List the sign-ins."""
    return _devices_page(visit)


def end_devices(visit: Visit) -> Response:
    """End one sign-in, or all but the current one."""
    if visit.identity is None:
        return _to_sign_in(visit)
    claims, actor = visit.identity
    visit.check_session_form(claims.sid)
    credentials = visit.state.credentials
    if "others" in visit.form:
        credentials.end_other_sign_ins(visit.name, actor, claims.sid)
    else:
        credentials.end_sign_in(visit.name, actor, visit.form.get("sign_in", ""))
    return redirect(visit.url("devices"))


def show_devices_problem(visit: Visit, error: RequestError) -> Response:
    """Show the list again."""
    return _devices_page(visit, problem_of(error))


def _sign_out_page(visit: Visit, problem: Problem | None = None) -> Response:
    if visit.identity is None:
        return _signed_out(visit)
    token = visit.session_token(visit.identity[0].sid)
    return render(
        visit, "sign_out.html", problem, csrf_token=token, sign_out_url=visit.url("sign_out")
    )


def _signed_out(visit: Visit) -> Response:
    # The sign-in of an account that is switched off would work again as soon as that is undone.
    if sessions.is_of(visit.name):
        sessions.end()
    return redirect(visit.after_sign_out())


def _devices_page(visit: Visit, problem: Problem | None = None) -> Response:
    if visit.identity is None:
        return _to_sign_in(visit)
    claims, actor = visit.identity
    return render(
        visit,
        "devices.html",
        problem,
        csrf_token=visit.session_token(claims.sid),
        when=moment,
        sign_ins=visit.state.credentials.sign_ins(visit.name, actor, claims.sid),
        devices_url=visit.url("devices"),
    )


def _to_sign_in(visit: Visit) -> Response:
    return redirect(visit.url("sign_in", next=visit.url("devices")))
