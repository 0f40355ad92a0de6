"""Somebody who follows pages and fills in their forms, over HTTP or in a test client."""

import re
from collections.abc import Callable, Mapping
from html import unescape
from urllib.parse import urljoin, urlsplit

import requests
from flask.testing import FlaskClient
from stores import PATIENCE

#: Sends a request by method, path and form, goes where it leads, and returns status, path and text.
Send = Callable[[str, str, Mapping[str, str]], tuple[int, str, str]]

_FORM = re.compile(r'<form[^>]*\saction="([^"]*)"[^>]*>(.*?)</form>', re.DOTALL)
_HIDDEN = re.compile(r'type="hidden" name="(\w+)" value="([^"]*)"')


class Visitor:
    """One person's browser, without scripts.

    :ivar status: the status of the page that is shown.
    :ivar path: where it is.
    :ivar text: its HTML.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status, self.path, self.text = 0, "", ""

    def open(self, path: str) -> "Visitor":
        """Open a page."""
        self.status, self.path, self.text = self._send("GET", path, {})
        return self

    def submit(self, **fields: str) -> "Visitor":
        """Send the form of the page that is shown which has these fields; the first, without."""
        for action, inside in _FORM.findall(self.text):
            if all(f'name="{name}"' in inside for name in fields):
                form = {name: unescape(value) for name, value in _HIDDEN.findall(inside)}
                where = urljoin(self.path, unescape(action))
                self.status, self.path, self.text = self._send("POST", where, {**form, **fields})
                return self
        raise AssertionError(f"no form with {list(fields)}: {self.text}")


def visitor_of(client: FlaskClient) -> Visitor:
    """Return a visitor of an app in this process."""

    def send(method: str, path: str, form: Mapping[str, str]) -> tuple[int, str, str]:
        answer = client.open(path, method=method, data=form, follow_redirects=True)
        return answer.status_code, answer.request.path, answer.text

    return Visitor(send)


def visitor_at(url: str) -> Visitor:
    """Return a visitor of a server."""
    session = requests.Session()

    def send(method: str, path: str, form: Mapping[str, str]) -> tuple[int, str, str]:
        answer = session.request(method, urljoin(url, path), data=form, timeout=PATIENCE)
        return answer.status_code, urlsplit(answer.url).path, answer.text

    return Visitor(send)
