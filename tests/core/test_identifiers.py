"""Identifiers: one person, one spelling; two persons, never the same."""

import re
import sys
from typing import Any

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from flask_otp_auth.core.identifiers import (
    MAX_LENGTH,
    canonicaliser,
    destination,
    email,
    line_refusal,
    stored_form,
    trimmed,
)
from flask_otp_auth.core.settings import Settings
from flask_otp_auth.errors import ConfigError, InvalidIdentifier

ADA, BERLIN, BERLIN_MOBILE = "ada@example.com", "+493012345678", "+4915112345678"

WORD = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20)

#: What comes along when an address is pasted.
AROUND = ["\n", "\r\n", "\t", " ", "\N{NO-BREAK SPACE}", "\N{IDEOGRAPHIC SPACE}",
          "\N{ZERO WIDTH SPACE}", "\N{ZERO WIDTH NO-BREAK SPACE}", "\N{WORD JOINER}",
          "\N{LEFT-TO-RIGHT MARK}", "\N{POP DIRECTIONAL FORMATTING}", "\N{LINE SEPARATOR}",
          "\N{SOFT HYPHEN}", "\N{HANGUL FILLER}", "\N{VARIATION SELECTOR-16}", "\x0b",
          "\N{ZERO WIDTH JOINER} \u200b\t"]  # fmt: skip


class TestEmail:
    """What is typed becomes an address that mail can be sent to, or is refused."""

    @pytest.mark.parametrize(
        ("typed", "meant"),
        [
            ("ada@example.com", "ada@example.com"),
            ("ADA@Example.COM", "ada@example.com"),
            ("Ada+Shop@example.com", "ada+shop@example.com"),
            ("ada@bücher.example.com", "ada@xn--bcher-kva.example.com"),
            ("ada@BÜCHER.example.com", "ada@xn--bcher-kva.example.com"),
            ("ada@xn--bcher-kva.example.com", "ada@xn--bcher-kva.example.com"),
            ("ada@ｅｘａｍｐｌｅ.com", "ada@example.com"),
        ],
    )
    def test_spellings_of_one_address_meet(self, typed: str, meant: str) -> None:
        assert email(typed) == meant

    @pytest.mark.parametrize(
        "typed",
        ["", " ", "ada", "@example.com", "ada@", "ada@intranet", "ada@@example.com",
         "a b@example.com", "ada@example.com, eve@example.com", "Ada <ada@example.com>",
         "ada\r\nBcc: eve@example.com", '"ada"@example.com', "ada@[127.0.0.1]", "ada@exa_mple.com",
         "ada@example..com", ".ada@example.com", "\x00ada@example.com", "ada@\ud800.com"],
    )  # fmt: skip
    def test_what_mail_can_not_be_sent_to_is_refused(self, typed: str) -> None:
        for special_use in (False, True):
            with pytest.raises(InvalidIdentifier):
                email(typed, special_use=special_use)

    @pytest.mark.parametrize("inside", ["\u200b", "\u200d", "\u202e", "\u2060", "\xad", "\n", " "])
    def test_invisible_characters_inside_are_refused(self, inside: str) -> None:
        for typed in (f"a{inside}da@example.com", f"ada@exam{inside}ple.com", f"ada{inside}@x.com"):
            with pytest.raises(InvalidIdentifier):
                canonicaliser("email")(typed)

    def test_an_address_has_254_characters_at_most(self) -> None:
        domain = ".".join(["a" * 61] * 3) + ".com"
        fits = "a" * (253 - len(domain)) + "@" + domain
        assert len(fits) == 254
        assert email(fits) == fits
        with pytest.raises(InvalidIdentifier):
            email("a" + fits)

    def test_a_local_part_has_64_characters_at_most(self) -> None:
        assert email("a" * 64 + "@example.com")
        with pytest.raises(InvalidIdentifier):
            email("a" * 65 + "@example.com")

    def test_the_254_characters_are_those_of_the_a_label(self) -> None:
        typed = "ada@" + ".".join(["ü" * 40] * 5) + ".com"
        assert len(typed) < 254
        with pytest.raises(InvalidIdentifier):
            email(typed)

    @given(WORD, WORD)
    @example("ADA", "Example")
    def test_a_canonical_address_is_its_own_canonical_form(self, local: str, domain: str) -> None:
        address = email(f"{local}@{domain}.com")
        assert email(address) == address
        assert address == address.lower()

    @given(st.text())
    def test_any_text_is_an_address_or_invalid(self, text: str) -> None:
        try:
            address = email(text)
        except InvalidIdentifier as error:
            assert str(error) == InvalidIdentifier.message  # noqa: PT017 - either way is right
        else:
            assert address.isascii()

    def test_a_refusal_does_not_repeat_the_address(self) -> None:
        with pytest.raises(InvalidIdentifier) as caught:
            email("someone@private")
        assert "private" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__


PIECES = st.sampled_from(
    [*"aZ09.@-_+'<>[]\" \n\\üß⒈＠．\u0301\u00ad", "example.com", "[::1]", "xn--"]
)


def by_the_library(text: str) -> str | None:
    try:
        checked = validate_email(
            text, allow_smtputf8=False, check_deliverability=False, strict=True
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


class TestSpecialUseDomains:
    """Domains that no mail can be sent to (RFC 6761) are for development and tests."""

    ADDRESSES = ("ada@shop.test", "ada@localhost", "ada@a.b.localhost", "ada@x.invalid",
                 "ada@printer.local")  # fmt: skip

    @pytest.mark.parametrize("address", ADDRESSES)
    def test_they_are_taken_if_the_app_says_so(self, address: str) -> None:
        with pytest.raises(InvalidIdentifier):
            canonicaliser("email")(address)
        assert canonicaliser("email", special_use=lambda: True)(address.upper()) == address
        assert canonicaliser(("phone", "email"), special_use=lambda: True)(address) == address

    def test_a_function_is_asked_at_each_call(self) -> None:
        answers = iter([True, False])
        form = canonicaliser("email", special_use=lambda: next(answers))
        assert form("ada@shop.test") == "ada@shop.test"
        with pytest.raises(InvalidIdentifier):
            form("ada@shop.test")

    @pytest.mark.parametrize("address", ["ada@example.com", "ada@example.org", "ada@shop.example"])
    def test_domains_for_examples_are_taken_always(self, address: str) -> None:
        assert canonicaliser("email")(address) == address

    @pytest.mark.parametrize("address", ["ada@.test", "ada@-.test", "ada@a..localhost", "a@b@test"])
    def test_they_are_held_to_all_other_rules(self, address: str) -> None:
        with pytest.raises(InvalidIdentifier):
            canonicaliser("email", special_use=lambda: True)(address)

    def test_they_may_have_254_characters_as_well(self) -> None:
        domain = ".".join(["a" * 61] * 3) + ".test"
        assert email("ada@" + domain, special_use=True) == "ada@" + domain


class TestPasting:
    """White space and invisible characters around an identifier are ignored."""

    @pytest.mark.parametrize("around", AROUND)
    @pytest.mark.parametrize(
        ("identifier", "typed"), [("email", ADA), ("phone", BERLIN), (("email", "phone"), ADA)]
    )
    def test_in_each_form(self, identifier: Any, typed: str, around: str) -> None:
        form = canonicaliser(identifier)
        for text in (around + typed, typed + around, around + typed + around):
            assert form(text) == typed

    @pytest.mark.parametrize("around", AROUND)
    def test_in_a_form_of_the_app_s_own(self, around: str) -> None:
        assert canonicaliser(str)(f"{around}ada lovelace{around}") == "ada lovelace"

    @pytest.mark.parametrize(
        ("text", "rest"),
        [
            ("", ""),
            ("a", "a"),
            (" \u200b ", ""),
            ("\x00a\x00", "\x00a\x00"),
            ("a \u200b b", "a \u200b b"),
        ],
    )
    def test_nothing_else_is_cut_off(self, text: str, rest: str) -> None:
        assert trimmed(text) == rest


class TestForms:
    """An actor type names a built-in form or brings its own."""

    @pytest.mark.parametrize(
        "identifier",
        ["pigeon", "", None, 7, ["email"], (), ("email",), ("email", "email"),
         ("email", "phone", "phone"), ("email", None)],
    )  # fmt: skip
    def test_a_form_that_is_not_known_is_refused_with_those_that_are(self, identifier: Any) -> None:
        must = 'identifier= must be "email", "phone", ("email", "phone") or a callable'
        with pytest.raises(ConfigError, match=re.escape(f"{must}, not {identifier!r}")):
            canonicaliser(identifier)

    @pytest.mark.parametrize(
        "identifier", [("email", "phone"), ("phone", "email"), ["email", "phone"]]
    )
    def test_of_two_in_one_field_an_at_sign_tells_which_it_is(self, identifier: Any) -> None:
        form = canonicaliser(identifier, "DE")
        assert form("Ada@Example.com") == ADA
        assert form("030 12345678") == BERLIN

    @pytest.mark.parametrize("typed", ["+49@30", "ada", "12345678@", "@12345678", ""])
    def test_what_is_neither_is_refused(self, typed: str) -> None:
        with pytest.raises(InvalidIdentifier):
            canonicaliser(("email", "phone"))(typed)

    def test_an_own_form_decides_what_is_canonical(self) -> None:
        assert canonicaliser(str.casefold)("STRASSE") == "strasse"

    @pytest.mark.parametrize("error", [InvalidIdentifier, ValueError, UnicodeError])
    def test_an_own_form_refuses_with_invalid_identifier_or_any_value_error(
        self, error: type[Exception]
    ) -> None:
        def refuse(text: str) -> str:
            raise error(f"can't read {text}")

        with pytest.raises(InvalidIdentifier) as caught:
            canonicaliser(refuse)("a-private-name")
        assert "private" not in str(caught.value)
        assert caught.value.__suppress_context__

    def test_an_own_form_is_a_plain_function(self) -> None:
        async def look_up(text: str) -> str:
            return text

        with pytest.raises(
            ConfigError, match=r"- identifier= must be a plain function, not async def$"
        ):
            canonicaliser(look_up)
        form = canonicaliser(lambda text: look_up(text))
        with pytest.raises(TypeError, match=r"^identifier= must not be async"):
            form(ADA)

    @pytest.mark.parametrize("returned", [None, b"ada", 7, "", "\ud800", "a" * (MAX_LENGTH + 1)])
    def test_what_an_own_form_returns_must_be_a_text_of_fit_length(self, returned: Any) -> None:
        with pytest.raises(InvalidIdentifier):
            canonicaliser(lambda text: returned)("ada")

    def test_an_identifier_may_have_320_characters(self) -> None:
        assert canonicaliser(str)("a" * 320) == "a" * 320


class TestDestinations:
    """Messages are counted by mailbox, however many addresses it has."""

    @pytest.mark.parametrize(
        ("identifier", "mailbox"),
        [
            ("ada@example.com", "ada@example.com"),
            ("ada+1@example.com", "ada@example.com"),
            ("ada+1+2@example.com", "ada@example.com"),
            ("a.da@example.com", "a.da@example.com"),
            ("a.d.a@gmail.com", "ada@gmail.com"),
            ("a.da+shop@googlemail.com", "ada@gmail.com"),
            ("+1@example.com", "@example.com"),
            (BERLIN, BERLIN),
            ("ada", "ada"),
        ],
    )
    def test_addresses_of_one_mailbox_meet(self, identifier: str, mailbox: str) -> None:
        assert destination(identifier) == mailbox


class TestLines:
    """Which phone numbers get no codes."""

    @pytest.mark.parametrize(
        ("identifier", "countries", "lines", "refusal"),
        [
            (BERLIN_MOBILE, (), ("mobile",), None),
            (BERLIN_MOBILE, ("DE", "AT"), ("mobile",), None),
            (BERLIN_MOBILE, ("AT",), ("mobile",), "country_not_allowed"),
            (BERLIN_MOBILE, (), ("fixed",), "line_not_allowed"),
            (BERLIN, (), ("mobile",), "line_not_allowed"),
            (BERLIN, ("DE",), ("mobile", "fixed"), None),
            (BERLIN, ("AT",), ("mobile",), "country_not_allowed"),
            ("+881612345678", (), ("mobile", "fixed", "personal", "voip"), "line_not_allowed"),
            ("+881612345678", ("DE",), ("mobile",), "country_not_allowed"),
            ("+499001234567", (), ("mobile", "fixed", "personal", "voip"), "line_not_allowed"),
            ("+999", (), ("mobile",), "line_not_allowed"),
            (ADA, ("GB",), ("mobile",), None),
            ("+49@example.com", ("AT",), ("mobile",), None),
            ("ada", ("GB",), ("mobile",), None),
        ],
    )
    def test_it_depends_on_country_and_line(
        self, identifier: str, countries: Any, lines: Any, refusal: str | None
    ) -> None:
        settings = Settings(phone_countries=countries, phone_lines=lines)
        assert line_refusal(identifier, settings) == refusal


class TestStoredForm:
    """The canonical form of what stands in a table."""

    @pytest.mark.parametrize(
        ("stored", "canonical"),
        [
            (ADA, ADA),
            ("Ada@Example.com ", ADA),
            ("Ada@Shop.test", "ada@shop.test"),
            ("+49 30 12345678", BERLIN),
            ("+52 1 55 5123 4567", "+525551234567"),
            ("Ada", "Ada"),
        ],
    )
    def test_it_is_that_of_an_address_or_a_number(self, stored: str, canonical: str) -> None:
        assert stored_form(stored) == canonical

    @pytest.mark.parametrize("stored", ["@da", "030 12345678", "12345", ""])
    def test_what_looks_like_one_and_is_none_has_none(self, stored: str) -> None:
        with pytest.raises(InvalidIdentifier):
            stored_form(stored)


class TestTheExtra:
    """Phones need a package that e-mail does not."""

    @pytest.fixture(autouse=True)
    def no_phonenumbers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make as if phonenumbers were not installed."""
        monkeypatch.delitem(sys.modules, "flask_otp_auth.core.phones", raising=False)
        monkeypatch.delattr("flask_otp_auth.core.phones", raising=False)
        monkeypatch.setitem(sys.modules, "phonenumbers", None)

    @pytest.mark.parametrize("identifier", ["phone", ("email", "phone")])
    def test_without_it_a_type_with_phones_can_not_be_added(self, identifier: Any) -> None:
        with pytest.raises(
            ConfigError,
            match=r"- identifier=\"phone\" needs .*pip install 'flask-otp-auth\[phone\]'$",
        ):
            canonicaliser(identifier)

    def test_without_it_no_code_goes_to_a_number_of_the_app_s_own_form(self) -> None:
        with pytest.raises(
            ConfigError,
            match=r"- an identifier that is a phone number needs the package phonenumbers: ",
        ):
            line_refusal(BERLIN, Settings())

    def test_without_it_e_mail_works(self) -> None:
        assert canonicaliser("email")(ADA) == ADA
        assert line_refusal(ADA, Settings()) is None
        assert stored_form("Ada@example.com") == ADA
        assert stored_form("+49 30 12345678") == "+49 30 12345678"
