"""SQLite: for its owner only, exact in forked processes, and bounded in time and size.

Some tests fork, delete files in use or hold locks, for that is what will happen to them.
"""

import fcntl
import itertools
import logging
import os
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string
from storage_kit import MAY_FORK
from stores import PATIENCE
from time_machine import Traveller

from flask_otp_auth.errors import ConfigError, Unavailable
from flask_otp_auth.storage.database import Database, RefusedFile
from flask_otp_auth.storage.sqlite import SQLiteCache, SQLiteLimitStorage, SQLiteStore
from flask_otp_auth.storage.sqlite_files import prepare
from flask_otp_auth.storage.sweep import SWEEP_EVERY, SWEEP_ROWS

NOBODY = 65534

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change owners")


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


def look(path: Path, sql: str, *parameters: Any) -> list[Any]:
    """Run a statement on the file as anybody could who has it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql, parameters).fetchall()


def rows_in(path: Path, table: str) -> int:
    return look(path, f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 - the names are the test's own


class TestCache:
    @pytest.mark.parametrize(
        "path",
        [
            ":memory:",
            "file::memory:?cache=shared",
            "file:codes?mode=memory",
            "",
            "sqlite:///codes.sqlite3",
            "~/codes.sqlite3",
            "$HOME/codes.sqlite3",
        ],
    )
    def test_it_takes_a_path_and_nothing_else_that_means_one_elsewhere(self, path: str) -> None:
        """Or a file of that very name would be made in the folder that the app starts from."""
        with pytest.raises(ConfigError, match="takes the path of a file as it is"):
            SQLiteCache(path)

    def test_it_keeps_texts_alone(self, cache: SQLiteCache) -> None:
        cache.set("a", "old")
        for value in (1, None, b"bytes", ["list"]):
            with pytest.raises(TypeError, match="keeps texts"):
                cache.set_many({"a": "new", "b": value})
            with pytest.raises(TypeError, match="keeps texts"):
                cache.add("c", value)  # type: ignore[arg-type] # which is what it tests
        assert cache.get_many("a", "b", "c") == ["old", None, None]

    @pytest.mark.parametrize("count", [2, 500])
    def test_many_are_set_together_or_not_at_all(self, cache: SQLiteCache, count: int) -> None:
        items: dict[Any, str] = {str(number): "1" for number in range(count)}
        with pytest.raises(sqlite3.Error):
            cache.set_many({**items, ("no", "key"): "1"})
        assert cache.get_many(*items) == [None] * count
        assert cache.set_many(items) == list(items)
        assert cache.get_many(*items) == ["1"] * count

    def test_the_file_outlives_the_cache_and_its_connection_does_not(self, path: Path) -> None:
        for found in (None, "1"):
            cache = SQLiteCache(path)
            assert cache.get("a") == found
            cache.set("a", "1")
            del cache
            assert [file.name for file in path.parent.iterdir()] == [path.name]


class TestOwner:
    """The file is its owner's alone, and one that others may write to is not trusted."""

    def test_all_files_are_for_their_owner_only(self, tmp_path: Path) -> None:
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
        assert {stat.S_IMODE(p.stat().st_mode) for p in path.parents[:2]} == {0o700}

    def test_a_file_that_others_may_read_is_closed_to_them(self, path: Path) -> None:
        path.touch(0o644)
        with closing(Database(path)) as database:
            SQLiteCache(database).set("a", "1")
            modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {0o600}

    def test_a_file_that_can_not_be_closed_to_them_is_not_used(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.touch(0o644)

        def refuse(*_: object) -> None:
            raise PermissionError("not on this file system")

        monkeypatch.setattr(os, "chmod", refuse)
        with closing(Database(path)) as database, pytest.raises(sqlite3.OperationalError):
            SQLiteCache(database).set("a", "1")

    def test_a_file_that_was_put_there_while_it_was_looked_at_is_refused(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def prepare_and_swap(name: str, deadline: float) -> None:
            prepare(name, deadline)
            path.chmod(0o666)

        monkeypatch.setattr("flask_otp_auth.storage.database.prepare", prepare_and_swap)
        with closing(Database(path)) as database, pytest.raises(RefusedFile):
            SQLiteCache(database).set("a", "1")

    @pytest.mark.parametrize("suffix", ["", "-wal", "-shm", "-journal"])
    def test_a_file_that_others_may_write_to_is_refused(
        self, path: Path, cache: SQLiteCache, suffix: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        path.touch(0o600)
        planted = Path(f"{path}{suffix}")
        planted.touch()
        planted.chmod(0o620)
        for _ in range(2):
            with pytest.raises(RefusedFile, match="chmod it to 600"):
                cache.get("a")
        (record,) = caplog.records  # once
        assert record.levelno == logging.ERROR
        assert str(planted) in record.getMessage()
        planted.chmod(0o600)
        assert cache.set("a", "1")

    @pytest.mark.parametrize("suffix", ["", "-wal"])
    def test_a_file_of_another_user_is_refused(
        self, path: Path, cache: SQLiteCache, suffix: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache.set("a", "1")
        cache.database.close()
        Path(f"{path}{suffix}").touch()
        monkeypatch.setattr(os, "geteuid", lambda: NOBODY)
        with pytest.raises(RefusedFile, match="belongs to another user"):
            cache.set("a", "2")

    def test_a_folder_that_is_missing_is_made_for_this_user(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        me = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: me or NOBODY)
        monkeypatch.setattr(os, "fchown", pytest.fail)
        path = tmp_path / "instance" / "codes.sqlite3"
        with closing(Database(path)) as database, suppress(RefusedFile):
            database.read("SELECT 1", ())  # what root has made is not this user's
        assert (tmp_path / "instance").is_dir()

    @needs_root
    def test_a_link_of_another_user_is_refused(self, path: Path, cache: SQLiteCache) -> None:
        target = path.with_name("other.sqlite3")
        target.touch(0o600)
        path.symlink_to(target)
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        with pytest.raises(RefusedFile, match="belongs to another user"):
            cache.set("a", "1")

    @needs_root
    def test_what_root_makes_belongs_to_the_owner_of_the_folder(self, tmp_path: Path) -> None:
        os.chown(tmp_path, NOBODY, NOBODY)
        path = tmp_path / "instance" / "codes.sqlite3"
        with closing(Database(path)) as database:
            SQLiteCache(database).set("a", "1")
            made = [path.parent, *path.parent.iterdir()]
            assert len(made) == 4
            assert {(file.stat().st_uid, file.stat().st_gid) for file in made} == {(NOBODY, NOBODY)}

    def test_whoever_is_root_gives_away_what_he_makes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        given: list[tuple[int, int]] = []
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "fchown", lambda _, *owner: given.append(owner))
        with closing(Database(tmp_path / "instance" / "codes.sqlite3")) as database:
            SQLiteCache(database).set("a", "1")
        owner = tmp_path.stat()
        assert given == [(owner.st_uid, owner.st_gid)] * 2

    def test_a_platform_whose_modes_say_nothing(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "platform", "win32")
        with closing(Database(path)) as database:
            assert SQLiteCache(database).set("a", "1")


class TestPath:
    @pytest.mark.parametrize("where", ["under a file", "a folder", "not a database"])
    def test_what_can_be_no_database_is_out_of_reach(self, tmp_path: Path, where: str) -> None:
        path = tmp_path / "file"
        if where == "under a file":
            path.touch()
            path /= "codes.sqlite3"
        elif where == "a folder":
            path.mkdir(0o700)
        else:
            path.write_text("Dear diary, " * 100)
        with closing(Database(path)) as database:
            store, limits = SQLiteStore(SQLiteCache(database)), SQLiteLimitStorage(database)
            for use in (lambda: store.peek("a"), lambda: store.mark("a", 60)):
                with pytest.raises(Unavailable):
                    use()
            with pytest.raises(limits.base_exceptions):
                limits.acquire_many([("a", 1, 60)])
            assert not limits.check()

    def test_it_stays_with_its_file_when_the_process_moves(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(path.parent)
        with closing(Database(path.name)) as database:
            monkeypatch.chdir("/")
            assert SQLiteCache(database).set("a", "1")
        assert path.exists()

    def test_limits_raise_their_own_errors_where_that_is_wanted(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError):
            SQLiteLimitStorage(tmp_path, wrap_exceptions=True).acquire_entry("a", 1, 60)

    def test_limits_are_not_to_be_had_by_a_uri(self) -> None:
        with pytest.raises(ConfigurationError):
            storage_from_string("sqlite:///codes.sqlite3")


class TestLocked:
    """Somebody else is writing, and does not end: each wait has an end."""

    @pytest.fixture
    def writer(self, impatient: Database) -> Iterator[sqlite3.Connection]:
        SQLiteCache(impatient).set("a", "1")
        with closing(sqlite3.connect(impatient.path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def test_writers_give_up_and_readers_do_not_wait(
        self, impatient: Database, writer: sqlite3.Connection
    ) -> None:
        cache, limits = SQLiteCache(impatient), SQLiteLimitStorage(impatient)
        uses: list[Callable[[], object]] = [
            lambda: cache.set("a", "2"),
            lambda: cache.add("b", "1"),
            lambda: cache.take("a", "b"),
            lambda: limits.acquire_many([("a", 1, 60)]),
            lambda: limits.incr("a", 60),
        ]
        for use in uses:
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                use()
            assert cache.get("a") == "1"
        writer.execute("ROLLBACK")
        assert cache.set("a", "2")

    def test_a_sweep_that_fails_leaves_the_write_undone(
        self, impatient: Database, writer: sqlite3.Connection
    ) -> None:
        cache = SQLiteCache(impatient)
        impatient.timeout = 0
        impatient.close()
        for _ in range(SWEEP_EVERY + 1):
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                cache.delete("a")
        writer.execute("ROLLBACK")
        assert cache.delete("a")

    def test_threads_give_up_on_each_other(self, impatient: Database) -> None:
        with ThreadPoolExecutor(1) as pool, impatient.exclusive():
            waiting = pool.submit(SQLiteCache(impatient).set, "a", "1")
            with pytest.raises(sqlite3.OperationalError, match="another thread"):
                waiting.result(PATIENCE)
        assert SQLiteCache(impatient).set("a", "1")

    def test_a_transaction_that_fails_is_rolled_back(self, database: Database) -> None:
        def fail() -> None:
            with database.transaction() as connection:
                connection.execute("INSERT INTO otp_cache VALUES ('a', '1', 1e999)")
                raise ValueError("never mind")

        with pytest.raises(ValueError, match="never mind"):
            fail()
        assert SQLiteCache(database).add("a", "2")

    @pytest.fixture
    def reader(self, path: Path) -> Iterator[sqlite3.Connection]:
        """Somebody who reads a new database that is not yet in WAL mode, which stops the switch."""
        path.touch(0o600)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE theirs (a)")
            connection.execute("BEGIN")
            connection.execute("SELECT * FROM theirs").fetchall()
            yield connection

    def test_the_switch_to_wal_is_tried_again_until_it_is_given_up(
        self, impatient: Database, reader: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            SQLiteCache(impatient).set("a", "1")
        monkeypatch.setattr(time, "monotonic", lambda: 0.0)
        monkeypatch.setattr(time, "sleep", lambda seconds: reader.execute("ROLLBACK"))
        assert SQLiteCache(impatient).set("a", "1")
        assert look(Path(impatient.path), "PRAGMA journal_mode") == [("wal",)]

    def test_whoever_keeps_the_folder_locked_is_not_waited_for_for_ever(
        self, impatient: Database, path: Path
    ) -> None:
        folder = os.open(path.parent, os.O_RDONLY)
        fcntl.flock(folder, fcntl.LOCK_EX)
        with pytest.raises(sqlite3.OperationalError, match="unable to make"):
            SQLiteCache(impatient).set("a", "1")
        os.close(folder)
        assert SQLiteCache(impatient).set("a", "1")

    def test_a_file_that_another_process_has_just_made_is_used(
        self, cache: SQLiteCache, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fcntl, "flock", lambda *_: path.touch(0o600))
        assert cache.set("a", "1")


class TestSweep:
    def test_a_write_looks_at_a_bounded_number_of_rows(
        self, cache: SQLiteCache, path: Path, clock: Traveller
    ) -> None:
        cache.set_many({f"live:{n}": "1" for n in range(10)}, timeout=3600)
        cache.set_many({f"forever:{n}": "1" for n in range(10)}, timeout=0)
        cache.set_many({f"old:{n}": "1" for n in range(10 * SWEEP_ROWS)}, timeout=10)
        clock.shift(11)
        counts = [rows_in(path, "otp_cache")]
        while counts[-1] > 20 and len(counts) < 20 * SWEEP_EVERY:
            cache.delete("nothing")
            counts.append(rows_in(path, "otp_cache"))
        steps = [before - after for before, after in itertools.pairwise(counts)]
        assert counts[-1] == 20
        assert max(steps) == SWEEP_ROWS
        assert sum(map(bool, steps)) == 11

    @pytest.mark.parametrize("table", ["otp_cache", "otp_hit"])
    def test_one_process_goes_on_where_another_ended(
        self, table: str, path: Path, clock: Traveller
    ) -> None:
        rounds = 3
        with closing(Database(path)) as first:
            cache, limits = SQLiteCache(first), SQLiteLimitStorage(first)
            for n in range(rounds * SWEEP_ROWS):
                cache.set(f"old:{n}", "1", timeout=10)
                limits.acquire_entry(f"old:{n}", 5, 10)
            limits.acquire_entry("live", 5, 3600)
        clock.shift(11)
        for _ in range(2 * rounds):
            with closing(Database(path)) as another:
                for _ in range(SWEEP_EVERY):
                    SQLiteCache(another).delete("nothing")
        assert rows_in(path, table) == (table == "otp_hit")

    def test_what_nobody_here_wrote_is_swept_too(self, cache: SQLiteCache, path: Path) -> None:
        cache.set("a", "1")
        look(path, "INSERT INTO otp_cache VALUES ('b', '1', 'never')")
        look(path, "INSERT INTO otp_hit VALUES ('b', 1, 1, 1, x'00')")
        for _ in range(SWEEP_EVERY):
            cache.delete("nothing")
        assert (rows_in(path, "otp_cache"), rows_in(path, "otp_hit")) == (1, 0)


class TestGarbage:
    """What nobody here wrote counts as absent."""

    @pytest.mark.parametrize(
        ("value", "expires"),
        [("x'00ff'", "9e99"), ("42", "9e99"), ("NULL", "9e99")]
        + [("'text'", expires) for expires in ("'never'", "x'ff'", "NULL")],
    )
    def test_in_the_cache(self, cache: SQLiteCache, path: Path, value: str, expires: str) -> None:
        cache.set("other", "1")
        look(path, f"INSERT INTO otp_cache VALUES ('a', {value}, {expires})")  # noqa: S608 - garbage of our own
        assert cache.get_many("a", "other") == [None, "1"]
        assert cache.take("a") == [False]
        assert cache.add("a", "2")
        assert cache.get("a") == "2"

    def test_a_text_that_is_none(self, cache: SQLiteCache, path: Path) -> None:
        cache.set("other", "1")
        look(path, "INSERT INTO otp_cache VALUES ('a', CAST(x'ff' AS TEXT), 9e99)")
        look(path, "INSERT INTO otp_cache VALUES (CAST(x'ff' AS TEXT), '1', 9e99)")
        assert cache.get_many("a", "other") == ["\ufffd", "1"]

    @pytest.mark.parametrize("column", ["at", "first", "after", "expires"])
    @pytest.mark.parametrize("value", ["'zzz'", "x'ff'"])
    def test_in_limits(self, database: Database, path: Path, column: str, value: str) -> None:
        limits = SQLiteLimitStorage(database)
        for key in "ab":
            limits.acquire_many([(key, 2, 60)])
            limits.incr(key, 60)
        look(path, f"UPDATE OR REPLACE otp_hit SET {column} = {value} WHERE key = 'a'")  # noqa: S608 - garbage of our own
        assert limits.get_moving_window("a", 2, 60)[1] in (0, 1)
        assert limits.acquire_many([("a", 5, 60), ("b", 5, 60)]) == [True, True]
        assert limits.acquire_entry("a", 5, 60)
        assert limits.get("a") in (0, 1)
        assert limits.get_expiry("a") >= time.time() - 1
        assert limits.incr("a", 60) in (1, 2)
        assert limits.get("b") == 1


class TestFileGone:
    """The file is deleted or replaced while it is in use: the app works on."""

    def test_deleted(self, cache: SQLiteCache, path: Path) -> None:
        cache.set("a", "1")
        path.unlink()
        assert cache.take("a") == [False]
        assert cache.add("a", "2")
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

    def test_deleted_while_others_have_it_open(self, cache: SQLiteCache, path: Path) -> None:
        """They meet again in the next file, and nothing of the former one gets into it."""
        with closing(Database(path)) as database:
            other = SQLiteCache(database)
            other.set_many({str(n): "x" * 1000 for n in range(100)})
            assert cache.get("1") is not None
            path.unlink()
            assert cache.add("a", "1")
            assert other.get_many("1", "a") == [None, "1"]
            assert not other.add("a", "2")
        assert cache.take("a") == [True]
        assert look(path, "PRAGMA integrity_check") == [("ok",)]

    def test_replaced(self, cache: SQLiteCache, path: Path, tmp_path: Path) -> None:
        with closing(Database(tmp_path / "another")) as another:
            SQLiteCache(another).set("b", "another")
        cache.set("a", "1")
        cache.database.close()  # which empties the log
        assert cache.get("a") == "1"
        (tmp_path / "another").replace(path)
        assert cache.get_many("a", "b") == [None, "another"]
        assert cache.take("b") == [True]
        assert look(path, "PRAGMA integrity_check") == [("ok",)]

    @pytest.mark.parametrize("replacement", [True, False])
    def test_gone_while_it_is_opened(
        self,
        cache: SQLiteCache,
        path: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        replacement: bool,
    ) -> None:
        """SQLite does not make another one, and none that nobody has looked at is used."""
        connect = sqlite3.connect
        with closing(Database(tmp_path / "another")) as another:
            SQLiteCache(another).set("b", "another")

        def vanish_and_connect(*args: Any, **options: Any) -> sqlite3.Connection:
            (tmp_path / "another").replace(path) if replacement else path.unlink()
            return connect(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", vanish_and_connect)
            with pytest.raises(sqlite3.OperationalError, match=r"replaced|unable to open"):
                cache.set("a", "1")
        assert cache.set("a", "1")


def in_child(work: Callable[[], bool]) -> Callable[[], bool]:
    """Fork, and return a function that waits for what the child makes of the work."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@MAY_FORK
class TestFork:
    def test_parent_and_child_and_grandchild_work_on(self, cache: SQLiteCache) -> None:
        cache.set_many({"a": "1", "b": "2", "c": "3"})

        def work() -> bool:
            return cache.delete("a") and in_child(lambda: cache.delete("b"))()

        assert in_child(work)()
        assert cache.get_many("a", "b", "c") == [None, None, "3"]

    def test_the_child_keeps_what_it_wrote_when_the_parent_closes(self, cache: SQLiteCache) -> None:
        """Without care the child holds no lock, and the parent deletes the log it writes to."""
        cache.set("a", "1")
        (hear, tell), (wait, go) = os.pipe(), os.pipe()

        def work() -> bool:
            cache.set("b", "2")
            os.write(tell, b".")
            os.read(wait, 1)
            return cache.set("c", "3")

        succeeded = in_child(work)
        os.read(hear, 1)
        cache.get("a")
        cache.database.close()
        os.write(go, b".")
        assert succeeded()
        for descriptor in (hear, tell, wait, go):
            os.close(descriptor)
        assert cache.get_many("a", "b", "c") == ["1", "2", "3"]

    def test_a_fork_waits_for_a_thread_that_writes(self, database: Database) -> None:
        with ThreadPoolExecutor(1) as pool, database.transaction() as connection:
            connection.execute("INSERT INTO otp_cache VALUES ('a', '1', 1e999)")
            cache = SQLiteCache(database)
            forking = pool.submit(lambda: in_child(lambda: cache.get("a") == "1"))
            with pytest.raises(TimeoutError):
                forking.result(0.1)
        assert forking.result(PATIENCE)()

    def test_a_server_that_forks_behind_pythons_back(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In its child the connections of the parent are neither used nor closed."""
        cache = SQLiteCache(path)
        cache.set("a", "1")
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: -1)
            assert cache.delete("a")
            cache.database.close()
            assert len(list(path.parent.iterdir())) == 3
        assert cache.add("a", "2")

    def test_a_database_that_is_gone_is_nobodys_business(self, path: Path) -> None:
        database = Database(path)
        SQLiteCache(database).set("a", "1")
        del database
        assert in_child(lambda: SQLiteCache(path).get("a") == "1")()
