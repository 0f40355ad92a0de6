"""A cache and a storage of limits in one SQLite file, exact across threads and processes.

What must happen exactly once is one statement under SQLite's write lock, and the number of rows
that it changed tells who won; what belongs together is one transaction.
"""

import json
import os
import sqlite3
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from limits.storage import MovingWindowSupport, Storage

from ..errors import ConfigError
from .base import CacheStore, TextCache
from .database import ERRORS, Database
from .uris import is_plain, is_sqlites_own

# Whatever else stands in a row was not written here, so it counts as absent.
_LIVE = "typeof(value) = 'text' AND typeof(expires) = 'real' AND expires > ?"
_GET = f"SELECT value FROM otp_cache WHERE key = ? AND {_LIVE}"
_GET_MANY = f"""SELECT key, value FROM otp_cache
    WHERE key IN (SELECT value FROM json_each(?)) AND {_LIVE}"""
_ROW = "(?, ?, ?)"
_SET = """INSERT INTO otp_cache VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires"""
_ADD = f"{_SET} WHERE NOT ({_LIVE})"
_TAKE = f"DELETE FROM otp_cache WHERE key = ? AND {_LIVE}"
_TAKE_VALUE = f"{_TAKE} AND value = ?"

#: Rows that one statement writes.
_ROWS_AT_ONCE = 200

_SANE = "typeof(at) = 'real' AND typeof(first) = 'integer' AND typeof(after) = 'integer'"
_COUNT = f"""SELECT after, expires FROM otp_hit
    WHERE key = ? AND at = 0 AND {_SANE} AND typeof(expires) = 'real' AND expires > ?"""
_INCR = """INSERT INTO otp_hit VALUES (:key, 0, 0, :amount, :now + :expiry)
    ON CONFLICT (key, at, first) DO UPDATE
    SET after = iif(expires > :now AND typeof(expires) = 'real' AND typeof(after) = 'integer',
            after, 0) + :amount,
        expires = iif(expires > :now AND typeof(expires) = 'real', expires, excluded.expires)"""
# Hits are numbered, in the order of time even if the clock is put back: the numbers of the newest
# and of the oldest one in the window tell how many these are, without counting them.
_ACQUIRE = f"""INSERT OR REPLACE INTO otp_hit
    SELECT :key, max(:now, at), after, after + :amount, max(:now, at) + :expiry
    FROM (SELECT at, first, after FROM otp_hit WHERE key = :key AND {_SANE}
        UNION ALL SELECT 0, 0, 0 ORDER BY at DESC, first DESC LIMIT 1)
    WHERE after + :amount - :limit <= coalesce(
        (SELECT first FROM otp_hit WHERE key = :key AND at >= :now - :expiry AND {_SANE}
            ORDER BY at, first LIMIT 1), after)"""
_ACQUIRE_AND_COUNT = f"""{_ACQUIRE}
    RETURNING after - coalesce((SELECT first FROM otp_hit
        WHERE key = :key AND at >= :now - :expiry AND {_SANE} ORDER BY at, first LIMIT 1), first)"""
_NEWEST = f"""SELECT at, after, coalesce((SELECT first FROM otp_hit
            WHERE key = :key AND at >= :now - :expiry AND {_SANE}
            ORDER BY at, first LIMIT 1), after)
    FROM (SELECT at, first, after FROM otp_hit WHERE key = :key AND {_SANE}
        UNION ALL SELECT 0, 0, 0 ORDER BY at DESC, first DESC LIMIT 1)"""
_HIT = "INSERT OR REPLACE INTO otp_hit VALUES (?, ?, ?, ?, ?)"
_WINDOW = f"""SELECT at, first, (SELECT after FROM otp_hit WHERE key = :key AND {_SANE}
        ORDER BY at DESC, first DESC LIMIT 1)
    FROM otp_hit WHERE key = :key AND at >= :since AND {_SANE} ORDER BY at, first LIMIT 1"""


class SQLiteCache(TextCache):
    """A cachelib cache of texts in a SQLite file. Its methods raise ``sqlite3.Error``.

    ``add`` and ``delete`` are true for exactly one caller in any thread or process.

    :param path: the file, or a database to share.
    :param default_timeout: seconds or a ``timedelta``; 0 means never.
    :raises ConfigError: if ``path`` is a URI, or a name that means something else to SQLite.
    """

    def __init__(
        self, path: str | os.PathLike[str] | Database, default_timeout: int | timedelta = 300
    ) -> None:
        super().__init__(default_timeout)
        self.database: Database = path if isinstance(path, Database) else _database_at(path)

    def get(self, key: str) -> str | None:
        """Return the value, ``None`` if there is none."""
        rows = self.database.read(_GET, (key, time.time()))
        return rows[0][0] if rows else None

    def get_many(self, *keys: str) -> list[Any]:
        """Return the values as of one moment, ``None`` where there is none."""
        found = dict(self.database.read(_GET_MANY, (json.dumps(keys), time.time())))
        return [found.get(key) for key in keys]

    def set(self, key: str, value: str, timeout: int | timedelta | None = None) -> bool:
        """Write a text."""
        return bool(self.set_many({key: value}, timeout))

    def set_many(
        self, mapping: dict[str, Any], timeout: int | timedelta | None = None
    ) -> list[Any]:
        """Write all texts or, if this raises, none. Returns the keys."""
        for value in mapping.values():
            _check_text(value)
        items = list(mapping.items())
        if len(items) > _ROWS_AT_ONCE:
            with self.database.transaction(len(items)) as connection:
                expires = self.deadline(timeout)
                connection.executemany(_SET, [(*item, expires) for item in items])
        elif items:
            # One statement takes half the time of one for each row.
            sql = _SET.replace(_ROW, ", ".join([_ROW] * len(items)))
            with self.database.writer(len(items)) as connection:
                expires = self.deadline(timeout)
                connection.execute(sql, [field for item in items for field in (*item, expires)])
        return list(mapping)

    def add(self, key: str, value: str, timeout: int | timedelta | None = None) -> bool:
        """Write a text if there is none; true for one caller until it expires or is deleted."""
        _check_text(value)
        with self.database.writer() as connection:
            row = (key, value, self.deadline(timeout), time.time())
            return connection.execute(_ADD, row).rowcount == 1

    def delete(self, key: str) -> bool:
        """Delete a value; true for one caller, and for none if it has expired."""
        return self.take(key)[0]

    def take(self, *keys: str, value: str | None = None) -> list[bool]:
        """Delete keys and tell of each whether it was there."""
        sql, last = (_TAKE, ()) if value is None else (_TAKE_VALUE, (value,))
        lend = self.database.writer if len(keys) == 1 else self.database.transaction
        with lend(len(keys)) as connection:
            now = time.time()
            return [connection.execute(sql, (key, now, *last)).rowcount == 1 for key in keys]


def _database_at(path: str | os.PathLike[str]) -> Database:
    name = os.fspath(path)
    if not name or "://" in name or is_sqlites_own(name) or not is_plain(name):
        raise ConfigError(
            "SQLiteCache takes the path of a file as it is; to keep codes in memory, leave cache= "
            "out and set OTP_AUTH_STORAGE_URI to memory://"
        )
    return Database(path)


def _check_text(value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"SQLiteCache keeps texts, not {type(value).__name__}")


class SQLiteStore(CacheStore):
    """The four verbs on a SQLiteCache."""

    def __init__(self, cache: SQLiteCache) -> None:
        super().__init__(cache, ERRORS)


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

    def acquire_many(self, windows: Sequence[tuple[str, int, int]]) -> list[bool]:
        """Take one from each moving window in order, up to the first that has none.

        :param windows: of each its key, its amount and its seconds.
        :returns: for each that was taken whether it has room left.
        """
        if len(windows) == 1:
            return self._acquire_one(*windows[0])
        room: list[bool] = []
        with self.database.transaction(len(windows)) as connection:
            now = time.time()
            for key, limit, expiry in windows:
                window = {"key": key, "expiry": expiry, "now": now}
                ((at, after, first),) = connection.execute(_NEWEST, window).fetchall()
                if after - first >= limit:
                    break
                at = max(now, at)
                connection.execute(_HIT, (key, at, after, after + 1, at + expiry))
                room.append(after + 1 - first < limit)
        return room

    def _acquire_one(self, key: str, limit: int, expiry: int) -> list[bool]:
        # One statement in place of a transaction's four: a fifth of a request's CPU (`make bench`).
        with self.database.writer() as connection:
            hit = {"key": key, "expiry": expiry, "amount": 1, "now": time.time(), "limit": limit}
            counts = connection.execute(_ACQUIRE_AND_COUNT, hit).fetchall()
        return [count < limit for (count,) in counts]

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
