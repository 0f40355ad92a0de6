"""The forms of a page, found and filled in as a person or a machine would."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

#: What fields are called that ask who somebody is, and which code was sent.
IDENTIFIERS = frozenset({"identifier", "email", "e-mail", "mail", "phone", "username", "user"})
CODES = frozenset({"otp", "code", "token", "pin", "passcode"})

#: Types of fields that have a value of their own, or none.
_GIVEN = frozenset({"hidden", "submit", "button", "image", "reset"})


@dataclass
class Form:
    """A form of a page.

    :ivar action: where it is sent, relative to the page.
    :ivar values: the values that it comes with, by name.
    :ivar open: the fields to fill in, and their types.
    """

    action: str = ""
    method: str = "get"
    values: dict[str, str] = field(default_factory=dict)
    open: dict[str, str] = field(default_factory=dict)

    def asks_for(self, names: frozenset[str]) -> bool:
        """Tell whether there is a field of one of these names to fill in."""
        return any(_is_one_of(names, name, kind) for name, kind in self.open.items())

    def filled(self, identifier: str, otp: str = "") -> dict[str, str]:
        """Return what is sent: the identifier and the code where they are asked for."""
        typed = {}
        for name, kind in self.open.items():
            if _is_one_of(CODES, name, kind):
                typed[name] = otp
            elif _is_one_of(IDENTIFIERS, name, kind):
                typed[name] = identifier
            else:
                typed[name] = "x"
        return {**self.values, **typed}

    def send(self, client: FlaskClient, page: str, identifier: str, otp: str = "") -> TestResponse:
        """Fill it in and send it.

        :param page: the path of the page that it is on.
        """
        path = local(urljoin(page, self.action) if self.action else page)
        values = self.filled(identifier, otp)
        if self.method == "post":
            return client.post(path, data=values)
        return client.get(path, query_string=values)


def _is_one_of(names: frozenset[str], name: str, kind: str) -> bool:
    return name.lower() in names or (names is IDENTIFIERS and kind in ("email", "tel"))


def local(url: str) -> str:
    """Return the path and the query of a URL."""
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def forms_of(response: TestResponse) -> list[Form]:
    """Return the forms of a page."""
    if response.mimetype != "text/html":
        return []
    return list(_Forms(response.get_data(as_text=True)))


class _Forms(HTMLParser):
    """Reads the forms of a document."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self._found: list[Form] = []
        self._is_inside = False
        self.feed(document)

    def __iter__(self) -> Iterator[Form]:
        return iter(self._found)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take up a form, or a field of it."""
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            method = attributes.get("method", "get").lower()
            self._found.append(Form(attributes.get("action", ""), method))
            self._is_inside = True
        elif self._is_inside and tag in ("input", "button", "textarea", "select"):
            self._add(attributes, "submit" if tag == "button" else "text")

    def handle_endtag(self, tag: str) -> None:
        """End a form."""
        self._is_inside = self._is_inside and tag != "form"

    def _add(self, attributes: dict[str, str], default: str) -> None:
        name, kind = attributes.get("name"), attributes.get("type", default).lower()
        if not name:
            return
        if kind in _GIVEN:
            self._found[-1].values[name] = attributes.get("value", "")
        else:
            self._found[-1].open[name] = kind
