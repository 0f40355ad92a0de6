"""SMS: the code first, in one segment, bound to the site."""

import pytest
from fakes import MakeApp
from flask import Flask
from said import LANGUAGES, LONG_CODE, confirmation_code, login_code, registration_code, suppressed

from flask_otp_auth.messages import sms
from flask_otp_auth.messages.segments import fits

CODES = ("314159", LONG_CODE)
SITE = "https://shop.example:8443/app"
LONG_NAME = "The very old and well-known shop of Ada and her seven sisters in the High Street"


def test_a_code_comes_first_and_the_site_last(make_shop: MakeApp) -> None:
    assert sms(make_shop(site_url=SITE), **login_code()) == (
        "314159 is your code for Ada's shop. Never tell it to anyone.\n@shop.example #314159"
    )
    assert sms(make_shop(), **registration_code()) == (
        "314159 is your code for Ada's shop. Never tell it to anyone."
    )


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize("otp", CODES)
@pytest.mark.parametrize("name", ["Ada", "Ada's shop", LONG_NAME, "€" * 70, "متجر آدا " * 9])
@pytest.mark.parametrize("site_url", [None, SITE])
def test_it_is_one_segment_whatever_the_site_is_called(
    make_shop: MakeApp, locale: str, otp: str, name: str, site_url: str | None
) -> None:
    shop = make_shop(site_name=name, site_url=site_url)
    for said in (login_code(locale, otp=otp), confirmation_code(locale, otp=otp, binds=None)):
        text = sms(shop, **said)
        assert text.startswith(otp)
        assert fits(text)
        assert text.endswith(f"\n@shop.example #{otp}") == (site_url is not None)


@pytest.mark.parametrize("locale", LANGUAGES)
def test_it_is_in_the_language_of_whoever_asked(shop: Flask, locale: str) -> None:
    text = sms(shop, **login_code(locale))
    assert "Ada's shop" in text
    assert text.isascii() == (locale in ("en", "es"))
    assert text != sms(shop, **login_code("en")) or locale == "en"


def test_a_name_loses_words_then_goes(make_shop: MakeApp) -> None:
    shop = make_shop(site_name=LONG_NAME + " of our town", site_url=SITE)
    assert "code for The very old and well-known shop of Ada and her seven sisters in" in sms(
        shop, **login_code()
    )
    shop = make_shop(site_name="x" * 200)
    assert sms(shop, **login_code()) == "314159 is your code. Never tell it to anyone."


def test_a_confirmation_shows_all_that_is_bound(make_shop: MakeApp) -> None:
    assert sms(make_shop(site_url=SITE), **confirmation_code()) == (
        "314159 is your code for Ada's shop to confirm:\n"
        "amount: 950.00\n"
        "payee: Bob & <Sons>\n"
        "Never tell it to anyone.\n"
        "@shop.example #314159"
    )


def test_what_is_bound_is_never_cut(make_shop: MakeApp) -> None:
    """What takes more room than a name takes more than a segment."""
    shop = make_shop(site_name=LONG_NAME)
    short = sms(shop, **confirmation_code(binds={"for": "x" * 95}))
    assert fits(short)
    assert "is your code to confirm:\nfor: xxx" in short
    brief = sms(shop, **confirmation_code(binds={"for": "x" * 140}))
    assert brief == f"314159\nfor: {'x' * 140}"
    long = sms(shop, **confirmation_code(binds={"for": "x" * 200}))
    assert LONG_NAME in long
    assert "x" * 200 in long


def test_notices_have_no_sms(shop: Flask) -> None:
    with pytest.raises(TypeError, match="notices have no SMS"):
        sms(shop, **suppressed("already_registered"))


@pytest.mark.parametrize(
    ("text", "fitting"),
    [
        ("a" * 160, True),
        ("a" * 161, False),
        ("€" * 80, True),  # two septets each
        ("€" * 80 + "a", False),
        ("\n@£Ññà" + "a" * 154, True),
        ("ç" + "a" * 69, True),  # GSM-7 has Ç alone
        ("ç" + "a" * 70, False),
        ("😀" * 35, True),  # two UTF-16 units each
        ("😀" * 35 + "a", False),
    ],
)
def test_what_fits_in_a_segment(text: str, fitting: bool) -> None:
    assert fits(text) is fitting
