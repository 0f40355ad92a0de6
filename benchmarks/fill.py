"""Fill a storage: copies of all that one code left in it, under keys that nobody asks for."""

import sqlite3
from contextlib import closing

import redis

#: Copies that one command makes in Redis.
BATCH = 10_000

# The copy lives as long as the original.
COPY = """
local dump, left = redis.call('DUMP', KEYS[1]), math.max(redis.call('PTTL', KEYS[1]), 0)
for number = 1, ARGV[2] do
    redis.call('RESTORE', ARGV[1] .. number, left, dump)
end
"""
TABLES = """SELECT tables.name, group_concat(', ' || columns.name, '')
    FILTER (WHERE columns.name <> 'key')
    FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
    WHERE tables.type = 'table' GROUP BY 1 HAVING max(columns.name = 'key' AND columns.pk)"""
COPY_ROWS = """WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT ?)
    INSERT INTO {0} (key{1}) SELECT hex(randomblob(32)){1} FROM {0}, numbers"""


def fill(uri: str, count: int) -> None:
    """Copy everything in an SQLite or Redis storage that many times."""
    if not uri.startswith("sqlite:///"):
        return _fill_redis(uri, count)
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"), timeout=60)) as database, database:
        for table, columns in database.execute(TABLES).fetchall():
            database.execute(COPY_ROWS.format(table, columns), (count,))


def _fill_redis(uri: str, count: int) -> None:
    with redis.Redis.from_url(uri) as client:
        for number, key in enumerate(client.keys()):
            for start in range(0, count, BATCH):
                client.eval(COPY, 1, key, f"copy:{number}:{start}:", min(BATCH, count - start))
