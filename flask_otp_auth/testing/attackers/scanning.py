"""A mail scanner: opens the links of messages, and presses what it finds there."""

from urllib.parse import urljoin

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..box import Box
from ..forms import IDENTIFIERS, forms_of, local
from .found import Found

_MESSAGES = 5


def mail_scanner(box: Box) -> Found:
    """Open each link before the member does; without links there is nothing to open."""
    found = Found("mail scanner")
    page = f"{box.settings.url_prefix}/{box.name}/sign-in"
    if not box.app.url_map.bind("localhost").test(page, "GET"):
        return found
    for _ in range(_MESSAGES):
        link = _link(box, page)
        if link is None:
            return found
        box.watch.begin()
        _scan(box.app.test_client(), link)
        has_entered = {"otp_verified", "actor_authenticated"} & set(box.watch.work.signals)
        found.tried(
            bool(has_entered) or box.enter() is None,
            "a program that opened the link of a message, and sent the forms there, used the code",
        )
    return found


def _link(box: Box, page: str) -> str | None:
    """Ask for a code at the page, and return the path of the link in the message."""
    box.begin()
    client = box.app.test_client()
    form = next((f for f in forms_of(client.get(page)) if f.asks_for(IDENTIFIERS)), None)
    if form is None:
        return None
    form.send(client, page, box.known)
    box.deliver()
    links = [message.link for message in box.outbox if message.link]
    return local(links[-1]) if links else None


def _scan(client: FlaskClient, link: str) -> None:
    client.head(link)
    _follow(client, link, client.get(link))
    _follow(client, link, client.post(link))


def _follow(client: FlaskClient, page: str, answer: TestResponse, depth: int = 3) -> None:
    """Go wherever an answer leads."""
    if not depth:
        return
    if answer.location:
        page = local(urljoin(page, answer.location))
        _follow(client, page, client.get(page), depth - 1)
    for form in forms_of(answer):
        _follow(client, page, form.send(client, page, "x"), depth - 1)
