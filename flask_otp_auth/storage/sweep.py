"""Expired rows of a SQLite file are deleted on the way, a stretch of a table at a time.

A sweep goes on where the last one ended, whichever process that was, in the order of the primary
key. There is no index on the time of expiry: each write would pay for it, and rows that expire
together lie far apart in the file.
"""

import sqlite3
import time

#: Whenever so many rows were written, so many are looked at in each table: more than were
#: written, so that what has expired is a part of the table at most, and few enough to take a
#: millisecond.
SWEEP_EVERY, SWEEP_ROWS = 100, 400

SCHEMA = """
CREATE TABLE IF NOT EXISTS otp_swept (name TEXT PRIMARY KEY, key, at, first) WITHOUT ROWID;
"""

_EXPIRED = "(expires <= :now OR typeof(expires) <> 'real')"

# From a place to the one so many rows further on, and what has expired between the two.
_STRETCHES = {
    "otp_cache": (
        "SELECT key, 0, 0 FROM otp_cache WHERE key > :key ORDER BY key LIMIT 1 OFFSET :rows - 1",
        f"DELETE FROM otp_cache WHERE key > :key AND key <= :end_key AND {_EXPIRED}",
    ),
    "otp_hit": (
        """SELECT key, at, first FROM otp_hit WHERE (key, at, first) > (:key, :at, :first)
            ORDER BY key, at, first LIMIT 1 OFFSET :rows - 1""",
        f"""DELETE FROM otp_hit WHERE (key, at, first) > (:key, :at, :first)
            AND (key, at, first) <= (:end_key, :end_at, :end_first) AND {_EXPIRED}""",
    ),
}

_BEGINNING = ("", 0, 0)
_END = (b"", 0, 0)  # bytes come after all texts


def sweep(connection: sqlite3.Connection) -> None:
    """Delete what has expired in the next stretch of each table.

    :param connection: on which each statement commits by itself.
    """
    with connection:  # which itself commits or rolls back
        connection.execute("BEGIN IMMEDIATE")
        for table in _STRETCHES:
            _sweep(connection, table)


def _sweep(connection: sqlite3.Connection, table: str) -> None:
    find_end, delete = _STRETCHES[table]
    places = "SELECT key, at, first FROM otp_swept WHERE name = ?"
    key, at, first = next(iter(connection.execute(places, (table,)).fetchall()), _BEGINNING)
    stretch = {"key": key, "at": at, "first": first, "rows": SWEEP_ROWS, "now": time.time()}
    end = next(iter(connection.execute(find_end, stretch).fetchall()), None)
    end_key, end_at, end_first = end or _END
    bounds = {"end_key": end_key, "end_at": end_at, "end_first": end_first}
    connection.execute(delete, {**stretch, **bounds})
    connection.execute(
        "INSERT OR REPLACE INTO otp_swept VALUES (?, ?, ?, ?)", (table, *(end or _BEGINNING))
    )
