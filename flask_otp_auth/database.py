"""One SQLite file for the threads of a process, and for other processes at the same time.

Expired rows are deleted on the way, a few at a time.
"""

import os
import pathlib
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

if sys.platform != "win32":
    import fcntl

#: Whenever so many rows were written, so many expired ones at most are deleted of each table:
#: more than were written, so that a backlog shrinks, and few enough to take milliseconds.
SWEEP_EVERY, SWEEP_ROWS = 50, 100

# A row of otp_hit is the hits first to after - 1 on its key, or at time 0 a fixed window's count.
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
BEGIN;
CREATE TABLE IF NOT EXISTS otp_cache (key TEXT PRIMARY KEY, value, expires REAL);
CREATE TABLE IF NOT EXISTS otp_hit (key TEXT, at REAL, first INTEGER, after INTEGER, expires REAL,
    PRIMARY KEY (key, at, first)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS otp_cache_expires ON otp_cache (expires);
CREATE INDEX IF NOT EXISTS otp_hit_expires ON otp_hit (expires);
COMMIT;
"""
_SWEEPS = (
    "DELETE FROM otp_cache WHERE rowid IN (SELECT rowid FROM otp_cache WHERE expires < ? LIMIT ?)",
    "DELETE FROM otp_hit WHERE (key, at, first) IN"
    " (SELECT key, at, first FROM otp_hit WHERE expires < ? LIMIT ?)",
)
_File = tuple[int, int]  # device and inode


def _file_at(path: str) -> _File:
    status = os.stat(path)
    return status.st_dev, status.st_ino


class _Pool:
    """The connections that one process has to one file."""

    def __init__(self, file: _File | None = None) -> None:
        self.pid = os.getpid()
        self.file = file
        self.sidecars: set[_File] = set()
        self.writing = threading.Lock()
        self.open: set[sqlite3.Connection] = set()
        self.idle: list[sqlite3.Connection] = []
        weakref.finalize(self, _close, self.pid, self.open)

    def is_at(self, path: str) -> bool:
        """Tell whether the path leads to the file of the connections."""
        try:
            return _file_at(path) == self.file
        except OSError:
            return False

    def discard(self, connection: sqlite3.Connection) -> None:
        """Close a connection, rolling back what it was at."""
        self.open.discard(connection)
        connection.close()

    def close_idle(self) -> None:
        """Close the connections that are not in use."""
        with suppress(IndexError):
            while True:
                self.discard(self.idle.pop())


_inherited: list[set[sqlite3.Connection]] = []


def _close(pid: int, connections: set[sqlite3.Connection]) -> None:
    """Close what a pool that is no more had open; in a child, keep it from being closed."""
    if pid != os.getpid():
        _inherited.append(connections)
        return
    for connection in connections:
        connection.close()


class Database:
    """One SQLite file, opened at first use and shared by all threads of a process.

    It works on after a fork, after :meth:`close`, and after its file was deleted or replaced
    under it; then what was stored is lost. What was written survives a crash of the process; if
    the machine loses power, the last moments may be lost. Its methods raise ``sqlite3.Error``.

    :param path: the file. It and its folder are made if missing, for their owner only.
    :param timeout: seconds to wait for other writers before ``sqlite3.OperationalError``.
    """

    def __init__(self, path: str | os.PathLike[str], timeout: float = 5.0) -> None:
        self.path: str = os.path.abspath(path)
        self.timeout = timeout
        self._unswept = 0
        self._pool = _Pool()
        _databases.add(self)

    def read(self, sql: str, parameters: Any) -> list[Any]:
        """Run a query and return its rows."""
        with self._lease(self._current_pool()) as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextmanager
    def writer(self, rows: int = 1) -> Iterator[sqlite3.Connection]:
        """Lend a connection on which each statement commits by itself.

        Threads queue here: SQLite's own way to wait is to sleep and try again.

        :param rows: how many rows will be written, about.
        """
        pool = self._current_pool()
        if not pool.writing.acquire(timeout=self.timeout):
            raise sqlite3.OperationalError("database is locked by another thread")
        try:
            with self._lease(pool) as connection:
                self._sweep(connection, rows)
                yield connection
        finally:
            pool.writing.release()

    @contextmanager
    def transaction(self, rows: int = 1) -> Iterator[sqlite3.Connection]:
        """Lend a connection whose statements commit together or, if one raises, not at all."""
        with self.writer(rows) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connections, those in use when they come back."""
        pool, self._pool = self._own_pool(), _Pool()
        pool.close_idle()

    def settle(self) -> None:
        """Close the connections, after waiting for those in use for the time-out at most."""
        pool = self._own_pool()
        deadline = time.monotonic() + self.timeout
        pool.close_idle()
        while pool.open and time.monotonic() < deadline:
            time.sleep(0.001)
            pool.close_idle()

    @contextmanager
    def _lease(self, pool: _Pool) -> Iterator[sqlite3.Connection]:
        try:
            connection = pool.idle.pop()
        except IndexError:
            connection = self._open(pool)
        try:
            yield connection
        except BaseException:
            pool.discard(connection)  # which also rolls back
            raise
        pool.idle.append(connection)

    def _sweep(self, connection: sqlite3.Connection, rows: int) -> None:
        """Delete some expired rows. Before the write: if this raises, nothing was written."""
        self._unswept += rows
        if self._unswept >= SWEEP_EVERY:
            self._unswept -= SWEEP_EVERY
            bounds = (time.time(), SWEEP_ROWS)
            swept = [connection.execute(sweep, bounds).rowcount for sweep in _SWEEPS]
            if SWEEP_ROWS in swept:
                # A backlog lies all over the file; to write back much of it at once takes long.
                connection.execute("PRAGMA wal_checkpoint").fetchall()

    def _own_pool(self) -> _Pool:
        """Return this process's pool; one inherited through a fork is neither used nor closed."""
        if self._pool.pid != os.getpid():
            self._pool = _Pool()
        return self._pool

    def _current_pool(self) -> _Pool:
        """Return this process's pool on the file that is at the path now."""
        pool = self._own_pool()
        while not pool.is_at(self.path):
            with _opening:
                if self._pool is pool:
                    self._pool = _Pool(self._prepare_file(pool))
            pool.close_idle()
            pool = self._pool
        return pool

    def _prepare_file(self, former: _Pool) -> _File:
        """Make the file if it is missing, and clear away what a former one left behind.

        SQLite would take any write-ahead log that it finds for the new file's.
        """
        folder = os.path.dirname(self.path)
        leftovers = former.sidecars if former.open else set()
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            with _locked(folder):
                missing = not os.path.exists(self.path)
                for sidecar, file in self._sidecars().items():
                    if missing or file in leftovers:
                        os.unlink(sidecar)
                if missing:
                    os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
                return _file_at(self.path)
        except OSError as error:
            raise sqlite3.OperationalError(f"unable to make database file: {error}") from error

    def _sidecars(self) -> dict[str, _File]:
        sidecars = {}
        for path in (f"{self.path}-wal", f"{self.path}-shm"):
            with suppress(FileNotFoundError):
                sidecars[path] = _file_at(path)
        return sidecars

    def _open(self, pool: _Pool) -> sqlite3.Connection:
        with _opening:
            connection = self._connect()
            pool.open.add(connection)
            sidecars = set(self._sidecars().values())
            # If the file was replaced just now, they may be the new one's.
            pool.sidecars = sidecars if pool.is_at(self.path) else set()
        return connection

    def _connect(self) -> sqlite3.Connection:
        """Open a connection and make what is missing.

        SQLite doesn't wait when two processes switch to WAL at once.
        """
        deadline = time.monotonic() + self.timeout
        while True:
            connection = sqlite3.connect(
                pathlib.Path(self.path).as_uri() + "?mode=rw",  # never makes a file
                uri=True,
                timeout=self.timeout,
                isolation_level=None,
                check_same_thread=False,
            )
            try:
                connection.executescript(_SCHEMA)
                return connection
            except sqlite3.Error as error:
                connection.close()
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
            time.sleep(0.005)


@contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Keep other processes from making or clearing files in the folder meanwhile."""
    if sys.platform == "win32":  # where a file in use can't be deleted
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_opening = threading.Lock()  # held to open files, and through a fork


def _before_fork() -> None:
    """Leave the child no connection.

    SQLite keeps its locks in a list by file, and the child gets a copy. With an open connection
    in it the child takes no lock of its own, and loses what it wrote when the parent closes.
    """
    _opening.acquire()
    for database in list(_databases):
        database.settle()


def _after_fork() -> None:
    _opening.acquire(blocking=False)  # servers that fork in C don't run _before_fork
    _opening.release()


if sys.platform != "win32":
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork
    )
