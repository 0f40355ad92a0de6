"""The rules, modelled in a few lines, and played against every store.

Hypothesis makes up what people, guessers, clocks and evictions do, in any order. After each step
the package and the model must agree on who got in.
"""

import itertools
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import time_machine
from attacks import MANY_ADDRESSES
from conftest import SECRET, Customers, wrong
from flask import Flask
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test
from stores import Storages

from flask_otp_auth import ActorNotCreated, DuplicateError, InvalidOTP, OTPAuth
from flask_otp_auth.backends import backend_for
from flask_otp_auth.store import Store
from flask_otp_auth.testing import Outbox

T = TypeVar("T")

LOGIN, REGISTRATION, GRACE = "login", "registration", "grace"
TTL, GRACE_TTL, WINDOW = 300, 60, 60

#: Seconds since the epoch when the machine's clock starts; half seconds are exact in a float.
NOON = 1_767_268_800.0

#: What is chosen stands by its place: names are random, and no run must depend on them.
indices = st.integers(0, 99)

#: Tells the people of each run from those of the runs before, as servers outlive them.
runs = itertools.count()


@dataclass
class Code:
    """What the model knows of a code that was issued; ``otp`` is ``None`` for a decoy."""

    otp: str | None
    challenge: str
    deadline: float
    keys: list[str]


@dataclass
class Model:
    """The rules. What is there is keys, in the order of their writing; each right is one.

    :ivar by_id: every code, by whose it is, what it is for, and its challenge.
    :ivar newest: the last one, by whose it is and what it is for.
    """

    keys: dict[str, None] = field(default_factory=dict)
    by_id: dict[tuple[str, str, str], Code] = field(default_factory=dict)
    newest: dict[tuple[str, str], Code] = field(default_factory=dict)

    def issue(self, who: str, purpose: str, code: Code) -> None:
        self.keys.update(dict.fromkeys(code.keys))
        self.newest[who, purpose] = self.by_id[who, purpose, code.challenge] = code

    def guess(self, who: str, purpose: str, otp: str, challenge: str | None, now: float) -> Any:
        """Return the code if that is what ``otp`` is; a guess costs a ticket."""
        code = self.newest.get((who, purpose))
        if challenge is not None:
            code = self.by_id.get((who, purpose, challenge))
        if code is None or now >= code.deadline:
            return None
        own, newest, *tickets = code.keys
        if (newest if challenge is None else own) not in self.keys:
            return None
        left = [ticket for ticket in tickets if ticket in self.keys]
        if left:
            del self.keys[left[0]]
        return code if left and otp == code.otp else None

    def redeem(self, code: Code) -> bool:
        """Use a code up: once."""
        return self.keys.pop(code.keys[0], code) is None


def pick(choices: Sequence[T], index: int) -> T:
    """Return one of the choices."""
    return choices[index % len(choices)]


class Noted(Store):
    """Any store; notes the keys of the last write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.written: list[str] = []

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        if len(items) > 1:  # not the right of a token
            self.written = list(items)
        self._store.put(items, ttl)

    def peek(self, *keys: str) -> Sequence[str | None]:
        return self._store.peek(*keys)

    def take(self, key: str) -> bool:
        return self._store.take(key)

    def mark(self, key: str, ttl: int) -> bool:
        return self._store.mark(key, ttl)


class Life(RuleBasedStateMachine):
    """What happens to a shop with two people: one has an account, one may join."""

    def __init__(self, store: Store, *, travels: bool) -> None:
        super().__init__()
        number = next(runs)
        self.people = [f"ada{number}@example.com", f"bob{number}@example.com"]
        self.store, self.model = Noted(store), Model()
        self.customers = Customers()
        self.customers.add(self.people[0])
        self.app = Flask("shop")
        self.app.config.update(
            TESTING=True,
            SECRET_KEY=SECRET,
            OTP_AUTH_RESEND_INTERVAL=WINDOW if travels else 0,
            OTP_AUTH_SEND_LIMITS="100000/hour",
            OTP_AUTH_VERIFY_LIMITS="100000/day",
            OTP_AUTH_MAX_GUESS_CHANCE=1,
            OTP_AUTH_GLOBAL_FAILURE_LIMIT="100000/hour",
            OTP_AUTH_WARN_ON_ERROR=False,
            **MANY_ADDRESSES,
        )
        self.otp_auth = OTPAuth(cache=self.store)
        self.otp_auth.add_actor_type("customer", self.customers)
        self.travels, self.now = travels, NOON
        with self.at_its_time():  # or what it writes would sweep away what is yet to come
            self.otp_auth.init_app(self.app)
        self.windows: dict[tuple[str, str], float] = {}
        self.outbox = Outbox(self.app).__enter__()

    def teardown(self) -> None:
        self.outbox.__exit__(None, None, None)

    def call(self, verb: str, who: str, *arguments: Any) -> Any:
        """Call the package at the machine's own time."""
        with self.app.app_context(), self.at_its_time():
            return getattr(self.otp_auth, verb)("customer", who, *arguments)

    def at_its_time(self) -> AbstractContextManager[object]:
        return time_machine.travel(self.now, tick=False) if self.travels else nullcontext()

    def is_let_in(self, verb: str, who: str, *arguments: Any) -> bool | str:
        try:
            self.call(verb, who, *arguments)
        except InvalidOTP:
            return False
        except ActorNotCreated:
            return "not yet"
        except DuplicateError:
            return "already"
        return True

    def has_joined(self, who: str) -> bool:
        return self.customers.find_by_identifier(who) is not None

    @rule(number=st.integers(0, 1), purpose=st.sampled_from([LOGIN, REGISTRATION]))
    def ask(self, number: int, purpose: str) -> None:
        who = self.people[number]
        before, self.store.written = len(self.outbox), []
        verb = "generate" if purpose == LOGIN else "pre_register"
        issued = self.call(verb, who)
        is_open = self.travels and self.now < self.windows.get((who, purpose), 0)
        assert bool(self.store.written) is not is_open
        if is_open:
            assert len(self.outbox) == before
            return
        self.windows[who, purpose] = self.now + WINDOW
        wanted = self.has_joined(who) is (purpose == LOGIN)
        assert len(self.outbox) - before == wanted
        otp = self.outbox.last.otp if wanted else None
        code = Code(otp, issued.challenge, self.now + TTL, self.store.written)
        self.model.issue(who, purpose, code)

    @precondition(lambda self: self.outbox.messages)
    @rule(
        number=st.integers(0, 1),
        message=indices,
        verb=st.sampled_from(["verify", "register", "authenticate"]),
        is_right=st.booleans(),
        by_id=st.none() | indices,
    )
    def answer(
        self, number: int, message: int, verb: str, is_right: bool, by_id: int | None
    ) -> None:
        """Try a code that was sent some time, or a wrong one, for anybody and anything."""
        who, sent = self.people[number], pick(self.outbox.messages, message).otp
        otp = sent if is_right else wrong(sent)
        issued = list(self.model.by_id.values())
        challenge = None if by_id is None else pick(issued, by_id).challenge
        expected = getattr(self, f"expect_{verb}")(who, otp, challenge)
        assert self.is_let_in(verb, who, otp, challenge) == expected

    def expect_verify(self, who: str, otp: str, challenge: str | None) -> bool:
        code = self.model.guess(who, LOGIN, otp, challenge, self.now)
        return bool(code and self.model.redeem(code))

    def expect_register(self, who: str, otp: str, challenge: str | None) -> bool | str:
        code = self.model.guess(who, REGISTRATION, otp, challenge, self.now)
        if not code or not self.model.redeem(code):
            return False
        if self.has_joined(who):
            return "already"
        own = [key.replace(f":{REGISTRATION}", f":{GRACE}") for key in code.keys[:5]]
        self.model.issue(who, GRACE, Code(otp, code.challenge, self.now + GRACE_TTL, own))
        return True

    def expect_authenticate(self, who: str, otp: str, challenge: str | None) -> bool | str:
        grace = self.model.guess(who, GRACE, otp, challenge, self.now)
        if grace is None:
            return self.expect_verify(who, otp, challenge)
        return self.model.redeem(grace) if self.has_joined(who) else "not yet"

    @rule()
    def join(self) -> None:
        if not self.has_joined(self.people[1]):
            self.customers.add(self.people[1])

    @rule(chosen=st.lists(indices, min_size=1, max_size=4))
    def evict(self, chosen: list[int]) -> None:
        """Let the store lose something, as a full one does."""
        for index in chosen:
            if self.model.keys:
                key = pick(list(self.model.keys), index)
                with self.at_its_time():
                    self.store.take(key)
                del self.model.keys[key]

    @precondition(lambda self: self.travels)
    @rule(seconds=st.sampled_from([0.5, 1, 59, 60, 61, 299, 300, 301]))
    def wait(self, seconds: float) -> None:
        self.now += seconds


def play(store: Store, *, travels: bool, runs: int) -> None:
    """Let Hypothesis play against a store."""
    run_state_machine_as_test(
        lambda: Life(store, travels=travels),
        settings=settings(
            max_examples=runs,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],  # names are random, so there is nothing to replay
        ),
    )


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_the_rules_hold_whatever_happens_and_when(kind: str, tmp_path: Path) -> None:
    """With a clock that steps: deadlines, resend windows and the grace end to the instant."""
    uri = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/codes.sqlite3"}[kind]
    store = backend_for(uri, str(tmp_path)).open_store()
    play(store, travels=True, runs=60 if kind == "memory" else 25)
    assert store.peek("otp_auth:nothing") == [None]


@pytest.mark.parametrize("kind", ["redis", "memcached", "sentinel", "cluster"])
def test_the_rules_hold_on_servers(kind: str, storages: Storages, tmp_path: Path) -> None:
    """Real servers don't travel in time, so here all happens at once."""
    store = backend_for(storages[kind].uri, str(tmp_path)).open_store()
    play(store, travels=False, runs=20)
    assert store.peek("otp_auth:nothing") == [None]
