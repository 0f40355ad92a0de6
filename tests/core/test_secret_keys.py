"""``SECRET_KEY``: there, long, random and known to nobody else."""

import secrets
from typing import Any

import pytest
from fakes import SECRET

from flask_otp_auth.core.secret_keys import MIN_SECRET_BYTES, secret_faults, secrets_of, weak_secret

MODES = pytest.mark.parametrize("mode", ["DEBUG", "TESTING", "ENV"])


def fault(**config: Any) -> str:
    """Return the only fault of these keys."""
    (found,) = secret_faults({"SECRET_KEY": SECRET, **config})
    return found


@pytest.mark.parametrize("missing", [None, "", b""])
@MODES
def test_no_app_starts_without_one(missing: object, mode: str) -> None:
    assert fault(**{"SECRET_KEY": missing, mode: True}).startswith("SECRET_KEY is not set; python")


def test_a_configuration_that_never_heard_of_one_is_told() -> None:
    assert secret_faults({})[0].startswith("SECRET_KEY is not set")


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
@MODES
def test_they_are_texts_or_bytes_and_the_fallbacks_a_list(wrong: dict[str, Any], mode: str) -> None:
    assert fault(**wrong, **{mode: True}).startswith(next(iter(wrong)))


@pytest.mark.parametrize(
    "good",
    [
        SECRET,
        SECRET.encode(),
        "the-key-that-comes-after-the-one-before",
        "correct horse battery staple, and some more",
        "0123456789abcdef" * 2,
        "\udcff\udcfe" + SECRET,
    ],
)
def test_a_good_key_has_no_fault(good: str | bytes) -> None:
    config = {"SECRET_KEY": good, "SECRET_KEY_FALLBACKS": [good]}
    assert secret_faults(config) == []


def test_random_keys_have_no_fault() -> None:
    makers = (secrets.token_hex, secrets.token_urlsafe, secrets.token_bytes)
    assert [weak_secret(make(32)) for make in makers for _ in range(100)] == [None] * 300


SHORT = "have 32 bytes or more"
FEW = "have 8 different bytes or more"
KNOWN = "not stand in a document"
WEAK = [
    ("abcdefghijklmnopqrstuvwxyz01234", SHORT),
    (b"abcdefghijklmnopqrstuvwxyz01234", SHORT),
    ("äöüßÄÖÜ!!", SHORT),
    ("s" * MIN_SECRET_BYTES, FEW),
    ("secret" * 6, FEW),
    (bytes(32), FEW),
    ("1234567" * 5, FEW),
    ("192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf", KNOWN),
    (b"5791628bb0b13ce0c676dfde280ba245", KNOWN),
    ("a-string-secret-at-least-256-bits-long", KNOWN),
    ("32 random bytes or more, from outside of the code", KNOWN),
    ("a key for benchmarks, 32 bytes or more of it", KNOWN),
    ("change-me-change-me-change-me-change-me", KNOWN),
    ("CHANGE_ME: a long and random text, please", KNOWN),
    ("dev-secret-key-change-in-production", KNOWN),
    ("your-super-secret-key-of-thirty-two-bytes", KNOWN),
    ("django-insecure-7#k!2v$w@x9q%z&m*p(r)t^y-u+j=h", KNOWN),
]


@pytest.mark.parametrize(("secret", "reason"), WEAK)
def test_a_weak_key_is_refused_in_production(secret: str | bytes, reason: str) -> None:
    assert fault(SECRET_KEY=secret).startswith(f"SECRET_KEY must {reason}")
    assert fault(SECRET_KEY=secret).endswith("secrets.token_hex(32))' makes one")
    found = fault(SECRET_KEY_FALLBACKS=[SECRET, secret, secret])
    assert found.startswith(f"each of SECRET_KEY_FALLBACKS must {reason}")


@pytest.mark.parametrize(("secret", "reason"), WEAK)
@pytest.mark.parametrize("mode", ["DEBUG", "TESTING"])
def test_a_weak_key_will_do_for_debugging_and_tests(
    secret: str | bytes, reason: str, mode: str
) -> None:
    config = {"SECRET_KEY": secret, "SECRET_KEY_FALLBACKS": [secret], mode: True}
    assert secret_faults(config) == []


def test_all_faults_are_told_at_once() -> None:
    found = secret_faults({"SECRET_KEY": "dev", "SECRET_KEY_FALLBACKS": ["old", "s" * 32]})
    assert [line.partition(" must ")[0] for line in found] == [
        "SECRET_KEY",
        "each of SECRET_KEY_FALLBACKS",
        "each of SECRET_KEY_FALLBACKS",
    ]


def test_a_fault_shows_nothing_of_a_key() -> None:
    config = {"SECRET_KEY": "hunter2", "SECRET_KEY_FALLBACKS": ["hunter2" * 5]}
    assert "hunter2" not in "".join(secret_faults(config))


def test_a_key_that_is_in_both_places_counts_once() -> None:
    """As happens in a rotation. Twice, it would take up the place of an older code."""
    config = {"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": ["old", "new", "old"]}
    assert secrets_of(config) == [b"old", b"new"]


@pytest.mark.parametrize("none", [None, [], ()])
def test_there_need_be_no_fallbacks(none: object) -> None:
    assert secrets_of({"SECRET_KEY": SECRET, "SECRET_KEY_FALLBACKS": none}) == [SECRET.encode()]


def test_the_newest_comes_last() -> None:
    config = {"SECRET_KEY": "new", "SECRET_KEY_FALLBACKS": ["oldest", b"old"]}
    assert secrets_of(config) == [b"oldest", b"old", b"new"]
