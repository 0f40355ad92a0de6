"""Settings: read once per app, checked together, frozen.

All faults are told in one :class:`ConfigError`, so that a deployment is mended in one go.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, cast

from limits import RateLimitItem, parse_many

from . import policy
from .errors import ConfigError
from .signing import SigningKey, asymmetric_key

PREFIX = "OTP_AUTH_"

#: Bytes that a secret key must have at least: the output size of HMAC-SHA256 (RFC 2104,
#: section 3; RFC 7518, section 3.2).
MIN_SECRET_BYTES = 32

SYMMETRIC = ("HS256",)
ALGORITHMS = (*SYMMETRIC, "ES256", "EdDSA", "RS256")
SCHEMES = ("memory", "sqlite", "redis", "rediss", "redis+sentinel", "redis+cluster", "memcached")

#: What to do where phone numbers are asked for and phonenumbers is missing.
PHONE_EXTRA = "needs the package phonenumbers: pip install 'flask-otp-auth[phone]'"

Limit = tuple[RateLimitItem, ...]
Check = Callable[[Any], Any]
DAY = 86_400


def _whole(low: int, high: int) -> Check:
    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return check


def _seconds(low: int, high: int) -> Check:
    def check(value: object) -> int:
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be {low} to {high} whole seconds, as a number or a timedelta")
        return value

    return check


def _limits(value: object) -> Limit:
    fault = 'must be a limit such as "5/hour", or several: "30/minute;300/hour"'
    if not isinstance(value, str):
        raise ValueError(fault)
    try:
        items = tuple(parse_many(value))
    except ValueError:
        raise ValueError(fault) from None
    if any(item.amount < 1 for item in items):
        raise ValueError(f"{fault}; 0 would let no one in")
    return items


def _chance(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise ValueError("must be a chance: more than 0, at most 1")
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be True or False")
    return value


def _choice(*allowed: str) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return check


def _url_prefix(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or value.endswith("/"):
        raise ValueError('must be a path such as "/auth", without a slash at its end')
    return value


def _storage_uri(value: object) -> str:
    scheme, separator, _ = value.partition("://") if isinstance(value, str) else ("", "", "")
    if not separator or scheme not in SCHEMES:
        raise ValueError(f"must be a URI with one of the schemes {', '.join(SCHEMES)}")
    if scheme == "sqlite" and not re.match("sqlite:///.*[^/]", cast(str, value)):
        raise ValueError("must name a file: sqlite:///codes.sqlite3, sqlite:////var/lib/codes.db")
    return cast(str, value)


def _issuer(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text that names this app")
    return value


def _keys(value: object) -> tuple[SigningKey, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(key, str) for key in value):
        raise ValueError("must be a list of keys as PEM texts, the newest last")
    keys, faults = [], []
    for number, pem in enumerate(value, 1):
        try:
            keys.append(asymmetric_key(pem))
        except ValueError as error:
            faults.append(f"number {number} {error}")
    if not faults and keys and keys[-1].signing is None:
        faults.append("the newest signs, so it can't be a public key")
    if faults:
        raise ValueError(f"must be keys in PEM, the newest last: {', '.join(faults)}")
    return tuple(keys)


def _region(value: object) -> str | None:
    if value is None:
        return None
    if not _is_region(value):
        raise ValueError('must be a country as ISO 3166 has it, such as "DE" ("GB", not "UK")')
    return cast(str, value)


def _regions(value: object) -> tuple[str, ...]:
    fault = 'must be a list of countries as ISO 3166 has them, such as ["DE", "GB"] (not "UK")'
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(map(_is_region, value)):
        raise ValueError(fault)
    return tuple(value)


def _is_region(value: object) -> bool:
    try:
        from .phones import REGIONS  # here, as its package is an extra
    except ImportError:
        raise ValueError(PHONE_EXTRA) from None
    return isinstance(value, str) and value in REGIONS


def _setting(check: Check, default: Any, doc: str, *, per_type: bool = False) -> Any:
    metadata = {"check": check, "doc": doc, "per_type": per_type}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, repr=False)
class Settings:
    """The settings of one app; each field is ``OTP_AUTH_`` and its name in capitals.

    A field's ``doc`` stands in the README's table; a field that is ``per_type`` can be
    overridden in ``add_actor_type``. Durations are whole seconds.
    """

    storage_uri: str = _setting(
        _storage_uri, "sqlite:///<instance>/otp_auth.sqlite3", "where codes and limits are kept"
    )
    url_prefix: str = _setting(_url_prefix, "/auth", "where the blueprint is mounted")
    digits: int = _setting(_whole(6, 10), 6, "length of a code, 6 to 10", per_type=True)
    ttl: int = _setting(_seconds(1, 600), 300, "life of a code, 1 to 600 s", per_type=True)
    grace_ttl: int = _setting(
        _seconds(1, 600), 60, "time to sign in once more after registering, s", per_type=True
    )
    max_attempts: int = _setting(_whole(1, 100), 5, "guesses at one code", per_type=True)
    resend_interval: int = _setting(
        _seconds(0, DAY), 60, "one code per identifier and purpose in that time, s", per_type=True
    )
    send_limits: Limit = _setting(
        _limits, _limits("5/hour"), "codes sent to one identifier, silent", per_type=True
    )
    verify_limits: Limit = _setting(
        _limits, _limits("20/day"), "guesses at short codes per identifier, silent", per_type=True
    )
    ip_generate_limits: Limit = _setting(
        _limits, _limits("100/hour"), "requests for a code per address, 429", per_type=True
    )
    ip_verify_limits: Limit = _setting(
        _limits, _limits("300/hour"), "guesses per address, 429", per_type=True
    )
    global_failure_limit: Limit = _setting(
        _limits, _limits("1000/hour"), "failures of all, after which short codes rest"
    )
    max_guess_chance: float = _setting(
        _chance, 1e-4, "greatest chance of a guesser per identifier and day"
    )
    require_challenge: bool = _setting(
        _flag, False, "answers need the `challenge` that generate returned", per_type=True
    )
    always_return_success: bool = _setting(
        _flag, True, "tell no caller which identifiers exist", per_type=True
    )
    warn_on_error: bool = _setting(
        _flag, True, "log each suppressed code as a warning", per_type=True
    )
    delivery: str = _setting(
        _choice("background", "inline"), "background", "`background` or `inline`"
    )
    phone_region: str | None = _setting(
        _region, None, "country of phone numbers without a country code; none: refused",
        per_type=True,
    )  # fmt: skip
    phone_countries: tuple[str, ...] = _setting(
        _regions, (), "the only countries that phones get codes in; none: all", per_type=True
    )
    token_ttl: int = _setting(_seconds(1, 30 * DAY), 3600, "life of a token, s", per_type=True)
    session_ttl: int = _setting(
        _seconds(1, 400 * DAY), 30 * DAY, "refreshing ends that long after the sign-in, s",
        per_type=True,
    )  # fmt: skip
    registration_token_ttl: int = _setting(
        _seconds(1, DAY), 600, "life of a registration token, s", per_type=True
    )
    token_algorithm: str = _setting(_choice(*ALGORITHMS), "HS256", ", ".join(ALGORITHMS))
    token_keys: tuple[SigningKey, ...] = _setting(
        _keys, (), "PEM keys for the other algorithms; the last one signs, all verify"
    )
    token_issuer: str = _setting(_issuer, "<app name>", "the `iss` of tokens")
    token_leeway: int = _setting(_seconds(0, 300), 10, "clock skew that tokens are forgiven, s")

    @classmethod
    def load(cls, config: Mapping[str, Any], **defaults: Any) -> "Settings":
        """Read the settings from an app's configuration.

        :param config: the app's configuration.
        :param defaults: values for settings that the configuration doesn't name.
        :raises ConfigError: with every fault there is.
        """
        given = {name: value for name, value in config.items() if name.startswith(PREFIX)}
        values, faults = checked(given, PREFIX, {item.name: item for item in fields(cls)})
        settings = cls(**{**defaults, **values})
        faults += settings._contradictions() if not faults else []
        faults += secret_faults(config)
        if faults:
            raise ConfigError(*faults)
        return settings

    def _contradictions(self) -> list[str]:
        faults = self.type_faults()
        if (self.token_algorithm in SYMMETRIC) == bool(self.token_keys):
            faults.append(
                "OTP_AUTH_TOKEN_KEYS goes with OTP_AUTH_TOKEN_ALGORITHM ES256, EdDSA or RS256, "
                "which need it; HS256 takes its keys from SECRET_KEY"
            )
        others = sorted({key.algorithm for key in self.token_keys} - {self.token_algorithm})
        if others and self.token_algorithm not in SYMMETRIC:
            faults.append(
                f"OTP_AUTH_TOKEN_KEYS has keys for {', '.join(others)}, "
                f"but OTP_AUTH_TOKEN_ALGORITHM is {self.token_algorithm}"
            )
        return faults

    def type_faults(self) -> list[str]:
        """Return what contradicts itself among the settings that an actor type may override."""
        faults = []
        if self.token_ttl > self.session_ttl:
            faults.append("OTP_AUTH_TOKEN_TTL must not be more than OTP_AUTH_SESSION_TTL")
        return faults + self._guess_faults()

    def _guess_faults(self) -> list[str]:
        chance = policy.chance(policy.guesses_per_day(self.verify_limits), self.digits)
        if chance <= self.max_guess_chance:
            return []
        return [
            f"OTP_AUTH_VERIFY_LIMITS lets a guesser in with a chance of {chance:.1e} per "
            f"identifier and day at {self.digits} digits, more than OTP_AUTH_MAX_GUESS_CHANCE "
            f"({self.max_guess_chance:.1e}); lower the limit or raise OTP_AUTH_DIGITS"
        ]


def overrides(given: Mapping[str, Any]) -> dict[str, Any]:
    """Check the settings that one actor type overrides.

    :raises ConfigError: with every fault there is.
    """
    known = {item.name: item for item in fields(Settings) if item.metadata["per_type"]}
    values, faults = checked(given, "", known)
    if faults:
        raise ConfigError(*faults)
    return values


def checked(
    given: Mapping[str, Any], prefix: str, known: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the good values by field name, and a fault for each bad value or unknown name."""
    names = {prefix + (name.upper() if prefix else name): name for name in known}
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, value in given.items():
        if name not in names:
            faults.append(f"{name} is not a setting{_suggestion(name, names)}")
            continue
        try:
            values[names[name]] = known[names[name]].metadata["check"](value)
        except ValueError as error:
            faults.append(f"{name} {error}{_shown(name, value)}")
    return values, faults


def _suggestion(name: str, names: Mapping[str, str]) -> str:
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(name: str, value: object) -> str:
    # A storage URI may hold a password, and keys are secret.
    return "" if name.endswith(("_URI", "_KEYS")) else f", not {value!r}"


def secrets_of(config: Mapping[str, Any]) -> list[bytes]:
    """Return the app's secret keys, the newest last, as bytes."""
    given = [*(config.get("SECRET_KEY_FALLBACKS") or []), config.get("SECRET_KEY") or b""]
    return [secret.encode() if isinstance(secret, str) else secret for secret in given]


def secret_faults(config: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the app's secret keys."""
    current, fallbacks = config.get("SECRET_KEY"), config.get("SECRET_KEY_FALLBACKS") or []
    advice = "python -c 'import secrets; print(secrets.token_hex(32))' makes one"
    faults = []
    if not current:
        faults.append(f"SECRET_KEY is not set; {advice}")
    elif not _is_secret(current):
        faults.append(f"SECRET_KEY must be a text or bytes; {advice}")
    # A single text would pass for a list of keys of one character each.
    if not isinstance(fallbacks, (list, tuple)) or not all(map(_is_secret, fallbacks)):
        faults.append("SECRET_KEY_FALLBACKS must be a list of texts or bytes, none of them empty")
    if faults or config.get("DEBUG") or config.get("TESTING"):
        return faults
    *older, newest = secrets_of(config)
    if len(newest) < MIN_SECRET_BYTES:
        faults.append(f"SECRET_KEY must have {MIN_SECRET_BYTES} bytes or more; {advice}")
    if any(len(secret) < MIN_SECRET_BYTES for secret in older):
        faults.append(f"each of SECRET_KEY_FALLBACKS must have {MIN_SECRET_BYTES} bytes or more")
    return faults


def _is_secret(value: object) -> bool:
    return isinstance(value, (str, bytes)) and len(value) > 0
