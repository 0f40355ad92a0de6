"""Each type of error has a page in docs/errors, which says what the code says."""

import json
from http import HTTPStatus

import pytest
from pages import DOCS, blocks_of, errors_by_type

from flask_otp_auth.errors import InvalidIdentifier, OTPRequired, RateLimited, RequestError

TYPES = errors_by_type()


def an_error(type_: str) -> RequestError:
    """Return an error of a type as it stands in the example of its page."""
    if type_ == "invalid_data":
        return InvalidIdentifier()
    if type_ == "rate_limited":
        return RateLimited(retry_after=3600)
    if type_ == "otp_required":
        return OTPRequired("TqDzqXM4nHTuTRRFhW8nGg", 300, 60)
    return TYPES[type_]()


def test_there_is_one_page_for_each_type() -> None:
    assert {path.stem for path in (DOCS / "errors").glob("*.md")} == set(TYPES)


@pytest.mark.parametrize("type_", TYPES)
def test_a_page_shows_the_status_the_class_and_the_body(type_: str) -> None:
    page = DOCS / "errors" / f"{type_}.md"
    (example,) = blocks_of(page, "json")
    assert json.loads(example.code) == an_error(type_).data
    status = TYPES[type_].status
    reason = {413: "Content Too Large"}.get(status, HTTPStatus(status).phrase)  # RFC 9110
    head = f"Status {status} ({reason}); in Python `flask_otp_auth.errors.{TYPES[type_].__name__}`."
    assert head in page.read_text()


@pytest.mark.parametrize("type_", TYPES)
def test_a_page_says_what_to_do(type_: str) -> None:
    text = (DOCS / "errors" / f"{type_}.md").read_text()
    for heading in ("What it means", "When it comes", "What a client does", "What the log says"):
        assert f"\n## {heading}\n\n" in text


def test_the_table_of_errors_leads_to_each() -> None:
    table = (DOCS / "reference" / "errors.md").read_text()
    for type_, error in TYPES.items():
        assert f"| {error.status} | [`{type_}`](../errors/{type_}.md) |" in table
