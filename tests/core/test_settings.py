"""Settings: read once, every fault told at once, nothing secret told at all."""

import dataclasses
import json
import sys
from datetime import timedelta
from typing import Any

import pytest
from fakes import SECRET
from flask import Config, Flask
from limits import parse
from pems import pem, public_pem

from flask_otp_auth.core.settings import PREFIX, Settings
from flask_otp_auth.errors import ConfigError

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
    "sign_ins_uri": None,
    "url_prefix": "/auth",
    "digits": 6,
    "ttl": 300,
    "grace_ttl": 60,
    "resend_interval": 60,
    "send_limits": (parse("5/hour"),),
    "verify_limits": (parse("20/day"),),
    "ip_generate_limits": (parse("100/hour"),),
    "ip_verify_limits": (parse("300/hour"),),
    "actor_limits": (parse("600/hour"),),
    "max_sign_ins": 32,
    "global_send_limit": (parse("1000/hour"),),
    "global_failure_limit": (parse("1000/hour"),),
    "max_guess_chance": 1e-4,
    "require_challenge": False,
    "always_return_success": True,
    "warn_on_error": True,
    "delivery": "background",
    "delivery_retries": (1, 5, 20),
    "phone_region": None,
    "phone_countries": (),
    "phone_lines": ("mobile",),
    "token_ttl": 3600,
    "session_ttl": 30 * 86_400,
    "session_keep": (),
    "registration_token_ttl": 600,
    "token_algorithm": "HS256",
    "token_keys": (),
    "token_issuer": "<app name>",
    "token_leeway": 10,
    "pages": False,
    "site_name": "<app name>",
    "site_url": None,
    "links": False,
    "code_in_subject": True,
    "after_sign_in": "/",
    "after_sign_out": "/",
    "cli": "otp",
    "openapi": False,
    "test_identities": (),
}


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert dataclasses.asdict(load()) == DEFAULTS


def test_the_app_may_bring_defaults_of_its_own_which_its_configuration_overrides() -> None:
    settings = Settings.load(
        {"SECRET_KEY": SECRET, "OTP_AUTH_DIGITS": 8}, digits=7, token_issuer="shop"
    )
    assert (settings.digits, settings.token_issuer) == (8, "shop")


def test_the_settings_of_other_extensions_are_left_alone() -> None:
    settings = load(MAIL_DIGITS="many", OTP_DIGITS="many")
    assert dataclasses.asdict(settings) == DEFAULTS


def test_settings_can_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().digits = 4  # type: ignore[misc]  # which is what it tests


def test_settings_do_not_show_in_a_log() -> None:
    assert "hunter2" not in repr(load(OTP_AUTH_STORAGE_URI="redis://:hunter2@cache/0"))


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_every_setting_is_described_on_one_line(field: dataclasses.Field[Any]) -> None:
    assert 0 < len(field.metadata["doc"]) < 80


class TestGoodValues:
    """A good value is taken, and has one type from then on."""

    @pytest.mark.parametrize(
        ("name", "given", "meant"),
        [
            ("DIGITS", 6, 6),
            ("DIGITS", 10, 10),
            ("TTL", 600, 600),
            ("TTL", 130.0, 130),
            ("TTL", timedelta(minutes=10), 600),
            ("GRACE_TTL", timedelta(seconds=1), 1),
            ("RESEND_INTERVAL", 0, 0),
            ("RESEND_INTERVAL", 150, 150),
            ("SESSION_TTL", timedelta(days=400), 400 * 86_400),
            ("TOKEN_TTL", timedelta(hours=1), 3600),
            ("TOKEN_LEEWAY", 0, 0),
            ("IP_VERIFY_LIMITS", "30/minute;300/hour", (parse("30/minute"), parse("300/hour"))),
            ("SEND_LIMITS", "5 per hour", (parse("5/hour"),)),
            ("SEND_LIMITS", "5/hour;1/minute", (parse("1/minute"), parse("5/hour"))),
            ("SEND_LIMITS", "7/90 minute;5/hour", (parse("5/hour"), parse("7/90 minute"))),
            ("MAX_SIGN_INS", 1, 1),
            ("MAX_SIGN_INS", 100, 100),
            ("MAX_GUESS_CHANCE", 1, 1.0),
            ("MAX_GUESS_CHANCE", 5e-5, 5e-5),
            ("ALWAYS_RETURN_SUCCESS", False, False),
            ("DELIVERY", "inline", "inline"),
            ("DELIVERY_RETRIES", [], ()),
            ("DELIVERY_RETRIES", [1, timedelta(minutes=10)], (1, 600)),
            ("DELIVERY_RETRIES", [60] * 10, (60,) * 10),
            ("PHONE_REGION", None, None),
            ("PHONE_REGION", "DE", "DE"),
            ("PHONE_COUNTRIES", [], ()),
            ("PHONE_COUNTRIES", ["DE", "AT"], ("DE", "AT")),
            ("PHONE_COUNTRIES", {"GB"}, ("GB",)),
            ("PHONE_LINES", ["mobile", "fixed"], ("mobile", "fixed")),
            ("PHONE_LINES", ("personal", "voip"), ("personal", "voip")),
            ("SESSION_KEEP", ["basket", "locale"], ("basket", "locale")),
            ("URL_PREFIX", "/api/v1/auth", "/api/v1/auth"),
            ("TOKEN_ISSUER", "https://shop.example.com", "https://shop.example.com"),
            ("SIGN_INS_URI", None, None),
        ],
    )
    def test_as_python_values(self, name: str, given: object, meant: object) -> None:
        value = getattr(load(**{PREFIX + name: given}), name.lower())
        assert value == meant
        assert type(value) is type(meant)

    @pytest.mark.parametrize(
        "uri",
        [
            "memory://",
            "sqlite:///codes.sqlite3",
            "redis://:hunter2@cache:6379/0",
            "rediss://cache",
            "unix:///run/redis.sock",
            "redis+unix:///run/redis.sock",
            "redis+sentinel://one:26379/mymaster",
            "redis+cluster://one:7000",
            "valkey://cache:6379",
            "valkeys://cache",
            "valkey+unix:///run/valkey.sock",
            "valkey+sentinel://one:26379/mymaster",
            "valkey+cluster://one:7000",
        ],
    )
    def test_as_uris(self, uri: str) -> None:
        settings = load(OTP_AUTH_STORAGE_URI=uri, OTP_AUTH_SIGN_INS_URI=uri)
        assert (settings.storage_uri, settings.sign_ins_uri) == (uri, uri)

    @pytest.mark.parametrize(
        ("name", "text", "meant"),
        [
            ("DIGITS", "8", 8),
            ("TTL", "300", 300),
            ("TTL", "300.0", 300),
            ("MAX_GUESS_CHANCE", "0.0001", 1e-4),
            ("MAX_GUESS_CHANCE", "1e-4", 1e-4),
            ("REQUIRE_CHALLENGE", "true", True),
            ("WARN_ON_ERROR", "false", False),
            ("VERIFY_LIMITS", "5/hour;20/day", (parse("5/hour"), parse("20/day"))),
            ("DELIVERY_RETRIES", "[2, 30]", (2, 30)),
            ("PHONE_REGION", "NO", "NO"),
            ("PHONE_COUNTRIES", '["DE", "NO"]', ("DE", "NO")),
            ("PHONE_LINES", '["mobile", "voip"]', ("mobile", "voip")),
            ("SESSION_KEEP", '["basket"]', ("basket",)),
        ],
    )
    def test_as_texts_of_the_environment(
        self, monkeypatch: pytest.MonkeyPatch, name: str, text: str, meant: object
    ) -> None:
        monkeypatch.setenv(f"FLASK_OTP_AUTH_{name}", text)
        config = Config(".", {"SECRET_KEY": SECRET})
        config.from_prefixed_env()
        for given in (config, {"SECRET_KEY": SECRET, PREFIX + name: text}):
            assert getattr(Settings.load(given), name.lower()) == meant


NOT_WHOLE = [None, "six", "", 6.5, "6.5", True, "true", [6], "NaN"]
NOT_SECONDS = [
    None, "a minute", -1, 1.5, True, float("nan"), float("inf"), "Infinity",
    timedelta(milliseconds=1500), timedelta(days=-1), timedelta(days=1000),
]  # fmt: skip
NOT_LIMITS = [None, 5, "", "often", "5", "5/fortnight", "-1/hour", "0/hour", "5/hour;0/day",
              "5/hour;", ["5/hour"]]  # fmt: skip
NOT_FLAGS = [None, 0, 1, "yes", "False", "1"]
NOT_URIS = [7, "", "redis", "cache:6379", "postgresql://db", "://", "REDIS", "redis:/cache",
            "redis://cache\n", ["x"]]  # fmt: skip
NOT_PREFIXES = [
    None, 7, "", "auth", "/", "/auth/", "https://shop.example.com", "//auth", "/a b", "/a?b",
    "/<lang/auth", "/lang>/auth", "/<>/auth",
]  # fmt: skip
NOT_SITES = [
    7, "", "shop.example", "//shop.example", "https://", "ftp://shop.example",
    "https://shop.example/", "https://shop.example/a b", "https://shop.example?a=1",
    "https://shop.example#top", "https://ada@shop.example", "javascript://shop.example",
]  # fmt: skip
NOT_PLACES = [
    None, 7, "", "//evil.example", "/\\evil.example", "https://evil.example", "/a b", "/\n",
    "a/b", "javascript:alert(1)",
]  # fmt: skip
BAD: dict[str, list[Any]] = {
    "storage_uri": [None, *NOT_URIS],
    "sign_ins_uri": [*NOT_URIS, "memcached://cache:11211"],
    "url_prefix": NOT_PREFIXES,
    "digits": [*NOT_WHOLE, 5, 11, "5"],
    "ttl": [*NOT_SECONDS, 0, 601, timedelta(0), "601"],
    "grace_ttl": [*NOT_SECONDS, 0, 601],
    "resend_interval": [*NOT_SECONDS, 301],
    "send_limits": NOT_LIMITS,
    "verify_limits": NOT_LIMITS,
    "ip_generate_limits": NOT_LIMITS,
    "ip_verify_limits": NOT_LIMITS,
    "actor_limits": NOT_LIMITS,
    "max_sign_ins": [*NOT_WHOLE, 0, 101],
    "global_send_limit": NOT_LIMITS,
    "global_failure_limit": NOT_LIMITS,
    "max_guess_chance": [None, "never", 0, 0.0, -0.1, 1.1, True, float("nan"), float("inf"), "NaN"],
    "require_challenge": NOT_FLAGS,
    "always_return_success": NOT_FLAGS,
    "warn_on_error": NOT_FLAGS,
    "delivery": [None, "", "later", "INLINE", True, ["inline"]],
    "delivery_retries": [None, 5, "5", [0], [601], [1.5], ["soon"], [True], [1] * 11, "[1, 0]"],
    "phone_region": ["", "UK", "de", "DEU", "001", "+49", 49, ["DE"]],
    "phone_countries": [None, "", "DE", ["UK"], ["DE", "de"], ["001"], [49], {"DE": 1}.items()],
    "phone_lines": [None, "", "mobile", [], ["pager"], ["premium"], ["MOBILE"], [7], [["mobile"]]],
    "token_ttl": [*NOT_SECONDS, 0],
    "session_ttl": [*NOT_SECONDS, 0],
    "session_keep": [None, "", "basket", [7], [""], ["basket", "_user_id"], ["otp_auth"]],
    "registration_token_ttl": [*NOT_SECONDS, 0, 86_401],
    "token_algorithm": [None, "", "none", "HS512", "hs256"],
    "token_keys": [None, "a PEM", b"a PEM", [b"a PEM"], ["a PEM", 7], {"new": "a PEM"}],
    "token_issuer": [None, "", 7, "shop\n"],
    "token_leeway": [*NOT_SECONDS, 301],
    "pages": NOT_FLAGS,
    "site_name": [None, 7, "", " ", "Ada's\nshop", "shop\u202e"],
    "site_url": NOT_SITES,
    "links": NOT_FLAGS,
    "code_in_subject": NOT_FLAGS,
    "after_sign_in": NOT_PLACES,
    "after_sign_out": NOT_PLACES,
    "cli": ["", "Otp", "one time", 7, True, "run", "shell"],
    "openapi": NOT_FLAGS,
    "test_identities": [None, 7, "", "a line", ["a line"], [7], {"customer": "a line"}],
}


class TestFaults:
    """What can't be used is told, with the setting's name and what it must be."""

    def test_each_setting_has_bad_values_to_be_tried(self) -> None:
        assert set(BAD) == NAMES

    @pytest.mark.parametrize(
        ("name", "value"), [(name, value) for name, values in BAD.items() for value in values]
    )
    def test_a_bad_value_is_a_fault_that_names_its_setting(self, name: str, value: object) -> None:
        setting = PREFIX + name.upper()
        (fault,) = faults(**{setting: value})
        assert fault.startswith(f"{setting} must ")

    @pytest.mark.parametrize(
        ("name", "value", "fault"),
        [
            (
                "URL_PREFIX",
                "auth",
                "a path such as \"/auth\", without a slash at its end, not 'auth'",
            ),
            ("DIGITS", 4, "a whole number from 6 to 10, not 4"),
            ("TTL", 601, "1 to 600 whole seconds, as a number or a timedelta, not 601"),
            (
                "SEND_LIMITS",
                5,
                'a limit such as "5/hour", or several: "30/minute;300/hour", not 5',
            ),
            (
                "SEND_LIMITS",
                "often",
                'a limit such as "5/hour", or several: "30/minute;300/hour", not \'often\'',
            ),
            (
                "SEND_LIMITS",
                "0/hour",
                'a limit such as "5/hour", or several: "30/minute;300/hour"; 0 would refuse '
                "everybody, not '0/hour'",
            ),
            ("MAX_GUESS_CHANCE", 0, "a chance: more than 0, at most 1, not 0"),
            ("PAGES", 1, "True or False (in the environment true or false), not 1"),
            ("DELIVERY", 7, "one of background, inline, not 7"),
            (
                "DELIVERY_RETRIES",
                [0],
                "a list of at most 10 delays of 1 to 600 whole seconds each, not [0]",
            ),
            (
                "PHONE_REGION",
                49,
                'a country as ISO 3166 has it, such as "DE" ("GB", not "UK"), not 49',
            ),
            (
                "PHONE_COUNTRIES",
                [49],
                'a list of countries as ISO 3166 has them, such as ["DE", "GB"] (not "UK"), '
                "not [49]",
            ),
            ("PHONE_LINES", [], "a list of one or more of mobile, fixed, personal, voip, not []"),
            ("SESSION_KEEP", 7, 'a list of keys of the session, such as ["basket"], not 7'),
            ("TOKEN_KEYS", 7, "a list of keys as PEM texts, the newest last"),
            (
                "TOKEN_ISSUER",
                7,
                "a text that names this app (from the environment, no number), not 7",
            ),
            (
                "SITE_NAME",
                7,
                "a text of one line (in the environment, a number in quotes), not 7",
            ),
            (
                "SITE_URL",
                7,
                'a URL such as "https://shop.example" or "https://example.org/shop", without a '
                "slash at its end, not 7",
            ),
            (
                "AFTER_SIGN_IN",
                7,
                'a path such as "/account", or an endpoint such as "shop.account", not 7',
            ),
            ("CLI", 7, 'a name such as "otp", and none of Flask\'s own commands, not 7'),
            (
                "TEST_IDENTITIES",
                7,
                "a list of lines that `flask otp test-identity` has printed",
            ),
            (
                "TEST_IDENTITIES",
                ["a line", 7],
                "lines of test identities: number 1 is no line that `flask otp test-identity` has "
                "printed, number 2 is no line that `flask otp test-identity` has printed",
            ),
        ],
    )
    def test_a_fault_says_what_is_wanted_and_what_was_found(
        self, name: str, value: object, fault: str
    ) -> None:
        assert faults(**{PREFIX + name: value}) == (f"{PREFIX}{name} must be {fault}",)

    def test_a_storage_is_told_by_its_schemes(self) -> None:
        (fault,) = faults(OTP_AUTH_STORAGE_URI="cache:6379")
        must = "OTP_AUTH_STORAGE_URI must be a URI with one of the schemes "
        assert fault.startswith(f"{must}memory, sqlite, redis, rediss, unix, ")
        assert fault.endswith(", memcached")

    def test_sign_ins_are_not_for_memcached(self) -> None:
        assert faults(OTP_AUTH_SIGN_INS_URI="memcached://cache") == (
            "OTP_AUTH_SIGN_INS_URI must not be a memcached:// URI: Memcached forgets, and would "
            "sign out",
        )

    @pytest.mark.parametrize(
        "config",
        [
            {"OTP_AUTH_STORAGE_URI": "postgresql://app:hunter2@db/shop"},
            {"OTP_AUTH_STORAGE_URI": "hunter2"},
            {"OTP_AUTH_SIGN_INS_URI": "memcached://app:hunter2@cache"},
            {"OTP_AUTH_STORAGE_URIS": "redis://:hunter2@cache"},
            {"OTP_AUTH_URL_PREFIX": "redis://:hunter2@cache"},
            {"OTP_AUTH_TOKEN_ALGORITHM": f"-----BEGIN PRIVATE KEY-----{'hunter2' * 90}"},
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
    def test_a_fault_never_shows_a_secret(self, config: dict[str, Any]) -> None:
        assert "hunter2" not in "".join(faults(**config))

    def test_all_are_told_at_once(self) -> None:
        found = faults(
            SECRET_KEY="short",
            OTP_AUTH_DIGITS=4,
            OTP_AUTH_TTL=0,
            OTP_AUTH_TLL=5,
            OTP_AUTH_DELIVERY="?",
        )
        assert [fault.split()[0] for fault in found] == [
            "OTP_AUTH_DIGITS",
            "OTP_AUTH_TTL",
            "OTP_AUTH_TLL",
            "OTP_AUTH_DELIVERY",
            "SECRET_KEY",
        ]

    def test_a_text_that_nobody_can_parse_is_told_as_any(self) -> None:
        (fault,) = faults(OTP_AUTH_DIGITS="[" * 100_000)
        assert fault.startswith("OTP_AUTH_DIGITS must be a whole number from 6 to 10, not '[[[")

    @pytest.mark.parametrize(
        ("name", "suggestion"),
        [
            ("TLL", "; did you mean OTP_AUTH_TTL?"),
            ("digits", "; did you mean OTP_AUTH_DIGITS?"),
            ("MAX_ATTEMPTS", "; set OTP_AUTH_VERIFY_LIMITS, which counts every guess"),
            ("XYZZY_PLUGH_42_FROBNICATE", ""),
        ],
    )
    def test_a_name_that_is_not_known_is_told_with_one_that_is(
        self, name: str, suggestion: str
    ) -> None:
        setting = PREFIX + name
        assert faults(**{setting: 5}) == (f"{setting} is not a setting{suggestion}",)

    @pytest.mark.parametrize("name", ["OTP_AUTH_", "OTP_AUTH_digits"])
    def test_a_name_is_known_in_capitals_only(self, name: str) -> None:
        (fault,) = faults(**{name: 6})
        assert fault.startswith(f"{name} is not a setting")

    def test_two_underscores_in_the_environment_are_one_too_many(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLASK_OTP_AUTH__TTL", "100")
        app = Flask("shop")
        app.config.from_prefixed_env()
        app.config["SECRET_KEY"] = SECRET
        assert faults(**app.config) == (
            "OTP_AUTH is not a setting: write each by itself, such as OTP_AUTH_TTL",
        )

    def test_a_session_must_not_keep_what_would_allow_session_fixation(self) -> None:
        (fault,) = faults(OTP_AUTH_SESSION_KEEP=["csrf_token", "basket", "_user_id"])
        must = "OTP_AUTH_SESSION_KEEP must not have _user_id, csrf_token: that would allow session "
        assert fault == f"{must}fixation, not ['csrf_token', 'basket', '_user_id']"

    @pytest.mark.parametrize(
        "config", [{"OTP_AUTH_PHONE_REGION": "DE"}, {"OTP_AUTH_PHONE_COUNTRIES": ["DE"]}], ids=str
    )
    def test_phone_settings_without_phonenumbers_say_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, config: dict[str, Any]
    ) -> None:
        monkeypatch.setitem(sys.modules, "flask_otp_auth.core.phones", None)
        monkeypatch.delattr("flask_otp_auth.core.phones", raising=False)
        (fault,) = faults(**config)
        assert "pip install 'flask-otp-auth[phone]'" in fault


class TestContradictions:
    """Settings that are good alone, but not together."""

    def test_memcached_needs_another_place_for_sign_ins(self) -> None:
        memcached = "memcached://cache:11211"
        (fault,) = faults(OTP_AUTH_STORAGE_URI=memcached)
        assert fault == (
            "OTP_AUTH_SIGN_INS_URI is needed with OTP_AUTH_STORAGE_URI memcached://: Memcached "
            "forgets, and would sign people out; name a database or a Redis server there"
        )
        settings = load(OTP_AUTH_STORAGE_URI=memcached, OTP_AUTH_SIGN_INS_URI="redis://cache")
        assert settings.storage_uri == memcached

    def test_a_link_is_never_made_of_what_a_request_says_of_its_host(self) -> None:
        (fault,) = faults(OTP_AUTH_LINKS=True)
        assert fault == (
            "OTP_AUTH_LINKS needs OTP_AUTH_SITE_URL, such as https://shop.example: a link in a "
            "message is never made from what a request says of its host"
        )
        assert load(OTP_AUTH_LINKS=True, OTP_AUTH_SITE_URL="https://shop.example").links

    @pytest.mark.parametrize(
        "config", [{"RESEND_INTERVAL": 151}, {"TTL": 119, "RESEND_INTERVAL": 60}], ids=str
    )
    def test_a_code_lives_for_two_resend_intervals_at_least(self, config: dict[str, int]) -> None:
        ttl, interval = config.get("TTL", 300), config["RESEND_INTERVAL"]
        assert faults(**{PREFIX + name: value for name, value in config.items()}) == (
            f"OTP_AUTH_RESEND_INTERVAL ({interval} s) must be at most half of "
            f"OTP_AUTH_TTL ({ttl} s)",
        )

    def test_the_default_resend_interval_gives_way_to_short_lives_of_codes(self) -> None:
        assert load(OTP_AUTH_TTL=119).resend_interval == 59
        assert load(OTP_AUTH_TTL=120).resend_interval == 60
        assert load(OTP_AUTH_TTL=1).resend_interval == 0

    def test_a_token_must_not_outlive_its_session(self) -> None:
        (fault,) = faults(OTP_AUTH_TOKEN_TTL=601, OTP_AUTH_SESSION_TTL=600)
        assert fault == "OTP_AUTH_TOKEN_TTL must not be more than OTP_AUTH_SESSION_TTL"
        assert load(OTP_AUTH_TOKEN_TTL=600, OTP_AUTH_SESSION_TTL=600).token_ttl == 600

    def test_are_told_with_bad_values_that_have_no_part_in_them(self) -> None:
        found = faults(
            OTP_AUTH_TTL=9000,
            OTP_AUTH_RESEND_INTERVAL=200,
            OTP_AUTH_TOKEN_TTL=601,
            OTP_AUTH_SESSION_TTL=600,
            OTP_AUTH_LINKS=True,
        )
        assert [fault.split()[0] for fault in found] == [
            "OTP_AUTH_TTL",
            "OTP_AUTH_TOKEN_TTL",
            "OTP_AUTH_LINKS",
        ]

    @pytest.mark.parametrize(
        "config",
        [
            {"OTP_AUTH_VERIFY_LIMITS": "51/day"},
            {"OTP_AUTH_VERIFY_LIMITS": "3/hour"},
            {"OTP_AUTH_MAX_GUESS_CHANCE": 3e-5},
        ],
        ids=str,
    )
    def test_limits_that_make_guessing_likely(self, config: dict[str, Any]) -> None:
        (fault,) = faults(**config)
        assert fault.startswith("OTP_AUTH_VERIFY_LIMITS lets a guesser in")
        assert load(**config, OTP_AUTH_DIGITS=8).digits == 8

    def test_an_app_may_take_a_greater_chance(self) -> None:
        assert load(OTP_AUTH_VERIFY_LIMITS="51/day", OTP_AUTH_MAX_GUESS_CHANCE=1e-3)

    def test_guesses_count_twice_where_windows_do_not_move(self) -> None:
        config = {"SECRET_KEY": SECRET, "OTP_AUTH_VERIFY_LIMITS": "30/day"}
        (fault,) = Settings.load(config).type_faults(moving=False)
        assert fault == (
            "OTP_AUTH_VERIFY_LIMITS lets a guesser in with a chance of 1.2e-04 per identifier and "
            "day at 6 digits (windows that don't move count twice), more than "
            "OTP_AUTH_MAX_GUESS_CHANCE (1.0e-04); lower the limit or raise OTP_AUTH_DIGITS"
        )
        with pytest.raises(ConfigError, match="at 6 digits, more than"):
            Settings.load({**config, "OTP_AUTH_VERIFY_LIMITS": "51/day"})
        assert not Settings.load({"SECRET_KEY": SECRET}).type_faults(moving=False)


class TestTokenKeys:
    """Keys in PEM, which belong to the algorithm."""

    @pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
    def test_an_asymmetric_algorithm_needs_them(self, algorithm: str) -> None:
        for none in ([], ()):
            (fault,) = faults(OTP_AUTH_TOKEN_ALGORITHM=algorithm, OTP_AUTH_TOKEN_KEYS=none)
            assert fault.startswith("OTP_AUTH_TOKEN_KEYS goes with OTP_AUTH_TOKEN_ALGORITHM ES256")
        keys = [pem(algorithm, "old"), pem(algorithm, "new")]
        settings = load(OTP_AUTH_TOKEN_ALGORITHM=algorithm, OTP_AUTH_TOKEN_KEYS=keys)
        assert [key.algorithm for key in settings.token_keys] == [algorithm, algorithm]

    def test_hs256_takes_its_keys_from_the_secret_key_alone(self) -> None:
        (fault,) = faults(OTP_AUTH_TOKEN_KEYS=[pem("EdDSA")])
        assert "SECRET_KEY" in fault

    @pytest.mark.parametrize("keys", [["EdDSA"], ["ES256", "EdDSA"], ["EdDSA", "ES256"]], ids=str)
    def test_every_key_must_be_one_for_the_algorithm(self, keys: list[str]) -> None:
        assert faults(OTP_AUTH_TOKEN_ALGORITHM="ES256", OTP_AUTH_TOKEN_KEYS=map_pem(keys)) == (
            "OTP_AUTH_TOKEN_KEYS has keys for EdDSA, but OTP_AUTH_TOKEN_ALGORITHM is ES256",
        )

    def test_the_newest_must_be_private_as_it_signs(self) -> None:
        keys = [pem("ES256", "old"), public_pem(pem("ES256", "new"))]
        (fault,) = faults(OTP_AUTH_TOKEN_ALGORITHM="ES256", OTP_AUTH_TOKEN_KEYS=keys)
        assert fault.endswith("the newest signs, so it can't be a public key")
        assert load(OTP_AUTH_TOKEN_ALGORITHM="ES256", OTP_AUTH_TOKEN_KEYS=keys[::-1]).token_keys

    def test_each_bad_key_is_told_by_its_number(self) -> None:
        keys = ["hunter2", pem("EdDSA"), pem("EdDSA").replace("\n", "")]
        assert faults(OTP_AUTH_TOKEN_ALGORITHM="EdDSA", OTP_AUTH_TOKEN_KEYS=keys) == (
            "OTP_AUTH_TOKEN_KEYS must be keys in PEM, the newest last: number 1 is not a key in "
            "PEM, number 3 is all on one line; keep its line ends, or write them as \\n",
        )

    @pytest.mark.parametrize(
        "write",
        [
            pytest.param(lambda text: text, id="line ends"),
            pytest.param(lambda text: text.replace("\n", "\\n"), id="literal line ends"),
            pytest.param(lambda text: json.dumps([text]), id="a list"),
            pytest.param(lambda text: f'["{text}"]', id="a list with line ends"),
        ],
    )
    def test_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch, write: Any) -> None:
        monkeypatch.setenv("FLASK_OTP_AUTH_TOKEN_KEYS", write(pem("ES256")))
        config = Config(".", {"SECRET_KEY": SECRET, "OTP_AUTH_TOKEN_ALGORITHM": "ES256"})
        config.from_prefixed_env()
        (key,) = Settings.load(config).token_keys
        assert key.signing is not None


def map_pem(algorithms: list[str]) -> list[str]:
    """Return a key for each of these algorithms."""
    return [pem(algorithm) for algorithm in algorithms]
