"""``SECRET_KEY``: whether everything that is derived from it can stand on it."""

import re
from collections.abc import Mapping
from typing import Any

#: Bytes that a secret key must have at least: the output size of HMAC-SHA256 (RFC 2104,
#: section 3; RFC 7518, section 3.2).
MIN_SECRET_BYTES = 32

#: Different bytes among them; 32 random hex digits have fewer once in 20 million cases.
MIN_DIFFERENT_BYTES = 8

ADVICE = "python -c 'import secrets; print(secrets.token_hex(32))' makes one"

#: Keys that were random until they were printed, and have been copied ever since.
_PUBLISHED = frozenset(
    {
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",  # Flask
        "pf9Wkove4IKEAXvy-cQkeDPhv9Cb3Ag-wyJILbq_dFw",  # Flask-Security
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # FastAPI
        "5791628bb0b13ce0c676dfde280ba245",  # a much watched series of Flask lessons
        "a-string-secret-at-least-256-bits-long",  # jwt.io
    }
)

#: Short ones of tutorials, as letters and digits alone.
_SHORT = frozenset(
    {
        *("dev", "secret", "secretkey", "test", "testing", "password", "mysecret"),
        "5y2lf4q8z",  # Flask's tutorial, for years
        "a0zr98j3yxrxhhjmnlwxrt",  # Flask's documentation before that
    }
)

#: Words of samples, as letters and digits alone; the first line is this project's own samples.
_SAMPLE = (
    "32randombytesormore|akeyforbenchmarks|onlyfortestsandlongerthan32bytes"
    "|change(me|this|it|in|before)|replace(me|this|with)|your(own|super|very)*secret"
    "|placeholder|insecure|donotuse|hardtoguess"
)


def secrets_of(config: Mapping[str, Any]) -> list[bytes]:
    """Return the app's secret keys as bytes, the newest last."""
    given = [*(config.get("SECRET_KEY_FALLBACKS") or []), config.get("SECRET_KEY") or b""]
    secrets = [_as_bytes(secret) for secret in given]
    # A key that stands in both, as happens in a rotation, counts once, as the newer one.
    return list(dict.fromkeys(reversed(secrets)))[::-1]


def weak_secret(secret: str | bytes) -> str | None:
    """Return what is wrong with a secret key, or ``None``.

    :returns: the end of a sentence that begins with the key's name.
    """
    reason = short(secret)
    if reason is None and published(secret):
        reason = "must not stand in a document, where everybody can read it"
    return reason


def short(secret: str | bytes) -> str | None:
    """Return what is wrong with the length of a secret key, or ``None``; as a sentence's end."""
    data = _as_bytes(secret)
    if len(data) < MIN_SECRET_BYTES:
        return f"must have {MIN_SECRET_BYTES} bytes or more"
    if len(set(data)) < MIN_DIFFERENT_BYTES:
        return f"must have {MIN_DIFFERENT_BYTES} different bytes or more"
    return None


def published(secret: str | bytes) -> bool:
    """Tell whether a secret key stands in a document or an example."""
    text = _as_bytes(secret).decode("ascii", "replace")
    plain = re.sub("[^a-z0-9]", "", text.lower())
    return text in _PUBLISHED or plain in _SHORT or re.search(_SAMPLE, plain) is not None


def secret_faults(config: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the app's secret keys.

    In debug and testing a key may be weak, but must be there.
    """
    faults = _type_faults(config)
    if faults or config.get("DEBUG") or config.get("TESTING"):
        return faults
    *older, newest = map(weak_secret, secrets_of(config))
    faults = [] if newest is None else [f"SECRET_KEY {newest}; {ADVICE}"]
    reasons = dict.fromkeys(reason for reason in older if reason)
    return faults + [f"each of SECRET_KEY_FALLBACKS {reason}" for reason in reasons]


def _type_faults(config: Mapping[str, Any]) -> list[str]:
    current, fallbacks = config.get("SECRET_KEY"), config.get("SECRET_KEY_FALLBACKS") or []
    faults = []
    if not current:
        faults.append(f"SECRET_KEY is not set; {ADVICE}")
    elif not _is_secret(current):
        faults.append(f"SECRET_KEY must be a text or bytes; {ADVICE}")
    # A single text would pass for a list of keys of one character each.
    if not isinstance(fallbacks, (list, tuple)) or not all(map(_is_secret, fallbacks)):
        faults.append("SECRET_KEY_FALLBACKS must be a list of texts or bytes, none of them empty")
    return faults


def _is_secret(value: object) -> bool:
    return isinstance(value, (str, bytes)) and len(value) > 0


def _as_bytes(secret: str | bytes) -> bytes:
    # What is no UTF-8 in an environment variable comes as lone surrogates.
    return secret.encode("utf-8", "surrogatepass") if isinstance(secret, str) else secret
