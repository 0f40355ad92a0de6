"""A stranger who asks for codes in a member's name, to annoy or to keep the member out."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...core.codes import LONG_INTERVAL
from ..box import Box
from ..extras import import_time_machine
from .found import Found
from .guessing import at_once

_HOUR = 3600

#: The routes that send codes.
_ASKING = ("generate", "pre_register", "start")


def flooder(box: Box) -> Found:
    """Ask for codes for a member by every route, for an hour, from many addresses."""
    lanes = 1 if box.actor_type.sign_up == "closed" else 2  # then start is generate
    found = Found("flooder", lanes * _most_in_an_hour(box))
    box.begin()
    with _standing_still() as clock:
        for _ in range(_HOUR // 60):
            for endpoint in _ASKING:
                box.ask(endpoint, box.known)
                found.tries += 1
            box.deliver()
            clock.shift(60)
    found.through = len(box.outbox.codes_to(box.known))
    if found.through > found.bound:
        found.leaks.append(
            f"a stranger had {found.through} messages sent to one member in an hour, where "
            f"OTP_AUTH_SEND_LIMITS and the pace of long codes allow {found.bound}"
        )
    return found


def _most_in_an_hour(box: Box) -> int:
    """Return how many codes of one lane are sent in an hour, short and long ones."""
    per_hour = [
        item.amount * max(1, math.ceil(_HOUR / item.get_expiry()))
        for item in box.settings.send_limits
    ]
    by_window = _HOUR // max(1, box.settings.resend_interval) + 1
    return min(*per_hour, by_window) + math.ceil(_HOUR / LONG_INTERVAL)


def lock_out(box: Box) -> Found:
    """Ask and guess in a member's name, and see whether the member still gets in."""
    found = Found("one who keeps a member out")
    guesses = min(at_once(box.settings.verify_limits), 45) + 5
    box.begin()
    with _standing_still() as clock:
        for _ in range(12):
            for number in range(guesses):
                challenge = box.ask("generate", box.known)
                otp = f"{number:0{box.settings.digits}}"
                guess = {"identifier": box.known, "otp": otp, "challenge": challenge}
                box.post("verify", guess)
            box.deliver()
            box.ask("generate", box.known)
            box.deliver()
            found.tried(
                box.enter() is None,
                "the member could not sign in after a stranger had asked and guessed in his name",
            )
            clock.shift(300)
            guesses = 5  # more count for nothing
    return found


@contextmanager
def _standing_still() -> Iterator[Any]:
    with import_time_machine().travel(time.time(), tick=False) as clock:
        yield clock
