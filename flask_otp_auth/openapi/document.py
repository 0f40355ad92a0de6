"""The document: an operation for each route, and the components that operations refer to."""

import re
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import version
from typing import get_type_hints

from flask import Flask
from werkzeug.routing import Rule

from ..errors import ConfigError
from ..web.api import ROUTES, Route
from ..web.bodies import CodeBody, IdentifierBody
from ..web.state import State
from . import examples
from .refusals import error_classes, error_response, error_responses, error_schema
from .schemas import Json, Schemas, component_name, documentation

#: What operations are grouped under.
TAG: Json = {"name": "otp_auth", "description": "Sign-up and sign-in with one-time codes."}

_ARGUMENT = re.compile(r"<(?:[^<>]*:)?(\w+)>")

_BY_OPERATION = {route.operation: route for route in ROUTES}


class Document:
    """The parts of one app's document.

    :param app: the app; its blueprint must be mounted.
    :param has_null: see :class:`~flask_otp_auth.openapi.schemas.Schemas`.
    """

    def __init__(self, app: Flask, state: State, *, has_null: bool = True) -> None:
        self._app = app
        self._state = state
        self._schemas = Schemas(has_null=has_null)
        self._answers = examples.answers(state.settings)

    def whole(self) -> Json:
        """Return the document."""
        root = self._app.config["APPLICATION_ROOT"]
        return {
            "openapi": "3.1.0",
            "info": {
                "title": f"{self._state.settings.site_name}: one-time codes",
                "version": version("flask-otp-auth"),
                "description": TAG["description"],
            },
            **({} if root == "/" else {"servers": [{"url": root}]}),
            "tags": [TAG],
            "paths": self.paths,
            "components": self.components,
        }

    @cached_property
    def paths(self) -> Json:
        """The path items by path.

        :raises ConfigError: if the blueprint is not mounted.
        """
        paths: Json = {}
        for route in ROUTES:
            rule = self._rule_of(route)
            item = paths.setdefault(_ARGUMENT.sub(r"{\1}", rule.rule), {})
            arguments = _ARGUMENT.findall(rule.rule)
            if arguments:
                item["parameters"] = [self._parameter(name) for name in arguments]
            item[route.method.lower()] = self._operation(route, arguments)
        return paths

    def _rule_of(self, route: Route) -> Rule:
        views = self._app.view_functions
        for rule in self._app.url_map.iter_rules():
            if views.get(rule.endpoint) == route.answer:
                return rule
        raise ConfigError(
            "the routes are not mounted yet: "
            'app.register_blueprint(otp_auth.blueprint, url_prefix="/auth")'
        )

    def _parameter(self, name: str) -> Json:
        schema: Json = {"type": "string"}
        if name == "actor_type" and self._state.actors.names:
            schema["enum"] = list(self._state.actors.names)
        told = examples.PARAMETERS.get(name, {})
        return {"name": name, "in": "path", "required": True, **told, "schema": schema}

    def _operation(self, route: Route, arguments: list[str]) -> Json:
        summary, _ = documentation(route.view)
        security: list[Json] = [{} if name is None else {name: []} for name in route.credentials]
        answer = self._answer(route)
        if route.leads_to:
            answer["links"] = {route.leads_to: _link(_BY_OPERATION[route.leads_to], arguments)}
        return {
            "operationId": route.operation,
            "tags": [TAG["name"]],
            "summary": summary,
            "security": security,
            **({"requestBody": self._body(route.body)} if route.body else {}),
            "responses": {"200": answer, **error_responses(route.errors)},
        }

    def _body(self, kind: type[IdentifierBody] | type[CodeBody]) -> Json:
        fields = asdict(examples.REQUESTS[kind])
        example = {name: value for name, value in fields.items() if value is not None}
        content = {"schema": self._schemas.named_of(kind), "example": example}
        return {"required": True, "content": {"application/json": content}}

    def _answer(self, route: Route) -> Json:
        kind = get_type_hints(route.view)["return"]
        shown = {name: {"value": value} for name, value in self._answers[route.operation].items()}
        content = {"schema": self._schemas.named_of(kind), "examples": shown}
        return {
            "description": documentation(kind)[0],
            "content": {"application/json": content},
        }

    @cached_property
    def components(self) -> Json:
        """What operations refer to, by kind and name; an app's own operations may do so as well."""
        kinds = error_classes()
        errors = {component_name(kind): error_schema(kind) for kind in kinds}
        schemas = self._schemas.named if self.paths else {}
        return {
            "schemas": {**schemas, **errors},
            "responses": {component_name(kind): error_response(kind) for kind in kinds},
            "securitySchemes": self._security_schemes(),
        }

    def _security_schemes(self) -> Json:
        return {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "The token of an answer (RFC 6750, section 2.1).",
            },
            "cookie": {
                "type": "apiKey",
                "in": "cookie",
                "name": self._app.config["SESSION_COOKIE_NAME"],
                "description": "The session that `sessionBegin` begins.",
            },
        }


def _link(target: Route, arguments: list[str]) -> Json:
    """Return the link to an operation that takes what another one's answer has.

    :param arguments: what the path of the other has in it.
    """
    link: Json = {"operationId": target.operation}
    if target.body is None:
        own = _ARGUMENT.findall(target.rule)
        link["parameters"] = dict.fromkeys(own, "$response.body#/sign_ins/0/id")
    else:
        link["parameters"] = {}
        link["requestBody"] = {
            "identifier": "$request.body#/identifier",
            "challenge": "$response.body#/challenge",
        }
    link["parameters"].update({name: f"$request.path.{name}" for name in arguments})
    return link
