"""Input: nothing that a caller can write reaches somebody else's account, or upsets the server."""

import string
import sys
import unicodedata
from typing import Any

import phonenumbers
import pytest
from attacks import ASKING, GUESSING, MANY_ADDRESSES, NO_LIMITS, Begin
from fakes import ADA, Api, Everybody, MakeApp
from flask import Flask
from phonenumbers import PhoneNumberType

from flask_otp_auth import OTPAuth, canonicaliser
from flask_otp_auth.errors import InvalidIdentifier
from flask_otp_auth.testing import Outbox

#: Addresses that a mailer, a database or a person could take for Ada's, or for two.
IMPOSTORS = [
    "ada@example.com,eve@evil.example",
    "ada@example.com;eve@evil.example",
    "ada@example.com eve@evil.example",
    "ada@example.com\r\nBcc: eve@evil.example",
    "ada@example.com\nBcc: eve@evil.example",
    "ada@example.com\u2028eve@evil.example",
    "ada@example.com\0.evil.example",
    "Ada <ada@example.com>",
    '"ada@example.com"@evil.example',
    "ada@example.com@evil.example",
    "@evil.example:ada@example.com",
    "ada@[127.0.0.1]",
    "ada.@example.com",
    "ada\u200b@example.com",
    "ada@\u202eexample.com",
    "\u0430da@example.com",
    "ada\uff20example.com",
    "ada\ud800@example.com",
    "ada@example.com' OR '1'='1",
]


@pytest.mark.parametrize("impostor", IMPOSTORS, ids=ascii)
def test_asvs_2_2_1_an_address_is_one_address_or_is_refused(
    make_app: MakeApp, attack: Begin, impostor: str
) -> None:
    """OWASP ASVS 5.0, 2.2.1; RFC 5321, 4.1.2: what is not one plain address gets no code."""
    app = make_app(**MANY_ADDRESSES)
    api = Api(app.test_client())
    hostile = attack("input: addresses that look like another, or like two")
    with Outbox(app) as outbox:
        for verb in ASKING.values():
            answer = getattr(api, verb)(impostor)
            hostile.tried(answer.status_code != 400 or len(outbox) > 0)
            hostile.tried(impostor in answer.text)
        api.generate()
        for route in GUESSING:
            answer = getattr(api, route)(outbox.last.otp, impostor)
            hostile.tried(answer.status_code != 400)
    assert hostile.failed(tries=10)


def test_asvs_1_1_1_no_letter_of_unicode_turns_into_one_of_somebody_elses_address(
    attack: Begin,
) -> None:
    """OWASP ASVS 5.0, 1.1.1; Unicode TR 36: no case mapping or normal form makes two one.

    Tried is every character that any mapping makes a letter, a digit or a sign of ASCII, such
    as the dotless i, the long s and the Kelvin sign.
    """
    email, signs = canonicaliser("email"), set(string.printable)
    letters = attack("input: letters that a mapping makes ASCII, in a local part")
    for character in map(chr, range(128, sys.maxunicode + 1)):
        cases = (character.lower(), character.upper(), character.casefold())
        forms = (unicodedata.normalize(form, character)[:1] for form in ("NFKC", "NFKD"))
        if not any(set(mapped) <= signs for mapped in (*cases, *forms)):
            continue
        try:
            email(f"m{character}a@example.com")
        except InvalidIdentifier:
            letters.tried(False)
        else:
            letters.tried(True)
    assert letters.failed(tries=1_000)


def test_asvs_4_1_3_a_host_header_is_never_believed(
    app: Flask, attack: Begin, outbox: Outbox
) -> None:
    """OWASP ASVS 5.0, 4.1.3: nothing that an intermediary or a caller adds is taken up."""
    hostile = attack("input: a Host and X-Forwarded headers of the attacker's")
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=e"}
    for verb in ("generate", "pre-register", "start"):
        body = {"identifier": ADA}
        answer = app.test_client().post(f"/auth/customer/otp/{verb}", json=body, headers=headers)
        hostile.tried("evil" in answer.text + str(answer.headers) + repr(outbox.messages))
    assert hostile.failed(tries=3)


def test_asvs_6_3_1_behind_a_proxy_that_is_not_trusted_nobody_chooses_his_address(
    make_app: MakeApp, attack: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    """OWASP ASVS 5.0, 6.3.1: all visitors count as one then, and the log says so, once."""
    app = make_app(OTP_AUTH_WARN_ON_ERROR=False)
    spoofed = attack("input: addresses of the attacker's choice in headers")
    for number in range(150):
        address = f"198.51.100.{number}"
        answer = app.test_client().post(
            "/auth/customer/otp/generate",
            json={"identifier": f"{number}@example.com"},
            headers={
                "X-Forwarded-For": address,
                "X-Real-IP": address,
                "Forwarded": f"for={address}",
            },
            environ_overrides={"REMOTE_ADDR": "127.0.0.1"},
        )
        spoofed.tried(number >= 100 and answer.status_code != 429)
    told = [record.getMessage() for record in caplog.records if "ProxyFix" in record.getMessage()]
    assert len(told) == 1
    assert spoofed.failed(tries=150)


#: What costs whoever calls or texts it, or reaches nobody's own phone.
EXPENSIVE = ("PREMIUM_RATE", "SHARED_COST", "PAGER", "UAN", "VOICEMAIL", "TOLL_FREE")


@pytest.mark.parametrize("lines", [(), ("mobile", "fixed", "personal", "voip")], ids=["", "all"])
def test_asvs_6_6_1_no_code_is_sent_to_a_number_that_costs_or_earns_money(
    make_app: MakeApp, attack: Begin, lines: tuple[str, ...]
) -> None:
    """OWASP ASVS 5.0, 6.6.1 (toll fraud): premium-rate numbers of every country, and their kin.

    The answer tells nothing; whatever lines the app allows, these are none of them.
    """
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", Everybody(joined=False), identifier="phone")
    app = make_app(otp_auth, **NO_LIMITS, **({"OTP_AUTH_PHONE_LINES": lines} if lines else {}))
    api = Api(app.test_client())
    toll_fraud = attack("input: premium-rate numbers and their kin")
    with Outbox(app) as outbox:
        for number in expensive_numbers():
            answer = api.pre_register(number)
            toll_fraud.tried(len(outbox) > 0)
            assert answer.status_code in (200, 400)  # 400 where it is no number at all
        reasons = {suppression.reason for suppression in outbox.suppressed}
        assert reasons == {"line_not_allowed"}
        assert api.pre_register("+4915123456789").status_code == 200
        assert len(outbox) == 1
    assert toll_fraud.failed(tries=200)


def expensive_numbers() -> list[str]:
    """Return an example of each expensive kind of number in each country."""
    kinds = [getattr(PhoneNumberType, name) for name in EXPENSIVE]
    examples: list[Any] = [
        phonenumbers.example_number_for_type(region, kind)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in kinds
    ]
    examples += [phonenumbers.example_number_for_non_geo_entity(code) for code in (808, 979)]
    return [
        phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
        for number in examples
        if number is not None and phonenumbers.number_type(number) in kinds
    ]
