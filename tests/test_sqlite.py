"""The SQLite cache and storage of limits: as good as those in memory, and exact across processes.

Some tests fork, delete files in use or hold locks, for that is what will happen to them.
"""

import gc
import importlib.util
import itertools
import json
import math
import multiprocessing
import os
import random
import signal
import sqlite3
import stat
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import time_machine
from cachelib import BaseCache, SimpleCache
from limits import RateLimitItemPerMinute, parse
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from flask_otp_auth import database as original
from flask_otp_auth.connections import Turn
from flask_otp_auth.database import Database
from flask_otp_auth.sqlite import SQLiteCache, SQLiteLimitStorage
from flask_otp_auth.sweep import SWEEP_EVERY, SWEEP_ROWS

#: Seconds after which a worker gives up waiting for the others.
PATIENCE = 60

#: Python >= 3.12 warns of forks in a process with threads. That these work is what is tested.
may_fork = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform doesn't fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "codes.sqlite3"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with closing(Database(path)) as database:
        yield database


@pytest.fixture
def impatient(path: Path) -> Iterator[Database]:
    """A database that waits for locks for no time worth mentioning."""
    with closing(Database(path, timeout=0.05)) as database:
        yield database


@pytest.fixture
def cache(database: Database) -> SQLiteCache:
    return SQLiteCache(database)


@pytest.fixture
def storage(database: Database) -> SQLiteLimitStorage:
    return SQLiteLimitStorage(database)


def look(path: Path, sql: str) -> list[Any]:
    """Query the file as anybody could who has it."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def files_of(path: Path) -> list[str]:
    """Return the names of the file and of those that SQLite has at its side while it is open."""
    return sorted(file.name for file in path.parent.glob(f"{path.name}*"))


def rows_in(path: Path, table: str) -> int:
    count: int = look(path, f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - the names are the test's own
    return count


class TestContract:
    """What cachelib promises, kept by its own cache and by ours."""

    @pytest.fixture(params=["memory", "sqlite"])
    def cache(self, request: pytest.FixtureRequest) -> BaseCache:
        if request.param == "memory":
            return SimpleCache(threshold=100_000, default_timeout=30)
        return SQLiteCache(request.getfixturevalue("database"), default_timeout=30)

    def test_nothing_is_there_at_first(self, cache: BaseCache) -> None:
        assert cache.get("a") is None
        assert cache.get_many("a", "b") == [None, None]
        assert not cache.has("a")

    @pytest.mark.parametrize(
        "value",
        [
            *("", "text", "123", "true", "null", '"quoted"', "a\0b", "Grüße 🎉"),
            *(0, -7, 2**70, 1.5, True, False, None, [], [1, ["2"]], {"a": {"b": None}}),
        ],
    )
    def test_a_value_comes_back_as_it_was(self, cache: BaseCache, value: Any) -> None:
        assert cache.set("a", value)
        found = [cache.get("a"), *cache.get_many("a"), *cache.get_dict("a").values()]
        assert [(type(v), v) for v in found] == [(type(value), value)] * 3
        assert cache.has("a")

    def test_set_replaces(self, cache: BaseCache) -> None:
        assert cache.set("a", "1")
        assert cache.set("a", "2")
        assert cache.get("a") == "2"

    def test_add_does_not_replace(self, cache: BaseCache) -> None:
        assert cache.add("a", "1") is True
        assert cache.add("a", "2") is False
        assert cache.get("a") == "1"

    def test_delete_tells_whether_it_was_there(self, cache: BaseCache) -> None:
        cache.set("a", "1")
        assert cache.delete("a") is True
        assert cache.delete("a") is False
        assert cache.get("a") is None
        assert cache.add("a", "2") is True

    def test_many(self, cache: BaseCache) -> None:
        assert cache.set_many({"a": "1", "b": 2, "c": "3"}) == ["a", "b", "c"]
        assert cache.get_many("c", "x", "a", "a") == ["3", None, "1", "1"]
        assert cache.get_dict("b", "x") == {"b": 2, "x": None}
        assert cache.delete_many("a", "x", "b") == ["a", "x", "b"]
        assert cache.get_many("a", "b", "c") == [None, None, "3"]

    def test_many_of_none(self, cache: BaseCache) -> None:
        assert cache.set_many({}) == []
        assert cache.get_many() == []
        assert cache.get_dict() == {}
        assert cache.delete_many() == []

    def test_clear(self, cache: BaseCache) -> None:
        cache.set_many({"a": "1", "b": "2"}, timeout=0)
        assert cache.clear() is True
        assert cache.get_many("a", "b") == [None, None]
        assert cache.set("a", "3")

    def test_count_up_and_down(self, cache: BaseCache) -> None:
        assert cache.inc("a") == 1
        assert cache.inc("a", 5) == 6
        assert cache.dec("a", 2) == 4
        assert cache.dec("b") == -1
        assert cache.get_many("a", "b") == [4, -1]

    def test_count_on_from_a_number_that_was_set(self, cache: BaseCache) -> None:
        cache.set_many({"int": 41, "float": 0.5, "none": None})
        assert [cache.inc(key) for key in ("int", "float", "none")] == [42, 1.5, 1]

    def test_a_text_cannot_be_counted_on(self, cache: BaseCache) -> None:
        cache.set("a", "1")
        with pytest.raises(TypeError):
            cache.inc("a")
        assert cache.get("a") == "1"

    @pytest.mark.parametrize("timeout", [10, timedelta(seconds=10)])
    @pytest.mark.parametrize("verb", ["set", "add", "set_many"])
    def test_values_expire(
        self, cache: BaseCache, clock: time_machine.Traveller, verb: str, timeout: Any
    ) -> None:
        if verb == "set_many":
            cache.set_many({"a": "1"}, timeout)
        else:
            getattr(cache, verb)("a", "1", timeout)
        clock.shift(8.9)
        assert (cache.get("a"), cache.get_many("a"), cache.has("a")) == ("1", ["1"], True)
        clock.shift(1.1)
        assert (cache.get("a"), cache.get_many("a"), cache.has("a")) == (None, [None], False)

    def test_what_has_expired_can_be_added_and_counted_anew(
        self, cache: BaseCache, clock: time_machine.Traveller
    ) -> None:
        cache.set_many({"a": "1", "n": 5}, timeout=10)
        clock.shift(10)
        assert cache.add("a", "2", timeout=10) is True
        assert cache.add("a", "3", timeout=10) is False
        assert cache.inc("n") == 1
        assert cache.get("a") == "2"

    def test_the_default_timeout_is_for_those_without_one(
        self, cache: BaseCache, clock: time_machine.Traveller
    ) -> None:
        cache.set("a", "1")
        cache.add("b", "1")
        cache.set_many({"c": "1"})
        cache.inc("d")
        clock.shift(28.9)
        assert cache.get_many("a", "b", "c", "d") == ["1", "1", "1", 1]
        clock.shift(1.1)
        assert cache.get_many("a", "b", "c", "d") == [None] * 4

    def test_zero_is_never(self, cache: BaseCache, clock: time_machine.Traveller) -> None:
        cache.set("a", "1", timeout=0)
        cache.add("b", "1", timeout=timedelta(0))
        cache.set_many({"c": "1"}, timeout=0)
        clock.shift(timedelta(days=36_500))
        assert cache.get_many("a", "b", "c") == ["1", "1", "1"]
        assert cache.add("a", "2") is False

    def test_less_than_zero_is_over_at_once(self, cache: BaseCache) -> None:
        cache.set("a", "1", timeout=-1)
        assert not cache.has("a")

    def test_set_renews_the_timeout(self, cache: BaseCache, clock: time_machine.Traveller) -> None:
        cache.set("a", "1", timeout=10)
        clock.shift(8)
        cache.set("a", "1", timeout=10)
        clock.shift(8)
        assert cache.has("a")

    def test_add_that_loses_renews_nothing(
        self, cache: BaseCache, clock: time_machine.Traveller
    ) -> None:
        cache.add("a", "1", timeout=10)
        clock.shift(8)
        assert cache.add("a", "2", timeout=10) is False
        clock.shift(2)
        assert not cache.has("a")


class TestSQLiteCache:
    def test_values_expire_to_the_fraction_of_a_second(
        self, cache: SQLiteCache, clock: time_machine.Traveller
    ) -> None:
        cache.set("a", "1", timeout=timedelta(milliseconds=250))
        clock.shift(0.2)
        assert cache.has("a")
        clock.shift(0.06)
        assert not cache.has("a")

    def test_the_default_timeout_may_be_a_timedelta(
        self, database: Database, clock: time_machine.Traveller
    ) -> None:
        cache = SQLiteCache(database, default_timeout=timedelta(minutes=1))
        cache.set("a", "1")
        clock.shift(59)
        assert cache.has("a")
        clock.shift(1)
        assert not cache.has("a")

    def test_an_expired_value_is_not_there_to_be_deleted(
        self, cache: SQLiteCache, clock: time_machine.Traveller
    ) -> None:
        cache.set("a", "1", timeout=10)
        clock.shift(10)
        assert cache.delete("a") is False

    def test_texts_are_stored_as_they_are_and_all_else_as_json(
        self, cache: SQLiteCache, path: Path
    ) -> None:
        cache.set_many({"text": "sealed.text", "more": {"a": [1, True, None]}})
        stored = dict(look(path, "SELECT key, value FROM otp_cache"))
        assert stored["text"] == "sealed.text"
        assert json.loads(stored["more"]) == {"a": [1, True, None]}

    def test_what_is_not_json_is_refused_whole(self, cache: SQLiteCache) -> None:
        cache.set("a", "old")
        with pytest.raises(TypeError, match="not JSON serializable"):
            cache.set_many({"a": "new", "b": object()})
        assert cache.get_many("a", "b") == ["old", None]

    def test_many_are_set_together_or_not_at_all(self, cache: SQLiteCache) -> None:
        cache.set("a", "old")
        with pytest.raises(sqlite3.Error):
            cache.set_many({"a": "new", ("no", "key"): "b"})  # type: ignore[dict-item] # which is what it tests
        assert cache.get("a") == "old"
        assert cache.set("a", "newer")

    def test_another_serializer(self, database: Database) -> None:
        class Reversed:
            def dumps(self, value: Any) -> bytes:
                return json.dumps(value).encode()[::-1]

            def loads(self, data: bytes) -> Any:
                return json.loads(data[::-1])

        cache = SQLiteCache(database)
        cache.serializer = Reversed()
        cache.set("a", [1, 2])
        assert cache.get("a") == [1, 2]
        assert SQLiteCache(database).get("a") is None

    def test_the_file_outlives_the_cache(self, path: Path) -> None:
        for found in (None, "1"):
            cache = SQLiteCache(path)
            assert cache.get("a") == found
            cache.set("a", "1")
            cache.database.close()

    def test_clear_leaves_the_limits_alone(
        self, cache: SQLiteCache, storage: SQLiteLimitStorage
    ) -> None:
        storage.acquire_entry("a", 1, 60)
        cache.clear()
        assert storage.acquire_entry("a", 1, 60) is False


class TestDatabase:
    def test_the_file_is_for_its_owner_only(self, tmp_path: Path) -> None:
        path = tmp_path / "made" / "for it" / "%41?codes#1.sqlite3"
        before = os.umask(0)
        try:
            with closing(Database(path)) as database:
                SQLiteCache(database).set("a", "1")
                modes = {file.name: file.stat().st_mode for file in path.parent.iterdir()}
        finally:
            os.umask(before)
        assert set(modes) == {path.name, f"{path.name}-wal", f"{path.name}-shm"}
        assert {stat.S_IMODE(mode) for mode in modes.values()} == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_nothing_is_opened_before_it_is_used(self, path: Path) -> None:
        SQLiteLimitStorage(SQLiteCache(path).database).database.close()
        assert not path.exists()

    def test_it_stays_with_its_file_when_the_process_moves(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with closing(Database(path.name)) as database:
            monkeypatch.chdir("/")
            assert SQLiteCache(database).set("a", "1")
        assert path.exists()

    def test_it_can_be_used_again_when_closed(self, cache: SQLiteCache, path: Path) -> None:
        cache.set("a", "1")
        cache.database.close()
        assert files_of(path) == [path.name]
        assert cache.get("a") == "1"

    def test_a_connection_in_use_is_closed_when_it_comes_back(
        self, cache: SQLiteCache, path: Path
    ) -> None:
        with cache.database.transaction() as connection:
            cache.database.close()
            connection.execute("INSERT INTO otp_cache VALUES ('a', '1', 1e999)")
        assert files_of(path) == [path.name]
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
        assert cache.get("a") == "1"

    def test_no_connection_outlives_the_database(self, path: Path) -> None:
        SQLiteCache(path).set("a", "1")
        assert files_of(path) == [path.name]

    def test_a_transaction_that_fails_is_rolled_back(self, cache: SQLiteCache) -> None:
        def fail() -> None:
            with cache.database.transaction() as connection:
                connection.execute("INSERT INTO otp_cache VALUES ('a', '1', 1e999)")
                raise ValueError("never mind")

        with pytest.raises(ValueError, match="never mind"):
            fail()
        assert cache.get("a") is None
        assert cache.set("a", "2")

    @pytest.mark.parametrize("where", ["under a file", "a folder", "not a database"])
    def test_a_path_that_cannot_be_a_database(self, tmp_path: Path, where: str) -> None:
        path = tmp_path / "file"
        if where == "under a file":
            path.touch()
            path /= "codes.sqlite3"
        elif where == "a folder":
            path.mkdir()
        else:
            path.write_text("Dear diary, " * 100)
        with closing(Database(path)) as database:
            cache, storage = SQLiteCache(database), SQLiteLimitStorage(database)
            calls: list[Callable[[], object]] = [
                lambda: cache.get("a"),
                lambda: cache.add("a", "1"),
                lambda: storage.acquire_entry("a", 1, 60),
            ]
            for call in calls:
                with pytest.raises(sqlite3.DatabaseError):
                    call()

    def test_it_recovers_when_the_path_becomes_usable(self, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        folder.touch()
        cache = SQLiteCache(folder / "codes.sqlite3")
        with pytest.raises(sqlite3.OperationalError, match="unable to make"):
            cache.set("a", "1")
        folder.unlink()
        assert cache.set("a", "1")
        cache.database.close()

    def test_a_platform_without_forks_and_file_locks(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "platform", "win32")
        module = load_again(monkeypatch)
        with closing(module.Database(path)) as another:
            with another.writer() as connection:
                connection.execute("INSERT INTO otp_cache VALUES ('a', '1', 1e999)")
            assert another.read("SELECT value FROM otp_cache", ()) == [("1",)]


def load_again(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a second copy of the module, which finds the platform as it is now."""
    spec = importlib.util.spec_from_file_location("flask_otp_auth.another", original.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class TestLocked:
    """Somebody else is writing, and does not end."""

    @pytest.fixture
    def writer(self, impatient: Database) -> Iterator[sqlite3.Connection]:
        SQLiteCache(impatient).set("a", "1")
        with closing(sqlite3.connect(impatient.path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def test_writers_give_up(self, impatient: Database, writer: sqlite3.Connection) -> None:
        cache, storage = SQLiteCache(impatient), SQLiteLimitStorage(impatient)
        calls: list[Callable[[], object]] = [
            lambda: cache.set("a", "2"),
            lambda: cache.set_many({"a": "2"}),
            lambda: cache.add("b", "1"),
            lambda: cache.delete("a"),
            lambda: cache.inc("n"),
            lambda: storage.acquire_entry("a", 1, 60),
            lambda: storage.incr("a", 60),
        ]
        for call in calls:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                call()
        writer.execute("ROLLBACK")
        assert cache.get_many("a", "b", "n") == ["1", None, None]
        assert cache.set("a", "2")

    def test_readers_do_not_wait(self, impatient: Database, writer: sqlite3.Connection) -> None:
        writer.execute("DELETE FROM otp_cache")
        assert SQLiteCache(impatient).get("a") == "1"

    def test_a_new_connection_can_read(
        self, impatient: Database, writer: sqlite3.Connection
    ) -> None:
        impatient.close()
        assert SQLiteCache(impatient).get("a") == "1"

    def test_a_sweep_that_fails_leaves_the_write_undone(
        self, impatient: Database, writer: sqlite3.Connection
    ) -> None:
        cache = SQLiteCache(impatient)
        for _ in range(SWEEP_ROWS):
            assert cache.get("a") == "1"
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                cache.delete("a")
            impatient.timeout = 0
        writer.execute("ROLLBACK")
        assert cache.delete("a") is True

    def test_threads_give_up_on_each_other(self, impatient: Database) -> None:
        cache = SQLiteCache(impatient)
        with ThreadPoolExecutor(1) as pool, impatient.transaction():
            waiting = pool.submit(cache.set, "a", "1")
            with pytest.raises(sqlite3.OperationalError, match="another thread"):
                waiting.result(PATIENCE)
        assert cache.set("a", "1")

    @pytest.fixture
    def reader(self, path: Path) -> Iterator[sqlite3.Connection]:
        """Somebody who reads a new database that is not yet in WAL mode, which stops the switch."""
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE theirs (a)")
            connection.execute("BEGIN")
            connection.execute("SELECT * FROM theirs").fetchall()
            yield connection

    def test_the_switch_to_wal_is_tried_again(
        self, impatient: Database, reader: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: 0.0)
        monkeypatch.setattr(time, "sleep", lambda seconds: reader.execute("ROLLBACK"))
        assert SQLiteCache(impatient).set("a", "1")
        assert look(Path(impatient.path), "PRAGMA journal_mode") == [("wal",)]

    def test_the_switch_to_wal_is_given_up(
        self, impatient: Database, reader: sqlite3.Connection
    ) -> None:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            SQLiteCache(impatient).set("a", "1")
        reader.execute("ROLLBACK")
        assert SQLiteCache(impatient).set("a", "1")


class TestTurn:
    """What a thread holds together in a turn, no other thread of the process comes between."""

    def test_writers_nest(self, database: Database) -> None:
        cache, storage = SQLiteCache(database), SQLiteLimitStorage(database)
        with database.turn(), database.turn():
            assert cache.set_many({"a": "1", "b": "2"})
            assert storage.acquire_entry("a", 1, 60)
            assert storage.incr("a", 60) == 1
            assert cache.get_many("a", "b") == ["1", "2"]

    def test_other_threads_wait(self, impatient: Database) -> None:
        cache = SQLiteCache(impatient)
        with ThreadPoolExecutor(1) as elsewhere:
            with impatient.turn():
                cache.set("a", "1")
                blocked = elsewhere.submit(cache.delete, "a")
                with pytest.raises(sqlite3.OperationalError, match="locked by another thread"):
                    blocked.result(PATIENCE)
                turn = elsewhere.submit(impatient.turn().__enter__)
                with pytest.raises(sqlite3.OperationalError, match="locked by another thread"):
                    turn.result(PATIENCE)
                assert elsewhere.submit(cache.get, "a").result(PATIENCE) == "1"
            assert elsewhere.submit(cache.delete, "a").result(PATIENCE)

    def test_who_queued_while_the_file_was_replaced_writes_the_new_one(
        self, database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache, enter = SQLiteCache(database), Turn.__enter__

        def enter_late(turn: Turn) -> sqlite3.Connection:
            monkeypatch.undo()
            path.unlink()
            return enter(turn)

        cache.set("a", "1")
        monkeypatch.setattr(Turn, "__enter__", enter_late)
        with database.turn():
            cache.set("b", "1")
        assert look(path, "SELECT key FROM otp_cache") == [("b",)]

    def test_a_file_that_is_gone_is_made_anew(self, database: Database, path: Path) -> None:
        cache = SQLiteCache(database)
        cache.set("a", "1")
        path.unlink()
        with database.turn():
            assert cache.set("b", "1")
        database.close()
        path.unlink()
        with database.turn():
            assert cache.set("c", "1")
        assert look(path, "SELECT key FROM otp_cache") == [("c",)]

    def test_what_is_left_open_is_undone(self, database: Database, path: Path) -> None:
        """Else the next one to use the connection would keep everybody else waiting."""
        with database.turn(), database.writer() as connection:
            connection.execute("BEGIN IMMEDIATE")
        with closing(Database(path, timeout=0.05)) as another:
            assert SQLiteCache(another).set("a", "1")

    def test_a_write_that_fails_is_undone_at_once(self, database: Database, path: Path) -> None:
        """Whoever goes on in the turn must not write into what is rolled back later."""
        cache = SQLiteCache(database)
        with database.turn():
            cache.set("text", "abc")
            with pytest.raises(TypeError):
                cache.inc("text")
            cache.set("a", "1")
            assert look(path, "SELECT key FROM otp_cache ORDER BY key") == [("a",), ("text",)]

    def test_each_statement_commits_by_itself(self, database: Database, path: Path) -> None:
        with database.turn():
            SQLiteCache(database).set("a", "1")
            assert look(path, "SELECT value FROM otp_cache") == [("1",)]

    def test_a_turn_ends_with_an_error(self, impatient: Database) -> None:
        with pytest.raises(KeyError), impatient.turn():
            raise KeyError
        with ThreadPoolExecutor(1) as elsewhere:
            assert elsewhere.submit(SQLiteCache(impatient).set, "a", "1").result(PATIENCE)


class TestSweep:
    def test_a_write_looks_at_a_bounded_number_of_rows(
        self, cache: SQLiteCache, path: Path, clock: time_machine.Traveller
    ) -> None:
        cache.set_many({f"live:{n}": "1" for n in range(10)}, timeout=3600)
        cache.set_many({f"forever:{n}": "1" for n in range(10)}, timeout=0)
        cache.set_many({f"old:{n}": "1" for n in range(20 * SWEEP_ROWS)}, timeout=10)
        clock.shift(11)
        counts = [rows_in(path, "otp_cache")]
        while counts[-1] > 20 and len(counts) < 30 * SWEEP_EVERY:
            cache.delete("nothing")
            counts.append(rows_in(path, "otp_cache"))
        steps = [before - after for before, after in itertools.pairwise(counts)]
        assert counts[-1] == 20
        assert max(steps) == SWEEP_ROWS
        assert sum(map(bool, steps)) == 21
        assert all(cache.has(f"{kind}:{n}") for kind in ("live", "forever") for n in range(10))

    def test_it_keeps_up(
        self,
        cache: SQLiteCache,
        storage: SQLiteLimitStorage,
        path: Path,
        clock: time_machine.Traveller,
    ) -> None:
        most = Counter[str]()
        for n in range(300):
            cache.set_many({f"{n}:{ticket}": "1" for ticket in range(10)}, timeout=10)
            storage.acquire_entry(f"moving:{n}", 5, 10)
            storage.incr(f"fixed:{n}", 10)
            clock.shift(1)
            most |= Counter({t: rows_in(path, t) for t in ("otp_cache", "otp_hit")})
        # What is live, and what a sweep or two leave over.
        assert most["otp_cache"] <= 100 + 2 * SWEEP_ROWS
        assert most["otp_hit"] <= 20 + 2 * SWEEP_ROWS

    def test_limits_are_swept_too(
        self,
        cache: SQLiteCache,
        storage: SQLiteLimitStorage,
        path: Path,
        clock: time_machine.Traveller,
    ) -> None:
        for n in range(5):
            storage.acquire_entry(f"old:{n}", 5, 10)
            storage.incr(f"old:{n}", 10)
            storage.acquire_entry("live", 5, 3600)
        clock.shift(11)
        for _ in range(SWEEP_ROWS):
            cache.set("a", "1")
        assert rows_in(path, "otp_hit") == 5
        assert storage.get_moving_window("live", 5, 3600)[1] == 5

    @pytest.mark.parametrize("table", ["otp_cache", "otp_hit"])
    def test_one_process_goes_on_where_another_ended(
        self, table: str, path: Path, clock: time_machine.Traveller
    ) -> None:
        rounds = 5
        with closing(Database(path)) as first:
            cache, storage = SQLiteCache(first), SQLiteLimitStorage(first)
            for n in range(rounds * SWEEP_ROWS):
                cache.set(f"old:{n}", "1", timeout=10)
                storage.acquire_entry(f"old:{n}", 5, 10)
        clock.shift(11)
        for _ in range(rounds + 1):
            with closing(Database(path)) as another:
                for _ in range(SWEEP_EVERY):
                    SQLiteCache(another).delete("nothing")
        assert rows_in(path, table) == 0

    def test_round_and_round(
        self, cache: SQLiteCache, path: Path, clock: time_machine.Traveller
    ) -> None:
        """Keys come before and after those that a sweep has reached, and none is forgotten."""
        for n in range(5 * SWEEP_EVERY):
            cache.set(f"{'az'[n % 2]}:{n}", "1", timeout=10)
            clock.shift(1)
        for _ in range(3 * SWEEP_EVERY):
            cache.delete("nothing")
        clock.shift(11)
        for _ in range(3 * SWEEP_EVERY):
            cache.delete("nothing")
        assert rows_in(path, "otp_cache") == 0


class TestFileGone:
    """The file is deleted or replaced while it is in use."""

    def test_deleted(self, cache: SQLiteCache, path: Path) -> None:
        cache.set("a", "1")
        path.unlink()
        assert cache.get("a") is None
        assert cache.delete("a") is False
        assert cache.add("a", "2") is True
        assert look(path, "SELECT value FROM otp_cache") == [("2",)]

    def test_deleted_with_its_folder(self, tmp_path: Path) -> None:
        path = tmp_path / "instance" / "codes.sqlite3"
        cache = SQLiteCache(path)
        cache.set("a", "1")
        for file in path.parent.iterdir():
            file.unlink()
        path.parent.rmdir()
        assert cache.get("a") is None
        assert cache.set("a", "2")
        cache.database.close()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform doesn't fork")
    def test_deleted_while_another_process_has_it_open(self, path: Path) -> None:
        """What the other one still has of it is kept out of the next file."""
        (hear, tell), (wait, go) = os.pipe(), os.pipe()

        def work() -> bool:
            cache = SQLiteCache(path)
            cache.set_many({str(n): "x" * 1000 for n in range(100)})
            os.write(tell, b".")
            os.read(wait, 1)
            return cache.get_many("1", "a") == [None, "1"]

        succeeded = in_child(work)
        os.read(hear, 1)
        path.unlink()
        with closing(Database(path)) as database:
            cache = SQLiteCache(database)
            assert cache.get("1") is None
            assert cache.set("a", "1")
            os.write(go, b".")
            assert succeeded()
            assert look(path, "PRAGMA integrity_check") == [("ok",)]
            assert look(path, "SELECT key FROM otp_cache") == [("a",)]
        for descriptor in (hear, tell, wait, go):
            os.close(descriptor)

    def test_deleted_while_it_is_opened(
        self, cache: SQLiteCache, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """SQLite does not make another one, which anybody could read."""
        connect = sqlite3.connect

        def delete_and_connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            path.unlink()
            return connect(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", delete_and_connect)
            with pytest.raises(sqlite3.OperationalError, match="unable to open"):
                cache.set("a", "1")
        assert files_of(path) == []
        assert cache.set("a", "1")

    def test_processes_take_turns_to_make_files_in_a_folder(self, path: Path) -> None:
        fcntl = pytest.importorskip("fcntl")
        cache = SQLiteCache(path)
        folder = os.open(path.parent, os.O_RDONLY)
        with ThreadPoolExecutor(1) as pool:
            fcntl.flock(folder, fcntl.LOCK_EX)
            waiting = pool.submit(cache.set, "a", "1")
            with pytest.raises(TimeoutError):
                waiting.result(0.1)
            assert not path.exists()
            os.close(folder)
            assert waiting.result(PATIENCE) is True
        cache.database.close()

    def test_replaced(self, cache: SQLiteCache, path: Path, tmp_path: Path) -> None:
        another = SQLiteCache(tmp_path / "another")
        another.set_many({"a": "another", "b": "another"})
        another.database.close()
        cache.set_many({str(n): "x" * 1000 for n in range(100)})
        cache.set("a", "1")
        (tmp_path / "another").replace(path)
        assert cache.get_many("a", "b", "1") == ["another", "another", None]
        assert cache.delete("a") is True
        assert look(path, "PRAGMA integrity_check") == [("ok",)]
        assert look(path, "SELECT key FROM otp_cache") == [("b",)]

    def test_replaced_while_closed(self, cache: SQLiteCache, path: Path, tmp_path: Path) -> None:
        """Then the log at its side belongs to whoever has the new one open."""
        another = SQLiteCache(tmp_path / "another")
        another.set("a", "another")
        another.database.close()
        cache.set("a", "1")
        cache.database.settle()
        (tmp_path / "another").replace(path)
        with closing(Database(path)) as database:
            SQLiteCache(database).set("b", "theirs")
            assert cache.get_many("a", "b") == ["another", "theirs"]
            assert cache.delete("b") is True
            assert SQLiteCache(database).delete("b") is False

    def test_replaced_while_it_is_opened(
        self, cache: SQLiteCache, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As above: the log at its side is the new one's."""
        another = SQLiteCache(tmp_path / "another")
        another.set("a", "another")
        another.database.close()
        connect = sqlite3.connect

        def replace_and_connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            monkeypatch.undo()
            (tmp_path / "another").replace(path)
            return connect(*args, **kwargs)

        monkeypatch.setattr(sqlite3, "connect", replace_and_connect)
        with closing(Database(path)) as database:
            assert cache.get("a") == "another"
            assert SQLiteCache(database).set("b", "theirs")
            assert cache.delete("b") is True
            assert SQLiteCache(database).delete("b") is False

    def test_deleted_while_a_connection_is_in_use(self, cache: SQLiteCache, path: Path) -> None:
        with cache.database.transaction() as connection:
            connection.execute("INSERT INTO otp_cache VALUES ('a', '1', 1e999)")
            path.unlink()
            assert cache.get("a") is None
        assert cache.get("a") is None
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")

    def test_threads_that_notice_together(self, cache: SQLiteCache, path: Path) -> None:
        barrier = threading.Barrier(4, timeout=PATIENCE)

        def contend(round_: int) -> bool:
            barrier.wait()
            return cache.add(f"a:{round_}", "1")

        with ThreadPoolExecutor(4) as pool:
            for round_ in range(20):
                cache.set("a", "1")
                path.unlink()
                assert sum(pool.map(contend, [round_] * 4)) == 1
                assert cache.get("a") is None


def in_child(work: Callable[[], bool]) -> Callable[[], bool]:
    """Fork, and return a function that waits for what the child makes of the work."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE)  # should its parent fail before it
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


class Slow:
    """A serializer that takes its time when it is told to, in the middle of a transaction."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.reached = threading.Event()
        self.proceed = threading.Event()

    def dumps(self, value: Any) -> bytes:
        self.reached.set()
        self.proceed.wait(self.seconds)
        return json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class TestFork:
    pytestmark = may_fork

    def test_parent_and_child_work_on(self, cache: SQLiteCache) -> None:
        cache.set_many({"a": "1", "b": "2"})
        succeeded = in_child(lambda: cache.delete("a") and cache.add("c", "child"))
        assert succeeded()
        assert cache.get_many("a", "b", "c") == [None, "2", "child"]
        assert cache.add("c", "parent") is False

    def test_a_child_of_the_child(self, cache: SQLiteCache) -> None:
        cache.set("a", "1")
        succeeded = in_child(lambda: in_child(lambda: cache.delete("a"))())
        assert succeeded()
        assert cache.get("a") is None

    def test_the_child_keeps_what_it_wrote_when_the_parent_closes(self, cache: SQLiteCache) -> None:
        """Without care the child holds no lock, and the parent deletes the log it writes to."""
        cache.set("a", "1")
        (hear, tell), (wait, go) = os.pipe(), os.pipe()

        def work() -> bool:
            cache.set("b", "2")
            os.write(tell, b".")
            os.read(wait, 1)
            return bool(cache.set("c", "3"))

        succeeded = in_child(work)
        os.read(hear, 1)
        cache.database.close()
        os.write(go, b".")
        assert succeeded()
        for descriptor in (hear, tell, wait, go):
            os.close(descriptor)
        assert cache.get_many("a", "b", "c") == ["1", "2", "3"]

    def test_a_fork_waits_for_a_thread_that_writes(self, cache: SQLiteCache) -> None:
        cache.serializer = slow = Slow(seconds=0.05)
        with ThreadPoolExecutor(1) as pool:
            counting = pool.submit(cache.inc, "n")
            assert slow.reached.wait(PATIENCE)
            succeeded = in_child(lambda: cache.get("n") == 1 and cache.add("a", "1"))
            assert succeeded()
            assert counting.result(PATIENCE) == 1
        assert cache.get("a") == "1"

    def test_a_fork_does_not_wait_for_ever(self, impatient: Database) -> None:
        cache = SQLiteCache(impatient)
        cache.serializer = slow = Slow(seconds=PATIENCE)
        with ThreadPoolExecutor(1) as pool:
            counting = pool.submit(cache.inc, "n")
            assert slow.reached.wait(PATIENCE)
            read_the_old = in_child(lambda: cache.get("n") is None)()
            slow.proceed.set()
            assert read_the_old
            assert counting.result(PATIENCE) == 1

    def test_a_server_that_forks_behind_pythons_back(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In its child the connections of the parent are neither used nor closed."""
        cache = SQLiteCache(path)
        cache.set("a", "1")
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            assert cache.delete("a") is True
            cache.database.close()
            gc.collect()
            assert len(files_of(path)) == 3
        assert cache.add("a", "2") is True
        cache.database.close()

    def test_the_child_of_such_a_server_drops_the_database(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        SQLiteCache(path).set("a", "1")
        assert len(files_of(path)) == 1
        cache = SQLiteCache(path)
        cache.set("a", "1")
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            del cache
            gc.collect()
            assert len(files_of(path)) == 3


class TestSQLiteLimitStorage:
    @pytest.mark.parametrize("seed", range(12))
    def test_moving_windows_as_in_memory(
        self, storage: SQLiteLimitStorage, clock: time_machine.Traveller, seed: int
    ) -> None:
        chance = random.Random(seed)
        memory = MemoryStorage()
        for _ in range(150):
            # Never a whole number of seconds, for MemoryStorage has two minds about what is as
            # old as the window is long.
            clock.shift(chance.choice([0, 0, 0.37, 3.3, 31.7, 130.1]))
            key, limit = chance.choice("ab"), chance.choice([1, 2, 5, 5, 5, 9])
            amount = chance.choice([0, 1, 1, 1, 2, 6])
            outcomes = [s.acquire_entry(key, limit, 60, amount) for s in (storage, memory)]
            assert outcomes[0] is outcomes[1]
            (start, count), (start_in_memory, count_in_memory) = [
                s.get_moving_window(key, limit, 60) for s in (storage, memory)
            ]
            assert count == count_in_memory
            assert count == 0 or start == start_in_memory
            if chance.random() < 0.03:
                storage.clear(key)
                memory.clear(key)

    @pytest.mark.parametrize("seed", range(6))
    def test_fixed_windows_as_in_memory(
        self, storage: SQLiteLimitStorage, clock: time_machine.Traveller, seed: int
    ) -> None:
        chance = random.Random(seed)
        memory = MemoryStorage()
        for _ in range(100):
            clock.shift(chance.choice([0, 0.37, 3.3, 31.7, 60]))
            key, amount = chance.choice("ab"), chance.choice([1, 1, 3])
            assert storage.get(key) == memory.get(key)
            assert storage.get_expiry(key) == memory.get_expiry(key)
            assert storage.incr(key, 60, amount) == memory.incr(key, 60, amount)
            assert storage.get_expiry(key) == memory.get_expiry(key)
            if chance.random() < 0.05:
                storage.clear(key)
                memory.clear(key)

    def test_a_hit_counts_as_long_as_the_window_is(
        self, storage: SQLiteLimitStorage, clock: time_machine.Traveller
    ) -> None:
        assert storage.acquire_entry("a", 1, 60) is True
        clock.shift(60)
        assert storage.acquire_entry("a", 1, 60) is False
        assert storage.get_moving_window("a", 1, 60) == (time.time() - 60, 1)
        clock.shift(0.001)
        assert storage.get_moving_window("a", 1, 60) == (time.time(), 0)
        assert storage.acquire_entry("a", 1, 60) is True

    def test_more_than_the_limit_is_never_admitted(self, storage: SQLiteLimitStorage) -> None:
        assert storage.acquire_entry("a", 5, 60, amount=6) is False
        assert storage.acquire_entry("a", 5, 60, amount=5) is True
        assert storage.acquire_entry("a", 5, 60) is False

    def test_a_clock_that_is_put_back_admits_no_more(
        self, storage: SQLiteLimitStorage, clock: time_machine.Traveller
    ) -> None:
        admitted = [storage.acquire_entry("a", 3, 60)]
        for _ in range(5):
            clock.shift(-3600)
            admitted.append(storage.acquire_entry("a", 3, 60))
        assert admitted == [True, True, True, False, False, False]

    def test_a_limit_of_a_million(
        self, storage: SQLiteLimitStorage, clock: time_machine.Traveller
    ) -> None:
        assert storage.acquire_entry("a", 1_000_000, 3600, amount=999_998)
        clock.shift(1)
        assert storage.get_moving_window("a", 1_000_000, 3600) == (time.time() - 1, 999_998)
        assert [storage.acquire_entry("a", 1_000_000, 3600) for _ in range(3)] == [1, 1, 0]
        clock.shift(3600)
        assert storage.get_moving_window("a", 1_000_000, 3600) == (time.time() - 3600, 2)

    def test_fixed_and_moving_windows_of_one_key_are_apart(
        self, storage: SQLiteLimitStorage
    ) -> None:
        assert [storage.incr("a", 60) for _ in range(3)] == [1, 2, 3]
        assert storage.acquire_entry("a", 1, 60) is True
        assert storage.acquire_entry("a", 1, 60) is False
        assert storage.incr("a", 60) == 4
        assert storage.get_moving_window("a", 1, 60)[1] == 1

    def test_nothing_was_hit_yet(
        self, storage: SQLiteLimitStorage, clock: time_machine.Traveller
    ) -> None:
        assert storage.get("a") == 0
        assert storage.get_expiry("a") == time.time()
        assert storage.get_moving_window("a", 5, 60) == (time.time(), 0)

    def test_reset_deletes_all_limits_and_nothing_else(
        self, storage: SQLiteLimitStorage, cache: SQLiteCache
    ) -> None:
        cache.set("a", "1")
        storage.acquire_entry("a", 1, 60)
        storage.incr("b", 60)
        assert storage.reset() == 2
        assert storage.acquire_entry("a", 1, 60) is True
        assert storage.get("b") == 0
        assert cache.get("a") == "1"

    def test_clear_is_for_one_key(self, storage: SQLiteLimitStorage) -> None:
        for key in "ab":
            storage.acquire_entry(key, 1, 60)
            storage.incr(key, 60)
        storage.clear("a")
        assert [storage.acquire_entry(key, 1, 60) for key in "ab"] == [True, False]
        assert [storage.get(key) for key in "ab"] == [0, 1]

    def test_the_strategies_of_limits(
        self, storage: SQLiteLimitStorage, clock: time_machine.Traveller
    ) -> None:
        item = RateLimitItemPerMinute(3)
        for limiter in (MovingWindowRateLimiter(storage), FixedWindowRateLimiter(storage)):
            assert [limiter.hit(item, "a") for _ in range(4)] == [True] * 3 + [False]
            assert limiter.test(item, "a") is False
            assert limiter.test(item, "b") is True
            stats = limiter.get_window_stats(item, "a")
            assert (math.floor(stats.reset_time - time.time()), stats.remaining) == (60, 0)
            clock.shift(60.5)
            assert limiter.hit(item, "a") is True
            limiter.clear(item, "a")
            assert limiter.get_window_stats(item, "a").remaining == 3

    def test_several_windows(self, path: Path) -> None:
        storage = SQLiteLimitStorage(path)
        limiter = MovingWindowRateLimiter(storage)
        for item, admitted in ((parse("2/minute"), 2), (parse("5/hour"), 5)):
            assert sum(limiter.hit(item, "a") for _ in range(9)) == admitted
        storage.database.close()

    def test_check(self, storage: SQLiteLimitStorage, tmp_path: Path) -> None:
        assert storage.check() is True
        assert SQLiteLimitStorage(tmp_path).check() is False

    def test_errors_are_sqlites_or_wrapped(self, tmp_path: Path) -> None:
        plain = SQLiteLimitStorage(tmp_path)
        assert plain.base_exceptions is sqlite3.Error
        with pytest.raises(sqlite3.Error):
            plain.acquire_entry("a", 1, 60)
        with pytest.raises(StorageError):
            SQLiteLimitStorage(tmp_path, wrap_exceptions=True).acquire_entry("a", 1, 60)

    def test_it_is_not_to_be_had_by_a_uri(self) -> None:
        with pytest.raises(ConfigurationError):
            storage_from_string("sqlite:///codes.sqlite3")


#: Workers that a round of `acquire_entry` admits, and rounds between two counts.
LIMIT, COUNT_EVERY = 3, 5


def contend(database: Database, rounds: range, barrier: Any, every: int = 1) -> Counter[str]:
    """Try to win each round of each contest, and return what was won."""
    cache, storage = SQLiteCache(database), SQLiteLimitStorage(database)
    won = Counter[str]()
    for n in rounds:
        if n % every == 0:
            barrier.wait()
        won[f"add {n}"] += cache.add(f"add:{n}", "1")
        won[f"delete {n}"] += cache.delete(f"delete:{n}")
        won[f"acquire {n}"] += storage.acquire_entry(f"acquire:{n}", LIMIT, 600)
        if n % COUNT_EVERY == 0:
            cache.inc("count")
    return won


def contend_in_process(number: int, path: Path, rounds: range) -> Counter[str]:
    with closing(Database(path, timeout=PATIENCE)) as database:
        return contend(database, rounds, _inherited_barrier, every=10)


def contend_for_lost_files(
    number: int, path: Path, replacements: list[Path | None]
) -> Counter[str]:
    """Once the first has deleted or replaced the file, try to win the round in the next one."""
    won = Counter[str]()
    with closing(Database(path, timeout=PATIENCE)) as database:
        cache = SQLiteCache(database)
        for n, replacement in enumerate(replacements):
            won[f"before {n}"] += cache.add(f"before:{n}", "1")
            _inherited_barrier.wait()
            if number == 0:
                path.unlink() if replacement is None else replacement.replace(path)
            _inherited_barrier.wait()
            won[f"after {n}"] += cache.add(f"after:{n}", "1")
            won[f"kept {n}"] += cache.has(f"before:{n}")
            _inherited_barrier.wait()
    return won


def open_at_once(number: int, paths: list[Path]) -> Counter[str]:
    won = Counter[str]()
    for path in paths:
        with closing(Database(path, timeout=PATIENCE)) as database:
            _inherited_barrier.wait()
            won[path.name] += SQLiteCache(database).add("a", "1")
    return won


_inherited_barrier: Any = None


def inherit(barrier: Any) -> None:
    """Keep what a process can only be given at its start."""
    global _inherited_barrier
    _inherited_barrier = barrier


def race(target: Callable[..., Counter[str]], *args: Any) -> Counter[str]:
    """Run a target in four processes, and return the sum of what they won.

    :param target: a function of the number of its process and of the arguments.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4, timeout=PATIENCE)
    with ProcessPoolExecutor(4, context, initializer=inherit, initargs=(barrier,)) as pool:
        running = [pool.submit(target, number, *args) for number in range(4)]
        return sum((each.result(PATIENCE) for each in running), Counter[str]())


class TestConcurrency:
    def prepare(self, database: Database, rounds: range) -> None:
        SQLiteCache(database).set_many({f"delete:{n}": "1" for n in rounds})

    def expected(self, rounds: range) -> Counter[str]:
        each = Counter(add=1, delete=1, acquire=LIMIT)
        return Counter({f"{name} {n}": wins for n in rounds for name, wins in each.items()})

    def test_threads(self, database: Database) -> None:
        rounds, barrier = range(1000), threading.Barrier(8, timeout=PATIENCE)
        self.prepare(database, rounds)
        with ThreadPoolExecutor(8) as pool:
            running = [pool.submit(contend, database, rounds, barrier) for _ in range(8)]
            won = sum((each.result(PATIENCE) for each in running), Counter[str]())
        assert won == self.expected(rounds)
        assert SQLiteCache(database).get("count") == 8 * len(rounds) / COUNT_EVERY

    def test_processes(self, database: Database, path: Path) -> None:
        rounds = range(1000)
        self.prepare(database, rounds)
        won = race(contend_in_process, path, rounds)
        assert won == self.expected(rounds)
        assert SQLiteCache(database).get("count") == 4 * len(rounds) / COUNT_EVERY

    def test_processes_that_open_a_new_file_at_once(self, tmp_path: Path) -> None:
        paths = [tmp_path / f"{n}.sqlite3" for n in range(20)]
        assert race(open_at_once, paths) == Counter(path.name for path in paths)

    def test_processes_that_lose_their_file(self, path: Path, tmp_path: Path) -> None:
        """It is deleted and replaced in turn."""
        replacements = [None if n % 2 else tmp_path / f"another{n}" for n in range(20)]
        for replacement in filter(None, replacements):
            with closing(Database(replacement)) as another:
                SQLiteCache(another).set("a", "1")
        won = race(contend_for_lost_files, path, replacements)
        assert won == Counter(f"{when} {n}" for n in range(20) for when in ("before", "after"))
        assert look(path, "PRAGMA integrity_check") == [("ok",)]
