"""The connections that one process has to one SQLite file, lent to its threads."""

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType

#: Device and inode.
File = tuple[int, int]


def file_at(path: str) -> File:
    """Return which file a path leads to.

    :raises OSError: if to none.
    """
    status = os.stat(path)
    return status.st_dev, status.st_ino


class Pool:
    """The connections that one process has to one file."""

    def __init__(self, file: File | None = None) -> None:
        self.pid: int = os.getpid()
        self.file: File | None = file
        self.sidecars: set[File] = set()
        self.writing: threading.Lock = threading.Lock()
        self.open: set[sqlite3.Connection] = set()
        self.idle: list[sqlite3.Connection] = []
        weakref.finalize(self, _close, self.pid, self.open)

    def is_at(self, path: str) -> bool:
        """Tell whether the path leads to the file of the connections."""
        try:
            return file_at(path) == self.file
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


class Loan:
    """A connection, lent for a ``with`` block; after an error it is closed.

    :param connect: opens one if none is idle.
    """

    def __init__(self, pool: Pool, connect: Callable[[Pool], sqlite3.Connection]) -> None:
        self._pool = pool
        self._connect = connect

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection = self._pool.idle.pop()
        except IndexError:
            self._connection = self._connect(self._pool)
        return self._connection

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and not self._connection.in_transaction:
            self._pool.idle.append(self._connection)
        else:
            self._pool.discard(self._connection)  # which also rolls back


class Turn(Loan):
    """A connection to write with, lent to one thread after the other.

    Threads queue here: SQLite's own way to wait is to sleep and try again.

    :param timeout: seconds to wait before ``sqlite3.OperationalError``.
    """

    def __init__(
        self, pool: Pool, connect: Callable[[Pool], sqlite3.Connection], timeout: float
    ) -> None:
        super().__init__(pool, connect)
        self._timeout = timeout

    def __enter__(self) -> sqlite3.Connection:
        if not self._pool.writing.acquire(timeout=self._timeout):
            raise sqlite3.OperationalError("database is locked by another thread")
        try:
            return super().__enter__()
        except BaseException:
            self._pool.writing.release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._pool.writing.release()


_inherited: list[set[sqlite3.Connection]] = []


def _close(pid: int, connections: set[sqlite3.Connection]) -> None:
    """Close what a pool that is no more had open; in a child, keep it from being closed."""
    if pid != os.getpid():
        _inherited.append(connections)
        return
    for connection in connections:
        connection.close()
