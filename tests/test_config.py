"""Settings: read once, every fault told at once, nothing secret told at all."""

import dataclasses
import sys
from datetime import timedelta
from typing import Any

import pytest
from limits import parse
from pems import pem, public_pem

from flask_otp_auth.config import MIN_SECRET_BYTES, PREFIX, Settings, overrides, secrets_of
from flask_otp_auth.errors import ConfigError

SECRET = "s" * MIN_SECRET_BYTES
NAMES = {field.name for field in dataclasses.fields(Settings)}


def load(**config: Any) -> Settings:
    """Load the settings of an app with a good secret key."""
    return Settings.load({"SECRET_KEY": SECRET, **config})


def faults(**config: Any) -> tuple[str, ...]:
    """Return the faults of a configuration that can't be used."""
    with pytest.raises(ConfigError) as caught:
        load(**config)
    return caught.value.faults


DEFAULTS = {
    "storage_uri": "sqlite:///<instance>/otp_auth.sqlite3",
    "url_prefix": "/auth",
    "digits": 6,
    "ttl": 300,
    "grace_ttl": 60,
    "max_attempts": 5,
    "resend_interval": 60,
    "send_limits": (parse("5/hour"),),
    "verify_limits": (parse("20/day"),),
    "ip_generate_limits": (parse("100/hour"),),
    "ip_verify_limits": (parse("300/hour"),),
    "global_failure_limit": (parse("1000/hour"),),
    "max_guess_chance": 1e-4,
    "require_challenge": False,
    "always_return_success": True,
    "warn_on_error": True,
    "delivery": "background",
    "phone_region": None,
    "phone_countries": (),
    "token_ttl": 3600,
    "session_ttl": 30 * 86_400,
    "registration_token_ttl": 600,
    "token_algorithm": "HS256",
    "token_keys": (),
    "token_leeway": 10,
}


def test_the_defaults_are_those_of_the_documentation() -> None:
    settings = dataclasses.asdict(load())
    assert settings.pop("token_issuer") == "<app name>"
    assert settings == DEFAULTS


def test_the_app_may_bring_defaults_of_its_own_which_its_configuration_overrides() -> None:
    settings = Settings.load(
        {"SECRET_KEY": SECRET, "OTP_AUTH_DIGITS": 8}, digits=7, token_issuer="shop"
    )
    assert (settings.digits, settings.token_issuer) == (8, "shop")


def test_the_settings_of_other_extensions_are_left_alone() -> None:
    assert load(MAIL_DIGITS="many", OTP_DIGITS="many") == load()


def test_settings_can_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().digits = 4  # type: ignore[misc]  # which is what it tests


def test_settings_do_not_show_in_a_log() -> None:
    assert "hunter2" not in repr(load(OTP_AUTH_STORAGE_URI="redis://:hunter2@cache/0"))


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_described_on_one_line(field: dataclasses.Field[Any]) -> None:
    assert 0 < len(field.metadata["doc"]) < 80


GOOD = [
    ("DIGITS", 6, 6),
    ("DIGITS", 10, 10),
    ("TTL", 1, 1),
    ("TTL", 600, 600),
    ("TTL", 30.0, 30),
    ("TTL", timedelta(minutes=10), 600),
    ("GRACE_TTL", timedelta(seconds=1), 1),
    ("MAX_ATTEMPTS", 1, 1),
    ("RESEND_INTERVAL", 0, 0),
    ("SESSION_TTL", timedelta(days=400), 400 * 86_400),
    ("TOKEN_TTL", timedelta(hours=1), 3600),
    ("TOKEN_LEEWAY", 0, 0),
    ("IP_VERIFY_LIMITS", "30/minute;300/hour", (parse("30/minute"), parse("300/hour"))),
    ("SEND_LIMITS", "5 per hour", (parse("5/hour"),)),
    ("SEND_LIMITS", "5/hour;1/minute", (parse("1/minute"), parse("5/hour"))),
    ("MAX_GUESS_CHANCE", 1, 1.0),
    ("MAX_GUESS_CHANCE", 2e-5, 2e-5),
    ("ALWAYS_RETURN_SUCCESS", False, False),
    ("DELIVERY", "inline", "inline"),
    ("PHONE_REGION", None, None),
    ("PHONE_REGION", "DE", "DE"),
    ("PHONE_COUNTRIES", [], ()),
    ("PHONE_COUNTRIES", ["DE", "AT"], ("DE", "AT")),
    ("PHONE_COUNTRIES", {"GB"}, ("GB",)),
    ("URL_PREFIX", "/api/v1/auth", "/api/v1/auth"),
    ("TOKEN_ISSUER", "https://shop.example.com", "https://shop.example.com"),
    ("STORAGE_URI", "memory://", "memory://"),
    ("STORAGE_URI", "sqlite:///codes.sqlite3", "sqlite:///codes.sqlite3"),
    ("STORAGE_URI", "sqlite:////var/lib/codes.db", "sqlite:////var/lib/codes.db"),
    ("STORAGE_URI", "redis://:hunter2@cache:6379/0", "redis://:hunter2@cache:6379/0"),
    ("STORAGE_URI", "rediss://cache", "rediss://cache"),
    ("STORAGE_URI", "redis+sentinel://one:26379/mymaster", "redis+sentinel://one:26379/mymaster"),
    ("STORAGE_URI", "redis+cluster://one:7000", "redis+cluster://one:7000"),
    ("STORAGE_URI", "memcached://cache:11211", "memcached://cache:11211"),
]


@pytest.mark.parametrize(("name", "given", "meant"), GOOD)
def test_a_good_value_is_taken(name: str, given: object, meant: object) -> None:
    value = getattr(load(**{PREFIX + name: given}), name.lower())
    assert value == meant
    assert type(value) is type(meant)


NOT_WHOLE = [None, "6", "", 6.5, True, [6]]
NOT_SECONDS = [
    None, "60", -1, 1.5, True, float("nan"), float("inf"), timedelta(milliseconds=1500),
    timedelta(days=-1), timedelta(days=1000),
]  # fmt: skip
NOT_LIMITS = [None, 5, "", "often", "5", "5/fortnight", "-1/hour", "0/hour", "5/hour;0/day",
              "5/hour;", ["5/hour"]]  # fmt: skip
NOT_FLAGS = [None, 0, 1, "yes", "False"]
NOT_URIS = [None, 7, "", "redis", "cache:6379", "postgresql://db", "sqlite://", "sqlite:///",
            "sqlite:////", "://", "REDIS"]  # fmt: skip
BAD: dict[str, list[Any]] = {
    "storage_uri": NOT_URIS,
    "url_prefix": [None, 7, "", "auth", "/", "/auth/", "https://shop.example.com"],
    "digits": [*NOT_WHOLE, 5, 11],
    "ttl": [*NOT_SECONDS, 0, 601, timedelta(0)],
    "grace_ttl": [*NOT_SECONDS, 0, 601],
    "max_attempts": [*NOT_WHOLE, 0, 101],
    "resend_interval": [*NOT_SECONDS, 86_401],
    "send_limits": NOT_LIMITS,
    "verify_limits": NOT_LIMITS,
    "ip_generate_limits": NOT_LIMITS,
    "ip_verify_limits": NOT_LIMITS,
    "global_failure_limit": NOT_LIMITS,
    "max_guess_chance": [None, "1e-4", 0, 0.0, -0.1, 1.1, True, float("nan"), float("inf")],
    "require_challenge": NOT_FLAGS,
    "always_return_success": NOT_FLAGS,
    "warn_on_error": NOT_FLAGS,
    "delivery": [None, "", "later", "INLINE", True, ["inline"]],
    "phone_region": ["", "UK", "de", "DEU", "001", "+49", 49, ["DE"]],
    "phone_countries": [None, "", "DE", ["UK"], ["DE", "de"], ["001"], [49], {"DE": 1}.items()],
    "token_ttl": [*NOT_SECONDS, 0],
    "session_ttl": [*NOT_SECONDS, 0],
    "registration_token_ttl": [*NOT_SECONDS, 0, 86_401],
    "token_algorithm": [None, "", "none", "HS512", "hs256"],
    "token_keys": [None, "a PEM", b"a PEM", [b"a PEM"], ["a PEM", 7], {"new": "a PEM"}],
    "token_issuer": [None, "", 7],
    "token_leeway": [*NOT_SECONDS, 301],
}


def test_each_setting_has_bad_values_to_be_tried() -> None:
    assert set(BAD) == NAMES


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
)
def test_a_bad_value_is_a_fault_that_names_its_setting(name: str, value: object) -> None:
    setting = PREFIX + name.upper()
    (fault,) = faults(**{setting: value})
    assert fault.startswith(f"{setting} must ")


def test_a_fault_shows_the_value_that_was_found() -> None:
    assert faults(OTP_AUTH_DIGITS=4) == (
        "OTP_AUTH_DIGITS must be a whole number from 6 to 10, not 4",
    )


@pytest.mark.parametrize(
    "config",
    [
        {"OTP_AUTH_STORAGE_URI": "postgresql://app:hunter2@db/shop"},
        {"OTP_AUTH_STORAGE_URIS": "redis://:hunter2@cache"},
        {"OTP_AUTH_TOKEN_KEYS": "hunter2"},
        {"OTP_AUTH_TOKEN_KEYS": ["hunter2"]},
        {"OTP_AUTH_TOKEN_KEYS": [b"hunter2"]},
        {"OTP_AUTH_SECRET": "hunter2"},
        {"SECRET_KEY": "hunter2"},
        {"SECRET_KEY_FALLBACKS": ["hunter2"]},
        {"SECRET_KEY_FALLBACKS": "hunter2"},
    ],
    ids=lambda config: "-".join(config),
)
def test_a_fault_never_shows_a_secret(config: dict[str, Any]) -> None:
    assert "hunter2" not in "".join(faults(**config))


def test_all_faults_are_told_at_once() -> None:
    found = faults(
        SECRET_KEY="short", OTP_AUTH_DIGITS=4, OTP_AUTH_TTL=0, OTP_AUTH_TLL=5, OTP_AUTH_DELIVERY="?"
    )
    assert [fault.split()[0] for fault in found] == [
        "OTP_AUTH_DIGITS",
        "OTP_AUTH_TTL",
        "OTP_AUTH_TLL",
        "OTP_AUTH_DELIVERY",
        "SECRET_KEY",
    ]


def test_an_unknown_setting_is_a_fault_that_suggests_a_known_one() -> None:
    assert faults(OTP_AUTH_TLL=5) == ("OTP_AUTH_TLL is not a setting; did you mean OTP_AUTH_TTL?",)


@pytest.mark.parametrize("name", ["OTP_AUTH_", "OTP_AUTH_digits", "OTP_AUTH_XYZZY_PLUGH_42"])
def test_a_name_is_known_in_capitals_only(name: str) -> None:
    (fault,) = faults(**{name: 6})
    assert fault.startswith(f"{name} is not a setting")


def test_what_resembles_nothing_gets_no_suggestion() -> None:
    (fault,) = faults(OTP_AUTH_XYZZY_PLUGH_42_FROBNICATE=1)
    assert fault.endswith("is not a setting")


def test_a_token_must_not_outlive_its_session() -> None:
    (fault,) = faults(OTP_AUTH_TOKEN_TTL=601, OTP_AUTH_SESSION_TTL=600)
    assert "OTP_AUTH_TOKEN_TTL" in fault
    assert load(OTP_AUTH_TOKEN_TTL=600, OTP_AUTH_SESSION_TTL=600).token_ttl == 600


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_an_asymmetric_algorithm_needs_keys(algorithm: str) -> None:
    (fault,) = faults(OTP_AUTH_TOKEN_ALGORITHM=algorithm)
    assert fault.startswith("OTP_AUTH_TOKEN_KEYS")
    keys = [pem(algorithm, "old"), pem(algorithm, "new")]
    settings = load(OTP_AUTH_TOKEN_ALGORITHM=algorithm, OTP_AUTH_TOKEN_KEYS=keys)
    assert [key.algorithm for key in settings.token_keys] == [algorithm, algorithm]


def test_every_key_must_be_one_for_the_algorithm() -> None:
    (fault,) = faults(
        OTP_AUTH_TOKEN_ALGORITHM="ES256", OTP_AUTH_TOKEN_KEYS=[pem("EdDSA"), pem("ES256")]
    )
    assert fault.startswith("OTP_AUTH_TOKEN_KEYS has keys for EdDSA")


def test_the_newest_key_must_be_private_as_it_signs() -> None:
    keys = [pem("ES256", "old"), public_pem(pem("ES256", "new"))]
    (fault,) = faults(OTP_AUTH_TOKEN_ALGORITHM="ES256", OTP_AUTH_TOKEN_KEYS=keys)
    assert fault.endswith("the newest signs, so it can't be a public key")
    assert load(OTP_AUTH_TOKEN_ALGORITHM="ES256", OTP_AUTH_TOKEN_KEYS=keys[::-1]).token_keys


def test_each_bad_key_is_told_by_its_number() -> None:
    keys = ["hunter2", pem("EdDSA"), "hunter3"]
    (fault,) = faults(OTP_AUTH_TOKEN_ALGORITHM="EdDSA", OTP_AUTH_TOKEN_KEYS=keys)
    assert "number 1 is not" in fault
    assert "number 2" not in fault
    assert "number 3 is not" in fault
    assert "hunter" not in fault


@pytest.mark.parametrize(
    "config",
    [
        {"OTP_AUTH_VERIFY_LIMITS": "101/day"},
        {"OTP_AUTH_VERIFY_LIMITS": "5/hour"},
        {"OTP_AUTH_MAX_GUESS_CHANCE": 1e-5},
    ],
    ids=str,
)
def test_limits_that_make_guessing_likely_are_a_fault(config: dict[str, Any]) -> None:
    (fault,) = faults(**config)
    assert fault.startswith("OTP_AUTH_VERIFY_LIMITS lets a guesser in")
    assert load(**config, OTP_AUTH_DIGITS=8).digits == 8


def test_an_app_may_take_a_greater_chance() -> None:
    assert load(OTP_AUTH_VERIFY_LIMITS="101/day", OTP_AUTH_MAX_GUESS_CHANCE=1e-3)


@pytest.mark.parametrize(
    "config", [{"OTP_AUTH_PHONE_REGION": "DE"}, {"OTP_AUTH_PHONE_COUNTRIES": ["DE"]}], ids=str
)
def test_phone_settings_without_phonenumbers_say_what_to_install(
    monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
) -> None:
    monkeypatch.setitem(sys.modules, "flask_otp_auth.phones", None)
    monkeypatch.delattr("flask_otp_auth.phones", raising=False)
    (fault,) = faults(**config)
    assert "pip install 'flask-otp-auth[phone]'" in fault


def test_hs256_takes_its_keys_from_the_secret_key_alone() -> None:
    (fault,) = faults(OTP_AUTH_TOKEN_KEYS=[pem("EdDSA")])
    assert "SECRET_KEY" in fault


@pytest.mark.parametrize("missing", [None, "", b""])
@pytest.mark.parametrize("mode", ["DEBUG", "TESTING", "ENV"])
def test_no_app_starts_without_a_secret_key(missing: object, mode: str) -> None:
    (fault,) = faults(**{"SECRET_KEY": missing, mode: True})
    assert fault.startswith("SECRET_KEY is not set")


def test_a_configuration_that_never_heard_of_a_secret_key_is_told() -> None:
    with pytest.raises(ConfigError, match="SECRET_KEY is not set"):
        Settings.load({})


@pytest.mark.parametrize("short", ["s" * 31, b"s" * 31, "ü" * 15])
def test_a_secret_key_has_32_bytes_in_production(short: str | bytes) -> None:
    (fault,) = faults(SECRET_KEY=short)
    assert fault.startswith("SECRET_KEY must have 32 bytes")
    (fault,) = faults(SECRET_KEY_FALLBACKS=[SECRET, short])
    assert fault.startswith("each of SECRET_KEY_FALLBACKS must have 32 bytes")


@pytest.mark.parametrize("mode", ["DEBUG", "TESTING"])
def test_a_short_secret_key_will_do_for_debugging_and_tests(mode: str) -> None:
    config = {"SECRET_KEY": "dev", "SECRET_KEY_FALLBACKS": ["old"], mode: True}
    assert load(**config) == load()


@pytest.mark.parametrize("mode", ["DEBUG", "TESTING", "ENV"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"SECRET_KEY": 7},
        {"SECRET_KEY": ["a" * 32]},
        {"SECRET_KEY_FALLBACKS": [7]},
        {"SECRET_KEY_FALLBACKS": [SECRET, ""]},
        {"SECRET_KEY_FALLBACKS": SECRET},
    ],
    ids=str,
)
def test_secret_keys_are_texts_or_bytes_and_fallbacks_a_list(
    wrong: dict[str, Any], mode: str
) -> None:
    (fault,) = faults(**wrong, **{mode: True})
    assert fault.startswith(next(iter(wrong)))


@pytest.mark.parametrize("none", [None, [], ()])
def test_there_need_be_no_fallbacks(none: object) -> None:
    assert secrets_of({"SECRET_KEY": SECRET, "SECRET_KEY_FALLBACKS": none}) == [SECRET.encode()]


def test_the_newest_secret_key_comes_last() -> None:
    config = {"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": ["oldest", b"old"]}
    assert secrets_of(config) == [b"oldest", b"old", b"new"]


PER_TYPE = {
    "digits", "ttl", "grace_ttl", "max_attempts", "resend_interval", "send_limits", "verify_limits",
    "require_challenge", "always_return_success", "phone_region", "phone_countries", "token_ttl",
    "session_ttl", "registration_token_ttl", "ip_generate_limits", "ip_verify_limits",
    "warn_on_error",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PER_TYPE))
def test_an_actor_type_may_override_what_concerns_it_alone(name: str) -> None:
    default = getattr(load(), name)
    given = "5/hour" if name.endswith("_limits") else default
    assert set(overrides({name: given})) == {name}


@pytest.mark.parametrize("name", sorted(NAMES - PER_TYPE))
def test_an_actor_type_can_not_override_what_concerns_the_app(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not a setting"):
        overrides({name: getattr(load(), name)})


def test_overrides_are_checked_as_settings_are() -> None:
    with pytest.raises(ConfigError) as caught:
        overrides({"digits": 4, "TTL": 5, "tll": 5})
    assert caught.value.faults == (
        "digits must be a whole number from 6 to 10, not 4",
        "TTL is not a setting",
        "tll is not a setting; did you mean ttl?",
    )
    assert overrides({"ttl": timedelta(minutes=1)}) == {"ttl": 60}
