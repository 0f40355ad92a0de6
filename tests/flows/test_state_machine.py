"""The rules as a model of some lines, beside the real shop, on a clock that moves.

Hypothesis makes up what people, strangers, clocks and storages do, in any order. While the storage
keeps what it is given, shop and model agree on each code and each answer. Once it has forgotten
something, or holds garbage, nobody is let in by a code that is not due.
"""

import time
from dataclasses import dataclass, field

import time_machine
from fakes import ADA, BOB, Customers, watch, wrong
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from flask_otp_auth import RequestError
from flask_otp_auth.testing import Outbox

DAY, HOUR, TTL, WINDOW, LONG_TTL, LONG_WINDOW, GRACE_TTL = 86_400, 3600, 300, 60, 600, 420, 60
SENDS, GUESSES = 4, 6

ASKING = {"generate": "login", "pre_register": "registration", "start": "door"}
#: What each answer may be good for; what comes first goes first.
ANSWERING = {
    "verify": ["login"],
    "register": ["registration"],
    "authenticate": ["grace", "login"],
    "finish": ["grace", "door"],
}

people = st.sampled_from([ADA, BOB])


class Moving:
    """A moving window."""

    def __init__(self, amount: int, seconds: int) -> None:
        self.amount, self.seconds, self.hits = amount, seconds, list[float]()

    def hit(self) -> tuple[bool, bool]:
        """Take one; tell whether there was one, and whether there is none left."""
        self.hits = [hit for hit in self.hits if hit >= time.time() - self.seconds]
        has_room = len(self.hits) < self.amount
        self.hits += [time.time()] * has_room
        return has_room, len(self.hits) == self.amount


@dataclass
class Lane:
    """Codes of one purpose and identifier, and of both kinds; times are those of the end."""

    codes: dict[bool, list[tuple[str, float]]] = field(
        default_factory=lambda: {False: [], True: []}
    )
    window: dict[bool, float] = field(default_factory=lambda: {False: 0, True: 0})
    sends: Moving = field(default_factory=lambda: Moving(SENDS, HOUR))
    attacked = credit = 0.0

    def ask(self, *, attacked: bool) -> bool | None:
        """Return whether a long code is due, ``None`` if none is."""
        now, begins = time.time(), False
        if not attacked and now >= self.attacked:
            if now < self.window[False]:
                return None
            self.window[False] = now + WINDOW
            if self.sends.hit()[0]:
                return False
            if now < self.credit:
                self.credit = 0
                return False
            begins = True
        if now < self.window[True]:
            return None
        self.window[True] = now + LONG_WINDOW
        self.attacked = now + HOUR if begins else self.attacked
        return True

    def send(self, otp: str, ttl: int) -> None:
        codes = self.codes[len(otp) == 20]
        codes[:] = [*codes[-1:], (otp, time.time() + ttl)]

    def use(self, *, long: bool) -> None:
        self.codes[long], self.window[long] = [], 0
        if time.time() >= self.credit:
            self.credit = time.time() + HOUR


@dataclass
class Person:
    """Somebody with an identifier, as the rules know him."""

    has_account: bool
    lanes: dict[str, Lane] = field(
        default_factory=lambda: {name: Lane() for name in (*ASKING.values(), "grace")}
    )
    guesses: Moving = field(default_factory=lambda: Moving(GUESSES, DAY))
    messages: Moving = field(default_factory=lambda: Moving(40, DAY))
    attacked = 0.0

    def gets(self, purpose: str) -> bool:
        """Tell whether a code that is due is sent."""
        has_room = self.has_account or self.messages.hit()[0]
        return has_room and (purpose == "door" or self.has_account == (purpose == "login"))

    def answer(self, by: str, otp: str) -> str:
        """Return what comes of an answer: ``invalid_otp``, another error's type, or a token."""
        long = len(otp) == 20
        if not long and not self.pays():
            return "invalid_otp"
        live = [
            (purpose, code)
            for purpose in ANSWERING[by]
            for code, end in reversed(self.lanes[purpose].codes[long])
            if end > time.time()
        ]
        purpose = next((purpose for purpose, code in live[:2] if code == otp), None)
        joins = by == "register" or (purpose == "door" and not self.has_account)
        if purpose is None:
            return "invalid_otp"
        if not self.has_account and not joins:
            return "actor_not_created" if purpose == "grace" else "invalid_otp"
        self.lanes[purpose].use(long=long)
        if joins and not self.has_account:
            self.lanes["grace"].codes[long] = [(otp, time.time() + GRACE_TTL)]
        return "duplicate_error" if joins and self.has_account else "token"

    def pays(self) -> bool:
        has_paid, used_up = self.guesses.hit()
        if used_up and time.time() >= self.attacked:
            self.attacked = time.time() + DAY
            for lane in self.lanes.values():
                lane.window[True] = 0
        return has_paid


class Shop(RuleBasedStateMachine):
    """A shop where Ada has an account and Bob may join, and strangers do what they can."""

    def __init__(self) -> None:
        super().__init__()
        self.travel = time_machine.travel(1_767_268_800.5, tick=False)
        self.clock = self.travel.start()
        self.customers = Customers()
        self.customers.add(ADA)
        watched = watch(
            self.customers,
            OTP_AUTH_SEND_LIMITS=f"{SENDS}/hour",
            OTP_AUTH_VERIFY_LIMITS=f"{GUESSES}/day",
            OTP_AUTH_WARN_ON_ERROR=False,
        )
        self.app, self.otp_auth, self.store = watched.app, watched.otp_auth, watched.store
        self.outbox = Outbox(self.app).__enter__()
        self.people = {ADA: Person(True), BOB: Person(False)}
        self.is_exact, self.spoils = True, False
        #: What was sent, by lane; and what was used up since.
        self.sent: dict[tuple[str, str, bool], list[tuple[str, float]]] = {}
        self.used: set[tuple[str, str, str]] = set()

    def teardown(self) -> None:
        self.outbox.__exit__(None, None, None)
        self.travel.stop()

    @initialize(who=people, by=st.sampled_from(sorted(ASKING)), spoils=st.booleans())
    def begin(self, who: str, by: str, spoils: bool) -> None:
        self.spoils = spoils
        self.ask(who, by, 1, 0)

    @rule(
        who=people,
        by=st.sampled_from(sorted(ASKING)),
        times=st.sampled_from([4, 3, 2, 1]),
        then=st.sampled_from([60, 420, 0, 59]),
    )
    def ask(self, who: str, by: str, times: int, then: int) -> None:
        for _ in range(times):
            self.ask_once(who, by)
            self.clock.shift(then)

    def ask_once(self, who: str, by: str) -> None:
        before, person, purpose = len(self.outbox), self.people[who], ASKING[by]
        with self.app.app_context():
            getattr(self.otp_auth, by)("customer", who)
        new = self.outbox.messages[before:]
        lane = person.lanes[purpose]
        long = lane.ask(attacked=time.time() < person.attacked)
        if self.is_exact:
            is_sent = long is not None and person.gets(purpose)
            assert [len(one.otp) for one in new] == [20 if long else 6] * is_sent
        for one in new:
            ttl = LONG_TTL if len(one.otp) == 20 else TTL
            lane.send(one.otp, ttl)
            sent = self.sent.setdefault((who, purpose, len(one.otp) == 20), [])
            sent.append((one.otp, time.time() + ttl))

    @precondition(lambda self: self.outbox.messages)
    @rule(ages=st.lists(st.integers(0, 3), min_size=1, max_size=4), is_wrong=st.booleans())
    def answer(self, ages: list[int], is_wrong: bool) -> None:
        """Let owners try codes that were sent lately, each for what it is, after a slip or not."""
        for age in ages:
            message = self.outbox.messages[-1 - age % len(self.outbox)]
            lanes = [key for key, sent in self.sent.items() if message.otp in dict(sent)]
            by = {"login": "verify", "registration": "register"}.get(lanes[0][1], "finish")
            if is_wrong:
                self.answer_once(message.identifier, by, wrong(message.otp))
            self.answer_once(message.identifier, by, message.otp)

    @precondition(lambda self: self.outbox.messages)
    @rule(who=people, by=st.sampled_from(sorted(ANSWERING)), age=st.integers(0, 2))
    def answer_for_anything(self, who: str, by: str, age: int) -> None:
        self.answer_once(who, by, self.outbox.messages[-1 - age % len(self.outbox)].otp)

    @rule(who=people, by=st.sampled_from(sorted(ANSWERING)), times=st.sampled_from([6, 5, 4, 1]))
    def guess(self, who: str, by: str, times: int) -> None:
        for _ in range(times):
            self.answer_once(who, by, wrong(self.outbox.last.otp if self.outbox else "123456"))

    def answer_once(self, who: str, by: str, otp: str) -> None:
        with self.app.app_context():
            try:
                getattr(self.otp_auth, by)("customer", who, otp)
                outcome = "token"
            except RequestError as error:
                outcome = error.type
        expected = self.people[who].answer(by, otp)
        if self.is_exact:
            assert outcome == expected
        elif outcome != "invalid_otp":
            self.check_is_due(who, by, otp)
        if outcome in ("token", "duplicate_error"):
            self.note_use(who, by, otp)

    def check_is_due(self, who: str, by: str, otp: str) -> None:
        due = [
            code
            for purpose in ANSWERING[by]
            for code, end in self.sent.get((who, purpose, len(otp) == 20), [])[-2:]
            if end > time.time() and (who, purpose, code) not in self.used
        ]
        assert otp in due

    def note_use(self, who: str, by: str, otp: str) -> None:
        *graces, purpose = ANSWERING[by]
        long = len(otp) == 20
        lane = self.sent.get((who, purpose, long), [])
        if (graces and (who, purpose, otp) in self.used) or otp not in [code for code, _ in lane]:
            purpose = "grace"
            lane = self.sent[who, purpose, long]
        elif not self.people[who].has_account:
            self.sent[who, "grace", long] = [(otp, time.time() + GRACE_TTL)]
            self.used.discard((who, "grace", otp))
        self.used.update((who, purpose, code) for code, _ in lane)

    @precondition(lambda self: not self.people[BOB].has_account)
    @rule()
    def join(self) -> None:
        self.people[BOB].has_account = True
        self.customers.add(BOB)

    @rule(seconds=st.sampled_from([0.5, 1, 59, 60, 180, 300, 420, 3599, 3601, 80_000]))
    def wait(self, seconds: float) -> None:
        self.clock.shift(seconds)

    @precondition(lambda self: self.spoils)
    @rule(places=st.sets(st.integers(0, 30)), garbage=st.sampled_from([None, "", "1", "[9e9]"]))
    def spoil(self, places: set[int], garbage: str | None) -> None:
        """Let the storage forget something, or hold garbage in its place."""
        keys = list(self.store.items)
        for place in places:
            if place < len(keys):
                self.is_exact = False
                del self.store.items[keys[place]]
                if garbage is not None:
                    self.store.items[keys[place]] = garbage, time.time() + HOUR


class TestTheRules(Shop.TestCase):
    """Runs the machine."""

    settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
