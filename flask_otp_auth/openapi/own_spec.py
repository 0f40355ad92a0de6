"""An app's own document, an apispec or a dict made by one, with our part added."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from flask import Flask

from ..errors import ConfigError
from ..web.state import State
from .document import Document
from .schemas import Json

if TYPE_CHECKING:
    from apispec import APISpec

    S = TypeVar("S", APISpec, Json)


def add_to(spec: S, app: Flask, state: State) -> S:
    """Add paths, schemas, responses and security schemes, and return the document.

    A component that is there already stays: it is ours from an earlier call, or it is what the app
    itself says of how tokens come.

    :raises ConfigError: if it is a document of Swagger 2.0.
    """
    version = str(spec.get("openapi", "2.0") if isinstance(spec, dict) else spec.openapi_version)
    if version.startswith("2."):
        raise ConfigError("document() needs a spec of OpenAPI 3, this one is of Swagger 2")
    document = Document(app, state, has_null=not version.startswith("3.0"))
    if isinstance(spec, dict):
        _extend_dict(spec, document)
    else:
        _extend_spec(spec, document)
    return spec


def _extend_dict(spec: Json, document: Document) -> None:
    """Extend what APIFairy and APIFlask give to a function that processes their document."""
    components = spec.setdefault("components", {})
    for section, found in document.components.items():
        components[section] = {**found, **components.get(section, {})}
    spec["paths"] = {**spec.get("paths", {}), **document.paths}


def _extend_spec(spec: APISpec, document: Document) -> None:
    sections = {
        "schemas": (spec.components.schemas, spec.components.schema),
        "responses": (spec.components.responses, spec.components.response),
        "securitySchemes": (spec.components.security_schemes, spec.components.security_scheme),
    }
    for section, found in document.components.items():
        present, add = sections[section]
        for name, component in found.items():
            if name not in present:
                add(name, component)
    # The plugins of frameworks look for a view of theirs behind each path, and fail at ours.
    plugins, spec.plugins = spec.plugins, ()
    try:
        for path, item in document.paths.items():
            operations = dict(item)
            spec.path(path, parameters=operations.pop("parameters", None), operations=operations)
    finally:
        spec.plugins = plugins
