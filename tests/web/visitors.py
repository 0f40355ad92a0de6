"""Visitors of the shop: they sign in, register, and keep their cookies."""

from fakes import bearer
from flask import Flask
from flask.testing import FlaskClient


def begin_session(client: FlaskClient, token: str) -> int:
    """Begin a session with a token and return the answer's status."""
    return client.post("/auth/session", headers=bearer(token)).status_code


def status(client: FlaskClient, path: str = "/me", token: str | None = None) -> int:
    """Return the status of a page, with the token if there is one."""
    headers = {} if token is None else bearer(token)
    return client.get(path, headers=headers).status_code


def cookie_of(client: FlaskClient) -> str:
    """Return the value of a browser's session cookie."""
    found = client.get_cookie("session")
    assert found is not None
    return found.value


def browser_with(app: Flask, cookie: str) -> FlaskClient:
    """Return a browser that holds a copy of a session's cookie."""
    client = app.test_client()
    client.set_cookie("session", cookie)
    return client
