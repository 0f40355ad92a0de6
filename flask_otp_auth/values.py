"""Values of settings: each check returns the value as it is used, or says what it must be."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from limits import RateLimitItem, parse_many

from .signing import SigningKey, asymmetric_key

SCHEMES = ("memory", "sqlite", "redis", "rediss", "redis+sentinel", "redis+cluster", "memcached")

#: What to do where phone numbers are asked for and phonenumbers is missing.
PHONE_EXTRA = "needs the package phonenumbers: pip install 'flask-otp-auth[phone]'"

Limit = tuple[RateLimitItem, ...]
Check = Callable[[Any], Any]
DAY = 86_400


def whole(low: int, high: int) -> Check:
    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return check


def seconds(low: int, high: int) -> Check:
    def check(value: object) -> int:
        if isinstance(value, timedelta):
            value = value.total_seconds()
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be {low} to {high} whole seconds, as a number or a timedelta")
        return value

    return check


def limit(value: object) -> Limit:
    fault = 'must be a limit such as "5/hour", or several: "30/minute;300/hour"'
    if not isinstance(value, str):
        raise ValueError(fault)
    try:
        items = parse_many(value)
    except ValueError:
        raise ValueError(fault) from None
    if any(item.amount < 1 for item in items):
        raise ValueError(f"{fault}; 0 would let no one in")
    # The shortest window first: what it refuses is not counted in the longer ones.
    return tuple(sorted(items, key=lambda item: item.get_expiry()))


def chance(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise ValueError("must be a chance: more than 0, at most 1")
    return float(value)


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be True or False")
    return value


def choice(*allowed: str) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return check


def url_prefix(value: object) -> str:
    if not isinstance(value, str) or not value.startswith("/") or value.endswith("/"):
        raise ValueError('must be a path such as "/auth", without a slash at its end')
    return value


def storage_uri(value: object) -> str:
    scheme, separator, _ = value.partition("://") if isinstance(value, str) else ("", "", "")
    if not separator or scheme not in SCHEMES:
        raise ValueError(f"must be a URI with one of the schemes {', '.join(SCHEMES)}")
    if scheme == "sqlite" and not re.match("sqlite:///.*[^/]", cast(str, value)):
        raise ValueError("must name a file: sqlite:///codes.sqlite3, sqlite:////var/lib/codes.db")
    return cast(str, value)


def issuer(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text that names this app")
    return value


def keys(value: object) -> tuple[SigningKey, ...]:
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


def region(value: object) -> str | None:
    if value is None:
        return None
    if not _is_region(value):
        raise ValueError('must be a country as ISO 3166 has it, such as "DE" ("GB", not "UK")')
    return cast(str, value)


def regions(value: object) -> tuple[str, ...]:
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
