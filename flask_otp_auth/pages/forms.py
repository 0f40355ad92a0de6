"""The app's own sign-up form: a class of WTForms, whose package is never imported here."""

from __future__ import annotations

from typing import Any

from flask import request
from werkzeug.datastructures import CombinedMultiDict

from .visits import Visit


class SignUpForm:
    """A form as the template shows it and as the store gets it.

    :ivar hidden: its hidden fields.
    :ivar fields: those that people see, without buttons: the page has one of its own.
    """

    def __init__(self, form: Any) -> None:
        self._form = form
        shown = [field for field in form if _input_type(field) != "submit"]
        self.hidden: list[Any] = [field for field in shown if _input_type(field) == "hidden"]
        self.fields: list[Any] = [field for field in shown if _input_type(field) != "hidden"]

    @property
    def has_files(self) -> bool:
        """Whether files can be sent with it."""
        return any(_input_type(field) == "file" for field in self.fields)

    @property
    def values(self) -> dict[str, Any]:
        """The values by name."""
        return {field.short_name: field.data for field in (*self.hidden, *self.fields)}

    def validate(self) -> bool:
        """Run the form's own validators."""
        return bool(self._form.validate())


def empty_form(visit: Visit) -> SignUpForm | None:
    """Return the form of an actor type, if it has one."""
    return _made(visit, None)


def bound_form(visit: Visit) -> SignUpForm | None:
    """Return the form with what was filled in, if the actor type has one.

    :raises PayloadTooLarge: if that is too much.
    """
    return _made(visit, CombinedMultiDict([request.files, visit.form]) if visit.form else None)


def _made(visit: Visit, filled_in: Any) -> SignUpForm | None:
    form = visit.state.page_parts.forms.get(visit.name)
    if form is None:
        return None
    # Our own token is checked before; FlaskForm would look for another one in the same field.
    return SignUpForm(form(formdata=filled_in, meta={"csrf": False}))


def _input_type(field: Any) -> str | None:
    found: str | None = getattr(field.widget, "input_type", None)
    return found
