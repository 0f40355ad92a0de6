"""Purposes of an app's own: what may be registered, and what an app makes of it."""

import re
from datetime import timedelta
from typing import Any

import pytest
from fakes import ADA, SECRET, MakeApp

from flask_otp_auth import ConfigError, InvalidData, InvalidIdentifier, OTPAuth
from flask_otp_auth.core.own_purposes import OwnPurposeRegistry, OwnPurposeSpec
from flask_otp_auth.core.settings import Settings

APP = Settings.load({"SECRET_KEY": SECRET, "OTP_AUTH_WARN_ON_ERROR": False})
PHONE = "+4915123456789"


def spec(name: Any = "contact", **given: Any) -> OwnPurposeSpec:
    """Return a purpose as ``OTPAuth.purpose`` registers it."""
    identifier, ttl = given.pop("identifier", "email"), given.pop("ttl", None)
    address_only = given.pop("confirms_address_only", False)
    return OwnPurposeSpec.build(name, identifier, ttl, address_only, given)


def resolved(**given: Any) -> Settings:
    """Return the settings of such a purpose in an app."""
    return OwnPurposeRegistry({"contact": spec(**given)}, APP).get("contact").settings


class TestRegistering:
    @pytest.mark.parametrize("name", ["contact", "a", "second_factor-2", "x" * 64])
    def test_takes_names_of_the_apps_own(self, name: str) -> None:
        assert spec(name).name == name

    @pytest.mark.parametrize(
        "name", ["", "x" * 65, "a b", "a:b", "ä", "login", "registration", "door", "grace", None, 7]
    )
    def test_refuses_ours_and_what_is_no_name(self, name: Any) -> None:
        must = "a purpose is 1 to 64 letters, digits, - or _, and "
        with pytest.raises(
            ConfigError,
            match=re.escape(must + f"none of login, registration, door, grace, not {name!r}"),
        ):
            spec(name)

    @pytest.mark.parametrize(
        ("ttl", "address_only", "seconds"),
        [
            (1, False, 1),
            (600, False, 600),
            (timedelta(minutes=5), False, 300),
            (86_400, True, 86_400),
            (timedelta(days=1), True, 86_400),
        ],
    )
    def test_takes_a_life_of_ten_minutes_or_of_a_day_for_an_address(
        self, ttl: Any, address_only: bool, seconds: int
    ) -> None:
        """NIST SP 800-63A-4, section 3.8."""
        assert resolved(ttl=ttl, confirms_address_only=address_only).ttl == seconds

    @pytest.mark.parametrize(
        ("ttl", "address_only", "hint"),
        [(601, False, True), (0, False, True), ("x", False, True), (86_401, True, False)],
    )
    def test_refuses_a_longer_one(self, ttl: Any, address_only: bool, hint: bool) -> None:
        with pytest.raises(ConfigError, match=r"- ttl= must be") as caught:
            spec(ttl=ttl, confirms_address_only=address_only)
        assert ("confirms_address_only=True" in str(caught.value)) is hint

    def test_refuses_what_is_no_identifier_or_no_setting(self) -> None:
        with pytest.raises(ConfigError, match=r"- identifier= must be"):
            spec(identifier="fax")
        with pytest.raises(ConfigError, match=r"- digits must be .*, not 4$"):
            spec(digits=4)

    @pytest.mark.parametrize("name", ["token_ttl", "session_ttl", "grace_ttl", "max_sign_ins"])
    def test_refuses_settings_of_sign_ins_which_it_has_none_of(self, name: str) -> None:
        with pytest.raises(
            ConfigError, match=rf"- a purpose has no sign-ins, so it can't have {name} of its own$"
        ):
            spec(**{name: 60})


class TestSettings:
    def test_are_the_apps_where_it_has_none_of_its_own(self) -> None:
        own = resolved(digits=8)
        assert (own.digits, own.ttl, own.resend_interval) == (8, 300, 60)
        assert own.warn_on_error is False

    @pytest.mark.parametrize(("ttl", "interval"), [(60, 30), (600, 60), (1, 0)])
    def test_fit_the_resend_interval_to_a_short_life(self, ttl: int, interval: int) -> None:
        assert resolved(ttl=ttl).resend_interval == interval

    def test_contradict_each_other_loudly(self) -> None:
        with pytest.raises(ConfigError) as caught:
            resolved(ttl=60, resend_interval=60, verify_limits="100/day")
        assert [fault.split(" ")[:3] for fault in caught.value.faults] == [
            ["purpose", "contact:", "OTP_AUTH_RESEND_INTERVAL"],
            ["purpose", "contact:", "OTP_AUTH_VERIFY_LIMITS"],
        ]


class TestIdentifiers:
    def test_are_of_the_kind_that_the_purpose_has(self) -> None:
        specs = {"mail": spec("mail"), "phone": spec("phone", identifier="phone")}
        registry = OwnPurposeRegistry(specs, APP)
        assert registry.get("mail").canonical(" Ada@Example.com") == ADA
        assert registry.get("phone").canonical("+49 151 23456789") == PHONE
        for name, other in (("mail", PHONE), ("phone", ADA)):
            with pytest.raises(InvalidIdentifier):
                registry.get(name).canonical(other)

    def test_are_what_they_look_like_where_nobody_registered_the_purpose(self) -> None:
        unregistered = OwnPurposeRegistry({}, APP).get("transfer")
        assert unregistered.canonical("Ada@Example.com") == ADA
        assert unregistered.canonical("+49 151 23456789") == PHONE
        assert unregistered.settings.ttl == APP.ttl

    def test_are_texts(self) -> None:
        with pytest.raises(InvalidData, match=r"^identifier must be a string\.$"):
            OwnPurposeRegistry({}, APP).get("transfer").canonical(7)


class TestFactories:
    """One OTPAuth may serve several apps, and each call of a factory registers anew."""

    def test_a_name_that_is_registered_late_counts_even_if_it_was_used(self) -> None:
        specs: dict[str, OwnPurposeSpec] = {}
        registry = OwnPurposeRegistry(specs, APP)
        unregistered = registry.get("late")
        assert registry.get("late") is unregistered
        specs["late"] = spec("late", digits=8)
        assert registry.get("late").settings.digits == 8
        assert registry.get("late") is registry.get("late")

    def test_all_faults_are_in_one_error_when_the_app_starts(
        self, make_app: MakeApp, customers: Any
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers, ttl=60, resend_interval=50)
        otp_auth.purpose("contact", ttl=60, resend_interval=40)
        otp_auth.purpose("transfer", verify_limits="100/day")
        with pytest.raises(ConfigError) as caught:
            make_app(otp_auth)
        assert [fault.partition(":")[0] for fault in caught.value.faults] == [
            "actor type customer",
            "purpose contact",
            "purpose transfer",
        ]

    def test_a_fault_of_the_app_is_told_once(self, make_app: MakeApp) -> None:
        otp_auth = OTPAuth()
        otp_auth.purpose("contact")
        with pytest.raises(ConfigError) as caught:
            make_app(otp_auth, OTP_AUTH_RESEND_INTERVAL=200)
        assert len(caught.value.faults) == 1
