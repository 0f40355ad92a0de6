"""Settings: read once per app, checked together, frozen.

All faults are told in one :class:`ConfigError`, so that a deployment is mended in one go.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from . import policy, values
from .errors import ConfigError
from .signing import SigningKey

PREFIX = "OTP_AUTH_"

#: Bytes that a secret key must have at least: the output size of HMAC-SHA256 (RFC 2104,
#: section 3; RFC 7518, section 3.2).
MIN_SECRET_BYTES = 32

SYMMETRIC = ("HS256",)
ALGORITHMS = (*SYMMETRIC, "ES256", "EdDSA", "RS256")


def _setting(check: values.Check, default: Any, doc: str, *, per_type: bool = False) -> Any:
    metadata = {"check": check, "doc": doc, "per_type": per_type}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, repr=False)
class Settings:
    """The settings of one app; each field is ``OTP_AUTH_`` and its name in capitals.

    A field's ``doc`` stands in the README's table; a field that is ``per_type`` can be
    overridden in ``add_actor_type``. Durations are whole seconds.
    """

    storage_uri: str = _setting(
        values.storage_uri,
        "sqlite:///<instance>/otp_auth.sqlite3",
        "where codes and limits are kept",
    )
    url_prefix: str = _setting(values.url_prefix, "/auth", "where the blueprint is mounted")
    digits: int = _setting(values.whole(6, 10), 6, "length of a code, 6 to 10", per_type=True)
    ttl: int = _setting(values.seconds(1, 600), 300, "life of a code, 1 to 600 s", per_type=True)
    grace_ttl: int = _setting(
        values.seconds(1, 600), 60, "time to sign in once more after registering, s", per_type=True
    )
    max_attempts: int = _setting(values.whole(1, 100), 5, "guesses at one code", per_type=True)
    resend_interval: int = _setting(
        values.seconds(0, values.DAY),
        60,
        "one code per identifier and purpose in that time, s",
        per_type=True,
    )
    send_limits: values.Limit = _setting(
        values.limit, values.limit("5/hour"), "codes sent to one identifier, silent", per_type=True
    )
    verify_limits: values.Limit = _setting(
        values.limit,
        values.limit("20/day"),
        "guesses at short codes per identifier, silent",
        per_type=True,
    )
    ip_generate_limits: values.Limit = _setting(
        values.limit,
        values.limit("100/hour"),
        "requests for a code per address, 429",
        per_type=True,
    )
    ip_verify_limits: values.Limit = _setting(
        values.limit, values.limit("300/hour"), "guesses per address, 429", per_type=True
    )
    global_failure_limit: values.Limit = _setting(
        values.limit, values.limit("1000/hour"), "failures of all, after which short codes rest"
    )
    max_guess_chance: float = _setting(
        values.chance, 1e-4, "greatest chance of a guesser per identifier and day"
    )
    require_challenge: bool = _setting(
        values.flag, False, "answers need the `challenge` that generate returned", per_type=True
    )
    always_return_success: bool = _setting(
        values.flag, True, "tell no caller which identifiers exist", per_type=True
    )
    warn_on_error: bool = _setting(
        values.flag, True, "log each suppressed code as a warning", per_type=True
    )
    delivery: str = _setting(
        values.choice("background", "inline"), "background", "`background` or `inline`"
    )
    phone_region: str | None = _setting(
        values.region, None, "country of phone numbers without a country code; none: refused",
        per_type=True,
    )  # fmt: skip
    phone_countries: tuple[str, ...] = _setting(
        values.regions, (), "the only countries that phones get codes in; none: all", per_type=True
    )
    token_ttl: int = _setting(
        values.seconds(1, 30 * values.DAY), 3600, "life of a token, s", per_type=True
    )
    session_ttl: int = _setting(
        values.seconds(1, 400 * values.DAY),
        30 * values.DAY,
        "refreshing ends that long after the sign-in, s",
        per_type=True,
    )
    registration_token_ttl: int = _setting(
        values.seconds(1, values.DAY), 600, "life of a registration token, s", per_type=True
    )
    token_algorithm: str = _setting(values.choice(*ALGORITHMS), "HS256", ", ".join(ALGORITHMS))
    token_keys: tuple[SigningKey, ...] = _setting(
        values.keys, (), "PEM keys for the other algorithms; the last one signs, all verify"
    )
    token_issuer: str = _setting(values.issuer, "<app name>", "the `iss` of tokens")
    token_leeway: int = _setting(
        values.seconds(0, 300), 10, "clock skew that tokens are forgiven, s"
    )

    @classmethod
    def load(cls, config: Mapping[str, Any], **defaults: Any) -> "Settings":
        """Read the settings from an app's configuration.

        :param config: the app's configuration.
        :param defaults: values for settings that the configuration doesn't name.
        :raises ConfigError: with every fault there is.
        """
        given = {name: value for name, value in config.items() if name.startswith(PREFIX)}
        good, faults = checked(given, PREFIX, {item.name: item for item in fields(cls)})
        settings = cls(**{**defaults, **good})
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
    good, faults = checked(given, "", known)
    if faults:
        raise ConfigError(*faults)
    return good


def checked(
    given: Mapping[str, Any], prefix: str, known: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the good values by field name, and a fault for each bad value or unknown name."""
    names = {prefix + (name.upper() if prefix else name): name for name in known}
    good: dict[str, Any] = {}
    faults: list[str] = []
    for name, value in given.items():
        if name not in names:
            faults.append(f"{name} is not a setting{_suggestion(name, names)}")
            continue
        try:
            good[names[name]] = known[names[name]].metadata["check"](value)
        except ValueError as error:
            faults.append(f"{name} {error}{_shown(name, value)}")
    return good, faults


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
