"""The promises of the four verbs, on every storage that there is."""

import time
from collections import Counter
from collections.abc import Callable

import pytest
from storage_kit import EVERY, MAY_FORK, SHARED, forked, open_store
from stores import at_once
from time_machine import Traveller

from flask_otp_auth.storage.base import Store, probe

ON_EVERY = pytest.mark.parametrize("store", EVERY, indirect=True)
ON_SHARED = pytest.mark.parametrize("store", SHARED, indirect=True)


@ON_EVERY
def test_what_was_put_is_there(store: Store, key: str) -> None:
    store.put({key: "1", f"{key}:two": "two words"}, 60)
    assert store.peek(f"{key}:two", f"{key}:none", key, key) == ["two words", None, "1", "1"]


@ON_EVERY
def test_a_pointer_may_be_put_again(store: Store, key: str) -> None:
    store.put({key: "old"}, 60)
    store.put({f"{key}:code": "code", key: "new"}, 60)
    assert store.peek(key) == ["new"]


@ON_EVERY
def test_keys_of_several_owners_go_together(store: Store, key: str) -> None:
    """On a Cluster they are on several servers."""
    keys = [f"otp_auth:{{{key}{number // 2}}}:{number}" for number in range(20)]
    store.put({one: str(number) for number, one in enumerate(keys)}, 60)
    assert store.peek(*keys) == [str(number) for number in range(20)]
    assert store.take(keys[7], f"{key}:none", keys[0]) == [True, False, True]
    assert store.peek(keys[0], keys[1], keys[7]) == [None, "1", None]


@ON_EVERY
def test_a_key_is_taken_once_for_each_time_that_it_was_put(store: Store, key: str) -> None:
    for _ in range(2):
        store.put({key: "1"}, 60)
        assert [store.take(key), store.take(key)] == [[True], [False]]
    assert store.peek(key) == [None]


@ON_EVERY
def test_a_key_is_taken_once_in_one_step_as_well(store: Store, key: str) -> None:
    store.put({key: "1"}, 60)
    assert store.take(key, key) == [True, False]


@ON_EVERY
def test_a_key_is_taken_by_its_value(store: Store, key: str) -> None:
    store.put({key: "one"}, 60)
    assert store.take(key, value="two") == [False]
    assert store.peek(key) == ["one"]
    assert store.take(key, value="one") == [True]
    assert store.take(key, value="one") == [False]
    assert store.peek(key) == [None]
    assert store.mark(key, 60, "three")
    assert store.peek(key) == ["three"]


@ON_EVERY
def test_a_mark_is_made_once_until_it_is_taken(store: Store, key: str) -> None:
    assert store.mark(key, 60, "slot")
    assert not store.mark(key, 60, "another")
    assert store.peek(key) == ["slot"]
    assert store.take(key) == [True]
    assert store.mark(key, 60)
    assert store.peek(key) == ["1"]


@ON_EVERY
def test_a_mark_ends_to_the_instant(store: Store, key: str) -> None:
    before = time.monotonic()
    assert store.mark(key, 1)
    after = looked = time.monotonic()
    while not store.mark(key, 60):
        assert looked - after < 1.5
        time.sleep(0.001)
        looked = time.monotonic()
    assert time.monotonic() - before >= 0.99
    assert store.peek(key) == ["1"]


@pytest.mark.parametrize("store", ["memory", "simple", "sqlite", "memcached"], indirect=True)
def test_our_clock_decides_what_is_over(store: Store, key: str, clock: Traveller) -> None:
    store.put({key: "1"}, 60)
    assert store.mark(f"{key}:mark", 60)
    clock.shift(59.9)
    assert store.peek(key, f"{key}:mark") == ["1", "1"]
    assert not store.mark(f"{key}:mark", 60)
    clock.shift(0.1)
    assert store.peek(key, f"{key}:mark") == [None, None]
    assert store.take(key, f"{key}:mark") == [False, False]
    assert store.take(key, value="1") == [False]
    assert store.mark(f"{key}:mark", 60)


@ON_EVERY
def test_what_was_put_stays_for_months_if_it_has_to(store: Store, key: str) -> None:
    store.put({key: "1"}, 400 * 86_400)
    assert store.mark(f"{key}:mark", 400 * 86_400)
    assert store.peek(key, f"{key}:mark") == ["1", "1"]


@ON_EVERY
def test_it_passes_the_self_test_and_may_be_tested_again(store: Store) -> None:
    assert [probe(store), probe(store)] == [None, None]


@pytest.mark.parametrize("kind", SHARED)
def test_two_apps_of_one_uri_share_codes(uri_of: Callable[[str], str], kind: str, key: str) -> None:
    one, other = (open_store(uri_of(kind)) for _ in range(2))
    one.put({key: "1"}, 60)
    assert [other.take(key), one.take(key)] == [[True], [False]]


ROUNDS = 20


def prepare(store: Store, key: str) -> None:
    for number in range(ROUNDS):
        name = f"{key}:{number}"
        store.put({f"{name}:{what}": "1" for what in ("one", "left", "right", "value")}, 60)


def race(store: Store, key: str) -> Counter[str]:
    """Try to win each round of each contest, and return how many were won."""
    won = Counter[str]()
    for number in range(ROUNDS):
        name = f"{key}:{number}"
        won["take"] += store.take(f"{name}:one")[0]
        won.update(str(taken) for taken in [store.take(f"{name}:left", f"{name}:right")])
        won["value"] += store.take(f"{name}:value", value="1")[0]
        won["mark"] += store.mark(f"{name}:mark", 60)
        won["slot"] += store.mark(f"{name}:slot", 60) and store.take(f"{name}:slot", value="1")[0]
    return won


def check(won: Counter[str], kind: str) -> None:
    assert {won["take"], won["value"], won["mark"]} == {ROUNDS}
    assert won["slot"] >= ROUNDS  # each may be marked again once it was taken
    if kind != "memcached":  # which has no command that takes two
        assert won["[True, True]"] == ROUNDS
        assert won["[True, False]"] == won["[False, True]"] == 0


@ON_EVERY
def test_one_of_many_threads_wins(store: Store, key: str, request: pytest.FixtureRequest) -> None:
    prepare(store, key)
    check(sum(at_once(*[lambda: race(store, key)] * 8), Counter()), kind_of(request))


@ON_SHARED
@MAY_FORK
def test_one_of_many_processes_wins(store: Store, key: str, request: pytest.FixtureRequest) -> None:
    prepare(store, key)  # which opens connections that must not be used after the fork
    won = forked(4, lambda _: race(store, key))
    check(sum(won, Counter()), kind_of(request))
    assert store.take(f"{key}:0:one") == [False]


def kind_of(request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["store"])


@ON_SHARED
@MAY_FORK
def test_each_process_gets_its_own_replies(store: Store, key: str) -> None:
    def busy(number: int) -> bool:
        for turn in range(100):
            name = f"{key}:{number}:{turn}"
            store.put({name: name}, 60)
            if store.peek(name) != [name] or not store.take(name)[0] or store.take(name)[0]:
                return False
        return True

    assert busy(-1)
    assert forked(4, busy) == [True] * 4
    assert busy(-2)
