"""Backends: one URI gives codes and limits their place."""

from pathlib import Path

import pytest
from limits import parse
from limits.strategies import MovingWindowRateLimiter

from flask_otp_auth.backends import backend_for
from flask_otp_auth.limits import strategy_for
from flask_otp_auth.store import MIN_THRESHOLD, probe

TWICE = parse("2/hour")

URIS = pytest.mark.parametrize("uri", ["memory://", "sqlite:///codes.sqlite3"])


@URIS
def test_a_backend_keeps_codes_as_the_store_promises(uri: str, tmp_path: Path) -> None:
    store = backend_for(uri, str(tmp_path)).open_store()
    assert probe(store) is None
    store.put({"one": "1", "two": "2"}, 60)
    assert store.peek("one", "two", "three") == ["1", "2", None]


@URIS
def test_a_backend_counts_limits_in_moving_windows(uri: str, tmp_path: Path) -> None:
    strategy = strategy_for(backend_for(uri, str(tmp_path)).open_limits())
    assert isinstance(strategy, MovingWindowRateLimiter)
    assert [strategy.hit(TWICE, "ada") for _ in range(3)] == [True, True, False]


@URIS
def test_a_backend_has_room_for_every_live_code(uri: str, tmp_path: Path) -> None:
    store = backend_for(uri, str(tmp_path)).open_store()
    store.put({"first": "1"}, 60)
    for block in range(6):
        store.put({f"{block}-{number}": "1" for number in range(MIN_THRESHOLD // 5)}, 60)
    store.put({"last": "1"}, 60)
    assert store.peek("first", "last") == ["1", "1"]


def test_nothing_is_shared_in_memory() -> None:
    backend = backend_for("memory://", "")
    one, other = backend.open_store(), backend.open_store()
    one.put({"key": "1"}, 60)
    assert other.peek("key") == [None]


def test_whoever_opens_one_file_shares_codes_and_limits(tmp_path: Path) -> None:
    workers = [backend_for("sqlite:///codes.sqlite3", str(tmp_path)) for _ in range(3)]
    stores = [worker.open_store() for worker in workers]
    stores[0].put({"right": "1"}, 60)
    assert [store.take("right") for store in stores] == [True, False, False]
    strategies = [strategy_for(worker.open_limits()) for worker in workers]
    assert [strategy.hit(TWICE, "ada") for strategy in strategies] == [True, True, False]


def test_a_relative_path_starts_from_the_instance_folder_which_is_made(tmp_path: Path) -> None:
    backend = backend_for("sqlite:///data/codes.sqlite3", str(tmp_path / "instance"))
    backend.open_store().put({"key": "1"}, 60)
    assert (tmp_path / "instance" / "data" / "codes.sqlite3").is_file()


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path) -> None:
    backend = backend_for(f"sqlite:///{tmp_path / 'codes.sqlite3'}", "/nowhere")
    backend.open_store().put({"key": "1"}, 60)
    assert (tmp_path / "codes.sqlite3").is_file()


def test_nothing_is_made_before_the_first_use(tmp_path: Path) -> None:
    backend = backend_for("sqlite:///codes.sqlite3", str(tmp_path))
    assert (backend.open_store(), backend.open_limits(), list(tmp_path.iterdir()))[2] == []
