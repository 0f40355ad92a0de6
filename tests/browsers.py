"""A browser at the pages of the shop: it keeps cookies, and fills in the forms that it sees."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from fakes import ADA, Customer, Customers
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_otp_auth.testing import Outbox


@dataclass
class JoinableCustomers(Customers):
    """The shop's accounts, and people who join.

    :ivar filled_in: what each who joined filled in.
    """

    filled_in: list[dict[str, Any]] = field(default_factory=list)

    def create(self, identifier: str, fields: dict[str, Any]) -> Customer:
        self.filled_in.append(dict(fields))
        return self.add(identifier)


class Form:
    """A form of a page.

    :ivar fields: the names and values that it sends.
    :ivar inputs: the attributes of its inputs, by name.
    """

    def __init__(self, action: str) -> None:
        self.action = action
        self.fields: dict[str, str] = {}
        self.inputs: dict[str, dict[str, str]] = {}


class Page(HTMLParser):
    """What a person can read and use on a page."""

    def __init__(self, answer: TestResponse) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(answer.text)
        self.close()
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag == "form":
            self.forms.append(Form(attributes["action"]))
        elif tag in ("input", "textarea", "select") and "name" in attributes and self.forms:
            self.forms[-1].inputs[attributes["name"]] = attributes
            if attributes.get("type") != "checkbox":
                self.forms[-1].fields[attributes["name"]] = attributes.get("value", "")

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"

    def all(self, tag: str) -> list[dict[str, str]]:
        """Return the attributes of each element of that name."""
        return [attributes for found, attributes in self.elements if found == tag]

    def by_id(self, name: str) -> dict[str, str]:
        """Return the attributes of an element."""
        (found,) = [attributes for _, attributes in self.elements if attributes.get("id") == name]
        return found


class Browser:
    """One person's browser.

    :param prefix: where the pages are, below SCRIPT_NAME.
    :param base: SCRIPT_NAME.
    :ivar answer: the newest answer.
    """

    def __init__(
        self,
        app: Flask,
        prefix: str = "/auth/customer",
        *,
        base: str = "",
        base_url: str = "http://localhost",
    ) -> None:
        self.app = app
        self.client: FlaskClient = app.test_client()
        self.prefix = prefix
        self.base = base
        self.base_url = base_url
        self.answer: TestResponse

    @property
    def page(self) -> Page:
        """The page that is shown."""
        return Page(self.answer)

    @property
    def text(self) -> str:
        """What the page says."""
        return self.page.text

    @property
    def status(self) -> int:
        """The status of the newest answer."""
        return self.answer.status_code

    @property
    def location(self) -> str:
        """Where the newest answer sends the browser."""
        return self.answer.headers.get("Location", "")

    def get(self, page: str, **options: Any) -> TestResponse:
        """Open a page: ``sign-in``, or a whole path."""
        return self.open(page, method="GET", **options)

    def open(self, page: str, **options: Any) -> TestResponse:
        """Send any request to a page."""
        path = page.removeprefix(self.base) if page.startswith("/") else f"{self.prefix}/{page}"
        environ = {"SCRIPT_NAME": self.base}
        self.answer = self.client.open(
            path, base_url=self.base_url, environ_overrides=environ, **options
        )
        return self.answer

    def fill_in(self, number: int = 0, /, **fields: str) -> dict[str, str]:
        """Return what a form of the page that is shown would send."""
        return {**self.page.forms[number].fields, **fields}

    def submit(self, number: int = 0, /, *, headers: Any = (), **fields: str) -> TestResponse:
        """Fill in and send a form of the page that is shown."""
        action = self.page.forms[number].action
        return self.open(
            action, method="POST", data=self.fill_in(number, **fields), headers=dict(headers)
        )

    def follow(self) -> TestResponse:
        """Go where the newest answer sends the browser."""
        assert self.status == 303, self.text
        return self.get(self.location)

    def ask(self, identifier: str = ADA, **query: str) -> str:
        """Ask for a code, go on to the page that asks for it, and return the code.

        It is empty if none was sent.
        """
        self.get("sign-in", query_string=query)
        with Outbox(self.app) as outbox:
            self.submit(identifier=identifier)
        self.follow()
        return outbox.last.otp if len(outbox) else ""

    def sign_in(self, identifier: str = ADA, **query: str) -> TestResponse:
        """Sign in with a code."""
        return self.submit(otp=self.ask(identifier, **query))

    def cookie(self, name: str = "otp_auth_flow") -> str | None:
        """Return the value of a cookie of the pages, or of the session."""
        path = "/" if name == "session" else self.base + self.prefix
        found = self.client.get_cookie(name, path=path)
        return found.value if found else None

    def set_flow(self, value: str) -> None:
        """Plant a flow cookie."""
        self.client.set_cookie("otp_auth_flow", value, path=self.prefix)


def path_of(url: str) -> str:
    """Return a URL's path."""
    return urlsplit(url).path
