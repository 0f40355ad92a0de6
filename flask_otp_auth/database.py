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
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from .connections import File, Loan, Pool, Turn, file_at
from .sweep import SCHEMA, SWEEP_EVERY, sweep

if sys.platform != "win32":
    import fcntl

# A row of otp_hit is the hits first to after - 1 on its key, or at time 0 a fixed window's count.
_SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
BEGIN;
CREATE TABLE IF NOT EXISTS otp_cache (key TEXT PRIMARY KEY, value, expires REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS otp_hit (key TEXT, at REAL, first INTEGER, after INTEGER, expires REAL,
    PRIMARY KEY (key, at, first)) WITHOUT ROWID;
{SCHEMA}
COMMIT;
"""


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
        self._pool = Pool()
        self._own = _Own()
        _databases.add(self)

    def read(self, sql: str, parameters: Any) -> list[Any]:
        """Run a query and return its rows."""
        if self._own.connection is not None:
            return self._own.connection.execute(sql, parameters).fetchall()
        with Loan(self._current_pool(), self.open) as connection:
            return connection.execute(sql, parameters).fetchall()

    def writer(self, rows: int = 1) -> AbstractContextManager[sqlite3.Connection]:
        """Lend a connection on which each statement commits by itself.

        :param rows: how many rows will be written, about.
        """
        if self._own.connection is None:
            return _Writer(self, self._current_pool(), rows)
        self.make_room(self._own.connection, rows)
        return nullcontext(self._own.connection)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Give this thread a connection of its own and the turn to write, for a ``with`` block.

        Reads and writes in it use these. Each statement still commits by itself.
        """
        if self._own.connection is not None:
            yield
            return
        pool = self._own_pool()
        if not pool.idle:  # so one will be opened, for which there must be a file
            pool = self._current_pool()
        while True:
            with Turn(pool, self.open, self.timeout) as connection:
                if pool.is_at(self.path):
                    self._own.connection = connection
                    try:
                        yield
                    finally:
                        self._own.connection = None
                    return
            pool = self._current_pool()  # the file was replaced

    @contextmanager
    def transaction(self, rows: int = 1) -> Iterator[sqlite3.Connection]:
        """Lend a connection whose statements commit together or, if one raises, not at all.

        :param rows: how many rows will be written, about.
        """
        with self.writer(rows) as connection, connection:  # which itself commits or rolls back
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def make_room(self, connection: sqlite3.Connection, rows: int) -> None:
        """Delete some expired rows, where so many will be written."""
        self._unswept += rows
        if self._unswept >= SWEEP_EVERY:
            self._unswept -= SWEEP_EVERY
            sweep(connection)

    def close(self) -> None:
        """Close the connections, those in use when they come back."""
        pool, self._pool = self._own_pool(), Pool()
        pool.close_idle()

    def settle(self) -> None:
        """Close the connections, after waiting for those in use for the time-out at most."""
        pool = self._own_pool()
        deadline = time.monotonic() + self.timeout
        pool.close_idle()
        while pool.open and time.monotonic() < deadline:
            time.sleep(0.001)
            pool.close_idle()

    def _own_pool(self) -> Pool:
        """Return this process's pool; one inherited through a fork is neither used nor closed."""
        if self._pool.pid != os.getpid():
            self._pool = Pool()
        return self._pool

    def _current_pool(self) -> Pool:
        """Return this process's pool on the file that is at the path now."""
        pool = self._own_pool()
        while not pool.is_at(self.path):
            with _opening:
                if self._pool is pool:
                    self._pool = Pool(self._prepare_file(pool))
            pool.close_idle()
            pool = self._pool
        return pool

    def _prepare_file(self, former: Pool) -> File:
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
                return file_at(self.path)
        except OSError as error:
            raise sqlite3.OperationalError(f"unable to make database file: {error}") from error

    def _sidecars(self) -> dict[str, File]:
        sidecars = {}
        for path in (f"{self.path}-wal", f"{self.path}-shm"):
            with suppress(FileNotFoundError):
                sidecars[path] = file_at(path)
        return sidecars

    def open(self, pool: Pool) -> sqlite3.Connection:
        """Open a connection for the pool."""
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


class _Own(threading.local):
    """The connection of a thread that has its turn."""

    connection: sqlite3.Connection | None = None


class _Writer(Turn):
    """A turn to write that begins with a sweep: if this raises, nothing was written."""

    def __init__(self, database: Database, pool: Pool, rows: int) -> None:
        super().__init__(pool, database.open, database.timeout)
        self._database = database
        self._rows = rows

    def __enter__(self) -> sqlite3.Connection:
        connection = super().__enter__()
        try:
            self._database.make_room(connection, self._rows)
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return connection


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
