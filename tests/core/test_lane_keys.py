"""Keys of lanes: each for one thing, and the same in every version that shares a storage."""

from engine import LOGIN, NEW

from flask_otp_auth.core.crypto import KeyHasher, Keys
from flask_otp_auth.core.lane_keys import LaneKeys, pointer_keys
from flask_otp_auth.core.scopes import Scope

HASHER = KeyHasher(Keys.derive([NEW], "shop").names)
TRANSFER = Scope("", "transfer", "ada@example.com", "100 EUR")
OTHER_TRANSFER = Scope("", "transfer", "ada@example.com", "900 EUR")

#: What a lane has keys for.
KINDS = ("short", "long", "credit", "attacked_by_sends", "attacked_by_guesses")


def names(scope: Scope) -> dict[str, str]:
    """Return what comes after the owner's tag in each key of a lane."""
    keys = {kind: getattr(LaneKeys(HASHER, scope), kind) for kind in KINDS}
    for kind, long in (("pointer", False), ("long pointer", True)):
        ((tag, keys[kind]),) = pointer_keys(HASHER, scope, long=long)
        assert keys[kind].startswith(f"otp_auth:{{{tag}}}:")
    return {kind: key.partition("}:")[2] for kind, key in keys.items()}


def test_each_is_for_one_thing() -> None:
    for scope in (LOGIN, TRANSFER):
        assert len(set(names(scope).values())) == len(KINDS) + 2


def test_short_codes_alone_have_a_window_for_each_thing_that_is_bound() -> None:
    one, other = names(TRANSFER), names(OTHER_TRANSFER)
    assert {kind for kind in one if one[kind] != other[kind]} == {
        "short", "pointer", "long pointer"
    }  # fmt: skip


def test_an_upgrade_changes_none_of_them() -> None:
    """Or codes from before are good no more, and as many again can be sent."""
    assert LaneKeys(HASHER, LOGIN).short.startswith("otp_auth:{5716002c011454e9836ab660a25ae2b6}:")
    assert names(LOGIN) == {
        "short": "642d70fd7be505d1e87e9e315cc0b733",
        "long": "019d9aab9831f98e940e32e10c7d0a01",
        "credit": "788fb62b32641e0a4ae11c915dc1329b",
        "attacked_by_sends": "60784d0c080e6822db1bd9233d4651a0",
        "attacked_by_guesses": "459e7dfed952b8c97fc3bbb3d4c01565",
        "pointer": "59864bf797e2026852d97c9ad8102836",
        "long pointer": "34615516fc7b54fae634110227d53af0",
    }
    assert {kind: names(TRANSFER)[kind] for kind in ("short", "pointer", "long pointer")} == {
        "short": "075b9646acf1cd153a401223c6bd32b5",
        "pointer": "7b53d8e4a696a64065d1853574a637db",
        "long pointer": "2b87608ef319e2b58e4c107b5024718b",
    }
