"""One SQLite file for the threads of a process, and for other processes at the same time."""

import os
import pathlib
import sqlite3
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .base import log_error
from .sqlite_files import File, RefusedFile, check_owners, file_at, keep_private, prepare
from .sweep import SCHEMA, SWEEP_EVERY, sweep

#: What a file raises when it can't do its work.
ERRORS = (sqlite3.Error, OSError)

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
    """One SQLite file: one connection per process, used by one thread at a time.

    The connection is opened at first use. It is opened anew in a forked process, after
    :meth:`close`, and where the file was deleted or replaced meanwhile: what was stored is lost
    then, but the app works on. What was written survives a crash of the process; if the machine
    loses power, the last moments may be lost.

    :param path: the file. It and its folder are made if missing, for their owner only.
    :param timeout: seconds to wait for other threads, and then for other processes, before
        ``sqlite3.OperationalError``.
    """

    def __init__(self, path: str | os.PathLike[str], timeout: float = 5.0) -> None:
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self.path: str = os.path.abspath(path)
        self.timeout = timeout
        self._pid = 0
        self._file: File | None = None
        self._unswept = 0
        self._told = False
        _close_before_forks(self._lock, weakref.WeakMethod(self.close))

    def __del__(self) -> None:
        self.close()

    def read(self, sql: str, parameters: Any) -> list[Any]:
        """Run a query and return its rows."""
        with self.exclusive() as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextmanager
    def exclusive(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection to this thread; each statement commits by itself."""
        if not self._lock.acquire(timeout=self.timeout):
            raise sqlite3.OperationalError("database is locked by another thread")
        try:
            yield self._current()
        except sqlite3.Error:
            self.close()  # the connection may be broken
            raise
        finally:
            self._lock.release()

    @contextmanager
    def writer(self, rows: int = 1) -> Iterator[sqlite3.Connection]:
        """Lend the connection after a sweep, where it is time for one.

        :param rows: how many rows will be written, about.
        """
        with self.exclusive() as connection:
            self._unswept += rows
            if self._unswept >= SWEEP_EVERY:
                self._unswept -= SWEEP_EVERY
                sweep(connection)
            yield connection

    @contextmanager
    def transaction(self, rows: int = 1) -> Iterator[sqlite3.Connection]:
        """Lend the connection; its statements commit together or, if one raises, not at all.

        :param rows: how many rows will be written, about.
        """
        with self.writer(rows) as connection, connection:  # which itself commits or rolls back
            connection.execute("BEGIN IMMEDIATE")
            yield connection

    def close(self) -> None:
        """Close the connection; the next use opens another one."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is None:
                return
            if self._pid == os.getpid():
                connection.close()
            else:
                _inherited.append(connection)

    def _current(self) -> sqlite3.Connection:
        if self._pid != os.getpid() or self._file != file_at(self.path):
            self.close()  # SQLite leaves the log alone that is at the side of another file now
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        try:
            prepare(self.path, time.monotonic() + self.timeout)
        except RefusedFile as error:
            self._tell(error)
            raise
        except OSError as error:
            raise sqlite3.OperationalError(f"unable to make database file: {error}") from error
        self._pid, self._file = os.getpid(), file_at(self.path)
        connection = self._open_told()
        try:
            # Once more, as somebody may have put another file in the place of the one above.
            check_owners(self.path)
            if self._file != file_at(self.path):
                raise sqlite3.OperationalError("the file was replaced while it was opened")
            keep_private(self.path)
        except RefusedFile as error:
            connection.close()
            self._tell(error)
            raise
        except (OSError, sqlite3.OperationalError) as error:
            connection.close()
            raise sqlite3.OperationalError(str(error)) from error
        return connection

    def _open_told(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
                raise
            refused = RefusedFile(f"{self.path} is no SQLite database: name another file")
            self._tell(refused)
            raise refused from None

    def _open(self) -> sqlite3.Connection:
        """Open a connection and make the tables.

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
            except sqlite3.Error as error:
                connection.close()
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
            else:
                connection.text_factory = _text
                return connection
            time.sleep(0.005)

    def _tell(self, error: RefusedFile) -> None:
        if not self._told:
            self._told = True
            log_error("%s", error)


def _text(stored: bytes) -> str:
    return stored.decode(errors="replace")  # else one broken text would fail each query


#: Connections of a parent process, kept from being closed: that would end its locks.
_inherited: list[sqlite3.Connection] = []


def _close_before_forks(
    lock: threading.RLock, close: "weakref.WeakMethod[Callable[[], None]]"
) -> None:
    """Leave a child no connection.

    SQLite keeps its locks in a list by file, and the child gets a copy. With an open connection
    in it the child takes no lock of its own, and loses what it wrote when the parent closes.
    """

    def before() -> None:
        lock.acquire()
        alive = close()
        if alive is not None:
            alive()

    if sys.platform != "win32":
        os.register_at_fork(
            before=before, after_in_parent=lock.release, after_in_child=lock.release
        )
