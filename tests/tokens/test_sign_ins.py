"""Sign-ins: slots that are marked once, found, listed, and taken."""

import re
import time
from datetime import UTC, datetime

import pytest
from fakes import NOW, FakeStore
from time_machine import Traveller

from flask_otp_auth.core.context import Context
from flask_otp_auth.core.crypto import Keys
from flask_otp_auth.errors import Unavailable
from flask_otp_auth.tokens.sign_ins import MAX_SLOTS, Owner, SignIn, SignIns

OLD, NEW = b"o" * 32, b"n" * 32
DAY = 86_400
ADA = Owner("customer", "1", most=4, ttl=30 * DAY)


def context(browser: str | None = "Firefox", platform: str | None = "Linux") -> Context:
    """Return the context of a request from a browser."""
    return Context("en", datetime.now(UTC), browser, platform, "192.0.2.1")


def sign_ins_on(store: FakeStore, *secrets: bytes) -> SignIns:
    """Return the sign-ins of an app with these secret keys, the newest last."""
    return SignIns(store, Keys.derive(secrets or (NEW,), "shop"))


@pytest.fixture
def sign_ins(store: FakeStore) -> SignIns:
    """The sign-ins of the app."""
    return sign_ins_on(store)


def begin(sign_ins: SignIns, owner: Owner = ADA, where: Context | None = None) -> str:
    """Begin a sign-in and return its id."""
    return sign_ins.begin(sign_ins.propose(owner, int(time.time()), where)).sid


def ids(sign_ins: SignIns, owner: Owner = ADA) -> list[str]:
    """Return the ids of the live sign-ins, the newest first."""
    return [sign_in.id for sign_in in sign_ins.all(owner)]


def slot_of(sid: str) -> int:
    return int(sid.partition(".")[0])


class TestBeginning:
    """A sign-in takes a free slot, or the oldest one's."""

    def test_its_id_is_its_slot_and_128_random_bits(self, sign_ins: SignIns) -> None:
        seen = {begin(sign_ins) for _ in range(4)}
        assert all(re.fullmatch(r"[0-3]\.[0-9a-f]{32}", sid) for sid in seen)
        assert {slot_of(sid) for sid in seen} == {0, 1, 2, 3}

    def test_it_costs_one_look_and_one_mark(self, store: FakeStore, sign_ins: SignIns) -> None:
        begin(sign_ins)
        assert store.verbs == ["peek", "mark"]

    def test_a_proposal_writes_nothing(self, store: FakeStore, sign_ins: SignIns) -> None:
        sign_ins.propose(ADA, NOW, None)
        assert store.items == {}

    def test_keys_share_a_hash_tag_and_reveal_nobody(
        self, store: FakeStore, sign_ins: SignIns
    ) -> None:
        for _ in range(4):
            begin(sign_ins)
        (tag,) = {key[: key.index("}") + 1] for key in store.items}
        assert re.fullmatch(r"otp_auth:\{[0-9a-f]{32}\}", tag)

    def test_where_all_slots_are_in_use_the_oldest_ends(self, sign_ins: SignIns) -> None:
        first, *others = [begin(sign_ins) for _ in range(4)]
        fifth = begin(sign_ins)
        assert slot_of(fifth) == slot_of(first)
        assert ids(sign_ins) == [fifth, *reversed(others)]

    def test_the_oldest_is_the_one_that_began_first_whatever_the_clocks_say(
        self, sign_ins: SignIns, now: Traveller
    ) -> None:
        first = begin(sign_ins)
        now.shift(-60)  # another server's clock
        others = [begin(sign_ins) for _ in range(4)]
        assert first not in ids(sign_ins)
        assert ids(sign_ins) == others[::-1]

    def test_with_a_single_slot_each_sign_in_ends_the_former(self, sign_ins: SignIns) -> None:
        owner = Owner("customer", "1", most=1, ttl=DAY)
        for _ in range(3):
            assert ids(sign_ins, owner) != [sid := begin(sign_ins, owner)]
            assert ids(sign_ins, owner) == [sid]

    def test_an_expired_one_gives_up_its_slot_first(
        self, store: FakeStore, sign_ins: SignIns, now: Traveller
    ) -> None:
        expired = begin(sign_ins)
        store.items = {key: (value, float("inf")) for key, (value, _) in store.items.items()}
        now.shift(30 * DAY)  # the storage is late to sweep
        begun = [begin(sign_ins) for _ in range(4)]
        assert sorted(ids(sign_ins)) == sorted(begun)
        assert slot_of(begun[-1]) == slot_of(expired)

    def test_it_ends_to_the_second(
        self, store: FakeStore, sign_ins: SignIns, now: Traveller
    ) -> None:
        sid = begin(sign_ins)
        store.items = {key: (value, float("inf")) for key, (value, _) in store.items.items()}
        now.move_to(NOW + 30 * DAY - 1)
        assert ids(sign_ins) == [sid]
        now.shift(1)
        assert ids(sign_ins) == []

    def test_a_ttl_that_was_shortened_counts_at_once(
        self, sign_ins: SignIns, now: Traveller
    ) -> None:
        sid = begin(sign_ins)
        now.shift(DAY)
        shorter = Owner("customer", "1", most=4, ttl=DAY)
        assert sign_ins.find(ADA, sid) is not None
        assert sign_ins.find(shorter, sid) is None

    def test_a_proposal_that_came_late_is_kept_for_a_second_at_least(
        self, store: FakeStore, sign_ins: SignIns
    ) -> None:
        sign_ins.begin(sign_ins.propose(ADA, NOW - 30 * DAY, None))
        ((_, deadline),) = store.items.values()
        assert deadline == NOW + 1


class TestRaces:
    """Several sign-ins at one moment: each has a slot of its own."""

    def test_who_loses_a_slot_begins_in_another(self, sign_ins: SignIns) -> None:
        proposals = [sign_ins.propose(ADA, NOW, context()) for _ in range(4)]
        begun = [sign_ins.begin(proposal) for proposal in proposals]
        assert len({slot_of(proposal.sid) for proposal in begun}) == 4
        assert sorted(ids(sign_ins)) == sorted(proposal.sid for proposal in begun)

    def test_the_proposal_that_came_true_is_told(self, sign_ins: SignIns) -> None:
        owner = Owner("customer", "1", most=1, ttl=DAY)
        first, second = (sign_ins.propose(owner, NOW, context()) for _ in range(2))
        assert sign_ins.begin(first) is first
        again = sign_ins.begin(second)
        assert again.sid != second.sid
        assert again.new_device is True  # as of the moment that it was asked for
        assert ids(sign_ins, owner) == [again.sid]

    def test_two_that_would_end_the_same_oldest_end_two(self, sign_ins: SignIns) -> None:
        first, second, *rest = [begin(sign_ins) for _ in range(4)]
        proposals = [sign_ins.propose(ADA, NOW, None) for _ in range(2)]
        begun = [sign_ins.begin(proposal).sid for proposal in proposals]
        assert sorted(ids(sign_ins)) == sorted([*rest, *begun])
        assert not {first, second}.intersection(ids(sign_ins))

    def test_a_store_that_never_gives_a_slot_is_unavailable(
        self, store: FakeStore, sign_ins: SignIns, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(store, "mark", lambda *_: False)
        with pytest.raises(Unavailable):
            begin(sign_ins)


class TestFinding:
    """A guard's one look."""

    def test_another_one_in_the_slot_is_not_it(self, sign_ins: SignIns) -> None:
        sid = begin(sign_ins)
        assert sign_ins.find(ADA, f"{slot_of(sid)}.{'0' * 32}") is None

    def test_of_another_actor_or_type_it_is_not_there(self, sign_ins: SignIns) -> None:
        sid = begin(sign_ins)
        for actor_type, actor_id in (("customer", "2"), ("user", "1")):
            assert sign_ins.find(Owner(actor_type, actor_id, 4, DAY), sid) is None

    @pytest.mark.parametrize(
        "sid", ["", "0", "0.", "garbage", "00." + "0" * 32, "4." + "0" * 32, "-1." + "0" * 32,
                "100." + "0" * 32, "0." + "0" * 33, "0." + "G" * 32, "٠." + "0" * 32]
    )  # fmt: skip
    def test_what_is_no_slot_of_the_actors_is_not_looked_up(
        self, store: FakeStore, sign_ins: SignIns, sid: str
    ) -> None:
        assert sign_ins.find(ADA, sid) is None
        assert store.calls == []

    def test_a_slot_beyond_the_setting_is_not_live(self, sign_ins: SignIns) -> None:
        more = Owner("customer", "1", most=MAX_SLOTS, ttl=DAY)
        sids = [begin(sign_ins, more) for _ in range(MAX_SLOTS)]
        assert [sid for sid in sids if sign_ins.find(ADA, sid)] == [
            sid for sid in sids if slot_of(sid) < 4
        ]
        assert {slot_of(sid) for sid in ids(sign_ins)} == {0, 1, 2, 3}


class TestGarbage:
    """A forged, copied or broken value counts as absent."""

    @pytest.mark.parametrize("value", ["", "1", "garbage", "[]", "\ud800", "9" * 5000])
    def test_is_no_sign_in_and_keeps_nobody_from_one(
        self, store: FakeStore, sign_ins: SignIns, value: str
    ) -> None:
        sid = begin(sign_ins)
        store.items = {key: (value, float("inf")) for key in store.items}
        assert sign_ins.find(ADA, sid) is None
        assert ids(sign_ins) == []
        assert sorted(begin(sign_ins) for _ in range(4)) == sorted(ids(sign_ins))

    def test_in_every_slot_it_gives_way(self, store: FakeStore, sign_ins: SignIns) -> None:
        for _ in range(4):
            begin(sign_ins)
        store.items = {key: ("garbage", float("inf")) for key in store.items}
        begun = [begin(sign_ins) for _ in range(4)]
        assert ids(sign_ins) == begun[::-1]

    def test_a_value_counts_in_its_own_slot_alone(
        self, store: FakeStore, sign_ins: SignIns
    ) -> None:
        begin(sign_ins)
        other = Owner("customer", "2", most=4, ttl=DAY)
        theirs = begin(sign_ins, other)
        (ours_key, _), (their_key, their_item) = store.items.items()
        store.items = {ours_key: their_item, their_key: their_item}
        assert ids(sign_ins) == []
        assert ids(sign_ins, other) == [theirs]

    def test_what_another_secret_sealed_is_garbage(self, store: FakeStore) -> None:
        begin(sign_ins_on(store, OLD))
        assert ids(sign_ins_on(store, NEW)) == []


class TestKeyRotation:
    """A change of ``SECRET_KEY`` ends no sign-in while the old key is a fallback."""

    def test_they_are_found_under_the_older_key(self, store: FakeStore) -> None:
        sid = begin(sign_ins_on(store, OLD))
        after = sign_ins_on(store, OLD, NEW)
        store.calls.clear()
        assert after.find(ADA, sid) is not None
        assert store.verbs == ["peek"]

    def test_they_count_and_end_as_all_others(self, store: FakeStore) -> None:
        before, after = sign_ins_on(store, OLD), sign_ins_on(store, OLD, NEW)
        first, second = begin(before), begin(before)
        others = [begin(after) for _ in range(3)]
        assert ids(after) == [*others[::-1], second]
        assert first not in ids(before)
        held = after.find(ADA, second)
        assert after.end(held)
        assert ids(before) == []

    def test_in_a_deployment_half_done_each_key_has_no_more_than_the_most(
        self, store: FakeStore
    ) -> None:
        before, after = sign_ins_on(store, OLD), sign_ins_on(store, OLD, NEW)
        for _ in range(6):
            begin(before)
            begin(after)
        assert len(ids(before)) <= 4
        assert len(ids(after)) <= 8
        after.end_all(ADA)
        assert store.items == {}


def test_one_from_before_an_upgrade_is_live_after_it(store: FakeStore, sign_ins: SignIns) -> None:
    key, sid = (
        "otp_auth:{d4b7094308ea2855d94eafa2a1d18386}:00",
        "0.0831bde69022b2a2c2afcf39f2db035b",
    )
    facts = f'[1702592000, "{key}", "{sid}", 1, 1700000000, "Firefox", "Linux"]'
    store.put({key: f"{facts}.FkLsdo-6FD8qfFYYsMT0AvYSM3YBFHm64pDP5SCe4Ig"}, 30 * DAY)
    since = datetime.fromtimestamp(NOW, UTC)
    assert sign_ins.all(ADA) == [SignIn(sid, "Firefox", "Linux", since)]


class TestListing:
    """What an actor may see of its sign-ins."""

    def test_says_where_and_since_when(self, sign_ins: SignIns, now: Traveller) -> None:
        one = begin(sign_ins, where=context("Firefox", "Linux"))
        now.shift(60)
        two = begin(sign_ins, where=context("Safari", "iOS"))
        three = begin(sign_ins)
        since = datetime.fromtimestamp(NOW, UTC)
        later = datetime.fromtimestamp(NOW + 60, UTC)
        assert sign_ins.all(ADA, current=two) == [
            SignIn(three, None, None, later),
            SignIn(two, "Safari", "iOS", later, current=True),
            SignIn(one, "Firefox", "Linux", since),
        ]


class TestNewDevices:
    """A device is new if no live sign-in has the same browser and platform."""

    def is_new(self, sign_ins: SignIns, where: Context | None) -> bool | None:
        return sign_ins.propose(ADA, NOW, where).new_device

    def test_the_first_one_is(self, sign_ins: SignIns) -> None:
        assert self.is_new(sign_ins, context()) is True

    def test_both_browser_and_platform_must_be_the_same(self, sign_ins: SignIns) -> None:
        begin(sign_ins, where=context("Firefox", "Linux"))
        begin(sign_ins, where=context("Safari", "macOS"))
        assert self.is_new(sign_ins, context("Firefox", "Linux")) is False
        assert self.is_new(sign_ins, context("Firefox", "macOS")) is True

    def test_outside_of_a_request_nobody_can_tell(self, sign_ins: SignIns) -> None:
        assert self.is_new(sign_ins, None) is None

    def test_a_device_is_new_again_when_its_sign_in_has_ended(self, sign_ins: SignIns) -> None:
        begin(sign_ins, where=context())
        sign_ins.end_all(ADA)
        assert self.is_new(sign_ins, context()) is True

    def test_a_refresh_mostly_needs_no_look_at_the_others(
        self, store: FakeStore, sign_ins: SignIns
    ) -> None:
        held = sign_ins.find(ADA, begin(sign_ins, where=context("Firefox", "Linux")))
        begin(sign_ins, where=context("Safari", "iOS"))
        store.calls.clear()
        assert sign_ins.is_new_device(held, context("Firefox", "Linux")) is False
        assert sign_ins.is_new_device(held, None) is None
        assert store.calls == []
        assert sign_ins.is_new_device(held, context("Safari", "iOS")) is False
        assert sign_ins.is_new_device(held, context("Chrome", "Android")) is True
        assert store.verbs == ["peek", "peek"]


class TestEnding:
    """What has ended stays ended."""

    def test_one_caller_ends_it(self, sign_ins: SignIns) -> None:
        other, sid = begin(sign_ins), begin(sign_ins)
        held = sign_ins.find(ADA, sid)
        assert [sign_ins.end(held) for _ in range(3)] == [True, False, False]
        assert ids(sign_ins) == [other]

    def test_who_comes_late_does_not_end_the_one_that_followed(self, sign_ins: SignIns) -> None:
        owner = Owner("customer", "1", most=1, ttl=DAY)
        held = sign_ins.find(owner, begin(sign_ins, owner))
        following = begin(sign_ins, owner)
        assert not sign_ins.end(held)
        assert ids(sign_ins, owner) == [following]

    def test_all_end_in_one_round_trip_in_slots_beyond_the_setting_too(
        self, store: FakeStore, sign_ins: SignIns
    ) -> None:
        more = Owner("customer", "1", most=MAX_SLOTS, ttl=DAY)
        for _ in range(MAX_SLOTS):
            begin(sign_ins, more)
        store.calls.clear()
        assert sign_ins.end_all(ADA) == MAX_SLOTS
        assert store.verbs == ["take"]
        assert store.items == {}

    def test_all_end_under_every_key(self, store: FakeStore) -> None:
        begin(sign_ins_on(store, OLD))
        after = sign_ins_on(store, OLD, NEW)
        begin(after)
        assert after.end_all(ADA) == 2

    def test_nobody_else_s_end(self, sign_ins: SignIns) -> None:
        begin(sign_ins)
        other = Owner("user", "1", most=4, ttl=DAY)
        theirs = begin(sign_ins, other)
        sign_ins.end_all(ADA)
        assert ids(sign_ins, other) == [theirs]

    @pytest.mark.parametrize("secrets", [(NEW,), (OLD, NEW)])
    def test_all_others_end(self, store: FakeStore, secrets: tuple[bytes, ...]) -> None:
        before = sign_ins_on(store, secrets[0])
        kept = begin(before)
        sign_ins = sign_ins_on(store, *secrets)
        for _ in range(3):
            begin(sign_ins)
        assert sign_ins.end_all(ADA, but=kept) == 3
        assert ids(sign_ins) == [kept]

    def test_one_to_keep_that_is_not_there_keeps_nothing(self, sign_ins: SignIns) -> None:
        sid = begin(sign_ins)
        gone = f"{slot_of(sid)}.{'0' * 32}"
        assert sign_ins.end_all(ADA, but=gone) == 1
