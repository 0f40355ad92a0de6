"""What answers tell: two lists of them are compared word by word.

A word counts if it stands in each answer for one identifier, and in none for the other: so whatever
is drawn anew for each answer (challenges, CSRF tokens, cookies) tells nothing.
"""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, quote_plus

from werkzeug.test import TestResponse

T = TypeVar("T")

_WORD = re.compile(r"[^\s\"'<>{}\[\]():,;=&/]+")

#: Its value is compared as the length of the body, after the identifier was taken out.
_COUNTED = frozenset({"content-length", "date", "etag"})

#: Words of one difference that are shown.
_SHOWN = 8


@dataclass(frozen=True)
class Answer:
    """What an answer tells, without the identifier that was asked for.

    :ivar headers: a word for each value, with the header's name.
    """

    status: int
    headers: frozenset[tuple[str, str]]
    words: frozenset[str]
    length: int

    @classmethod
    def of(cls, response: TestResponse, identifier: str) -> "Answer":
        """Read a response."""
        body = _without(response.get_data(as_text=True), identifier)
        headers = {
            (name.title(), word)
            for name, value in response.headers
            if name.lower() not in _COUNTED
            for word in [*_WORD.findall(_without(value, identifier)), ""]
        }
        words = frozenset(_WORD.findall(body))
        return cls(response.status_code, frozenset(headers), words, len(body))


def differences(known: Sequence[Answer], unknown: Sequence[Answer]) -> list[str]:
    """Return how one can tell the answers for a known identifier from those for another."""
    found = []
    statuses = _statuses(known), _statuses(unknown)
    if statuses[0] != statuses[1]:
        found.append(f"status: {statuses[0]} for known, {statuses[1]} for unknown")
    for who, own, others in (("known", known, unknown), ("unknown", unknown, known)):
        for name, word in sorted(_telling([a.headers for a in own], [a.headers for a in others])):
            found.append(f"header {name}: {word or 'is there'} for {who} alone")
        words = sorted(_telling([a.words for a in own], [a.words for a in others]))
        if words:
            found.append(f"body: {' '.join(words[:_SHOWN])!r} for {who} alone")
    lengths = {a.length for a in known}, {a.length for a in unknown}
    if not found and lengths[0].isdisjoint(lengths[1]):
        found.append(f"body: {min(lengths[0])} characters for known, {min(lengths[1])} for unknown")
    return found


def _statuses(answers: Iterable[Answer]) -> str:
    return " or ".join(str(status) for status in sorted({answer.status for answer in answers}))


def _telling(own: Sequence[frozenset[T]], others: Sequence[frozenset[T]]) -> frozenset[T]:
    return frozenset.intersection(*own) - frozenset.union(*others)


def _without(text: str, identifier: str) -> str:
    spellings = {identifier, html.escape(identifier), quote(identifier), quote_plus(identifier)}
    for spelling in sorted(spellings, key=len, reverse=True):
        text = text.replace(spelling, "IDENTIFIER")
    return text
