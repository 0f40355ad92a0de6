"""What a refusal looks like: read off an error of each class, as it would be sent."""

from collections.abc import Iterable
from itertools import groupby

from .. import errors
from ..errors import OTPRequired, RateLimited, RequestError
from .examples import CHALLENGE
from .schemas import Json, documentation, reference

#: Errors that say more where they are raised than their class does.
_RAISED = (
    RateLimited(retry_after=60),
    OTPRequired(CHALLENGE, expires_in=300, resend_after=60),
)

_HEADERS: Json = {
    "Retry-After": {
        "description": "Seconds until a new try makes sense (RFC 9110, section 10.2.3).",
        "required": True,
        "schema": {"type": "integer"},
    },
    "WWW-Authenticate": {
        "description": "Which token is asked for (RFC 6750, section 3; RFC 9470).",
        "required": True,
        "schema": {"type": "string"},
    },
}


def error_classes() -> list[type[RequestError]]:
    """Return one error class for each type on the wire."""
    by_type: dict[str, type[RequestError]] = {}
    for found in vars(errors).values():
        if (
            isinstance(found, type)
            and issubclass(found, RequestError)
            and found is not RequestError
        ):
            by_type.setdefault(found.type, found)  # the base class of those of one type
    return list(by_type.values())


def _raised(kind: type[RequestError]) -> RequestError:
    return next((error for error in _RAISED if type(error) is kind), None) or kind()


def error_schema(kind: type[RequestError]) -> Json:
    """Return the schema of an error's body."""
    body = _raised(kind).data
    properties: Json = {
        name: {"type": "integer" if isinstance(value, int) else "string"}
        for name, value in body.items()
    }
    properties["type"]["enum"] = [kind.type]
    return {
        "type": "object",
        "description": described(kind),
        "required": list(body),
        "properties": properties,
    }


def described(kind: type[RequestError]) -> str:
    """Return what an error means, with the address of its page."""
    meaning, _ = documentation(kind)
    page = errors.PAGES.format(type=kind.type)
    return f"{meaning}\n\nMore about it: [{kind.type}]({page})"


def error_response(*kinds: type[RequestError]) -> Json:
    """Return the response with which these errors of one status are answered."""
    references = [reference("schemas", kind) for kind in kinds]
    raised = [_raised(kind) for kind in kinds]
    sent = {name for error in raised for name in error.extra_headers}
    headers = {name: header for name, header in _HEADERS.items() if name in sent}
    content = {
        "schema": references[0] if len(references) == 1 else {"oneOf": references},
        "examples": {error.type: {"value": error.data} for error in raised},
    }
    return {
        "description": "\n\n".join(described(kind) for kind in kinds),
        **({"headers": headers} if headers else {}),
        "content": {"application/json": content},
    }


def error_responses(kinds: Iterable[type[RequestError]]) -> Json:
    """Return the responses of an operation by their status.

    One that is for a single error stands among the components.
    """
    found = sorted(dict.fromkeys(kinds), key=lambda kind: kind.status)
    responses: Json = {}
    for status, group in groupby(found, key=lambda kind: kind.status):
        of_status = list(group)
        alone = len(of_status) == 1
        responses[str(status)] = (
            reference("responses", of_status[0]) if alone else error_response(*of_status)
        )
    return responses
