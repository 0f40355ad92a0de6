"""A cache and a storage of limits in one SQLite file, exact across threads and processes.

What must happen exactly once is one statement under SQLite's write lock, and the number of rows
that it changed tells who won.
"""

import json
import math
import os
import sqlite3
import time
from datetime import timedelta
from typing import Any

from cachelib import BaseCache
from limits.storage import MovingWindowSupport, Storage

from .database import Database

_GET = "SELECT value FROM otp_cache WHERE key = ? AND expires > ?"
_GET_MANY = """SELECT key, value FROM otp_cache
    WHERE key IN (SELECT value FROM json_each(?)) AND expires > ?"""
_ROW = "(?, ?, ?)"
_SET = """INSERT INTO otp_cache VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires"""
_ADD = f"{_SET} WHERE expires <= ?"
_DELETE = "DELETE FROM otp_cache WHERE key = ? AND expires > ?"

#: Rows that one statement writes: a challenge and its tickets, with room.
_ROWS_AT_ONCE = 200

_COUNT = "SELECT after, expires FROM otp_hit WHERE key = ? AND at = 0 AND expires > ?"
_INCR = """INSERT INTO otp_hit VALUES (:key, 0, 0, :amount, :now + :expiry)
    ON CONFLICT (key, at, first) DO UPDATE
    SET after = iif(expires > :now, after, 0) + :amount,
        expires = iif(expires > :now, expires, excluded.expires)"""
# Hits are numbered, in the order of time even if the clock is put back: the numbers of the newest
# and of the oldest one in the window tell how many these are, without counting them.
_ACQUIRE = """INSERT INTO otp_hit
    SELECT :key, max(:now, at), after, after + :amount, max(:now, at) + :expiry
    FROM (SELECT at, first, after FROM otp_hit WHERE key = :key UNION ALL SELECT 0, 0, 0
        ORDER BY at DESC, first DESC LIMIT 1)
    WHERE after + :amount - :limit <= coalesce(
        (SELECT first FROM otp_hit WHERE key = :key AND at >= :now - :expiry
            ORDER BY at, first LIMIT 1), after)"""
_WINDOW = """SELECT at, first,
        (SELECT after FROM otp_hit WHERE key = :key ORDER BY at DESC, first DESC LIMIT 1)
    FROM otp_hit WHERE key = :key AND at >= :since ORDER BY at, first LIMIT 1"""


class _JSON:
    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class SQLiteCache(BaseCache):
    """A cachelib cache in a SQLite file. Its methods raise ``sqlite3.Error``.

    ``add`` and ``delete`` are true for exactly one caller in any thread or process. Texts are
    stored as they are, all else through ``serializer``, as JSON: tuples come back as lists.

    :param path: the file, or a database to share.
    :param default_timeout: seconds or a ``timedelta``; 0 means never.
    """

    serializer: Any = _JSON()

    def __init__(
        self, path: str | os.PathLike[str] | Database, default_timeout: int | timedelta = 300
    ) -> None:
        super().__init__(default_timeout)
        self.database: Database = path if isinstance(path, Database) else Database(path)

    def get(self, key: str) -> Any:
        """Return the value, ``None`` if there is none."""
        rows = self.database.read(_GET, (key, time.time()))
        return self._unpack(rows[0][0]) if rows else None

    def get_many(self, *keys: str) -> list[Any]:
        """Return the values as of one moment, ``None`` where there is none."""
        found = dict(self.database.read(_GET_MANY, (json.dumps(keys), time.time())))
        return [self._unpack(found[key]) if key in found else None for key in keys]

    def has(self, key: str) -> bool:
        """Tell whether there is a value."""
        return bool(self.database.read(_GET, (key, time.time())))

    def set(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Write a value."""
        packed = self._pack(value)
        with self.database.writer() as connection:
            connection.execute(_SET, (key, packed, self._deadline(timeout)))
        return True

    def set_many(
        self, mapping: dict[str, Any], timeout: int | timedelta | None = None
    ) -> list[Any]:
        """Write all values or, if this raises, none. Returns the keys."""
        packed = [(key, self._pack(value)) for key, value in mapping.items()]
        if len(packed) > _ROWS_AT_ONCE:
            with self.database.transaction(len(packed)) as connection:
                expires = self._deadline(timeout)
                connection.executemany(_SET, [(*item, expires) for item in packed])
        elif packed:
            # One statement takes half the time of one for each row.
            sql = _SET.replace(_ROW, ", ".join([_ROW] * len(packed)))
            with self.database.writer(len(packed)) as connection:
                expires = self._deadline(timeout)
                connection.execute(sql, [field for item in packed for field in (*item, expires)])
        return list(mapping)

    def add(self, key: str, value: Any, timeout: int | timedelta | None = None) -> bool:
        """Write a value if there is none; true for one caller until it expires or is deleted."""
        packed = self._pack(value)
        with self.database.writer() as connection:
            row = (key, packed, self._deadline(timeout), time.time())
            return connection.execute(_ADD, row).rowcount == 1

    def delete(self, key: str) -> bool:
        """Delete a value; true for one caller, and for none if it has expired."""
        with self.database.writer() as connection:
            return connection.execute(_DELETE, (key, time.time())).rowcount == 1

    def delete_many(self, *keys: str) -> list[Any]:
        """Delete all values or, if this raises, none. Returns the keys."""
        sql = "DELETE FROM otp_cache WHERE key = ?"
        with self.database.transaction(len(keys)) as connection:
            connection.executemany(sql, [(key,) for key in keys])
        return list(keys)

    def clear(self) -> bool:
        """Delete all values. Limits in the same file are kept."""
        with self.database.writer() as connection:
            connection.execute("DELETE FROM otp_cache")
        return True

    def inc(self, key: str, delta: int = 1) -> int:
        """Add to a number, 0 if there is none, and start its default time-out anew."""
        with self.database.transaction() as connection:
            rows = connection.execute(_GET, (key, time.time())).fetchall()
            value: int = ((self._unpack(rows[0][0]) if rows else None) or 0) + delta
            connection.execute(_SET, (key, self._pack(value), self._deadline(None)))
        return value

    def dec(self, key: str, delta: int = 1) -> int:
        """Subtract as :meth:`inc` adds."""
        return self.inc(key, -delta)

    def _pack(self, value: Any) -> str | bytes:
        return value if isinstance(value, str) else self.serializer.dumps(value)

    def _unpack(self, packed: str | bytes) -> Any:
        if isinstance(packed, str):
            return packed
        try:
            return self.serializer.loads(packed)
        except (RecursionError, TypeError, ValueError):
            return None  # somebody else's, and it must not upset whoever comes across it

    def _deadline(self, timeout: int | timedelta | None) -> float:
        timeout = self.default_timeout if timeout is None else timeout
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        return time.time() + (seconds or math.inf)


class SQLiteLimitStorage(Storage, MovingWindowSupport):
    """A storage of the limits library in a SQLite file, made to count exactly across processes.

    :param path: the file, or a database to share.
    :param wrap_exceptions: raise ``limits.errors.StorageError`` in place of ``sqlite3.Error``.
    """

    STORAGE_SCHEME: list[str] | None = None

    def __init__(
        self, path: str | os.PathLike[str] | Database, wrap_exceptions: bool = False
    ) -> None:
        super().__init__(None, wrap_exceptions=wrap_exceptions)
        self.database: Database = path if isinstance(path, Database) else Database(path)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What the methods raise unless it is wrapped."""
        return sqlite3.Error

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to the count of a fixed window, which the first one opens, and return it."""
        with self.database.transaction() as connection:
            hits = {"key": key, "expiry": expiry, "amount": amount, "now": time.time()}
            connection.execute(_INCR, hits)
            return int(connection.execute(_COUNT, (key, 0)).fetchall()[0][0])

    def get(self, key: str) -> int:
        """Return the count of a fixed window, 0 if none is open."""
        return next((count for count, _ in self._count(key)), 0)

    def get_expiry(self, key: str) -> float:
        """Return when a fixed window ends, seconds since the epoch; now, if none is open."""
        return next((expires for _, expires in self._count(key)), time.time())

    def _count(self, key: str) -> list[tuple[int, float]]:
        return self.database.read(_COUNT, (key, time.time()))

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Take ``amount`` from a moving window; false if it hasn't so much."""
        if amount < 1:
            return self.get_moving_window(key, limit, expiry)[1] + amount <= limit
        with self.database.writer() as connection:
            hits = {"key": key, "expiry": expiry, "amount": amount, "now": time.time()}
            return connection.execute(_ACQUIRE, {**hits, "limit": limit}).rowcount == 1

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Return when the window's oldest hit was, now if it has none, and how many it has."""
        now = time.time()
        rows = self.database.read(_WINDOW, {"key": key, "since": now - expiry})
        return next(((at, after - first) for at, first, after in rows), (now, 0))

    def check(self) -> bool:
        """Tell whether the file can be written."""
        try:
            with self.database.transaction():
                return True
        except sqlite3.Error:
            return False

    def reset(self) -> int:
        """Delete all limits, and return how many rows these were."""
        with self.database.writer() as connection:
            return connection.execute("DELETE FROM otp_hit").rowcount

    def clear(self, key: str) -> None:
        """Delete the windows of a key."""
        with self.database.writer() as connection:
            connection.execute("DELETE FROM otp_hit WHERE key = ?", (key,))
