"""Settings: read once per app, checked together, frozen.

All faults are in one :class:`ConfigError`, so that a deployment is mended in one go.
"""

import difflib
import re
import reprlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ..errors import ConfigError
from . import policy, test_identities, validators
from .crypto import Keys
from .keyset import SigningKey
from .secret_keys import secret_faults, secrets_of
from .test_identities import IdentityLine
from .validators import DAY, Limit

PREFIX = "OTP_AUTH_"

SYMMETRIC = ("HS256",)
ALGORITHMS = (*SYMMETRIC, "ES256", "EdDSA", "RS256")

#: Names that people bring from elsewhere, and what to set instead.
_INSTEAD = {"max_attempts": ("verify_limits", "which counts every guess")}


def _setting(check: validators.Check, default: Any, doc: str, *, per_type: bool = False) -> Any:
    metadata = {"check": check, "doc": doc, "per_type": per_type}
    return field(default=default, metadata=metadata)


def _own(check: validators.Check, default: Any, doc: str) -> Any:
    """Describe a setting that an actor type may override."""
    return _setting(check, default, doc, per_type=True)


def _limit(default: str, doc: str) -> Any:
    return _own(validators.limit, validators.limit(default), doc)


def _seconds(low: int, high: int, default: int, doc: str) -> Any:
    return _own(validators.seconds(low, high), default, f"{doc}, s")


@dataclass(frozen=True, repr=False, eq=False)
class Settings:
    """The settings of one app; each field is ``OTP_AUTH_`` and its name in capitals.

    A field's ``doc`` stands in docs/reference/settings.md; a field that is ``per_type`` can be
    overridden in ``add_actor_type``. Durations are whole seconds.
    """

    storage_uri: str = _setting(
        validators.storage_uri,
        "sqlite:///<instance>/otp_auth.sqlite3",
        "where codes and limits are kept",
    )
    sign_ins_uri: str | None = _setting(
        validators.sign_ins_uri, None, "where sign-ins are kept; none: where codes are"
    )
    url_prefix: str = _setting(validators.url_prefix, "/auth", "where the blueprint is mounted")
    digits: int = _own(validators.whole(6, 10), 6, "length of a code, 6 to 10")
    ttl: int = _seconds(1, 600, 300, "life of a code, 1 to 600")
    grace_ttl: int = _seconds(1, 600, 60, "time to sign in once more after registering")
    resend_interval: int = _seconds(
        0, 300, 60, "one short code per lane in that time, at most half of the TTL"
    )
    send_limits: Limit = _limit("5/hour", "short codes per lane; used up, its codes are long")
    verify_limits: Limit = _limit("20/day", "guesses at short codes per identifier, silent")
    ip_generate_limits: Limit = _limit("100/hour", "requests for a code per address, 429")
    ip_verify_limits: Limit = _limit("300/hour", "guesses per address, 429")
    actor_limits: Limit = _limit("600/hour", "refreshes, sign-outs, sessions per actor, 429")
    max_sign_ins: int = _own(validators.whole(1, 100), 32, "sign-ins of one actor, the oldest ends")
    global_send_limit: Limit = _limit("1000/hour", "codes to people who have no account")
    global_failure_limit: Limit = _limit("1000/hour", "failures of all, after which codes are long")
    max_guess_chance: float = _setting(
        validators.chance, 1e-4, "greatest chance of a guesser per identifier and day"
    )
    require_challenge: bool = _own(
        validators.flag, False, "answers need the `challenge` that generate returned"
    )
    always_return_success: bool = _own(
        validators.flag, True, "tell no caller which identifiers exist"
    )
    warn_on_error: bool = _own(validators.flag, True, "log each suppressed code as a warning")
    delivery: str = _setting(
        validators.choice("background", "inline"), "background", "`background` or `inline`"
    )
    delivery_retries: tuple[int, ...] = _setting(
        validators.retries, (1, 5, 20), "delays before a failed delivery is tried again, s"
    )
    phone_region: str | None = _own(
        validators.region, None, "country of numbers without a country code; none: refused"
    )
    phone_countries: tuple[str, ...] = _own(
        validators.regions, (), "the only countries that get codes; none: all"
    )
    phone_lines: tuple[str, ...] = _own(
        validators.lines, ("mobile",), "the only lines: " + ", ".join(validators.LINES)
    )
    token_ttl: int = _seconds(1, 30 * DAY, 3600, "life of a token")
    session_ttl: int = _seconds(
        1, 400 * DAY, 30 * DAY, "life of a sign-in, however often it is refreshed"
    )
    session_keep: tuple[str, ...] = _setting(
        validators.session_keys, (), "keys of the session that a sign-in keeps"
    )
    registration_token_ttl: int = _seconds(1, DAY, 600, "life of a registration token")
    token_algorithm: str = _setting(validators.choice(*ALGORITHMS), "HS256", ", ".join(ALGORITHMS))
    token_keys: tuple[SigningKey, ...] = _setting(
        validators.keys, (), "PEM keys for the other algorithms; the last one signs, all verify"
    )
    token_issuer: str = _setting(validators.issuer, "<app name>", "the `iss` of tokens")
    token_leeway: int = _setting(
        validators.seconds(0, 300), 10, "clock skew that tokens are forgiven, s"
    )

    pages: bool = _own(validators.flag, False, "whether there are sign-in pages")
    site_name: str = _setting(
        validators.text, "<app name>", "the site's name in pages and messages"
    )
    site_url: str | None = _setting(
        validators.site_url, None, "where people find the site, for what messages say of it"
    )
    links: bool = _setting(validators.flag, False, "a sign-in link beside the code of a page")
    code_in_subject: bool = _setting(
        validators.flag, True, "whether the subject of an e-mail has the code"
    )
    after_sign_in: str = _own(
        validators.place, "/", "path or endpoint, where no `next` says otherwise"
    )
    after_sign_out: str = _own(validators.place, "/", "path or endpoint")
    cli: str | None = _setting(
        validators.command, "otp", "the name of the commands, as in `flask otp`; none: no commands"
    )
    openapi: bool = _setting(validators.flag, False, "whether `openapi.json` is served")
    test_identities: tuple[IdentityLine, ...] = _setting(
        test_identities.lines, (), "lines that `flask otp test-identity` has printed"
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
        if "OTP_AUTH" in config:  # FLASK_OTP_AUTH__TTL in the environment makes such a dict
            faults.append("OTP_AUTH is not a setting: write each by itself, such as OTP_AUTH_TTL")
        settings = cls(**{**defaults, **good})._fitted(good)
        # What a bad value contradicts, nobody can tell.
        bad = {PREFIX + item.name.upper() for item in fields(cls) if item.name not in good}
        faults += [
            fault
            for fault in (*settings.type_faults(), *settings._app_faults())
            if not any(name in fault for name in bad & given.keys())
        ]
        if insecure := secret_faults(config):
            raise ConfigError(*faults, *insecure)
        keys = Keys.derive(secrets_of(config), settings.token_issuer)
        faults += test_identities.line_faults(settings.test_identities, keys)
        if faults:
            raise ConfigError(*faults)
        return settings

    def overridden(self, given: Mapping[str, Any], whose: str, moving: bool) -> "Settings":
        """Return the settings with those of one actor type or purpose in place.

        :param given: what :func:`overrides` returned.
        :param whose: what the faults begin with.
        :param moving: whether the limiter's windows move.
        :raises ConfigError: if they contradict each other.
        """
        own = replace(self, **given)._fitted(given)
        if faults := own.type_faults(moving):
            raise ConfigError(*(f"{whose}: {fault}" for fault in faults))
        return own

    def _fitted(self, given: Collection[str]) -> "Settings":
        """Return the settings with a resend interval of at most half the life of a code.

        :param given: names of the settings that somebody chose; a chosen interval is left as it is.
        """
        interval = min(self.resend_interval, self.ttl // 2)
        return self if "resend_interval" in given else replace(self, resend_interval=interval)

    def _app_faults(self) -> Iterator[str]:
        """Yield what contradicts itself among the settings that no actor type may override."""
        others = sorted({key.algorithm for key in self.token_keys} - {self.token_algorithm})
        if (self.token_algorithm in SYMMETRIC) == bool(self.token_keys):
            yield (
                "OTP_AUTH_TOKEN_KEYS goes with OTP_AUTH_TOKEN_ALGORITHM ES256, EdDSA or RS256, "
                "which need it; HS256 takes its keys from SECRET_KEY"
            )
        elif others:
            yield (
                f"OTP_AUTH_TOKEN_KEYS has keys for {', '.join(others)}, "
                f"but OTP_AUTH_TOKEN_ALGORITHM is {self.token_algorithm}"
            )
        if validators.scheme_of(self.storage_uri) == "memcached" and not self.sign_ins_uri:
            yield (
                "OTP_AUTH_SIGN_INS_URI is needed with OTP_AUTH_STORAGE_URI memcached://: Memcached "
                "forgets, and would sign people out; name a database or a Redis server there"
            )
        if self.links and not self.site_url:
            yield (
                "OTP_AUTH_LINKS needs OTP_AUTH_SITE_URL, such as https://shop.example: a link in a "
                "message is never made from what a request says of its host"
            )

    def type_faults(self, moving: bool = True) -> list[str]:
        """Return what contradicts itself among the settings that an actor type may override.

        :param moving: whether the limiter's windows move.
        """
        faults = []
        if self.token_ttl > self.session_ttl:
            faults.append("OTP_AUTH_TOKEN_TTL must not be more than OTP_AUTH_SESSION_TTL")
        if 2 * self.resend_interval > self.ttl:
            faults.append(
                f"OTP_AUTH_RESEND_INTERVAL ({self.resend_interval} s) must be at most half of "
                f"OTP_AUTH_TTL ({self.ttl} s)"
            )
        return faults + self._guess_faults(moving)

    def _guess_faults(self, moving: bool) -> list[str]:
        guesses = policy.guesses_per_day(self.verify_limits, moving)
        chance = policy.chance(guesses, self.digits)
        if chance <= self.max_guess_chance:
            return []
        twice = "" if moving else " (windows that don't move count twice)"
        return [
            f"OTP_AUTH_VERIFY_LIMITS lets a guesser in with a chance of {chance:.1e} per "
            f"identifier and day at {self.digits} digits{twice}, more than "
            f"OTP_AUTH_MAX_GUESS_CHANCE ({self.max_guess_chance:.1e}); lower the limit or raise "
            "OTP_AUTH_DIGITS"
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
            faults.append(f"{name} is not a setting{_suggestion(name, prefix, names)}")
            continue
        try:
            good[names[name]] = known[names[name]].metadata["check"](value)
        except ValueError as error:
            faults.append(f"{name} {error}{_shown(name, value)}")
    return good, faults


def _suggestion(name: str, prefix: str, names: Mapping[str, str]) -> str:
    if name.removeprefix(prefix).lower() in _INSTEAD:
        field_name, reason = _INSTEAD[name.removeprefix(prefix).lower()]
        setting = next(setting for setting, found in names.items() if found == field_name)
        return f"; set {setting}, {reason}"
    if not prefix and name in {item.name for item in fields(Settings)}:
        return f" of one type: set {PREFIX}{name.upper()} for the whole app"
    close = difflib.get_close_matches(name.upper() if prefix else name.lower(), names, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(name: str, value: object) -> str:
    # A URI may hold a password, keys are secret and identities somebody's, under whatever name they
    # were given.
    if name.endswith(("_URI", "_KEYS", "_IDENTITIES")) or re.search("://|-----BEGIN", str(value)):
        return ""
    return f", not {reprlib.repr(value)}"
