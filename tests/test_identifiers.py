"""Identifiers: one person, one spelling; two persons, never the same."""

import sys

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from flask_otp_auth.emails import email
from flask_otp_auth.errors import ConfigError, InvalidIdentifier
from flask_otp_auth.identifiers import (
    MAX_LENGTH,
    canonical,
    canonicaliser,
    is_allowed,
)

WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  ada@example.com ", "ada@example.com"),
        ("ADA@Example.COM", "ada@example.com"),
        ("Ada+Shop@example.com", "ada+shop@example.com"),
        ("ada@bücher.example.com", "ada@xn--bcher-kva.example.com"),
        ("ada@BÜCHER.example.com", "ada@xn--bcher-kva.example.com"),
        ("ada@xn--bcher-kva.example.com", "ada@xn--bcher-kva.example.com"),
        ("ada@ｅｘａｍｐｌｅ.com", "ada@example.com"),
    ],
)
def test_spellings_of_one_address_meet(typed: str, meant: str) -> None:
    assert email(typed) == meant


@pytest.mark.parametrize(
    "typed",
    ["", " ", "ada", "@example.com", "ada@", "ada@localhost", "ada@@example.com", "a b@example.com",
     "ada@example.com, eve@example.com", "Ada <ada@example.com>", "ada@example.com\n",
     "ada\r\nBcc: eve@example.com", '"ada"@example.com', "ada@[127.0.0.1]", "ada@exa_mple.com",
     "ada@example..com", ".ada@example.com", "\x00ada@example.com", "ada@\ud800.com"],
)  # fmt: skip
def test_what_mail_can_not_be_sent_to_is_refused(typed: str) -> None:
    with pytest.raises(InvalidIdentifier):
        email(typed)


@pytest.mark.parametrize(
    "typed", ["adå@example.com", "аda@example.com", "\N{KELVIN SIGN}@example.com"]
)
def test_a_look_alike_letter_can_not_become_another_account(typed: str) -> None:
    with pytest.raises(InvalidIdentifier):
        email(typed)


def test_an_address_has_254_characters_at_most() -> None:
    domain = ".".join(["a" * 61] * 3) + ".com"
    fits = "a" * (253 - len(domain)) + "@" + domain
    assert len(fits) == 254
    assert email(fits) == fits
    with pytest.raises(InvalidIdentifier):
        email("a" + fits)


def test_a_local_part_has_64_characters_at_most() -> None:
    assert email("a" * 64 + "@example.com")
    with pytest.raises(InvalidIdentifier):
        email("a" * 65 + "@example.com")


def test_the_254_characters_are_those_of_the_a_label() -> None:
    typed = "ada@" + ".".join(["ü" * 40] * 5) + ".com"
    assert len(typed) < 254
    with pytest.raises(InvalidIdentifier):
        email(typed)


@given(WORD, WORD)
@example("ADA", "Example")
def test_a_canonical_address_is_its_own_canonical_form(local: str, domain: str) -> None:
    address = email(f"{local}@{domain}.com")
    assert email(address) == address
    assert address == address.lower()


@given(st.text())
def test_any_text_is_an_address_or_invalid(text: str) -> None:
    try:
        address = email(text)
    except InvalidIdentifier as error:
        assert str(error) == InvalidIdentifier.message  # noqa: PT017 - either way is right
    else:
        assert address.isascii()


PIECES = st.sampled_from(
    [*"aZ09.@-_+'<>[]\" \n\\üß⒈＠．\u0301\u00ad", "example.com", "[::1]", "xn--"]
)


def by_the_library(text: str) -> str | None:
    try:
        checked = validate_email(
            text.strip(" "), allow_smtputf8=False, check_deliverability=False, strict=True
        )
    except EmailNotValidError:
        return None
    return checked.ascii_email.lower()


@given(st.lists(PIECES).map("".join) | st.builds("{}@{}.{}".format, st.text(), WORD, WORD))
@example("a" * 64 + "@example.com")
@example("a" * 65 + "@example.com")
@example("ada@" + ".".join(["a" * 61] * 4) + ".a")  # 254
@example("adah@" + ".".join(["a" * 61] * 4) + ".a")  # 255
@example("ada@" + ".".join(["ａ" * 40] * 2) + ".com")  # 248 bytes, as an A-label 88
@example("adah@" + ".".join(["ａ" * 40] * 2) + ".comm" + "m" * 3)  # 253, 92
@example("adalovelace@" + ".".join(["ａ" * 40] * 2) + ".com")  # 256, 96
@example("ada@" + ".".join(["ü" * 40] * 5) + ".com")  # 413, as an A-label 263
@example("a" * 22 + "@" + ".".join(["中" * 25] * 3) + ".com")  # 254, as an A-label 122
@example("a" * 23 + "@" + ".".join(["中" * 25] * 3) + ".com")
@example("a" * 23 + "@" + email("a@" + ".".join(["中" * 25] * 3) + ".com")[2:])
def test_what_an_address_is_is_what_email_validator_says(text: str) -> None:
    try:
        address = email(text)
    except InvalidIdentifier:
        address = None
    assert address == by_the_library(text)


@pytest.mark.parametrize(
    ("setting", "accepted", "refused", "address"),
    [
        ("TEST_ENVIRONMENT", True, False, "ada@mail.test"),
        ("GLOBALLY_DELIVERABLE", False, True, "ada@intranet"),
        ("ALLOW_DOMAIN_LITERAL", True, False, "ada@[127.0.0.1]"),
        ("SPECIAL_USE_DOMAIN_NAMES", [], ["forbidden.example.com"], "ada@forbidden.example.com"),
    ],
)
def test_a_domain_is_refused_as_soon_as_the_app_does_so(
    monkeypatch: pytest.MonkeyPatch, setting: str, accepted: object, refused: object, address: str
) -> None:
    """What email-validator lets an app set for all addresses."""
    monkeypatch.setattr(f"email_validator.{setting}", accepted)
    assert email(address) == address
    monkeypatch.setattr(f"email_validator.{setting}", refused)
    with pytest.raises(InvalidIdentifier):
        email(address)


def test_a_refusal_does_not_repeat_the_address() -> None:
    with pytest.raises(InvalidIdentifier) as caught:
        email("someone-private@")
    assert "private" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_an_actor_type_names_a_built_in_form_or_brings_its_own() -> None:
    assert canonicaliser("email") is email
    assert canonicaliser(str.upper)("ada") == "ADA"


@pytest.mark.parametrize("kind", ["pigeon", "", None, 7, ["email"]])
def test_a_form_that_is_not_known_is_refused_with_those_that_are(kind: object) -> None:
    with pytest.raises(ConfigError, match='"email"'):
        canonicaliser(kind)


def test_an_own_form_decides_what_is_canonical() -> None:
    assert canonical(str.casefold, "STRASSE") == "strasse"


@pytest.mark.parametrize("error", [InvalidIdentifier, ValueError, UnicodeError])
def test_an_own_form_refuses_with_invalid_identifier_or_any_value_error(
    error: type[Exception],
) -> None:
    def refuse(text: str) -> str:
        raise error(f"can't read {text}")

    with pytest.raises(InvalidIdentifier) as caught:
        canonical(refuse, "a-private-name")
    assert "private" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("returned", [None, b"ada", 7, "", "\ud800", "a" * (MAX_LENGTH + 1)])
def test_what_an_own_form_returns_must_be_a_text_of_fit_length(returned: object) -> None:
    with pytest.raises(InvalidIdentifier):
        canonical(lambda text: returned, "ada")


def test_an_identifier_may_have_320_characters() -> None:
    assert canonical(str, "a" * 320) == "a" * 320


def test_a_phone_number_may_stand_in_place_of_an_address_or_beside_it() -> None:
    assert canonicaliser("phone", "DE")("030 12345678") == "+493012345678"
    either = canonicaliser(("email", "phone"))
    assert either("ADA@example.com") == "ada@example.com"
    assert either("+49 30 12345678") == "+493012345678"
    assert canonicaliser(["phone", "email"])("+49 30 12345678") == "+493012345678"


@pytest.mark.parametrize("kind", ["phone", ("email", "phone")])
def test_phone_numbers_without_phonenumbers_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, kind: str | tuple[str, ...]
) -> None:
    monkeypatch.setitem(sys.modules, "flask_otp_auth.phones", None)
    monkeypatch.delattr("flask_otp_auth.phones", raising=False)
    with pytest.raises(ConfigError, match="needs the package phonenumbers"):
        canonicaliser(kind)


@pytest.mark.parametrize(
    ("identifier", "countries", "allowed"),
    [
        ("+493012345678", ("DE", "AT"), True),
        ("+493012345678", ("GB",), False),
        ("+493012345678", (), True),
        ("ada@example.com", ("GB",), True),
        ("+1", ("GB",), True),
    ],
)
def test_codes_go_to_phones_of_some_countries_only_if_the_app_says_so(
    identifier: str, countries: tuple[str, ...], allowed: bool
) -> None:
    assert is_allowed(identifier, countries) is allowed
