"""Signing somebody in, by the real flow."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from ..core.actors import ActorType
from .executors import AtOnce
from .limits import no_limits
from .outbox import Outbox
from .routes import path_of
from .twins import actor_type_of, state_of

#: Makes the account of an identifier, in an app context.
Create = Callable[[str], object]

#: Threads take turns: the app has other parts meanwhile, and gets its own back.
_TURNS = threading.RLock()


@dataclass(frozen=True)
class SignedIn:
    """Somebody who is signed in.

    :ivar token: an authentication token.
    :ivar headers: those of a request that carries it.
    :ivar identifier: in canonical form.
    """

    token: str = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    actor_type: str
    identifier: str


def sign_in(
    client: FlaskClient,
    actor_type: str,
    identifier: str,
    create: Create | None = None,
    *,
    session: bool = False,
) -> SignedIn:
    """Sign somebody in over the app's own routes; an account is made first if there is none.

    The code goes to an outbox, no limit counts it, and none refuses it.

    :param create: makes the account, as in ``lambda identifier: add_customer(identifier)``; by
        default the actor store's ``create(identifier, {})`` does.
    :param session: whether the client gets the session's cookie, too; with ``OTP_AUTH_PAGES`` it
        always does.
    :raises ValueError: if there is no such actor type.
    :raises LookupError: if there is no account, and nothing to make one with.
    :raises AssertionError: if a route refuses.
    """
    app: Flask = client.application
    with _TURNS, no_limits(app, executor=AtOnce()):
        flow = _Flow(client, app, actor_type_of(state_of(app), actor_type), identifier, create)
        token = flow.enter()
        if session or flow.actor_type.settings.pages:
            flow.post("begin_session", headers=_bearer(token))
    return SignedIn(token, _bearer(token), actor_type, flow.identifier)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


class _Flow:
    """The way of one person into the app."""

    def __init__(
        self,
        client: FlaskClient,
        app: Flask,
        actor_type: ActorType,
        identifier: str,
        create: Create | None,
    ) -> None:
        self.actor_type = actor_type
        self.identifier = actor_type.canonical(identifier)
        self._client = client
        self._app = app
        self._create = create

    def enter(self) -> str:
        """Sign in, and return the token."""
        with self._app.app_context():
            is_member = self.actor_type.find_by_identifier(self.identifier) is not None
            may_join = self.actor_type.may_sign_up(self.identifier)
        create = None if is_member else self._maker()
        if create is not None and not may_join:  # whom only the app itself lets in
            self._make(create)
            create = None
        answer = self._finish()
        token = str(answer["token"])
        if create is None:
            return token
        self._make(create)
        return str(self.post("refresh", headers=_bearer(token)).get_json()["token"])

    def _finish(self) -> dict[str, Any]:
        with Outbox(self._app) as outbox:
            asked = self.post("start", identifier=self.identifier).get_json()
        if not outbox.messages:
            reasons = ", ".join(each.reason for each in outbox.suppressed)
            raise AssertionError(f"no code was sent ({reasons}): reset(app) forgets what was asked")
        given = {"otp": outbox.last.otp, "challenge": asked["challenge"]}
        finished: dict[str, Any] = self.post(
            "finish", identifier=self.identifier, **given
        ).get_json()
        return finished

    def _maker(self) -> Callable[[], object]:
        if self._create is not None:
            create = self._create
            return lambda: create(self.identifier)
        method = getattr(self.actor_type.store, "create", None)
        if callable(method):
            return lambda: method(self.identifier, {})
        store = type(self.actor_type.store).__name__
        raise LookupError(
            f"no {self.actor_type.name} has this identifier, and {store} has no create(): "
            "make the account before, or pass create=, a function that takes the identifier and "
            "makes it"
        )

    def _make(self, create: Callable[[], object]) -> None:
        with self._app.app_context():
            create()

    def post(
        self, route: str, headers: dict[str, str] | None = None, **fields: str
    ) -> TestResponse:
        """Post to a route, which must answer 200."""
        values = {"actor_type": self.actor_type.name} if fields else {}
        path = path_of(self._app, route, **values)
        answer = self._client.post(path, json=fields or None, headers=headers)
        if answer.status_code != 200:
            raise AssertionError(
                f"POST {path} answered {answer.status_code}: {answer.get_data(as_text=True)}"
            )
        return answer
