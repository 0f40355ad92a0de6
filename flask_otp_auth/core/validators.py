"""Values of settings: each check returns the value as it is used, or says what it must be.

What comes from the environment is a text: numbers, booleans and lists may be written as JSON.
"""

import json
import re
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, cast

from limits import RateLimitItem, parse_many

from .keyset import SigningKey, asymmetric_key

#: Where codes and limits may be kept; ``storage.backends`` checks what follows the scheme.
SCHEMES = (
    "memory",
    "sqlite",
    "redis",
    "rediss",
    "unix",
    "redis+unix",
    "redis+sentinel",
    "redis+cluster",
    "valkey",
    "valkeys",
    "valkey+unix",
    "valkey+sentinel",
    "valkey+cluster",
    "memcached",
)

#: What to do where phone numbers are asked for and phonenumbers is missing.
PHONE_EXTRA = "needs the package phonenumbers: pip install 'flask-otp-auth[phone]'"

#: Kinds of telephone lines that may get codes.
LINES = ("mobile", "fixed", "personal", "voip")

Limit = tuple[RateLimitItem, ...]
Check = Callable[[Any], Any]
DAY = 86_400

#: Retries of one delivery at most.
MOST_RETRIES = 10

#: Scheme, host, port and path. A host of other letters is written as its A-labels.
_SITE_URL = re.compile(
    r"https?://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*"
)
#: A path of Werkzeug's routes: a variable part such as <lang> may hold anything but angle brackets.
_PREFIX = re.compile(r"(/([^\s/?#<>]|<[^<>]+>)+)+")
_PLACE = re.compile(r"/|/[!-.0-\[\]-~][!-\[\]-~]*|[A-Za-z_][A-Za-z0-9_.-]*")
#: Not the names of Flask's own commands, which would come first.
_COMMAND = re.compile(r"(?!(run|shell|routes)$)[a-z][a-z0-9-]*")

#: Keys of the session that say who is signed in, or that a caller must not choose for somebody
#: else: carried over a sign-in, they would allow session fixation (OWASP ASVS 5.0, 7.2.4).
_NEVER_KEPT = frozenset({"otp_auth", "_user_id", "_id", "_fresh", "_remember", "csrf_token"})


def whole(low: int, high: int) -> Check:
    """Return the check for a whole number."""

    def check(value: object) -> int:
        number = _parsed(value)
        if not _is_whole(number, low, high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return cast(int, number)

    return check


def seconds(low: int, high: int) -> Check:
    """Return the check for a duration."""

    def check(value: object) -> int:
        number = _in_seconds(value)
        if not _is_whole(number, low, high):
            raise ValueError(f"must be {low} to {high} whole seconds, as a number or a timedelta")
        return cast(int, number)

    return check


def retries(value: object) -> tuple[int, ...]:
    """Check the delays before each retry."""
    fault = f"must be a list of at most {MOST_RETRIES} delays of 1 to 600 whole seconds each"
    found = items(value)
    if found is None or len(found) > MOST_RETRIES:
        raise ValueError(fault)
    delays = tuple(map(_in_seconds, found))
    if not all(_is_whole(delay, 1, 600) for delay in delays):
        raise ValueError(fault)
    return cast(tuple[int, ...], delays)


def limit(value: object) -> Limit:
    """Check a limit, which may have several windows."""
    fault = 'must be a limit such as "5/hour", or several: "30/minute;300/hour"'
    if not isinstance(value, str):
        raise ValueError(fault)
    try:
        items = parse_many(value)
    except ValueError:
        raise ValueError(fault) from None
    if any(item.amount < 1 for item in items):
        raise ValueError(f"{fault}; 0 would refuse everybody")
    # The shortest window first: what it refuses is not counted in the longer ones.
    return tuple(sorted(items, key=lambda item: item.get_expiry()))


def chance(value: object) -> float:
    """Check a probability."""
    number = _parsed(value)
    if not isinstance(number, int | float) or isinstance(number, bool) or not 0 < number <= 1:
        raise ValueError("must be a chance: more than 0, at most 1")
    return float(number)


def flag(value: object) -> bool:
    """Check a boolean."""
    parsed = _parsed(value)
    if not isinstance(parsed, bool):
        raise ValueError("must be True or False (in the environment true or false)")
    return parsed


def choice(*allowed: str) -> Check:
    """Return the check for one of a few words."""

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return check


def url_prefix(value: object) -> str:
    """Check the path that the blueprint is mounted at."""
    if not isinstance(value, str) or not _PREFIX.fullmatch(value):
        raise ValueError('must be a path such as "/auth", without a slash at its end')
    return value


def text(value: object) -> str:
    """Check a name that people read, in one line."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be a text of one line (in the environment, a number in quotes)")
    return value


def site_url(value: object) -> str | None:
    """Check where people find the site; ``None`` is nowhere."""
    if value is None:
        return None
    if not isinstance(value, str) or not _SITE_URL.fullmatch(value):
        raise ValueError(
            'must be a URL such as "https://shop.example" or "https://example.org/shop", without '
            "a slash at its end"
        )
    return value


def place(value: object) -> str:
    """Check a path of the site, or the name of an endpoint."""
    if not isinstance(value, str) or not _PLACE.fullmatch(value):
        raise ValueError('must be a path such as "/account", or an endpoint such as "shop.account"')
    return value


def command(value: object) -> str | None:
    """Check the name of a group of commands; ``None`` is no commands."""
    if value is None:
        return None
    if not isinstance(value, str) or not _COMMAND.fullmatch(value):
        raise ValueError('must be a name such as "otp", and none of Flask\'s own commands')
    return value


def scheme_of(uri: str) -> str:
    """Return the scheme of a storage URI."""
    return uri.partition("://")[0]


def storage_uri(value: object) -> str:
    """Check the scheme of a storage URI."""
    if not isinstance(value, str) or "://" not in value or scheme_of(value) not in SCHEMES:
        raise ValueError(f"must be a URI with one of the schemes {', '.join(SCHEMES)}")
    return value


def sign_ins_uri(value: object) -> str | None:
    """Check where sign-ins are kept; ``None`` is where codes are."""
    if value is None:
        return None
    uri = storage_uri(value)
    if scheme_of(uri) == "memcached":
        raise ValueError("must not be a memcached:// URI: Memcached forgets, and would sign out")
    return uri


def issuer(value: object) -> str:
    """Check the ``iss`` of tokens."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text that names this app (from the environment, no number)")
    return value


def keys(value: object) -> tuple[SigningKey, ...]:
    """Check the keys that sign tokens."""
    found = _parsed(value)
    # The one key of an app whose environment has it.
    pems = [found] if isinstance(found, str) and "-----BEGIN" in found else items(found)
    if pems is None or not all(isinstance(pem, str) for pem in pems):
        raise ValueError("must be a list of keys as PEM texts, the newest last")
    keys, faults = [], []
    for number, pem in enumerate(pems, 1):
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
    """Check a country; ``None`` is none."""
    if value is None:
        return None
    if not _is_region(value):
        raise ValueError('must be a country as ISO 3166 has it, such as "DE" ("GB", not "UK")')
    return cast(str, value)


def regions(value: object) -> tuple[str, ...]:
    """Check a list of countries."""
    found = items(value)
    if found is None or not all(map(_is_region, found)):
        raise ValueError(
            'must be a list of countries as ISO 3166 has them, such as ["DE", "GB"] (not "UK")'
        )
    return tuple(found)


def lines(value: object) -> tuple[str, ...]:
    """Check a list of kinds of telephone lines."""
    found = items(value)
    if not found or not all(line in LINES for line in found):
        raise ValueError(f"must be a list of one or more of {', '.join(LINES)}")
    return tuple(found)


def session_keys(value: object) -> tuple[str, ...]:
    """Check the names of what a sign-in keeps of a session."""
    found = items(value)
    if found is None or not all(isinstance(name, str) and name for name in found):
        raise ValueError('must be a list of keys of the session, such as ["basket"]')
    never = sorted(_NEVER_KEPT.intersection(found))
    if never:
        raise ValueError(f"must not have {', '.join(never)}: that would allow session fixation")
    return tuple(found)


def _parsed(value: object) -> Any:
    """Return what a text says as JSON; everything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, strict=False)
    except ValueError:
        return value


def items(value: object) -> Collection[Any] | None:
    """Return the items of a list, or ``None`` if it is none."""
    found = _parsed(value)
    return found if isinstance(found, (list, tuple, set, frozenset)) else None


def _in_seconds(value: object) -> object:
    number = value.total_seconds() if isinstance(value, timedelta) else _parsed(value)
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_region(value: object) -> bool:
    try:
        from .phones import REGIONS  # here, as its package is an extra
    except ImportError:
        raise ValueError(PHONE_EXTRA) from None
    return isinstance(value, str) and value in REGIONS
