"""Phone numbers: one person, one spelling; and no codes to lines that cost money to call."""

from collections import Counter
from collections.abc import Iterator

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType

from flask_otp_auth.core.phones import REGIONS, is_in, line_type, phone
from flask_otp_auth.errors import InvalidIdentifier

BERLIN = "+493012345678"
NEW_YORK, TORONTO = "+12125550123", "+14165550123"
LONDON, GUERNSEY, MAN, JERSEY = "+442079460018", "+441481960194", "+447624312345", "+441534456789"
SATELLITE = "+881612345678"


def examples() -> Iterator[tuple[str, int]]:
    """Return a valid number of every kind in every country, and of networks of no country."""
    numbers = [
        phonenumbers.example_number_for_type(region, kind)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in PhoneNumberType.values()
        if kind != PhoneNumberType.UNKNOWN
    ]
    numbers += map(
        phonenumbers.example_number_for_non_geo_entity,
        phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS,
    )
    for number in filter(None, numbers):
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        yield e164, phonenumbers.number_type(number)


EXAMPLES = dict(examples())


class TestSpelling:
    """What is typed becomes E.164, or is refused."""

    @pytest.mark.parametrize(
        "typed",
        ["+493012345678", "+49 30 12345678", " +49 (30) 1234-5678 ", "+49 (0)30 12345678",
         "+49.30.12345678", "+49/30/12345678", "(+49) 30 12345678", "+49–30−12345678",
         "＋４９ （３０） １２３４５６７８", "+49 ٣٠ ١٢٣٤٥٦٧٨", "\u202a+49 30 12345678\u202c",
         "+49\u2060 30\xa012345678", "+49\u202f30\u200912\u2007345\u3000678"],
    )  # fmt: skip
    def test_spellings_of_one_number_meet(self, typed: str) -> None:
        assert phone(typed) == "+493012345678"

    @pytest.mark.parametrize("typed", ["030 12345678", "030/12345678", "0049 30 12345678", BERLIN])
    def test_a_region_gives_a_national_number_its_country(self, typed: str) -> None:
        assert phone(typed, "DE") == BERLIN

    @pytest.mark.parametrize(
        ("typed", "region", "canonical"),
        [
            ("49 151 12345678", "DE", "+4915112345678"),
            ("62812345678", "ID", "+62812345678"),
            ("52 1 55 5123 4567", "MX", "+525551234567"),
            ("5511961234567", "BR", "+5511961234567"),
            ("12125550123", "US", NEW_YORK),
        ],
    )
    def test_a_mobile_number_may_lack_its_plus_at_home(
        self, typed: str, region: str, canonical: str
    ) -> None:
        """As messengers show it; in some countries it could be a landline's number as well."""
        assert phone(typed, region) == canonical

    @pytest.mark.parametrize(
        ("typed", "region", "canonical"),
        [
            ("4930 12345678", "DE", BERLIN),
            ("04921 123456", "DE", "+494921123456"),
            ("4921 123456", "DE", "+494921123456"),
            ("46 8 123 456", "SE", "+46468123456"),
        ],
    )
    def test_a_landline_is_taken_for_none(self, typed: str, region: str, canonical: str) -> None:
        assert phone(typed, region) == canonical

    def test_the_region_never_changes_a_number_that_has_a_country(self) -> None:
        assert {phone(NEW_YORK, region) for region in (None, "DE", "US", "IT")} == {NEW_YORK}

    @pytest.mark.parametrize("typed", ["030 12345678", "12345678", "0049 30 12345678"])
    def test_without_a_region_a_number_must_be_international(self, typed: str) -> None:
        with pytest.raises(InvalidIdentifier):
            phone(typed)

    def test_an_italian_zero_stays(self) -> None:
        assert phone("+39 06 698 12345") == "+390669812345"

    @pytest.mark.parametrize(
        "typed",
        ["tel:+493012345678", "tel:030-12345678;phone-context=+49", "+49 30 12345678;ext=12",
         "+49 30 12345678 x12", "+49 30 12345678 ext. 12", "+49 30 12345678 доб 12",
         "+49 30 12345678#12", "+49 30 12345678,,12", "+49 30 12345678;12", "+49 30 12345678~12",
         "+49 30 12345678/x99", "+49 30 12345678 - 12#"],
    )  # fmt: skip
    def test_an_alias_or_an_extension_is_refused(self, typed: str) -> None:
        with pytest.raises(InvalidIdentifier):
            phone(typed)

    @pytest.mark.parametrize("typed", ["1-800-FLOWERS", "+1 800 FLOWERS", "+1 800 ＦＬＯＷＥＲＳ"])
    def test_letters_are_refused(self, typed: str) -> None:
        with pytest.raises(InvalidIdentifier):
            phone(typed, "US")

    @pytest.mark.parametrize(
        "typed",
        ["", " ", "+", "+49", "110", "+49 1", "+999 30 12345678", "+1 200 555 0123", "²²²",
         "+49 30 +12345678", "+49 30\n12345678", "+49 30 12345678\x00", "\ud800", "+49 *30* 1234",
         "ada@example.com", "9" * 320, "+49" + "0" * 317],
    )  # fmt: skip
    def test_what_is_no_valid_number_is_refused(self, typed: str) -> None:
        for region in (None, "DE"):
            with pytest.raises(InvalidIdentifier):
                phone(typed, region)

    def test_a_canonical_number_is_its_own_canonical_form_wherever_it_belongs(self) -> None:
        canonical = [phone(number) for number in EXAMPLES]
        assert len(canonical) > 900
        assert [phone(number) for number in canonical] == canonical
        assert [phone(number, "US") for number in canonical] == canonical

    @given(st.text("+0123456789 -()/.") | st.text())
    @example("+52 1 55 1234 5678")
    def test_any_text_is_a_number_or_invalid(self, text: str) -> None:
        try:
            number = phone(text, "DE")
        except InvalidIdentifier as error:
            assert str(error) == InvalidIdentifier.message  # noqa: PT017 - either way is right
            assert error.__suppress_context__ or error.__context__ is None  # noqa: PT017 - same
        else:
            assert phone(number) == number


class TestTwoSpellingsOfOneHandset:
    """Numbers that a country writes in two ways have one canonical form."""

    @pytest.mark.parametrize(
        ("typed", "canonical"),
        [
            ("+52 55 5123 4567", "+525551234567"),
            ("+52 1 55 5123 4567", "+525551234567"),
            ("+52 044 55 5123 4567", "+525551234567"),
            ("+54 9 11 2345 6789", "+5491123456789"),
            ("+54 11 2345 6789", "+5491123456789"),
            ("+54 11 15 2345 6789", "+5491123456789"),
            ("+55 11 96123 4567", "+5511961234567"),
            ("+55 11 6123 4567", "+5511961234567"),
            ("+229 01 90 01 12 34", "+2290190011234"),
            ("+229 90 01 12 34", "+2290190011234"),
            ("+241 66 03 12 34", "+24166031234"),
            ("+241 06 03 12 34", "+24166031234"),
            ("+241 6 03 12 34", "+24166031234"),
            ("+241 07 71 23 45", "+24177712345"),
        ],
    )
    def test_they_meet(self, typed: str, canonical: str) -> None:
        assert phone(typed) == canonical

    @pytest.mark.parametrize(
        ("typed", "region", "canonical"),
        [
            ("55 5123 4567", "MX", "+525551234567"),
            ("044 55 5123 4567", "MX", "+525551234567"),
            ("11 15 2345-6789", "AR", "+5491123456789"),
            ("(11) 6123-4567", "BR", "+5511961234567"),
        ],
    )
    def test_so_do_those_that_are_dialled_at_home(
        self, typed: str, region: str, canonical: str
    ) -> None:
        assert phone(typed, region) == canonical

    @pytest.mark.parametrize("number", ["+551121234567", "+548001234567", "+528001234567"])
    def test_what_has_one_spelling_keeps_it(self, number: str) -> None:
        assert phone(number) == number

    @pytest.mark.parametrize("typed", ["+52 1 55 5123", "+52 1 00 0000 0000", "+229 00 00 00 00"])
    def test_no_number_becomes_valid_that_has_no_handset(self, typed: str) -> None:
        with pytest.raises(InvalidIdentifier):
            phone(typed)


#: What each kind of number counts as; all others are never sent a code.
LINES = {
    PhoneNumberType.MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE_OR_MOBILE: "mobile",
    PhoneNumberType.FIXED_LINE: "fixed",
    PhoneNumberType.PERSONAL_NUMBER: "personal",
    PhoneNumberType.VOIP: "voip",
}


class TestLines:
    """What kind of line a number has."""

    def test_each_kind_of_number_in_each_country_counts_as_one(self) -> None:
        wrong = {
            number: line_type(number)
            for number, kind in EXAMPLES.items()
            if is_in(number, REGIONS) and line_type(number) != LINES.get(kind, "other")
        }
        assert not wrong
        assert Counter(map(line_type, EXAMPLES)).keys() == {*LINES.values(), "other"}

    @pytest.mark.parametrize(
        "number",
        [SATELLITE, "+882131234567", "+883510012345678", "+979123456789", "+870773111632",
         "+80012345678", "+80812345678", "+878101234567890", "+88812345678901"],
    )  # fmt: skip
    def test_satellites_and_other_networks_of_no_country_never_are(self, number: str) -> None:
        assert line_type(number) == "other"

    @pytest.mark.parametrize("number", ["+999123456", "+1", "+4930", "ada@example.com", ""])
    def test_what_is_no_number_never_is(self, number: str) -> None:
        assert line_type(number) == "other"


class TestCountries:
    """To which country a number belongs."""

    @pytest.mark.parametrize(
        ("number", "region"),
        [(BERLIN, "DE"), (NEW_YORK, "US"), (TORONTO, "CA"), (LONDON, "GB"), (GUERNSEY, "GG"),
         (MAN, "IM"), (JERSEY, "JE")],
    )  # fmt: skip
    def test_countries_of_one_calling_code_are_told_apart(self, number: str, region: str) -> None:
        everywhere = {"DE", "US", "CA", "GB", "GG", "IM", "JE"}
        assert is_in(number, {region})
        assert not is_in(number, everywhere - {region})

    @pytest.mark.parametrize("number", [SATELLITE, "+999123456", "+1", "ada@example.com"])
    def test_what_belongs_to_no_country_is_in_none(self, number: str) -> None:
        assert not is_in(number, REGIONS)
