"""Input: nothing that a caller can write reaches somebody else's account, or upsets the server."""

import string
import sys
import unicodedata
from collections.abc import Callable

import pytest
from attacks import MANY_ADDRESSES, Attack
from conftest import ADA, Api, Watched
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from flask_otp_auth.errors import InvalidIdentifier
from flask_otp_auth.identifiers import canonical, canonicaliser
from flask_otp_auth.testing import Outbox

email = canonicaliser("email")

#: Addresses that a mailer, a database or a person could take for Ada's, or for two.
IMPOSTORS = {
    "two addresses, by a comma": "ada@example.com,eve@evil.example",
    "two addresses, by a semicolon": "ada@example.com;eve@evil.example",
    "two addresses, by a space": "ada@example.com eve@evil.example",
    "a header of its own": "ada@example.com\r\nBcc: eve@evil.example",
    "a header of its own, by LF alone": "ada@example.com\nBcc: eve@evil.example",
    "a body of its own": "ada@example.com\r\n\r\nhello",
    "a line break before": "\nada@example.com",
    "a line break after": "ada@example.com\n",
    "a line separator": "ada@example.com\u2028",
    "NUL and more": "ada@example.com\0.evil.example",
    "NUL before": "\0ada@example.com",
    "a tab": "ada@example.com\t",
    "a display name": "Ada <ada@example.com>",
    "angle brackets": "<ada@example.com>",
    "a comment": "ada(comment)@example.com",
    "a quoted local part": '"ada"@example.com',
    "a quoted at sign": '"ada@example.com"@evil.example',
    "two at signs": "ada@example.com@evil.example",
    "a source route": "@evil.example:ada@example.com",
    "a domain literal": "ada@[127.0.0.1]",
    "a local host": "ada@localhost",
    "a dot at the end": "ada@example.com.",
    "a dot before the at sign": "ada.@example.com",
    "two dots": "a..da@example.com",
    "a bidi override": "ada@example.com\u202e",
    "a zero-width space": "ada\u200b@example.com",
    "a soft hyphen": "a\u00adda@example.com",
    "a Cyrillic a": "\u0430da@example.com",
    "full-width letters": "\uff41\uff44\uff41@example.com",
    "a full-width at sign": "ada\uff20example.com",
    "a combining mark": "ada\u0301@example.com",
    "a lone surrogate": "ada\ud800@example.com",
    "a tag character": "ada\U000e0061@example.com",
    "255 characters": "ada@" + "a" * 60 + ("." + "b" * 60) * 3 + ".example",
    "a local part of 65": "a" * 65 + "@example.com",
    "an SQL quote and more": "ada@example.com' OR '1'='1",
}


@pytest.mark.parametrize("impostor", IMPOSTORS.values(), ids=IMPOSTORS.keys())
def test_asvs_2_2_1_an_address_is_one_address_or_is_refused(
    make_app: Callable[..., Flask], attack: Callable[[str], Attack], impostor: str
) -> None:
    """OWASP ASVS 5.0, 2.2.1; RFC 5321, 4.1.2: what is not one plain address gets no code."""
    app = make_app(**MANY_ADDRESSES)
    api = Api(app.test_client())
    hostile = attack("input: addresses that look like another, or like two")
    with Outbox(app) as outbox:
        for verb in (api.generate, api.pre_register):
            answer = verb(impostor)
            hostile.tried(answer.status_code != 400 or len(outbox) > 0)
            assert impostor not in answer.text
    assert hostile.failed(tries=2)


def test_asvs_1_1_1_no_letter_of_unicode_turns_into_one_of_somebody_elses_address(
    attack: Callable[[str], Attack],
) -> None:
    """OWASP ASVS 5.0, 1.1.1; Unicode TR 36: no case mapping or normal form makes two one.

    Tried is every character that any mapping makes a letter, a digit or a sign of ASCII, such
    as the dotless i, the long s and the Kelvin sign.
    """
    ascii_only = set(string.ascii_letters + string.digits + string.punctuation)
    confusables = [
        character
        for character in map(chr, range(128, sys.maxunicode + 1))
        if any(
            set(mapped) <= ascii_only
            for mapped in (
                character.lower(),
                character.upper(),
                character.casefold(),
                unicodedata.normalize("NFKC", character),
                unicodedata.normalize("NFKD", character)[:1],
            )
        )
    ]
    assert {"ı", "ſ", "\N{KELVIN SIGN}", "ａ", "é"} <= set(confusables)
    letters = attack("input: letters that a mapping makes ASCII, in a local part")
    for character in confusables:
        try:
            email(f"m{character}a@example.com")
        except InvalidIdentifier:
            letters.tried(False)
        else:
            letters.tried(True)
    assert letters.failed(tries=1_000)


@given(text=st.text() | st.from_regex(r"[^@]{0,9}@[^@]{0,9}\.[a-zàéıſK。．]{2,5}", fullmatch=True))
def test_asvs_2_2_1_a_canonical_address_is_plain_ascii_and_its_own_canonical_form(
    text: str,
) -> None:
    """OWASP ASVS 5.0, 2.2.1: whatever was typed, no control character reaches the mailer."""
    try:
        address = canonical(email, text)
    except InvalidIdentifier:
        return
    assert address.isascii()
    assert address.isprintable()
    assert not set(address) & set(' ,;:<>()[]\\"')
    assert address.count("@") == 1
    assert address == address.lower() == canonical(email, address)


BODIES: dict[str, tuple[bytes, str]] = {
    "10 MB": (b'{"identifier": "' + b"a" * 10_000_000 + b'"}', "application/json"),
    "10 MB of nesting": (b"[" * 10_000_000, "application/json"),
    "4 KB of nesting": (b"[" * 4_000, "application/json"),
    "4 KB of nested objects": (b'{"a":' * 800, "application/json"),
    "a number of 4,000 digits": (b'{"identifier": ' + b"9" * 4_000 + b"}", "application/json"),
    "an exponent": (b'{"identifier": 1e999999999}', "application/json"),
    "NaN": (b'{"identifier": NaN}', "application/json"),
    "two identifiers": (
        b'{"identifier": "ada@example.com", "identifier": "eve@evil.example"}',
        "application/json",
    ),
    "an array of identifiers": (
        b'{"identifier": ["ada@example.com", "eve@evil.example"]}',
        "application/json",
    ),
    "an object": (b'{"identifier": {"$gt": ""}}', "application/json"),
    "true": (b'{"identifier": true}', "application/json"),
    "UTF-16": ('{"identifier": "ada@example.com"}'.encode("utf-16"), "application/json"),
    "UTF-7": (b"+AHs-+ACI-identifier+ACI-: +ACI-ada@example.com+ACI-}", "application/json"),
    "an overlong at sign": (b'{"identifier": "ada\xc1\x80example.com"}', "application/json"),
    "a form": (b"identifier=ada@example.com", "application/x-www-form-urlencoded"),
    "plain text": (b'{"identifier": "ada@example.com"}', "text/plain"),
    "no type": (b'{"identifier": "ada@example.com"}', ""),
    "a type like it": (b'{"identifier": "ada@example.com"}', "application/jsonp"),
    "two types": (b'{"identifier": "ada@example.com"}', "text/plain, application/json"),
    "XML": (b"<!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>", "text/xml"),
}


@pytest.mark.parametrize("chunked", [False, True], ids=["by length", "chunked"])
@pytest.mark.parametrize(("body", "kind"), BODIES.values(), ids=BODIES.keys())
def test_asvs_4_1_1_a_hostile_body_has_no_effect(
    make_watched: Callable[..., Watched],
    attack: Callable[[str], Attack],
    body: bytes,
    kind: str,
    chunked: bool,
) -> None:
    """OWASP ASVS 5.0, 4.1.1 and 1.5.3; RFC 8259: refused before anything is done for it."""
    watched = make_watched()
    hostile = attack("input: bodies, of 10 MB, nested, in other encodings and types")
    client = watched.app.test_client()
    with Outbox(watched.app) as outbox:
        for route in ("/generate", "/pre-register", "/verify", "/register", ""):
            environ = {"wsgi.input_terminated": True} if chunked else {}
            headers = {"Transfer-Encoding": "chunked"} if chunked else {}
            answer = client.post(
                f"/auth/customer/otp{route}",
                data=body,
                content_type=kind,
                headers=headers,
                environ_overrides=environ,
            )
            idle = not watched.store.calls and not watched.limits.calls and not len(outbox)
            hostile.tried(answer.status_code not in (400, 413, 415) or not idle)
    assert hostile.failed(tries=5)


def test_asvs_4_1_1_a_host_header_is_never_believed(
    app: Flask, attack: Callable[[str], Attack], outbox: Outbox
) -> None:
    """OWASP ASVS 5.0, 4.1.3: nothing that an intermediary or a caller adds is taken up."""
    hostile = attack("input: a Host and X-Forwarded headers of the attacker's")
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=e"}
    for verb in ("generate", "pre-register"):
        body = {"identifier": ADA}
        answer = app.test_client().post(f"/auth/customer/otp/{verb}", json=body, headers=headers)
        told = answer.text + str(answer.headers) + repr(outbox.messages)
        hostile.tried("evil" in told)
    assert hostile.failed(tries=2)


def test_asvs_6_3_1_a_forwarded_address_gives_no_new_budget(
    app: Flask, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 6.3.1: without ProxyFix nobody chooses his own address."""
    api = Api(app.test_client())
    for _ in range(300):
        api.verify("123456")
    spoofed = attack("input: addresses of the attacker's choice in headers")
    for number in range(50):
        address = f"10.0.0.{number}"
        answer = app.test_client().post(
            "/auth/customer/otp/verify",
            json={"identifier": ADA, "otp": "123456"},
            headers={
                "X-Forwarded-For": address,
                "X-Real-IP": address,
                "Forwarded": f"for={address}",
            },
        )
        spoofed.tried(answer.status_code != 429)
    assert spoofed.failed(tries=50)
