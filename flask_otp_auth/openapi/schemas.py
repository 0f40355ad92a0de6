"""JSON schemas out of annotations: of the dataclasses of bodies and the TypedDicts of answers."""

import dataclasses
import inspect
import re
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import (
    Any,
    Literal,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

Json = dict[str, Any]

_PLAIN: dict[Any, Json] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
}

# :ivar name: text, up to the next field; and :class:`Name`.
_FIELD = re.compile(r"(?ms)^:ivar (\w+): (.*?)(?=^:\w+|\Z)")
_ROLE = re.compile(r":\w+:`~?\.?([^`]+)`")


def component_name(kind: type) -> str:
    """Return what a class is called in the document.

    With a prefix, as an app's own document may have a ``NotFound`` of the app's own.
    """
    return kind.__name__ if kind.__name__.startswith("OTP") else f"OTP{kind.__name__}"


def reference(section: str, kind: type) -> Json:
    """Return a reference to a component."""
    return {"$ref": f"#/components/{section}/{component_name(kind)}"}


class Schemas:
    """The schemas of one document; those that are referred to are added as they are.

    :param has_null: whether ``null`` is a type, as in OpenAPI 3.1; in 3.0 it is a flag.
    :ivar named: the schemas with a name of their own.
    """

    def __init__(self, *, has_null: bool = True) -> None:
        self._has_null = has_null
        self.named: dict[str, Json] = {}

    def named_of(self, kind: type) -> Json:
        """Return a reference to the schema of a dataclass or of a TypedDict.

        :raises TypeError: if it has a field of a type that there is no schema for.
        """
        name = component_name(kind)
        if name not in self.named:
            self.named[name] = {}  # for a type that has itself in it
            self.named[name] = self._object(kind)
        return reference("schemas", kind)

    def _object(self, kind: type) -> Json:
        summary, told = documentation(kind)
        hints = get_type_hints(kind, include_extras=True)
        properties = {
            name: {**self.of(hint), **_described(told.get(name)), **_bounds(kind, name)}
            for name, hint in hints.items()
        }
        return {
            "type": "object",
            **_described(summary),
            "required": [name for name in hints if _is_needed(kind, name, hints[name])],
            "properties": properties,
        }

    def of(self, hint: Any) -> Json:
        """Return the schema of an annotation.

        :raises TypeError: if there is none for it.
        """
        origin, arguments = get_origin(hint), get_args(hint)
        if hint in _PLAIN:
            return dict(_PLAIN[hint])
        if origin is NotRequired:
            return self.of(arguments[0])
        if origin is Literal:
            (kind,) = {type(value) for value in arguments}
            return {**self.of(kind), "enum": list(arguments)}
        if origin in (Union, UnionType):
            return self._optional(arguments)
        if origin is list:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is dict:
            return {"type": "object"}
        if is_typeddict(hint):
            return self.named_of(hint)
        raise TypeError(f"there is no schema for {hint!r}")

    def _optional(self, arguments: tuple[Any, ...]) -> Json:
        (kind,) = (argument for argument in arguments if argument is not NoneType)
        schema = self.of(kind)
        if self._has_null:
            return {**schema, "type": [schema["type"], "null"]}
        return {**schema, "nullable": True}


def documentation(documented: Any) -> tuple[str, dict[str, str]]:
    """Return what the docstring of a class or of a function says, and what it says of each field.

    Both in Markdown.
    """
    text = _ROLE.sub(r"`\1`", inspect.cleandoc(documented.__doc__ or ""))
    told = {name: " ".join(found.split()) for name, found in _FIELD.findall(text)}
    return re.split(r"(?m)^:", text, maxsplit=1)[0].strip(), told


def _described(text: str | None) -> Json:
    return {"description": text} if text else {}


def _is_needed(kind: type, name: str, hint: Any) -> bool:
    if dataclasses.is_dataclass(kind):
        return _field(kind, name).default is dataclasses.MISSING
    return get_origin(hint) is not NotRequired


def _bounds(kind: type, name: str) -> Json:
    metadata = _field(kind, name).metadata if dataclasses.is_dataclass(kind) else {}
    return {"maxLength": metadata["max_length"]} if "max_length" in metadata else {}


def _field(kind: type, name: str) -> Any:
    fields: Mapping[str, Any] = kind.__dataclass_fields__  # type: ignore[attr-defined]  # is one
    return fields[name]
