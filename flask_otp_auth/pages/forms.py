"""The app's own sign-up form: a class of WTForms, whose package is never imported here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from flask import request
from markupsafe import Markup
from werkzeug.datastructures import CombinedMultiDict

from .visits import Visit


@dataclass(frozen=True)
class Fault:
    """What is wrong with a form that was filled in.

    :ivar field: the id of the field that it is about; ``None`` if people see none.
    """

    text: str
    field: str | None = None


class SignUpForm:
    """A form as the template shows it and as the store gets it.

    :ivar hidden: its hidden fields.
    :ivar fields: those that people see, without buttons: the page has one of its own.
    """

    def __init__(self, form: Any) -> None:
        self._form = form
        shown = _without_buttons(form)
        self.hidden: list[Any] = [field for field in shown if _input_type(field) == "hidden"]
        self.fields: list[Any] = [field for field in shown if _input_type(field) != "hidden"]

    @property
    def has_files(self) -> bool:
        """Whether files can be sent with it."""
        return any(_input_type(field) == "file" for field in self._with_parts(self.fields))

    @property
    def values(self) -> dict[str, Any]:
        """The values by name."""
        return {field.short_name: field.data for field in (*self.hidden, *self.fields)}

    def validate(self) -> bool:
        """Run the form's own validators."""
        return bool(self._form.validate())

    def parts(self, field: Any) -> list[Any]:
        """Return the fields that a field is made of; most are made of none."""
        entries = field.entries if hasattr(field, "append_entry") else ()  # FieldList
        return _without_buttons(_inner_form(field) or entries)

    def errors(self, field: Any) -> list[Any]:
        """Return what is wrong with a field itself, and not with those that it is made of."""
        inner = _inner_form(field)
        if inner is not None:
            return _own_errors(inner)
        return [error for error in field.errors if not isinstance(error, list | tuple | dict)]

    @property
    def faults(self) -> list[Fault]:
        """What is wrong with the form and its fields, in the order of the page."""
        found = [Fault(_plain(error)) for error in _own_errors(self._form)]
        for field in self._with_parts([*self.hidden, *self.fields]):
            if errors := self.errors(field):
                text = " ".join(map(_plain, errors))
                seen = None if _input_type(field) == "hidden" else field.id
                found.append(Fault(f"{_plain(field.label.text)}: {text}", seen))
        return found

    def _with_parts(self, fields: Iterable[Any]) -> Iterator[Any]:
        for field in fields:
            yield field
            yield from self._with_parts(self.parts(field))


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


def _inner_form(field: Any) -> Any:
    """Return the form that a field holds (``FormField``), if it does."""
    return field.form if hasattr(field, "form_class") else None


def _own_errors(form: Any) -> list[Any]:
    return list(getattr(form, "form_errors", ()))  # since WTForms 3


def _without_buttons(fields: Iterable[Any]) -> list[Any]:
    return [field for field in fields if _input_type(field) != "submit"]


def _plain(text: Any) -> str:
    """Return a text without tags, such as those of a label with a link in it."""
    if not hasattr(text, "__html__"):
        return str(text)
    return str(Markup(text).striptags())  # noqa: S704 - what is left is escaped by the template


def _input_type(field: Any) -> str | None:
    found: str | None = getattr(field.widget, "input_type", None)
    return found
