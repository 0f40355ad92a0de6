"""One who registers, and takes a member's account over by it."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import Flask

from ...core import actors
from ..box import Box
from ..routes import paths
from ..watching import replaced
from .found import Found

#: As guards mark views.
_GUARD, _REGISTRATION = "_otp_auth_guard", "registration"

#: Names under which a form may ask for the identifier.
_NAMES = ("identifier", "email", "phone", "username")

#: How a view is asked to make an account.
_METHODS = ("POST", "PUT")

#: Statuses of a view that doesn't take what it was sent.
_NOT_TAKEN = frozenset({400, 415, 422})

_LATE = (
    "overwrites an account that was made a moment before, as by a double click or in another tab: "
    "let the table refuse it, and raise DuplicateError"
)
_OTHERS = (
    "overwrites the account of an identifier that its body names: use "
    "current_registration.identifier"
)


def overwriter(box: Box, views: list[str], fields: Mapping[str, Any]) -> Found:
    """Register at each view: in a member's name, and too late."""
    found = Found("overwriter")
    for path in views:
        statuses = {_try(box, found, path, fields, box.unknown, _OTHERS)}
        with _hidden(box) as is_hidden:
            if is_hidden:
                statuses.add(_try(box, found, path, fields, box.known, _LATE))
        if statuses <= _NOT_TAKEN:
            raise ValueError(
                f"POST {path} refuses what it was sent ({min(statuses)}): pass fields=, what its "
                "form needs, or leave it out, with register_views="
            )
    return found


def _try(
    box: Box, found: Found, path: str, fields: Mapping[str, Any], identifier: str, leak: str
) -> int:
    """Register an identifier, post to a view with the member's, and return the status."""
    before, row = _id_of(box), _row_of(box)
    headers = {"Authorization": f"Bearer {_registration(box, path, identifier)}"}
    body = {"name": "x", **fields, **dict.fromkeys(_NAMES, box.known)}
    client = box.app.test_client()
    method, status = "POST", client.post(path, headers=headers, json=body).status_code
    if status == 405:
        method, status = "PUT", client.put(path, headers=headers, json=body).status_code
    if status in _NOT_TAKEN:
        status = client.open(path, method=method, headers=headers, data=body).status_code
    is_changed = identifier != box.known and _row_of(box) != row
    found.tried(is_changed or _id_of(box) != before, f"{method} {path} {leak}")
    return status


def _registration(box: Box, path: str, identifier: str) -> str:
    """Return a registration token."""
    box.begin()
    box.ask("pre_register", identifier)
    box.deliver()
    if not box.outbox.messages:
        raise ValueError(f"nobody may register: leave {path} out, with register_views=[]")
    answer = box.post("register", box.given(box.outbox.last))
    return str(answer.get_json()["token"])


@contextmanager
def _hidden(box: Box) -> Iterator[bool]:
    """Hide the member from the engine, as if the account were made right after the guard looked.

    The app's own look-ups see it.

    :returns: whether that can be.
    """
    store: Any = box.actor_type.store
    find = store.find_by_identifier

    def find_others(wanted: str) -> Any:
        by = str(sys._getframe(1).f_globals["__name__"])
        return None if wanted == box.known and by == actors.__name__ else find(wanted)

    with replaced(store, "find_by_identifier", find_others) as is_hidden:
        yield is_hidden


def _id_of(box: Box) -> str:
    """Return the id of the member's account, as the app's own code finds it."""
    with box.app.app_context():
        found = box.actor_type.store.find_by_identifier(box.known)
        return "" if found is None else actors.actor_id(found)


def _row_of(box: Box) -> dict[str, str]:
    """Return what the member's account says, by field."""
    with box.app.app_context():
        found = box.actor_type.store.find_by_identifier(box.known)
        fields = getattr(found, "__dict__", {})
        return {name: repr(value) for name, value in fields.items() if not name.startswith("_")}


def registration_views(app: Flask, actor_type: str) -> list[str]:
    """Return the paths that ``registration_required`` guards."""
    guarded = (
        path for path, endpoint in paths(app, actor_type, *_METHODS) if _is_guarded(app, endpoint)
    )
    return sorted(set(guarded))


def _is_guarded(app: Flask, endpoint: str) -> bool:
    view = app.view_functions[endpoint]
    view_class = getattr(view, "view_class", None)
    methods = (getattr(view_class, name.lower(), None) for name in _METHODS)
    return any(getattr(each, _GUARD, None) == _REGISTRATION for each in (view, *methods))
