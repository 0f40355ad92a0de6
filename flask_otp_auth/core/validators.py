"""Values of settings: each check returns the value as it is used, or says what it must be.

What comes from the environment is a text: numbers, booleans and lists may be written as JSON.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from typing import Any, TypeVar

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
T = TypeVar("T")

#: Retries of one delivery at most.
MOST_RETRIES = 10

#: Keys of the session that say who is signed in, or that a caller must not choose for somebody
#: else: carried over a sign-in, they would allow session fixation (OWASP ASVS 5.0, 7.2.4).
_NEVER_KEPT = frozenset({"otp_auth", "_user_id", "_id", "_fresh", "_remember", "csrf_token"})


def whole(low: int, high: int) -> Check:
    """Return the check for a whole number."""
    return _between(low, high, _parsed, f"must be a whole number from {low} to {high}")


def seconds(low: int, high: int) -> Check:
    """Return the check for a duration."""
    fault = f"must be {low} to {high} whole seconds, as a number or a timedelta"
    return _between(low, high, _in_seconds, fault)


def _between(low: int, high: int, read: Check, fault: str) -> Check:
    def check(value: object) -> Any:
        number = read(value)
        if not _is_whole(number, low, high):
            raise ValueError(fault)
        return number

    return check


def matching(pattern: str, fault: str) -> Check:
    """Return the check for a text of a form."""
    form = re.compile(pattern)

    def check(value: object) -> str:
        if not isinstance(value, str) or not form.fullmatch(value):
            raise ValueError(fault)
        return value

    return check


def choice(*allowed: str) -> Check:
    """Return the check for one of a few words."""
    return matching("|".join(allowed), f"must be one of {', '.join(allowed)}")


def optional(check: Check) -> Check:
    """Return a check that lets ``None`` through."""
    return lambda value: None if value is None else check(value)


def numbered(parse: Callable[[Any], T], found: Iterable[Any]) -> tuple[list[T], list[str]]:
    """Return what items are, and what is wrong with those that are not, by their number."""
    good, faults = [], []
    for number, item in enumerate(found, 1):
        try:
            good.append(parse(item))
        except ValueError as error:
            faults.append(f"number {number} {error}")
    return good, faults


def retries(value: object) -> tuple[int, ...]:
    """Check the delays before each retry."""
    fault = f"must be a list of at most {MOST_RETRIES} delays of 1 to 600 whole seconds each"
    found = _listed(value, lambda delay: _is_whole(_in_seconds(delay), 1, 600), fault)
    if len(found) > MOST_RETRIES:
        raise ValueError(fault)
    return tuple(map(_in_seconds, found))


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


def text(value: object) -> str:
    """Check a name that people read, in one line."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("must be a text of one line (in the environment, a number in quotes)")
    return value


def scheme_of(uri: str) -> str:
    """Return the scheme of a storage URI."""
    return uri.partition("://")[0]


@optional
def sign_ins_uri(value: object) -> str:
    """Check where sign-ins are kept."""
    uri: str = storage_uri(value)
    if scheme_of(uri) == "memcached":
        raise ValueError("must not be a memcached:// URI: Memcached forgets, and would sign out")
    return uri


def keys(value: object) -> tuple[SigningKey, ...]:
    """Check the keys that sign tokens."""
    found = _parsed(value)
    # The one key of an app whose environment has it.
    pems = [found] if isinstance(found, str) and "-----BEGIN" in found else items(found)
    if pems is None or not all(isinstance(pem, str) for pem in pems):
        raise ValueError("must be a list of keys as PEM texts, the newest last")
    keys, faults = numbered(asymmetric_key, pems)
    if not faults and keys and keys[-1].signing is None:
        faults.append("the newest signs, so it can't be a public key")
    if faults:
        raise ValueError(f"must be keys in PEM, the newest last: {', '.join(faults)}")
    return tuple(keys)


@optional
def region(value: object) -> object:
    """Check a country."""
    if not _is_region(value):
        raise ValueError('must be a country as ISO 3166 has it, such as "DE" ("GB", not "UK")')
    return value


def regions(value: object) -> tuple[str, ...]:
    """Check a list of countries."""
    return _listed(
        value,
        _is_region,
        'must be a list of countries as ISO 3166 has them, such as ["DE", "GB"] (not "UK")',
    )


def lines(value: object) -> tuple[str, ...]:
    """Check a list of kinds of telephone lines."""
    fault = f"must be a list of one or more of {', '.join(LINES)}"
    found = _listed(value, lambda line: line in LINES, fault)
    if not found:
        raise ValueError(fault)
    return found


def session_keys(value: object) -> tuple[str, ...]:
    """Check the names of what a sign-in keeps of a session."""
    fault = 'must be a list of keys of the session, such as ["basket"]'
    names = _listed(value, lambda name: isinstance(name, str) and name != "", fault)
    if never := sorted(_NEVER_KEPT.intersection(names)):
        raise ValueError(f"must not have {', '.join(never)}: that would allow session fixation")
    return names


def _listed(value: object, is_good: Callable[[Any], bool], fault: str) -> tuple[Any, ...]:
    found = items(value)
    if found is None or not all(map(is_good, found)):
        raise ValueError(fault)
    return tuple(found)


def _parsed(value: object) -> Any:
    """Return what a text says as JSON; everything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, strict=False)
    except (ValueError, RecursionError):
        return value


def items(value: object) -> Collection[Any] | None:
    """Return the items of a list, or ``None`` if it is none."""
    found = _parsed(value)
    return found if isinstance(found, (list, tuple, set, frozenset)) else None


def _in_seconds(value: object) -> Any:
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


storage_uri: Check = matching(
    rf"({'|'.join(map(re.escape, SCHEMES))})://.*",
    f"must be a URI with one of the schemes {', '.join(SCHEMES)}",
)
#: A path of Werkzeug's routes: a variable part such as <lang> may hold anything but angle brackets.
#: No request has the rest as it stands: it comes decoded, with / for \ and without dot segments.
url_prefix: Check = matching(
    r"(/(?!\.\.?(/|$))([^\s/?#<>%\\]|<[^<>]+>)+)+",
    'must be a path such as "/auth", without a slash at its end',
)
#: Scheme, host, port and path. A host of other letters is written as its A-labels.
site_url: Check = optional(
    matching(
        r"https?://(?!-)([A-Za-z0-9-]+(?<!-)\.(?!-))*[A-Za-z0-9-]+(?<!-)(:[0-9]{1,5})?"
        r"(/[A-Za-z0-9._~-]+)*",
        'must be a URL such as "https://shop.example" or "https://example.org/shop", without a '
        "slash at its end",
    )
)
#: A path of the site, or the name of an endpoint.
place: Check = matching(
    r"/|/[!-.0-\[\]-~][!-\[\]-~]*|[A-Za-z_][A-Za-z0-9_.-]*",
    'must be a path such as "/account", or an endpoint such as "shop.account"',
)
#: Not the names of Flask's own commands, which would come first.
command: Check = optional(
    matching(
        r"(?!(run|shell|routes)$)[a-z][a-z0-9-]*",
        'must be a name such as "otp", and none of Flask\'s own commands',
    )
)
issuer: Check = matching(
    ".+", "must be a text that names this app (from the environment, no number)"
)
