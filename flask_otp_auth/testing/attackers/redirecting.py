"""One who sends a member to the app's own sign-in page, and from there to a page of his."""

import html
import re
from collections.abc import Iterator
from urllib.parse import urlencode, urljoin, urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..box import Box
from ..forms import CODES, IDENTIFIERS, forms_of, local
from ..routes import paths
from .found import Found

_HOST = "attacker.example"

#: As browsers read them, all of these lead there.
_TARGETS = (
    f"https://{_HOST}/",
    f"//{_HOST}/",
    f"/\\{_HOST}/",
    f"/\t/{_HOST}/",
    f"///{_HOST}/",
    f"https:///{_HOST}/",
)

#: What such a parameter is called.
_PARAMETERS = (
    *("next", "next_url", "redirect", "redirect_to", "redirect_uri", "redirect_url", "return"),
    *("return_to", "return_url", "url", "target", "goto", "continue", "dest", "destination"),
    *("came_from", "next_page", "nextUrl", "redirectUrl", "redirectTo", "returnUrl", "returnTo"),
    *("ReturnUrl", "back", "back_url", "callback", "forward", "to", "ref", "success_url"),
)

#: The last part of a sign-in page's path: /login, /member-sign-in, /login.html, /session/new.
_PAGE = re.compile(
    r"/(([\w-]*[-_])?(log|sign)[-_]?(in|on)([-_.]\w+)?|enter|authenticate|sessions?/new)/?$",
    re.IGNORECASE,
)

#: How a page without a redirect sends people on.
_REFRESH = re.compile(
    r"""<meta[^>]+http-equiv=["']?refresh["']?[^>]+content=["']?\d+\s*;\s*url=([^"'>]*)""",
    re.IGNORECASE,
)


def redirector(box: Box, pages: list[str]) -> Found:
    """Follow a link of his to each sign-in page, as a guest and to the end."""
    found = Found("redirector")
    for page in pages:
        for target in _TARGETS:
            query = urlencode(dict.fromkeys(_PARAMETERS, target))
            places = [_elsewhere(answer) for answer in _visits(box, f"{page}?{query}")]
            found.tried(
                any(places), f"{page} sends people who sign in to any site that a link names"
            )
    return found


def pages_of(box: Box) -> list[str]:
    """Return the paths of the app's sign-in pages, by what they are called."""
    return sorted({path for path, _ in paths(box.app, box.name, "GET") if _PAGE.search(path)})


def _visits(box: Box, page: str) -> Iterator[TestResponse]:
    """Yield the answers on the way through a sign-in page, and to one who is signed in."""
    for ask in ("generate", "start"):
        box.begin()
        client = box.app.test_client()
        answer = client.get(page)
        for _ in range(4):
            yield answer
            if _elsewhere(answer):
                return
            path = local(urljoin(page, answer.location)) if answer.location else page
            shown = client.get(path) if answer.location else answer
            sent = _send(box, client, path, shown, ask)
            if sent is None:
                break
            answer = sent
        yield client.get(page)


def _send(
    box: Box, client: FlaskClient, path: str, shown: TestResponse, ask: str
) -> TestResponse | None:
    """Fill in what a page shows; where it is no page, post what one would."""
    box.deliver()
    forms = [form for form in forms_of(shown) if form.asks_for(IDENTIFIERS | CODES)]
    if not box.outbox.messages and (not forms or forms[0].asks_for(CODES)):
        box.ask(ask, box.known)
        box.deliver()
    otp = box.outbox.last.otp if box.outbox.messages else ""
    if forms:
        return forms[0].send(client, path, box.known, otp)
    if shown.status_code in (404, 405) or shown.location:
        return None
    names = dict.fromkeys(IDENTIFIERS, box.known) | dict.fromkeys(CODES, otp)
    return client.post(path, data=names)


def _elsewhere(answer: TestResponse) -> bool:
    refresh = answer.headers.get("Refresh", "").partition("url=")[2]
    is_page = answer.mimetype == "text/html"
    metas = _REFRESH.findall(answer.get_data(as_text=True)) if is_page else []
    return any(map(_is_his, (answer.location or "", refresh, *map(html.unescape, metas))))


def _is_his(place: str) -> bool:
    """Tell whether a browser leaves for his site: it reads any number of slashes as two."""
    place = re.sub(r"[\t\r\n]", "", place.strip()).replace("\\", "/")
    place = re.sub(r"^(https?:)?/{2,}", "//", place, flags=re.IGNORECASE)
    return urlsplit(place).hostname == _HOST
