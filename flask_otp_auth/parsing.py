"""Request bodies: JSON, strict and small."""

import json
from typing import Any

from flask import Request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from .errors import InvalidData, PayloadTooLarge, UnsupportedMediaType
from .identifiers import MAX_LENGTH
from .opaque import Opaque

#: Bytes that a body may have at most.
MAX_BODY = 4096


class Body(Opaque):
    """What a request's body says; an absent challenge is ``None``."""

    identifier: str
    otp: str
    challenge: str | None


def parse_body(request: Request, *, otp: bool) -> Body:
    """Return what a request asks for.

    :param otp: whether the body must have a code.
    :raises UnsupportedMediaType: if it is not ``application/json``.
    :raises PayloadTooLarge: if it is longer than 4 KiB, however it is sent.
    :raises InvalidData: if it is not what it must be.
    """
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    fields = _decode(_read(request))
    identifier = _text(fields, "identifier")
    if len(identifier) > MAX_LENGTH:
        raise InvalidData(f"identifier must be a text of at most {MAX_LENGTH} characters.")
    return Body(
        identifier,
        _text(fields, "otp") if otp else "",
        _text(fields, "challenge") if "challenge" in fields else None,
    )


def _read(request: Request) -> bytes:
    limit = min(request.max_content_length or MAX_BODY, MAX_BODY)
    # One byte more, as Werkzeug cuts a chunked body off at its limit without a word.
    request.max_content_length = limit + 1
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        raise PayloadTooLarge from None
    except HTTPException:  # the client went away, or lied about the length
        raise InvalidData("The body is incomplete.") from None
    if len(body) > limit:
        raise PayloadTooLarge
    return body


def _decode(body: bytes) -> dict[str, Any]:
    try:
        fields = _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        raise InvalidData("The body is not valid JSON in UTF-8.") from None
    if not isinstance(fields, dict):
        raise InvalidData("The body must be a JSON object.")
    return fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Parsers disagree on which of two equal names counts (RFC 8259, section 4).
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("duplicate names")
    return fields


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise InvalidData(f"{name} must be a text.")
    return value
