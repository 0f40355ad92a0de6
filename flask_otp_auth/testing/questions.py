"""What is asked of an app for one identifier, and again for another."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import NotFound
from werkzeug.test import TestResponse

from .forms import IDENTIFIERS, Form, forms_of
from .routes import path_of
from .twins import state_of

#: Sends what was made ready.
Send = Callable[[], TestResponse]

_ASK = ("generate", "pre_register", "start")
_GUESS = ("verify", "register", "authenticate", "finish")

#: Statuses of a view that doesn't take what it was sent.
NOT_TAKEN = (400, 405, 415, 422)


@dataclass(frozen=True)
class Question:
    """A request that is sent for several identifiers.

    :ivar asks: whether it is a request for a code on the blueprint's own routes, which looks nobody
        up and sends nothing itself.
    :ivar prepare: makes it ready for an identifier, with what has to be read before.
    :ivar takes_nothing: whether it is asked of a view that took nothing else, so that a refusal
        tells nothing of it.
    """

    name: str
    prepare: Callable[[FlaskClient, str], Send]
    asks: bool = False
    takes_nothing: bool = False


def own_questions(app: Flask, actor_type: str) -> Iterator[Question]:
    """Yield the questions that the blueprint's own routes answer."""
    for endpoint in _ASK:
        path = path_of(app, endpoint, actor_type=actor_type)
        yield Question(f"POST {path}", partial(_post, path, {}), asks=True)
    digits = state_of(app).actors.get(actor_type).settings.digits
    for endpoint in _GUESS:
        path = path_of(app, endpoint, actor_type=actor_type)
        yield Question(f"POST {path}, a wrong code", partial(_post, path, {"otp": "0" * digits}))
    path = path_of(app, "verify", actor_type=actor_type)
    yield Question(f"POST {path}, no code", partial(_post, path, {}))


def _post(path: str, fields: dict[str, str], client: FlaskClient, identifier: str) -> Send:
    body = {"identifier": identifier, **fields}
    return lambda: client.post(path, json=body)


def view_questions(app: Flask, through: Sequence[str], probe: str) -> Iterator[Question]:
    """Yield the questions that views of the app's own answer.

    :param through: their paths. One that has ``{identifier}`` in it is got; a page's form is filled
        in and sent; all else is sent JSON, or a form if it doesn't take that.
    :param probe: an identifier to find out with what a view takes.
    """
    if isinstance(through, str):
        raise TypeError("through= is a list of paths")
    for path in through:
        yield _view_question(app, path, probe)


def _view_question(app: Flask, path: str, probe: str) -> Question:
    if not _is_there(app, path.replace("{identifier}", probe)):
        raise ValueError(f"the app has no view at {path}, which through= names")
    if "{identifier}" in path:
        return Question(
            f"GET {path}",
            lambda client, who: lambda: client.get(path.replace("{identifier}", who)),
        )
    client = app.test_client()
    page = client.get(path)
    if _form(page) is not None:
        return Question(f"POST {path}", partial(_fill_in, path))
    answer = client.post(path, json=_fields(probe))
    if answer.status_code not in NOT_TAKEN:
        return Question(f"POST {path}", lambda client, who: _json(client, path, who))
    if client.post(path, data=_fields(probe)).status_code not in NOT_TAKEN:
        return Question(f"POST {path}", lambda client, who: _data(client, path, who))
    return Question(
        f"GET {path}", lambda client, who: _query(client, path, who), takes_nothing=True
    )


def _is_there(app: Flask, path: str) -> bool:
    with app.test_request_context(path) as context:
        is_routed = not isinstance(context.request.routing_exception, NotFound)
    return is_routed or app.test_client().get(path).status_code != 404  # of a middleware


def _fields(identifier: str) -> dict[str, str]:
    return {"identifier": identifier, "email": identifier}


def _json(client: FlaskClient, path: str, who: str) -> Send:
    return lambda: client.post(path, json=_fields(who))


def _data(client: FlaskClient, path: str, who: str) -> Send:
    return lambda: client.post(path, data=_fields(who))


def _query(client: FlaskClient, path: str, who: str) -> Send:
    return lambda: client.get(path, query_string=_fields(who))


def _form(page: TestResponse) -> Form | None:
    return next((form for form in forms_of(page) if form.asks_for(IDENTIFIERS)), None)


def _fill_in(path: str, client: FlaskClient, who: str) -> Send:
    form = _form(client.get(path))
    if form is None:
        return lambda: client.get(path)  # the page has changed, which its answer tells
    return lambda: form.send(client, path, who)
