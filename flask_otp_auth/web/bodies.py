"""Request bodies: JSON, strict and small.

A body is a frozen dataclass. Its fields say what is checked, here and in the OpenAPI document: a
field with a default is optional, and ``null`` counts as absent for it.
"""

import json
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, TypeVar

from flask import Request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wsgi import get_input_stream

from ..errors import InvalidData, PayloadTooLarge, UnsupportedMediaType

B = TypeVar("B", "IdentifierBody", "CodeBody")

#: Bytes that a body may have at most.
MAX_BODY = 4096

# Metadata: ``max_length`` is in characters. A text that is handed on as it is must be ``unicode``:
# JSON can write half of a surrogate pair, which nothing can encode. What is parsed here anyway,
# an identifier or a code, is refused by that.
_IDENTIFIER = {"max_length": 320}
_OTP = {"max_length": 128}
_CHALLENGE = {"max_length": 64, "unicode": True}
_PROOF = {"max_length": MAX_BODY, "unicode": True}


@dataclass(frozen=True, repr=False, eq=False)
class IdentifierBody:
    """Asks for a code.

    :ivar identifier: where the code is to go, as it was typed.
    :ivar challenge: taken for the convenience of clients that always send it, and ignored.
    :ivar proof: what the app's own gate looks at, such as a captcha's answer.
    """

    identifier: str = field(metadata=_IDENTIFIER)
    challenge: str | None = field(default=None, metadata=_CHALLENGE)
    proof: str | None = field(default=None, metadata=_PROOF)


@dataclass(frozen=True, repr=False, eq=False)
class CodeBody:
    """Answers with a code.

    :ivar identifier: where the code went, as it was typed.
    :ivar otp: the code, as it was typed or pasted. It has 6 to 10 digits, and 20 while somebody
        attacks its owner: a front end has one text field that takes any number of digits, never a
        box for each.
    :ivar challenge: what the request for the code was answered with; the app may ask for it.
    """

    identifier: str = field(metadata=_IDENTIFIER)
    otp: str = field(metadata=_OTP)
    challenge: str | None = field(default=None, metadata=_CHALLENGE)


def read_body(request: Request, schema: type[B]) -> B:
    """Return what a request's body says.

    :param schema: the dataclass that says which fields there are. Others are ignored.
    :raises UnsupportedMediaType: if it is not ``application/json``.
    :raises PayloadTooLarge: if it is longer than 4 KiB, even if sent in chunks.
    :raises InvalidData: if it is not the JSON object that it must be.
    """
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    found = _decode(_read(request))
    values: dict[str, Any] = {
        item.name: _text(item, found.get(item.name)) for item in fields(schema)
    }
    return schema(**values)


def _read(request: Request) -> bytes:
    limit = min(request.max_content_length or MAX_BODY, MAX_BODY)
    try:
        # One byte more, as Werkzeug truncates a chunked body at its limit without an error.
        body = _at_most(request, limit + 1)
    except RequestEntityTooLarge:
        raise PayloadTooLarge from None
    except HTTPException:  # the client went away, or its Content-Length was wrong
        raise InvalidData("The body is incomplete.") from None
    if len(body) > limit:
        raise PayloadTooLarge
    return body


def _at_most(request: Request, limit: int) -> bytes:
    try:
        request.max_content_length = limit
    except AttributeError:  # a property of the app's own Request class has no setter
        if request.content_length is None or request.content_length > limit:
            return get_input_stream(request.environ, max_content_length=limit).read()
    return request.get_data()


def _decode(body: bytes) -> dict[str, Any]:
    try:
        found = _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        raise InvalidData("The body is not valid JSON in UTF-8.") from None
    if not isinstance(found, dict):
        raise InvalidData("The body must be a JSON object.")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Parsers disagree on which of two equal names counts (RFC 8259, section 4).
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate names")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _text(item: Field[Any], value: object) -> str | None:
    """Return the value of a field.

    :raises InvalidData: if it is not what the field must be.
    """
    if value is None and item.default is not MISSING:
        return None
    if not isinstance(value, str):
        raise InvalidData(f"{item.name} must be a text.")
    most = item.metadata["max_length"]
    if len(value) > most:
        raise InvalidData(f"{item.name} must be a text of at most {most} characters.")
    if "unicode" in item.metadata and not _is_unicode(value):
        raise InvalidData(f"{item.name} must be valid Unicode.")
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
