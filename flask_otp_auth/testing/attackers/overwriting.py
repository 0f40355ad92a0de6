"""One who registers, and takes a member's account over by it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from ...core.actors import actor_id
from ..box import Box
from .found import Found

#: As guards mark views.
_GUARD, _REGISTRATION = "_otp_auth_guard", "registration"


def overwriter(box: Box, views: list[str], fields: Mapping[str, Any]) -> Found:
    """Register at each view: too late, and in a member's name."""
    found = Found("overwriter")
    for path in views:
        before = _id_of(box, box.known)
        late = _post(box, path, box.known, fields, hidden=True)
        found.tried(
            _id_of(box, box.known) != before,
            f"POST {path} overwrites an account that was made a moment before, as by a double "
            "click or in another tab: let the table refuse it, and raise DuplicateError",
        )
        before = _id_of(box, box.known)
        other = _post(box, path, box.unknown, fields, hidden=False)
        found.tried(
            _id_of(box, box.known) != before,
            f"POST {path} takes the identifier from the body: use current_registration.identifier",
        )
        if not {late, other} - {400, 415, 422}:
            raise ValueError(
                f"POST {path} refuses what it was sent ({late}): pass fields=, what its form needs"
            )
    return found


def registration_views(app: Flask) -> list[str]:
    """Return the paths that ``registration_required`` guards."""
    return sorted(
        rule.rule
        for rule in app.url_map.iter_rules()
        if "POST" in (rule.methods or ()) and not rule.arguments
        and _is_guarded(app.view_functions[rule.endpoint])
    )  # fmt: skip


def _is_guarded(view: Any) -> bool:
    method = getattr(getattr(view, "view_class", None), "post", None)
    return any(getattr(each, _GUARD, None) == _REGISTRATION for each in (view, method))


def _post(
    box: Box, path: str, identifier: str, fields: Mapping[str, Any], *, hidden: bool
) -> int:
    """Register an identifier, post to a view with a member's, and return the status.

    :param hidden: whether the account is hidden from all but the view itself, as if it were made
        between the guard and the view.
    """
    box.begin()
    with _hidden(box, identifier if hidden else None):
        box.ask("pre_register", identifier)
        box.deliver()
        codes = box.outbox.messages
        if not codes:
            raise ValueError(f"nobody may register: leave {path} out, with register_views=[]")
        answer = box.post(
            "register", identifier=identifier, otp=codes[-1].otp,
            challenge=codes[-1].challenge or "",
        )  # fmt: skip
    headers = {"Authorization": f"Bearer {answer.get_json()['token']}"}
    status = 0
    for form in ("json", "data"):
        with _hidden(box, identifier if hidden else None, times=1):
            sent = _send(box, path, headers, {form: _body(box, fields)})
        status = sent.status_code
        if status not in (400, 415, 422):
            break
    return status


def _send(
    box: Box, path: str, headers: dict[str, str], body: Mapping[str, Any]
) -> TestResponse:
    return box.app.test_client().post(path, headers=headers, **body)


def _body(box: Box, fields: Mapping[str, Any]) -> dict[str, Any]:
    names = ("identifier", "email", "phone", "username")
    return {"name": "x", **fields, **dict.fromkeys(names, box.known)}


@contextmanager
def _hidden(box: Box, identifier: str | None, times: int = 1_000) -> Iterator[None]:
    """Let the actor store not find an identifier, so many times."""
    store: Any = box.actor_type.store
    find = store.find_by_identifier
    left = times

    def find_others(wanted: str) -> Any:
        nonlocal left
        if wanted != identifier or not left:
            return find(wanted)
        left -= 1
        return None

    store.find_by_identifier = find_others
    try:
        yield
    finally:
        store.find_by_identifier = find


def _id_of(box: Box, identifier: str) -> str:
    with box.app.app_context():
        found = box.actor_type.find_by_identifier(identifier)
        return "" if found is None else actor_id(found)
