"""One request for a page: whose it is, what its forms must show, and how it is answered."""

from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from flask import Response, current_app, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from ..core.actors import ActorType
from ..core.purposes import DOOR, LOGIN
from ..errors import InvalidData, PayloadTooLarge, RequestError, Unauthorized
from ..tokens.jwt import Claims
from ..web import sessions
from ..web.destinations import destination, is_own_host, page_url
from ..web.flow_cookies import SESSION_FORM_TTL, TTL, Flow
from ..web.page_redirects import delete_flow, write_flow
from ..web.state import State, current_state
from .problems import PageExpired

#: Bytes that the body of a page may have at most.
MAX_BODY = 65_536

#: The hidden field with the keyed hash of whom the form is for.
TAG_FIELD = "otp_auth_flow"


class Visit:
    """One request for a page of an actor type.

    :ivar flow: the browser's place; a new one if it has none.
    :param token: the end of a link, if it is a request for one.
    """

    def __init__(self, actor_type: ActorType, token: str) -> None:
        self.state: State = current_state()
        self.actor_type = actor_type
        self.name: str = actor_type.name
        self.token = token
        self.flow: Flow = self.state.flow_cookies.read(self.name) or Flow.begin(self.name)

    # -- who it is ------------------------------------------------------------------------

    @cached_property
    def identity(self) -> tuple[Claims, Any] | None:
        """The claims and the actor of the session, if it is one of this actor type.

        :raises Unavailable: if the store can't be reached.
        """
        try:
            return sessions.identify_session((self.name,))
        except Unauthorized:
            return None

    @property
    def is_again(self) -> bool:
        """Whether somebody who is signed in is asked for a code again.

        :raises Unavailable: if the store can't be reached.
        """
        if self.flow.again is None or self.identity is None:
            return False
        return self.identity[0].sid == self.flow.again

    @property
    def is_door_open(self) -> bool:
        """Whether people can join here."""
        return self.actor_type.sign_up != "closed" and self.actor_type.has_create

    @property
    def purpose(self) -> str:
        """The purpose of the codes that people ask for here."""
        return (DOOR if self.is_door_open else LOGIN).name

    @property
    def kind(self) -> str:
        """What identifiers are, as an input's type: ``email``, ``tel`` or ``text``."""
        kinds = {"email": "email", "phone": "tel"}
        identifier = self.actor_type.identifier
        return kinds.get(identifier, "text") if isinstance(identifier, str) else "text"

    # -- what its form shows --------------------------------------------------------------

    @cached_property
    def form(self) -> MultiDict[str, str]:
        """The fields of the form.

        :raises PayloadTooLarge: if it is larger than 64 KiB, even if sent in chunks.
        :raises InvalidData: if it is incomplete.
        """
        try:
            body = request.get_data()
            form = request.form
        except RequestEntityTooLarge:
            raise PayloadTooLarge from None
        except HTTPException:  # the client went away, or its Content-Length was wrong
            raise InvalidData from None
        if len(body) >= (request.max_content_length or 0):  # which is one more than the most
            raise PayloadTooLarge
        return form

    def typed(self, name: str) -> str:
        """Return what was typed into a field, to show it again; nothing if there is no form."""
        try:
            return self.form.get(name, "")
        except RequestError:
            return ""

    def check_flow_form(self) -> None:
        """Refuse a form that is not of this browser's flow, or not for the same person.

        :raises PageExpired: if it is not.
        """
        self._check_form("flow", self.flow.id)
        if not self.state.flow_cookies.is_tag(self.form.get(TAG_FIELD), self.flow):
            raise PageExpired

    def check_session_form(self, sid: str) -> None:
        """Refuse a form that is not of this session.

        :raises PageExpired: if it is not.
        """
        self._check_form("session", sid)

    def _check_form(self, *holder: str) -> None:
        token = self.form.get("csrf_token")
        if _is_foreign() or not self.state.flow_cookies.is_token(token, *holder):
            raise PageExpired

    def flow_token(self, flow: Flow) -> str:
        """Return the CSRF token of a form of this flow."""
        return self.state.flow_cookies.token("flow", flow.id, ttl=max(flow.ttl, TTL))

    def session_token(self, sid: str) -> str:
        """Return the CSRF token of a form of this session."""
        return self.state.flow_cookies.token("session", sid, ttl=SESSION_FORM_TTL)

    # -- how it is answered ---------------------------------------------------------------

    def url(self, page: str, **values: str) -> str:
        """Return the URL of a page of this actor type, as the browser sees it."""
        return page_url(f"{request.blueprint}.{page}", actor_type=self.name, **values)

    def link_prefix(self) -> str | None:
        """Return what the link beside a code begins with, if there is to be one."""
        settings = self.state.settings
        if not settings.links or settings.site_url is None:
            return None
        path = urlsplit(self.url("link", token="-")).path.removesuffix("-")  # noqa: S106 - a blank
        return settings.site_url + path.removeprefix(request.root_path.rstrip("/"))

    def after_sign_in(self) -> str:
        """Return where to go after the sign-in."""
        place = self.actor_type.settings.after_sign_in
        fallback = destination("OTP_AUTH_AFTER_SIGN_IN", place)  # even if unused: a fault shows
        return self.flow.next or fallback

    def after_sign_out(self) -> str:
        """Return where to go after the sign-out."""
        return destination("OTP_AUTH_AFTER_SIGN_OUT", self.actor_type.settings.after_sign_out)

    def keep(self, response: Response, flow: Flow) -> Response:
        """Let the browser keep its place."""
        write_flow(response, flow, self.url("sign_in"))
        return response

    def forget(self, response: Response) -> Response:
        """Let the browser forget its place."""
        delete_flow(response, self.url("sign_in"))
        return response


def _is_foreign() -> bool:
    """Tell whether a form was sent by a page of another site.

    Browsers say so in Sec-Fetch-Site, or else in Origin. The latter is ``null`` even for our own
    forms, as our pages send no Referer.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin", "null")
    try:
        return origin != "null" and not is_own_host(urlsplit(origin).netloc)
    except ValueError:
        return True


def redirect(url: str) -> Response:
    """Return a redirect after what worked (RFC 9110, 15.4.4)."""
    response: Response = current_app.redirect(url, 303)  # type: ignore[assignment]
    return response
