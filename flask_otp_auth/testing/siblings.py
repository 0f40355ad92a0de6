"""Identifiers of the same form as another one, that nobody has."""

import random
from collections.abc import Iterator

from ..core.actors import ActorType
from ..errors import InvalidIdentifier

#: Identifiers that are tried before there is none.
_TRIES = 200


def siblings(actor_type: ActorType, identifier: str, count: int = 1) -> list[str]:
    """Return identifiers of the same length and domain that have no account, or fewer.

    It needs an app context.
    """
    found: list[str] = []
    for candidate in _candidates(identifier, _TRIES + 2 * count):
        if len(found) == count:
            break
        if candidate not in (identifier, *found) and _is_free(actor_type, candidate):
            found.append(candidate)
    return found


def _candidates(identifier: str, tries: int) -> Iterator[str]:
    local, at, domain = identifier.partition("@")
    draw = random.Random(identifier)  # noqa: S311 - it is no secret, and each run is to be the same
    for _ in range(tries):
        yield "".join(_changed(char, place, draw) for place, char in enumerate(local)) + at + domain


def _changed(char: str, place: int, draw: random.Random) -> str:
    if char.isdecimal():
        # The first digits of a phone number say its country and kind of line.
        return char if place < 6 else draw.choice("0123456789")
    return draw.choice("abcdefghijklmnopqrstuvwxyz") if char.isalpha() else char


def _is_free(actor_type: ActorType, candidate: str) -> bool:
    try:
        canonical = actor_type.canonical(candidate)
    except InvalidIdentifier:
        return False
    return canonical == candidate and actor_type.find_including_inactive(candidate) is None
