"""Templates and what they are given."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response, current_app, render_template, request
from jinja2 import Environment

from ..core.store_checks import described
from ..messages import translation
from ..web.destinations import page_url
from ..web.flow_cookies import Flow
from ..web.own_functions import finished
from ..web.signalling import name_of
from .problems import Problem
from .static_files import version
from .visits import Visit

#: Where an app's environment is kept.
_EXTENSION = "otp_auth_pages"


class FormToken(str):
    """The CSRF token of our forms; called, that of the app's.

    A layout of the app's own, which a template may extend, calls Flask-WTF's function by this name.
    """

    __slots__ = ()

    def __call__(self) -> Any:
        """Return the token of forms that are not ours, if something in the app makes one."""
        theirs = current_app.jinja_env.globals.get("csrf_token")
        for processor in current_app.template_context_processors[None]:
            theirs = current_app.ensure_sync(processor)().get("csrf_token", theirs)
        return theirs() if callable(theirs) else self


def render(
    visit: Visit,
    template: str,
    problem: Problem | None = None,
    *,
    csrf_token: str = "",
    form_tag: str = "",
    **variables: Any,
) -> Response:
    """Return a page.

    :param problem: what was wrong with the request, if anything.
    :param variables: those of this template.
    """
    given = {
        **_own_variables(visit),
        **_common_variables(visit),
        "problem": problem,
        "csrf_token": FormToken(csrf_token),
        "form_tag": form_tag,
        **variables,
    }
    html = render_template(_environment().get_template(f"otp_auth/{template}"), **given)
    response = Response(html, 200 if problem is None else problem.status, mimetype="text/html")
    if problem is not None and problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    return response


def render_flow(
    visit: Visit,
    template: str,
    flow: Flow,
    problem: Problem | None = None,
    *,
    is_new: bool = True,
    **variables: Any,
) -> Response:
    """Return a page with a form of the flow, and let the browser keep its place.

    :param is_new: whether the browser may have another place yet, and is to keep this one.
    """
    cookies = visit.state.flow_cookies
    response = render(
        visit,
        template,
        problem,
        csrf_token=visit.flow_token(flow),
        form_tag=cookies.tag(flow),
        **variables,
    )
    return visit.keep(response, flow) if is_new else response


def _environment() -> Environment:
    """Return the app's environment, but with our templates escaped whatever the app does.

    They show again what people typed. Compiled templates are not shared: they escape or don't.
    """
    if _EXTENSION not in current_app.extensions:
        theirs = current_app.jinja_env
        current_app.extensions[_EXTENSION] = theirs.overlay(
            autoescape=_escaping_ours(theirs.autoescape), bytecode_cache=None
        )
    environment: Environment = current_app.extensions[_EXTENSION]
    return environment


def _escaping_ours(theirs: bool | Callable[[str | None], bool]) -> Callable[[str | None], bool]:
    def is_escaped(name: str | None) -> bool:
        if name is not None and name.startswith(("otp_auth/", "otp_auth_original/")):
            return True
        return theirs(name) if callable(theirs) else theirs

    return is_escaped


def _common_variables(visit: Visit) -> dict[str, Any]:
    return {
        "_": translation.gettext,
        "ngettext": translation.ngettext,
        "lang": translation.language(),
        "dir": translation.direction(),
        "site_name": visit.state.settings.site_name,
        "actor_type": visit.name,
        "style_url": _static_url("otp_auth.css"),
        "script_url": _static_url("otp_auth.js"),
        "sign_in_url": visit.url("sign_in"),
    }


def _own_variables(visit: Visit) -> dict[str, Any]:
    """Return the variables of the app's own."""
    found: dict[str, Any] = {}
    for function in visit.state.page_parts.contexts:
        variables = finished(current_app, function())
        if not isinstance(variables, Mapping):
            place = f"{name_of(function)}() under @page_context"
            raise TypeError(f"{place} must return a dict, not {described(variables)}")
        found.update(variables)
    return found


def _static_url(filename: str) -> str:
    values = {"filename": filename, "v": version(filename)}
    return page_url(f"{request.blueprint}.static", **values)
