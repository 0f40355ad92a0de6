"""Lock-out: nobody keeps a member out by asking or guessing in his name.

A stranger knows a member's address. He asks for codes and guesses at them: day and night
(:func:`test_day_and_night`), or at moments chosen to hurt, as he knows when the member comes
(:func:`test_in_an_ambush`). The member asks, waits for the mail, types the newest code that was
sent for what he wants, with the challenge or without it, and asks again if it was refused. Every
visit ends in a sign-in within two requests for a code. That takes mails which say what their code
is for: where all look alike, a stranger's request at the other door puts a code on top that doesn't
work where the member types it.

100 visits and 200 ambushes take half a minute; with ``LOCKOUT_ROUNDS=10`` in the environment there
are 1,000 and 2,000.
"""

import os
import random
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import SECRET, Customers
from flask import Flask
from time_machine import Traveller

from flask_otp_auth import OTPAuth, RequestError
from flask_otp_auth.testing import Outbox

ROUNDS = int(os.environ.get("LOCKOUT_ROUNDS", "1"))
HOUR, DAY = 3600, 86_400

#: How to ask for a code and how to answer with it, by purpose.
VERBS = {"login": ("generate", "verify"), "door": ("start", "finish")}

Attack = Callable[[float], None]


class Shop:
    """A shop on a clock of its own.

    :ivar mail: when each code was sent to whom and what for, the oldest first.
    """

    def __init__(self, uri: str, clock: Traveller) -> None:
        self._clock, self._customers = clock, Customers()
        self._app, self._otp_auth = Flask("shop"), OTPAuth()
        self._app.config.update(
            TESTING=True,
            SECRET_KEY=SECRET,
            OTP_AUTH_STORAGE_URI=uri,
            OTP_AUTH_WARN_ON_ERROR=False,
        )
        self._otp_auth.add_actor_type("customer", self._customers)
        self._otp_auth.init_app(self._app)
        self._outbox = Outbox(self._app).__enter__()
        self.mail: list[tuple[float, str, str, str]] = []

    def join(self, number: int) -> str:
        return self._customers.add(f"{number}@example.com").email

    def ask(self, at: float, who: str, purpose: str) -> str:
        """Ask for a code and return the challenge."""
        self._outbox.clear()
        challenge: str = self._call(at, VERBS[purpose][0], who).challenge
        self.mail += [(at, who, purpose, message.otp) for message in self._outbox]
        return challenge

    def guess(
        self, at: float, who: str, purpose: str, otp: str, challenge: str | None = None
    ) -> bool:
        """Tell whether a code signs in."""
        try:
            self._call(at, VERBS[purpose][1], who, otp, challenge)
        except RequestError:
            return False
        return True

    def newest(self, at: float, who: str, purpose: str) -> str | None:
        """Return the newest code that has arrived, dead or alive."""
        arrived = [
            otp
            for sent, to, why, otp in self.mail
            if (to, why) == (who, purpose) and sent <= at - 2
        ]
        return arrived[-1] if arrived else None

    def _call(self, at: float, verb: str, *arguments: str | None) -> object:
        self._clock.move_to(at)
        with self._app.app_context():
            return getattr(self._otp_auth, verb)("customer", *arguments)


@pytest.fixture(params=["memory", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, clock: Traveller) -> Shop:
    uri = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/codes.sqlite3"
    return Shop(uri, clock)


class Visit:
    """A member who wants to sign in."""

    def __init__(self, shop: Shop, who: str, chance: random.Random) -> None:
        self.shop, self.who, self.chance = shop, who, chance
        self.purpose = chance.choice(["login", "door"])
        self.has_challenge = chance.random() < 0.5

    def requests(self, start: float, slow: tuple[int, int], attack: Attack) -> int:
        """Return how many requests for a code it takes; 0 if five are not enough."""
        now, uniform = start, self.chance.uniform
        for request in range(1, 6):
            attack(now)
            challenge = self.shop.ask(now, self.who, self.purpose)
            read = now + 2 + uniform(*slow)
            attack(read)
            typed = self.shop.newest(read, self.who, self.purpose)
            at = read + uniform(5, 20)
            attack(at)
            held = challenge if self.has_challenge else None
            if typed and self.shop.guess(at, self.who, self.purpose, typed, held):
                return request
            now = at + uniform(1, 5)
        return 0


def targets(chance: random.Random) -> list[str]:
    """Return what a stranger attacks: one of the purposes, or both at once."""
    return chance.choice([["login"], ["door"], ["login", "door"]])


START = 1_767_268_800.5


@pytest.mark.parametrize("guesses", [0, 1, 5])
def test_day_and_night(shop: Shop, guesses: int, request: pytest.FixtureRequest) -> None:
    chance, ends = random.Random(guesses), Counter[int]()
    in_memory = "memory" in request.node.name
    who, now = shop.join(1), START

    def attack(until: float) -> None:
        nonlocal now
        while now < until:
            for purpose in ("login", "door"):
                shop.ask(now, who, purpose)
            for _ in range(guesses):
                shop.guess(now, who, chance.choice(["login", "door"]), "000000")
            now += chance.choice([20, 30, 60])

    visits = ROUNDS * (30 if in_memory else 4)
    days = visits / 50 * DAY
    for start in sorted(START + 2 * HOUR + chance.uniform(0, days) for _ in range(visits)):
        attack(start)
        slow = chance.choice([(5, 40), (30, 120)])
        ends[Visit(shop, who, chance).requests(max(start, now), slow, attack)] += 1
    assert set(ends) <= {1, 2}


def test_in_an_ambush(shop: Shop, request: pytest.FixtureRequest) -> None:
    """A random plan of asking and guessing around one visit, after a random past."""
    ends: dict[int, list[int]] = {}
    ambushes = ROUNDS * (150 if "memory" in request.node.name else 50)
    for seed in range(ambushes):
        chance = random.Random(seed)
        shop.mail.clear()
        who, start = shop.join(seed), START + (2 + 3 * seed) * DAY + chance.uniform(0, HOUR)
        attacked = targets(chance)
        moments = [start - DAY + chance.uniform(-120, 300) for _ in range(chance.randint(0, 25))]
        moments += [start - chance.uniform(0, 2 * HOUR) for _ in range(chance.randint(0, 60))]
        moments += [start + chance.uniform(-90, 400) for _ in range(chance.randint(0, 60))]
        plan = deque(
            sorted((at, chance.choice(["ask", "guess", "both", "burn"])) for at in moments)
        )

        def attack(until: float) -> None:
            while plan and plan[0][0] < until:  # noqa: B023 - it is called in this round alone
                at, what = plan.popleft()  # noqa: B023 - called within the same round
                for purpose in attacked if what in ("ask", "both") else []:  # noqa: B023 - called within the same round
                    shop.ask(at, who, purpose)  # noqa: B023 - called within the same round
                burnt = chance.randint(2, 25)  # noqa: B023 - called within the same round
                for _ in range({"guess": 1, "both": 1, "burn": burnt}.get(what, 0)):
                    shop.guess(at, who, chance.choice(attacked), "000000")  # noqa: B023 - called within the same round

        slow = chance.choice([(0, 2), (5, 20), (30, 120)])
        needed = Visit(shop, who, chance).requests(start, slow, attack)
        ends.setdefault(needed, []).append(seed)
    assert set(ends) <= {1, 2}, {needed: seeds[:5] for needed, seeds in ends.items()}
