"""Files of docs/howto and docs/recipes as apps that run."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from fakes import ADA, Api, bearer, sign_in
from flask import Flask
from werkzeug.test import TestResponse

from flask_otp_auth.testing import Outbox


class Example:
    """A file's app, with a database of its own, and what it sends.

    :ivar code: the file as a module.
    """

    def __init__(self, code: ModuleType) -> None:
        self.code = code
        self.app: Flask = getattr(code, "app", None) or code.create_app()
        self.app.testing = True
        self.client = self.app.test_client()
        self.api = Api(self.client)
        self.outbox = Outbox(self.app, alone=False)

    def know_ada(self) -> None:
        """Let Ada have an account, in an app that keeps its accounts in a dict."""
        self.code.customers[ADA] = SimpleNamespace(id="1", email=ADA)

    def add(self, table: str, **columns: Any) -> int:
        """Add a row to the table of that name, and return its id."""
        with self.app.app_context():
            added = getattr(self.code, table)(**columns)
            self.code.db.session.add(added)
            self.code.db.session.commit()
            return int(getattr(added, "id", 0))

    def row(self, table: str, key: Any) -> Any:
        """Return a row as it stands in the database."""
        with self.app.app_context():
            return self.code.db.session.get(getattr(self.code, table), key)

    def token(self, identifier: str = ADA) -> str:
        """Sign somebody in with a code and return the token."""
        return sign_in(self.app, identifier, self.api.actor_type)

    def sign_in(self, table: str, actor_type: str, key: int) -> dict[str, str]:
        """Return the headers of somebody who has just signed in."""
        with self.app.app_context():
            actor = self.code.db.session.get(getattr(self.code, table), key)
            return bearer(self.code.otp_auth.sign_in(actor_type, actor))

    def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> TestResponse:
        """Send a form."""
        return self.client.post(path, data=form, headers=headers)


#: Starts a file by its name, with variables of the environment.
Start = Callable[..., Example]
