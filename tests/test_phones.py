"""Phone numbers: one person, one spelling; and no codes to countries that an app doesn't serve."""

import sys
from collections.abc import Callable
from typing import Any

import phonenumbers
import pytest
from conftest import Api, Customers, Ear
from flask import Flask
from hypothesis import example, given
from hypothesis import strategies as st

from flask_otp_auth import ConfigError, InvalidIdentifier, OTPAuth
from flask_otp_auth.config import Settings
from flask_otp_auth.emails import email
from flask_otp_auth.identifiers import canonicaliser, is_allowed
from flask_otp_auth.phones import is_in, phone
from flask_otp_auth.testing import Outbox

BERLIN = "+493012345678"
NEW_YORK, TORONTO = "+12125550123", "+14165550123"
LONDON, GUERNSEY, MAN, JERSEY = "+442079460018", "+441481960194", "+447624312345", "+441534456789"
SATELLITE = "+881612345678"

#: Two customers, one with each kind of identifier.
ADA, BOB = "ada@example.com", BERLIN


def examples() -> list[str]:
    """Return a valid number of every kind in every country."""
    kinds = [kind for kind in phonenumbers.PhoneNumberType.values() if kind >= 0]
    numbers = [
        phonenumbers.example_number_for_type(region, kind)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in kinds
    ]
    form = phonenumbers.PhoneNumberFormat.E164
    return sorted({phonenumbers.format_number(number, form) for number in numbers if number})


EXAMPLES = examples()


class TestSpelling:
    """What is typed becomes E.164, or is refused."""

    @pytest.mark.parametrize(
        "typed",
        ["+493012345678", "+49 30 12345678", " +49 (30) 1234-5678 ", "+49 (0)30 12345678",
         "+49.30.12345678", "+49/30/12345678", "(+49) 30 12345678", "+49–30−12345678",
         "＋４９ （３０） １２３４５６７８", "+49 ٣٠ ١٢٣٤٥٦٧٨", "\u202a+49 30 12345678\u202c",
         "+49\u2060 30\xa012345678"],
    )  # fmt: skip
    def test_spellings_of_one_number_meet(self, typed: str) -> None:
        assert phone(typed) == "+493012345678"

    @pytest.mark.parametrize("typed", ["030 12345678", "030/12345678", "0049 30 12345678", BERLIN])
    def test_a_region_gives_a_national_number_its_country(self, typed: str) -> None:
        assert phone(typed, "DE") == BERLIN

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
         "+49 30 +12345678", "+49 30 12345678\n", "+49 30 12345678\x00", "\ud800", "+49 *30* 1234",
         "ada@example.com", "9" * 320, "+49" + "0" * 317],
    )  # fmt: skip
    def test_what_is_no_valid_number_is_refused(self, typed: str) -> None:
        for region in (None, "DE"):
            with pytest.raises(InvalidIdentifier):
                phone(typed, region)

    def test_a_canonical_number_is_its_own_canonical_form_wherever_it_belongs(self) -> None:
        assert len(EXAMPLES) > 900
        assert [phone(number) for number in EXAMPLES] == EXAMPLES
        assert [phone(number, "US") for number in EXAMPLES] == EXAMPLES

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


class TestEitherInOneField:
    """An actor type that takes an e-mail address or a phone number."""

    @pytest.mark.parametrize("kind", [("email", "phone"), ("phone", "email"), ["email", "phone"]])
    def test_an_at_sign_tells_which_it_is(self, kind: Any) -> None:
        canonical = canonicaliser(kind, "DE")
        assert canonical("Ada@Example.com") == ADA
        assert canonical("030 12345678") == BERLIN

    @pytest.mark.parametrize("typed", ["+49@30", "ada", "12345678@", "@12345678", ""])
    def test_what_is_neither_is_refused(self, typed: str) -> None:
        with pytest.raises(InvalidIdentifier):
            canonicaliser(("email", "phone"))(typed)

    @pytest.mark.parametrize(
        "kind", [(), ("email",), ("email", "email"), ("email", "phone", "phone"), ("email", None)]
    )
    def test_other_combinations_are_refused(self, kind: Any) -> None:
        with pytest.raises(ConfigError, match="identifier= must be"):
            canonicaliser(kind)


class TestTheExtra:
    """Phones need a package that e-mail does not."""

    @pytest.fixture(autouse=True)
    def no_phonenumbers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make as if phonenumbers were not installed."""
        monkeypatch.delitem(sys.modules, "flask_otp_auth.phones", raising=False)
        monkeypatch.setitem(sys.modules, "phonenumbers", None)

    @pytest.mark.parametrize("kind", ["phone", ("email", "phone")])
    def test_without_it_a_type_with_phones_can_not_be_added(
        self, customers: Customers, kind: Any
    ) -> None:
        with pytest.raises(ConfigError, match=r"pip install 'flask-otp-auth\[phone\]'"):
            OTPAuth().add_actor_type("customer", customers, identifier=kind)

    @pytest.mark.parametrize("config", [{"PHONE_REGION": "DE"}, {"PHONE_COUNTRIES": ["DE"]}])
    def test_without_it_its_settings_can_not_be_used(self, config: dict[str, Any]) -> None:
        given = {f"OTP_AUTH_{name}": value for name, value in config.items()}
        with pytest.raises(ConfigError, match=r"pip install 'flask-otp-auth\[phone\]'"):
            Settings.load({"SECRET_KEY": "s" * 32, **given})

    def test_without_it_e_mail_works(self) -> None:
        settings = Settings.load({"SECRET_KEY": "s" * 32})
        assert canonicaliser("email", settings.phone_region) is email
        assert is_allowed(ADA, settings.phone_countries)


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

    @pytest.mark.parametrize("number", [SATELLITE, "+999123456", "+1", ADA])
    def test_what_belongs_to_no_country_is_in_none(self, number: str) -> None:
        assert not is_in(number, phonenumbers.SUPPORTED_REGIONS)

    def test_without_a_list_every_country_gets_codes(self) -> None:
        assert all(is_allowed(number, ()) for number in (BERLIN, NEW_YORK, SATELLITE))

    def test_a_list_is_for_phone_numbers_only(self) -> None:
        assert is_allowed(ADA, ["DE"])
        assert is_allowed("+49@example.com", ["AT"])
        assert is_allowed(BERLIN, ["DE"])
        assert not is_allowed(BERLIN, ["AT"])


class Members(Customers):
    """Customers who are known by their e-mail address or by their phone number."""


@pytest.fixture
def members() -> Members:
    """Ada has an e-mail address, Bob a phone number in Berlin, Eve one in space."""
    members = Members()
    for identifier in (ADA, BOB, SATELLITE):
        members.add(identifier)
    return members


@pytest.fixture
def make_shop(make_app: Callable[..., Flask], members: Members) -> Callable[..., Flask]:
    """Make a shop that takes either, with settings of the actor type's own."""

    def make(overrides: dict[str, Any] | None = None, **config: Any) -> Flask:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type(
            "customer", members, identifier=("email", "phone"), **(overrides or {})
        )
        return make_app(otp_auth, **config)

    return make


ONLY_DE_AT = {"phone_region": "DE", "phone_countries": ["DE", "AT"]}


class TestSigningIn:
    """Codes to phones, over HTTP."""

    def test_a_customer_signs_in_with_a_code_to_any_spelling_of_her_number(
        self, make_shop: Callable[..., Flask]
    ) -> None:
        app = make_shop(ONLY_DE_AT)
        api = Api(app.test_client())
        with Outbox(app) as outbox:
            assert api.generate("030 / 1234 5678").status_code == 200
        assert outbox.last.identifier == BOB
        assert "token" in api.verify(outbox.last.otp, "+49 (30) 12345678").json

    def test_the_app_s_settings_are_those_of_every_type_without_its_own(
        self, make_shop: Callable[..., Flask]
    ) -> None:
        app = make_shop(OTP_AUTH_PHONE_REGION="DE", OTP_AUTH_PHONE_COUNTRIES=["AT"])
        ear = Ear(app)
        assert Api(app.test_client()).generate("030 12345678").status_code == 200
        assert ear.reasons("otp_suppressed") == ["country_not_allowed"]

    def test_two_types_and_two_apps_have_regions_of_their_own(
        self, make_app: Callable[..., Flask], members: Members
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", members, identifier="phone")
        otp_auth.add_actor_type("driver", members, identifier="phone", phone_region="DE")
        home, abroad = make_app(otp_auth, OTP_AUTH_PHONE_REGION="DE"), make_app(otp_auth)
        statuses = [
            Api(app.test_client(), actor_type=name).generate("030 12345678").status_code
            for app in (home, abroad)
            for name in ("customer", "driver")
        ]
        assert statuses == [200, 200, 400, 200]

    @pytest.mark.parametrize("typed", ["030 12345678", "tel:+493012345678", "+49 30 12345678 x1"])
    def test_what_is_no_number_is_invalid_data(
        self, make_shop: Callable[..., Flask], typed: str
    ) -> None:
        answer = Api(make_shop().test_client()).generate(typed)
        assert (answer.status_code, answer.json["type"]) == (400, "invalid_data")
        assert "3012345678" not in answer.text


class TestCountriesThatAreNotServed:
    """SMS pumping: a number elsewhere gets the same answer as any, and nothing is sent."""

    @pytest.mark.parametrize("identifier", [LONDON, SATELLITE], ids=["unknown", "known"])
    @pytest.mark.parametrize(
        ("ask", "purpose"), [(Api.generate, "login"), (Api.pre_register, "registration")]
    )
    def test_nobody_is_sent_a_code_there_nor_told_so(
        self, make_shop: Callable[..., Flask], ask: Any, purpose: str, identifier: str
    ) -> None:
        app = make_shop(ONLY_DE_AT)
        api, ear = Api(app.test_client()), Ear(app)
        served = ask(api, "+43 1 234567890")
        with Outbox(app) as outbox:
            refused = ask(api, identifier)
        assert not outbox.messages
        assert ear.of("otp_suppressed")[-1] == {
            "actor_type": "customer",
            "identifier": identifier,
            "purpose": purpose,
            "reason": "country_not_allowed",
        }
        assert refused.status_code == served.status_code == 200
        assert dict(refused.headers) == dict(served.headers)
        assert refused.json.keys() == served.json.keys()

    def test_its_challenge_can_not_be_answered(self, make_shop: Callable[..., Flask]) -> None:
        app = make_shop(ONLY_DE_AT)
        api, ear = Api(app.test_client()), Ear(app)
        challenge = api.generate(SATELLITE).json["challenge"]
        answer = api.verify("123456", SATELLITE, challenge=challenge)
        assert (answer.status_code, answer.json["type"]) == (400, "invalid_otp")
        assert ear.reasons("otp_rejected") == ["wrong"]

    def test_e_mail_goes_everywhere(self, make_shop: Callable[..., Flask]) -> None:
        app = make_shop(ONLY_DE_AT)
        with Outbox(app) as outbox:
            Api(app.test_client()).generate(ADA)
        assert outbox.last.identifier == ADA

    def test_a_form_of_the_app_s_own_is_held_to_the_list_too(
        self, make_app: Callable[..., Flask], members: Members
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type(
            "customer", members, identifier=lambda text: "+" + text, phone_countries=["AT"]
        )
        app = make_app(otp_auth)
        ear = Ear(app)
        Api(app.test_client()).generate("493012345678")
        Api(app.test_client()).generate("999")
        assert ear.reasons("otp_suppressed") == ["country_not_allowed", "country_not_allowed"]

    @pytest.mark.parametrize("ask", [Api.generate, Api.pre_register])
    @pytest.mark.parametrize("identifier", [LONDON, SATELLITE], ids=["unknown", "known"])
    def test_a_back_office_is_told(
        self, make_shop: Callable[..., Flask], ask: Any, identifier: str
    ) -> None:
        app = make_shop(ONLY_DE_AT, OTP_AUTH_ALWAYS_RETURN_SUCCESS=False)
        ear = Ear(app)
        answer = ask(Api(app.test_client()), identifier)
        assert (answer.status_code, answer.json["type"]) == (400, "invalid_data")
        assert ear.reasons("otp_suppressed") == ["country_not_allowed"]
