"""Holds the answers of an app to its document."""

import re
from typing import Any

from flask import Flask, Response, request
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012


def operations_of(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Return each operation: its id, its method with its path, and what is told of it."""
    return [
        (told["operationId"], f"{method.upper()} {path}", told)
        for path, item in document["paths"].items()
        for method, told in item.items()
        if method != "parameters"
    ]


#: What identifies the document for its references.
_ADDRESS = "urn:document"


class Contract:
    """What an app's document says of answers.

    :ivar seen: the operation, the status and the type, if it was an error, of each answer.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.seen: set[tuple[str, int, str | None]] = set()
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        self._registry: Registry[Any] = Registry().with_resource(_ADDRESS, resource)

    def watch(self, app: Flask) -> "Contract":
        """Check each answer of the routes from now on."""
        app.after_request(self._check)
        return self

    def resolve(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return what a reference refers to, or else what was given."""
        if "$ref" not in found:
            return found
        target: Any = self.document
        for part in found["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return dict(target)

    def errors(self, schema: dict[str, Any], value: object) -> list[str]:
        """Return what is wrong with a value."""
        absolute = _absolute(schema)
        validator = Draft202012Validator(absolute, registry=self._registry)
        return [error.message for error in validator.iter_errors(value)]

    def _check(self, response: Response) -> Response:
        if request.url_rule is None:
            return response
        path = re.sub(r"<(\w+)>", r"{\1}", request.url_rule.rule)
        operation = self.document["paths"][path][request.method.lower()]
        status = str(response.status_code)
        assert status in operation["responses"], f"{operation['operationId']} answers {status}"
        told = self.resolve(operation["responses"][status])
        body = response.get_json()
        schema = told["content"]["application/json"]["schema"]
        assert self.errors(schema, body) == [], (operation["operationId"], status, body)
        for header in ("Retry-After", "WWW-Authenticate"):
            assert (header in response.headers) is (header in told.get("headers", {}))
        names = set(self._properties(schema, body))
        assert body.keys() <= names, f"{operation['operationId']} answers {body.keys() - names}"
        self.seen.add((operation["operationId"], response.status_code, body.get("type")))
        return response

    def _properties(self, schema: dict[str, Any], body: object) -> dict[str, Any]:
        fitting = [one for one in schema.get("oneOf", [schema]) if not self.errors(one, body)]
        return dict(self.resolve(fitting[0])["properties"])


def _absolute(schema: Any) -> Any:
    """Return a schema whose references name the document."""
    if isinstance(schema, dict):
        return {
            name: _ADDRESS + value if name == "$ref" else _absolute(value)
            for name, value in schema.items()
        }
    return [_absolute(item) for item in schema] if isinstance(schema, list) else schema
