"""Fuzzing: a hundred thousand bodies, and never anything but an answer or a refusal.

The cases are the same in every run: they come from a seed. Each is an honest body that was
mutated, spliced or rewritten until it is almost JSON, which is where parsers fail.
"""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

from flask import Request

from flask_otp_auth.core.identifiers import canonicaliser
from flask_otp_auth.errors import InvalidIdentifier, RequestError
from flask_otp_auth.web.bodies import CodeBody, read_body

CASES = 100_000
SEED = 20_260_102

HONEST = [
    b'{"identifier": "ada@example.com", "otp": "123456"}',
    b'{"identifier": "ada@example.com", "otp": "123456", "challenge": "0123456789abcdef"}',
    b'{"identifier":"\\u0061da@ex\xc3\xa4mple.com","otp":"\xef\xbc\x91\xef\xbc\x92 345-6"}',
    b'{"otp": "", "identifier": "", "x": [1, -2.5e3, true, false, null, {"y": "z"}]}',
]
TOKENS = [
    *(bytes([byte]) for byte in range(256)),
    *b'{ } [ ] : , " \\ ":" "," null true false NaN Infinity -Infinity 1e999 -0 0x1 1_0'.split(
        b" "
    ),
    *rb'\u0000 \ud800 \udc00 \ud83d\ude00 \u202e \n \r\n \" \/ \x \u12 "otp":'.split(),
    b'"identifier": ',
    b'"challenge": ',
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x80\xae",
    b"[" * 600,
    b'{"a":' * 300,
    b"9" * 700,
    b"a" * 321,
]


def splice(source: random.Random, body: bytes) -> bytes:
    start, end = sorted(source.choices(range(len(body) + 1), k=2))
    return body[:start] + source.choice(TOKENS) + body[end if source.random() < 0.3 else start :]


def drop(source: random.Random, body: bytes) -> bytes:
    start = source.randrange(len(body) + 1)
    return body[:start] + body[start + source.randrange(1, 5) :]


def cross(source: random.Random, body: bytes) -> bytes:
    other = source.choice(HONEST)
    return body[: source.randrange(len(body) + 1)] + other[source.randrange(len(other)) :]


def encode(source: random.Random, body: bytes) -> bytes:
    return body.decode("latin-1").encode(source.choice(["utf-16", "utf-16-le", "utf-32", "utf-8"]))


MUTATIONS: list[Callable[[random.Random, bytes], bytes]] = [*[splice] * 6, *[drop] * 2, cross]


def mutant(source: random.Random) -> bytes:
    """Return a body that was honest once."""
    body = source.choice(HONEST)
    for _ in range(source.choice((0, 1, 1, 2, 3, 8))):
        body = source.choice(MUTATIONS)(source, body)
    return encode(source, body) if source.random() < 0.02 else body


def request(body: bytes) -> Request:
    return Request(
        {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": BytesIO(body),
            "wsgi.url_scheme": "http",
        }
    )


def test_a_hundred_thousand_bodies_meet_nothing_but_refusals() -> None:
    """OWASP ASVS 5.0, 16.5.3: bad input is refused, and nothing fails open or falls over."""
    source = random.Random(SEED)
    email = canonicaliser("email")
    outcomes: Counter[str] = Counter()
    for _ in range(CASES):
        body = mutant(source)
        try:
            parsed = read_body(request(body), CodeBody)
        except RequestError as error:
            outcomes[error.type] += 1
            continue
        outcomes["read"] += 1
        assert_is_clean(parsed)
        with suppress(InvalidIdentifier):
            assert email(parsed.identifier).isascii()
    assert outcomes.total() == CASES
    # A fuzzer whose cases are all refused, or all read, tests nothing.
    assert outcomes["read"] > CASES / 10
    assert outcomes["invalid_data"] > CASES / 10
    assert outcomes.keys() == {"read", "invalid_data", "payload_too_large"}


def assert_is_clean(parsed: CodeBody) -> None:
    assert isinstance(parsed.identifier, str)
    assert len(parsed.identifier) <= 320
    assert isinstance(parsed.otp, str)
    assert len(parsed.otp) <= 128
    assert isinstance(parsed.challenge, str | None)
    assert len(parsed.challenge or "") <= 64
