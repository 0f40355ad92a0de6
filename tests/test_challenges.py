"""Challenges: whatever the store forgets, no code gets another guess or a second use."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from flask_otp_auth import codes
from flask_otp_auth.backends import backend_for
from flask_otp_auth.challenges import (
    AFTERLIFE,
    GRACE,
    LOGIN,
    MAX_ID_LENGTH,
    REGISTRATION,
    Challenge,
    Challenges,
    Rights,
    Subject,
    check_id,
)
from flask_otp_auth.errors import InvalidData, Unavailable
from flask_otp_auth.keys import Keys
from flask_otp_auth.store import Store

OLD, NEW = b"the old secret key of the shop ...", b"the new secret key of the shop ..."
ADA = Subject("customer", LOGIN, "ada@example.com")
CODE, WRONG = "123456", "654321"
LONG, WRONG_LONG = "ABCDEFGHIJKLM", "NOPQRSTUVWXYZ"

#: Every way in which two codes may be for something else.
SUBJECTS = [
    Subject(*facts)
    for facts in itertools.product(
        ("customer", "user"),
        (LOGIN, REGISTRATION, GRACE),
        ("ada@example.com", "bob@example.com"),
    )
]


class OpenStore(Store):
    """A store that a test can look into, write to, and make forgetful."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}
        self.verbs: list[str] = []

    def put(self, items: Mapping[str, str], ttl: int) -> None:
        self.verbs.append("put")
        self.items.update(items)

    def peek(self, *keys: str) -> Sequence[str | None]:
        self.verbs.append("peek")
        return [self.items.get(key) for key in keys]

    def take(self, key: str) -> bool:
        self.verbs.append("take")
        return self.items.pop(key, None) is not None

    def mark(self, key: str, ttl: int) -> bool:
        self.verbs.append("mark")
        return key not in self.items and not self.items.update({key: "1"})


@pytest.fixture
def store() -> OpenStore:
    """A store that a test can look into."""
    return OpenStore()


@pytest.fixture
def challenges(store: OpenStore) -> Challenges:
    """The rules on that store."""
    return Challenges(store, Keys.derive([NEW]))


def issue(
    challenges: Challenges, subject: Subject = ADA, code: str | None = CODE, **given: Any
) -> Challenge:
    """Issue a short code that lives for five minutes, unless something else is given."""
    return challenges.issue(subject, code, **{"length": 6, "attempts": 3, "ttl": 300, **given})


def guess(
    challenges: Challenges,
    code: str = CODE,
    subject: Subject = ADA,
    challenge_id: str | None = None,
    budget: Callable[[], bool] = lambda: True,
) -> str | None:
    """Guess at a subject's challenge; return why it is refused, ``None`` if it isn't."""
    (found,) = challenges.find(challenge_id, subject)
    return challenges.guess(found, code, budget) if found else "unknown"


def enter(
    challenges: Challenges,
    code: str = CODE,
    subject: Subject = ADA,
    challenge_id: str | None = None,
) -> bool:
    """Guess and redeem; tell whether that lets in."""
    (found,) = challenges.find(challenge_id, subject)
    if found is None or challenges.guess(found, code, lambda: True) is not None:
        return False
    return challenges.redeem(found)


def never() -> bool:
    """A budget that must not be asked."""
    raise AssertionError("the budget was asked")


class TestIssuing:
    def test_a_challenge_says_what_it_is_for_and_until_when(
        self, challenges: Challenges, clock: time_machine.Traveller
    ) -> None:
        clock.move_to(1_700_000_000)
        challenge = issue(challenges)
        assert challenge.subject == ADA
        assert not challenge.long
        assert challenge.expires_at.isoformat() == "2023-11-14T22:18:20+00:00"
        assert challenge.expires_at.timestamp() == challenge.deadline

    def test_everything_is_put_in_one_write(self, challenges: Challenges, store: OpenStore) -> None:
        challenge = issue(challenges)
        assert store.verbs == ["put"]
        assert len(store.items) == 1 + 1 + 3
        assert {challenge.key, *challenge.tickets} < set(store.items)

    def test_ids_are_random(self, challenges: Challenges) -> None:
        ids = {challenges.new_id() for _ in range(100)}
        assert len(ids) == 100
        assert {len(bytes.fromhex(name)) for name in ids} == {16}

    def test_a_caller_may_choose_the_id(self, challenges: Challenges) -> None:
        assert issue(challenges, challenge_id="mine").id == "mine"
        assert enter(challenges, challenge_id="mine")

    def test_the_store_holds_no_code_and_nothing_that_tells_whose_it_is(
        self, challenges: Challenges, store: OpenStore
    ) -> None:
        ids = [issue(challenges, subject).id for subject in SUBJECTS]
        challenges.open_window(ADA, 60)
        Rights(store, Keys.derive([NEW])).put(60, "refresh", "the id of a token")
        everything = " ".join([*store.items, *store.items.values()])
        for secret in (CODE, "ada@", "bob@", "example.com", "customer", "the id of a token"):
            assert secret not in everything
        assert not any(name in key for name in ids for key in store.items)

    def test_keys_are_safe_in_any_cache_whatever_a_caller_sends(
        self, challenges: Challenges, store: OpenStore
    ) -> None:
        for odd in ("a b\r\n", "*", "{x}", "ü" * MAX_ID_LENGTH, "\x00"):
            issue(challenges, Subject("customer", LOGIN, odd), challenge_id=odd)
        for key in store.items:
            assert key.isascii()
            assert key.isprintable()
            assert " " not in key
            assert len(key) < 250

    def test_keys_of_one_owner_share_a_hash_tag(
        self, challenges: Challenges, store: OpenStore
    ) -> None:
        for purpose in (LOGIN, REGISTRATION, GRACE):
            issue(challenges, Subject(ADA.actor_type, purpose, ADA.identifier))
        tags = {key[key.index("{") : key.index("}") + 1] for key in store.items}
        assert len(tags) == 1

    def test_a_log_shows_no_digest(self, challenges: Challenges) -> None:
        challenge = issue(challenges)
        assert challenge.digest not in repr(challenge)

    def test_a_store_that_writes_only_a_part_has_issued_nothing(self) -> None:
        class Full(OpenStore):
            def put(self, items: Mapping[str, str], ttl: int) -> None:
                raise Unavailable

        with pytest.raises(Unavailable):
            issue(Challenges(Full(), Keys.derive([NEW])))


class TestIds:
    @pytest.mark.parametrize("challenge_id", ["", "f00d", "x" * MAX_ID_LENGTH, "ü", "\x00", " "])
    @pytest.mark.parametrize("required", [True, False])
    def test_any_short_text_may_be_sent(self, challenge_id: str, required: bool) -> None:
        assert check_id(challenge_id, required=required) is None

    def test_none_may_be_sent_unless_one_is_required(self) -> None:
        assert check_id(None) is None
        with pytest.raises(InvalidData):
            check_id(None, required=True)

    @pytest.mark.parametrize("challenge_id", [7, b"f00d", ["f00d"], "x" * 65, "\ud800", "a\udfff"])
    def test_what_can_not_be_one_is_refused(self, challenge_id: object) -> None:
        with pytest.raises(InvalidData, match="challenge must be") as caught:
            check_id(challenge_id)
        assert str(challenge_id) not in str(caught.value)


class TestGuessing:
    def test_the_right_code_lets_in_once(self, challenges: Challenges) -> None:
        issue(challenges)
        assert [enter(challenges), enter(challenges)] == [True, False]

    def test_a_wrong_code_does_not(self, challenges: Challenges) -> None:
        issue(challenges)
        assert guess(challenges, WRONG) == "wrong"
        assert enter(challenges)

    def test_each_guess_takes_a_ticket_and_then_there_are_none(
        self, challenges: Challenges
    ) -> None:
        issue(challenges, attempts=3)
        answers = [guess(challenges, WRONG) for _ in range(4)]
        assert answers == ["wrong", "wrong", "wrong", "exhausted"]
        assert guess(challenges, CODE, budget=never) == "exhausted"

    def test_what_does_not_look_like_the_code_costs_nothing(
        self, challenges: Challenges, store: OpenStore
    ) -> None:
        issue(challenges)
        store.verbs.clear()
        for other in ("", "12345", "1234567", "12345A", LONG):
            assert guess(challenges, other, budget=never) == "wrong"
        assert "take" not in store.verbs

    def test_a_guess_without_budget_is_not_compared(
        self, challenges: Challenges, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        issue(challenges)
        (found,) = challenges.find(None, ADA)
        monkeypatch.setattr(codes, "matches", never)
        assert challenges.guess(found, CODE, lambda: False) == "budget"

    def test_a_ticket_is_taken_before_the_budget_is_asked_and_both_before_comparing(
        self, challenges: Challenges, store: OpenStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        issue(challenges)
        (found,) = challenges.find(None, ADA)
        store.verbs.clear()
        monkeypatch.setattr(codes, "matches", lambda *_: store.verbs.append("compare") or True)
        challenges.guess(found, CODE, lambda: store.verbs.append("budget") or True)
        assert store.verbs == ["take", "budget", "compare"]

    def test_two_who_found_the_challenge_at_once_share_its_tickets_and_its_use(
        self, challenges: Challenges
    ) -> None:
        issue(challenges, attempts=3)
        (one,), (other,) = challenges.find(None, ADA), challenges.find(None, ADA)
        assert challenges.guess(one, CODE, lambda: True) is None
        assert challenges.guess(other, CODE, lambda: True) is None
        assert [challenges.redeem(one), challenges.redeem(other)] == [True, False]
        assert challenges.guess(one, WRONG, lambda: True) == "wrong"
        assert challenges.guess(other, WRONG, lambda: True) == "exhausted"

    def test_a_code_that_was_never_issued_is_unknown(self, challenges: Challenges) -> None:
        assert challenges.find(None, ADA) == [None]

    def test_a_code_expires_at_its_deadline(
        self, challenges: Challenges, clock: time_machine.Traveller
    ) -> None:
        clock.move_to(1_700_000_000)
        issue(challenges, ttl=300)
        clock.shift(299.999)
        assert guess(challenges) is None
        clock.move_to(1_700_000_300)
        assert guess(challenges, budget=never) == "expired"

    @pytest.mark.parametrize("uri", ["memory://", "sqlite:///codes.sqlite3"])
    def test_an_expired_code_is_forgotten_after_a_while(
        self, uri: str, clock: time_machine.Traveller, tmp_path: Path
    ) -> None:
        store = backend_for(uri, str(tmp_path)).open_store()
        challenges = Challenges(store, Keys.derive([NEW]))
        issue(challenges, ttl=300)
        clock.shift(300 + AFTERLIFE - 1)
        assert guess(challenges) == "expired"
        clock.shift(3)
        assert guess(challenges) == "unknown"


class TestLongCodes:
    def issue(self, challenges: Challenges) -> Challenge:
        return issue(challenges, code=LONG, length=len(LONG), attempts=0)

    def test_it_lets_in_once(self, challenges: Challenges) -> None:
        assert self.issue(challenges).long
        assert [enter(challenges, LONG), enter(challenges, LONG)] == [True, False]

    def test_it_needs_no_tickets_and_no_budget(
        self, challenges: Challenges, store: OpenStore
    ) -> None:
        challenge = self.issue(challenges)
        assert challenge.tickets == []
        assert len(store.items) == 2
        assert {guess(challenges, WRONG_LONG, budget=never) for _ in range(50)} == {"wrong"}
        assert guess(challenges, LONG, budget=never) is None

    def test_a_short_guess_at_it_costs_nothing(
        self, challenges: Challenges, store: OpenStore
    ) -> None:
        self.issue(challenges)
        store.verbs.clear()
        assert guess(challenges, CODE, budget=never) == "wrong"
        assert store.verbs == ["peek"]

    def test_whoever_is_locked_out_of_short_codes_gets_in_with_it(
        self, challenges: Challenges
    ) -> None:
        issue(challenges)
        assert guess(challenges, budget=lambda: False) == "budget"
        self.issue(challenges)
        assert enter(challenges, LONG)


class TestDecoys:
    def test_no_code_answers_a_decoy(self, challenges: Challenges) -> None:
        issue(challenges, code=None, attempts=100)
        for number in range(100):
            assert guess(challenges, f"{number:06}") == "wrong"
        assert guess(challenges, "000100") == "exhausted"

    def test_not_even_the_empty_one(self, challenges: Challenges) -> None:
        issue(challenges, code=None, length=0, attempts=0)
        assert guess(challenges, "") == "wrong"

    @pytest.mark.parametrize("long", [False, True])
    def test_a_decoy_takes_the_same_work_and_the_same_room(self, long: bool) -> None:
        shape = {"length": 13, "attempts": 0} if long else {"length": 6, "attempts": 3}
        traces = []
        for code in (LONG if long else CODE, None):
            store = OpenStore()
            challenges = Challenges(store, Keys.derive([NEW]))
            with time_machine.travel(1_700_000_000, tick=False):
                issue(challenges, code=code, **shape)
                guess(challenges, WRONG_LONG if long else WRONG)
            sizes = [(len(key), len(value)) for key, value in store.items.items()]
            traces.append((store.verbs, sizes))
        assert traces[0] == traces[1]


class TestWhichChallenge:
    def test_without_an_id_the_newest_is_meant(self, challenges: Challenges) -> None:
        issue(challenges, code="111111")
        newest = issue(challenges, code="222222")
        assert challenges.find(None, ADA) == [newest]
        assert guess(challenges, "111111") == "wrong"
        assert enter(challenges, "222222")

    def test_with_an_id_that_one_is_meant_and_no_other(self, challenges: Challenges) -> None:
        older = issue(challenges, code="111111")
        newer = issue(challenges, code="222222")
        assert not enter(challenges, "222222", challenge_id=older.id)
        assert enter(challenges, "111111", challenge_id=older.id)
        assert enter(challenges, "222222", challenge_id=newer.id)

    @pytest.mark.parametrize("challenge_id", ["", "f00d", "{", "ü" * 64])
    def test_an_id_that_was_never_issued_is_unknown(
        self, challenges: Challenges, challenge_id: str
    ) -> None:
        issue(challenges)
        assert challenges.find(challenge_id, ADA) == [None]

    def test_several_subjects_are_looked_up_in_one_go(
        self, challenges: Challenges, store: OpenStore
    ) -> None:
        in_grace = Subject(ADA.actor_type, GRACE, ADA.identifier)
        issued = issue(challenges, in_grace)
        store.verbs.clear()
        assert challenges.find(None, in_grace, ADA) == [issued, None]
        assert challenges.find(issued.id, ADA, in_grace) == [None, issued]
        assert store.verbs == ["peek", "peek"]

    def test_a_newer_code_leaves_the_older_ones_tickets_alone(self, challenges: Challenges) -> None:
        older = issue(challenges, attempts=1)
        assert guess(challenges, WRONG, challenge_id=older.id) == "wrong"
        newer = issue(challenges, attempts=1)
        assert guess(challenges, challenge_id=older.id) == "exhausted"
        assert guess(challenges, challenge_id=newer.id) is None


class TestBinding:
    """A code is good for one actor type, one purpose, one identifier and one challenge."""

    PAIRS = pytest.mark.parametrize(
        ("issued_for", "tried_for"),
        list(itertools.permutations(SUBJECTS, 2)),
        ids=lambda subject: "-".join(
            (subject.actor_type, subject.purpose, subject.identifier.partition("@")[0])
        ),
    )

    @PAIRS
    def test_a_code_is_unknown_to_every_other_subject(
        self, challenges: Challenges, issued_for: Subject, tried_for: Subject
    ) -> None:
        challenge = issue(challenges, issued_for)
        assert guess(challenges, CODE, tried_for) == "unknown"
        assert guess(challenges, CODE, tried_for, challenge.id) == "unknown"

    @PAIRS
    def test_copied_under_anothers_keys_it_does_not_let_in_either(
        self, challenges: Challenges, store: OpenStore, issued_for: Subject, tried_for: Subject
    ) -> None:
        issue(challenges, tried_for, "999999", challenge_id="f00d")
        keys, store.items = list(store.items), {}
        issue(challenges, issued_for, challenge_id="f00d")
        store.items = dict(zip(keys, store.items.values(), strict=True))
        assert not enter(challenges, CODE, tried_for)
        assert not enter(challenges, CODE, tried_for, "f00d")

    def test_the_same_code_of_another_challenge_is_another_right(
        self, challenges: Challenges
    ) -> None:
        one, other = issue(challenges), issue(challenges)
        assert one.digest != other.digest
        assert enter(challenges, challenge_id=one.id)
        assert enter(challenges, challenge_id=other.id)

    def test_parts_of_a_subject_can_not_trade_characters(self, challenges: Challenges) -> None:
        issue(challenges, Subject("customer", LOGIN, "sada"))
        assert guess(challenges, CODE, Subject("customers", LOGIN, "ada")) == "unknown"

    def test_a_challenge_under_the_key_of_another_one_is_unknown(
        self, challenges: Challenges, store: OpenStore
    ) -> None:
        mine, other = issue(challenges), issue(challenges, code="999999")
        store.items[other.key] = store.items[mine.key]
        assert guess(challenges, CODE, challenge_id=other.id) == "unknown"


class TestForgery:
    """Who can write to the cache can make no challenge."""

    def test_a_challenge_sealed_with_another_key_is_unknown(self, store: OpenStore) -> None:
        issue(Challenges(store, Keys.derive([OLD])))
        keys, values = list(store.items), list(store.items.values())
        store.items = {}
        ours = Challenges(store, Keys.derive([NEW]))
        issued = issue(ours)
        store.items = dict(zip(store.items, values, strict=True)) | dict.fromkeys(keys, "1")
        assert guess(ours) == "unknown"
        assert guess(ours, challenge_id=issued.id) == "unknown"

    @pytest.mark.parametrize(
        "change",
        [lambda sealed: "1", lambda sealed: "", lambda sealed: sealed[:-1],
         lambda sealed: sealed.replace("300", "999"), lambda sealed: sealed.partition(".")[0],
         lambda sealed: "ü" + sealed, lambda sealed: "\ud800"],
    )  # fmt: skip
    def test_a_challenge_that_was_changed_is_unknown(
        self, challenges: Challenges, store: OpenStore, change: Callable[[str], str]
    ) -> None:
        with time_machine.travel(1_700_000_000, tick=False):
            challenge = issue(challenges, ttl=300)
            store.items = {key: change(value) for key, value in store.items.items()}
            assert guess(challenges) == "unknown"
            assert guess(challenges, challenge_id=challenge.id) == "unknown"

    def test_a_seal_of_another_kind_does_not_open(
        self, challenges: Challenges, store: OpenStore
    ) -> None:
        grace = issue(challenges, Subject(ADA.actor_type, GRACE, ADA.identifier))
        login = issue(challenges, challenge_id=grace.id)
        store.items[login.key] = store.items[grace.key]
        assert guess(challenges, challenge_id=login.id) == "unknown"

    def test_a_short_code_can_not_pass_for_a_long_one(
        self, challenges: Challenges, store: OpenStore
    ) -> None:
        short = issue(challenges, attempts=1)
        long = issue(challenges, code=LONG, length=13, attempts=0)
        store.items[short.key] = store.items[long.key]
        assert guess(challenges, CODE, challenge_id=short.id) == "unknown"


class TestForgetting:
    """Eviction, a flush or a restart can only refuse."""

    @pytest.mark.parametrize("before", range(4))
    def test_no_loss_of_any_keys_at_any_time_adds_a_guess_or_a_use(
        self, challenges: Challenges, store: OpenStore, before: int
    ) -> None:
        for lost in itertools.product([False, True], repeat=4):
            store.items.clear()
            challenge = issue(challenges, attempts=2)
            keys, compared, entered = list(store.items), 0, 0
            for number, (code, by_id) in enumerate(
                [(WRONG, False), (CODE, True), (CODE, False), (CODE, True)]
            ):
                if number == before:
                    for key in itertools.compress(keys, lost):
                        store.items.pop(key, None)
                (found,) = challenges.find(challenge.id if by_id else None, ADA)
                answer = challenges.guess(found, code, lambda: True) if found else "unknown"
                compared += answer in (None, "wrong")
                entered += answer is None and challenges.redeem(found)
            assert compared <= 2
            assert entered <= 1
            assert entered == 1 or any(lost)

    def test_a_flush_forgets_every_right(self, challenges: Challenges, store: OpenStore) -> None:
        challenge = issue(challenges)
        (found,) = challenges.find(None, ADA)
        store.items.clear()
        assert guess(challenges) == "unknown"
        assert challenges.guess(found, CODE, lambda: True) == "exhausted"
        assert challenges.redeem(challenge) is False


class Machine(RuleBasedStateMachine):
    """Issues, guesses, redeems and forgets in any order, and counts what was let through."""

    issued = Bundle("issued")
    seen = Bundle("seen")

    def __init__(self) -> None:
        super().__init__()
        self.store = OpenStore()
        self.challenges = Challenges(self.store, Keys.derive([OLD, NEW]))
        self.codes: dict[str, str] = {}
        self.compared: dict[str, int] = {}
        self.redeemed: dict[str, int] = {}
        self.limits: dict[str, int] = {}

    @rule(
        target=issued,
        subject=st.sampled_from(SUBJECTS[:4]),
        code=st.sampled_from([CODE, WRONG, None]),
        attempts=st.integers(1, 3),
    )
    def issue(self, subject: Subject, code: str | None, attempts: int) -> Challenge:
        challenge = issue(self.challenges, subject, code, attempts=attempts)
        self.codes[challenge.id] = code or "none"
        self.limits[challenge.id] = attempts
        self.compared[challenge.id] = self.redeemed[challenge.id] = 0
        return challenge

    @rule(target=seen, challenge=issued, by_id=st.booleans())
    def find(self, challenge: Challenge, by_id: bool) -> Challenge | None:
        (found,) = self.challenges.find(challenge.id if by_id else None, challenge.subject)
        assert found is None or found.subject == challenge.subject
        assert found is None or found == challenge or not by_id
        return found

    @rule(found=seen, code=st.sampled_from([CODE, WRONG]), redeem=st.booleans())
    def guess(self, found: Challenge | None, code: str, redeem: bool) -> None:
        if found is None:
            return
        answer = self.challenges.guess(found, code, lambda: True)
        self.compared[found.id] += answer in (None, "wrong")
        assert answer is not None or code == self.codes[found.id]
        if answer is None and redeem:
            self.redeemed[found.id] += self.challenges.redeem(found)

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        for key in data.draw(st.sets(st.sampled_from(["", *self.store.items]))):
            self.store.items.pop(key, None)

    @invariant()
    def no_code_is_compared_more_often_than_it_has_tickets(self) -> None:
        assert all(self.compared[name] <= self.limits[name] for name in self.compared)

    @invariant()
    def no_code_is_used_twice(self) -> None:
        assert all(times <= 1 for times in self.redeemed.values())


class TestMachine(Machine.TestCase):
    settings = settings(max_examples=40, stateful_step_count=25)


class TestKeyRotation:
    OLD, BOTH, LATER = [OLD], [OLD, NEW], [NEW]

    def at(self, store: Store, secrets: list[bytes]) -> Challenges:
        return Challenges(store, Keys.derive(secrets))

    @pytest.mark.parametrize("by_id", [False, True])
    def test_a_code_of_the_old_key_lets_in_once_while_that_is_a_fallback(
        self, store: OpenStore, by_id: bool
    ) -> None:
        challenge = issue(self.at(store, self.OLD), attempts=2)
        after = self.at(store, self.BOTH)
        challenge_id = challenge.id if by_id else None
        assert guess(after, WRONG, challenge_id=challenge_id) == "wrong"
        assert enter(after, challenge_id=challenge_id)
        assert guess(after, challenge_id=challenge_id) in ("unknown", "exhausted")

    def test_its_tickets_are_the_same_before_and_after(self, store: OpenStore) -> None:
        before, after = self.at(store, self.OLD), self.at(store, self.BOTH)
        issue(before, attempts=2)
        assert guess(before, WRONG) == "wrong"
        assert guess(after, WRONG) == "wrong"
        assert guess(before) == guess(after) == "exhausted"

    def test_a_code_of_the_old_key_is_unknown_when_that_is_gone(self, store: OpenStore) -> None:
        challenge = issue(self.at(store, self.OLD))
        later = self.at(store, self.LATER)
        assert guess(later) == guess(later, challenge_id=challenge.id) == "unknown"

    def test_new_codes_are_of_the_new_key(self, store: OpenStore) -> None:
        issue(self.at(store, self.BOTH))
        assert guess(self.at(store, self.OLD)) == "unknown"
        assert enter(self.at(store, self.LATER))

    def test_a_newer_code_of_the_new_key_comes_first(self, store: OpenStore) -> None:
        older = issue(self.at(store, self.OLD), code="111111")
        after = self.at(store, self.BOTH)
        issue(after, code="222222")
        assert enter(after, "222222")
        assert enter(after, "111111", challenge_id=older.id)

    def test_a_long_code_outlives_the_change_too(self, store: OpenStore) -> None:
        issue(self.at(store, self.OLD), code=LONG, length=13, attempts=0)
        assert enter(self.at(store, self.BOTH), LONG)


class TestWindows:
    def test_a_window_is_one_owners_for_one_purpose(self, challenges: Challenges) -> None:
        assert [challenges.open_window(subject, 60) for subject in SUBJECTS] == [True] * 12
        assert [challenges.open_window(subject, 60) for subject in SUBJECTS] == [False] * 12

    def test_a_window_of_no_time_is_always_open_and_asks_no_store(
        self, challenges: Challenges, store: OpenStore
    ) -> None:
        assert [challenges.open_window(ADA, 0) for _ in range(3)] == [True] * 3
        assert store.verbs == []

    def test_a_window_that_was_opened_for_nothing_can_be_closed(
        self, challenges: Challenges
    ) -> None:
        other = Subject(ADA.actor_type, REGISTRATION, ADA.identifier)
        assert challenges.open_window(ADA, 60)
        assert challenges.open_window(other, 60)
        challenges.close_window(ADA)
        assert [challenges.open_window(ADA, 60), challenges.open_window(other, 60)] == [True, False]

    def test_in_an_outage_it_stays_open_until_its_end(self) -> None:
        class Away(OpenStore):
            def take(self, key: str) -> bool:
                raise Unavailable

        challenges = Challenges(Away(), Keys.derive([NEW]))
        assert challenges.open_window(ADA, 60)
        challenges.close_window(ADA)
        assert not challenges.open_window(ADA, 60)

    def test_a_window_is_no_challenge(self, challenges: Challenges) -> None:
        challenges.open_window(ADA, 60)
        assert guess(challenges) == guess(challenges, challenge_id="window") == "unknown"


class TestRights:
    @pytest.fixture
    def rights(self, store: OpenStore) -> Rights:
        return Rights(store, Keys.derive([NEW]))

    def test_a_right_is_taken_once(self, rights: Rights) -> None:
        rights.put(60, "refresh", "f00d")
        assert [rights.take("refresh", "f00d"), rights.take("refresh", "f00d")] == [True, False]

    def test_a_right_that_was_never_put_can_not_be_taken(self, rights: Rights) -> None:
        assert not rights.take("refresh", "f00d")

    @pytest.mark.parametrize("other", [("revoked", "f00d"), ("refresh", "f00"), ("refreshf00d",)])
    def test_rights_do_not_meet(self, rights: Rights, other: tuple[str, ...]) -> None:
        rights.put(60, "refresh", "f00d")
        assert not rights.take(*other)
        assert rights.take("refresh", "f00d")

    def test_rights_outlive_a_change_of_the_secret_key(self, store: OpenStore) -> None:
        before, after = (Rights(store, Keys.derive(keys)) for keys in ([OLD], [OLD, NEW]))
        before.put(60, "refresh", "f00d")
        assert [after.take("refresh", "f00d"), before.take("refresh", "f00d")] == [True, False]

    @given(st.lists(st.booleans(), max_size=6))
    def test_a_right_is_taken_once_for_each_time_that_it_was_put(self, puts: list[bool]) -> None:
        rights, stands = Rights(OpenStore(), Keys.derive([NEW])), False
        for put in puts:
            if put:
                rights.put(60, "refresh", "f00d")
            else:
                assert rights.take("refresh", "f00d") is stands
            stands = put
