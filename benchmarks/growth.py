"""What changes as a storage fills: speed, memory, disk, and the sweep of expired rows.

    python -m benchmarks.growth

Storages with no, some and very many live challenges take turns under the same load. Most of
the time goes into filling them: a million takes some minutes.
"""

import argparse
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median

import redis

from benchmarks.contenders import Contender, Running, running
from benchmarks.fill import TTL, template
from benchmarks.load import CONNECTIONS, Driver
from benchmarks.machine import describe
from benchmarks.measure import PHASES, generating
from benchmarks.report import middle, percentiles, ratio, table
from benchmarks.run import WARM_UP, Round, own_folder, turns
from benchmarks.servers import ROOT, folder
from flask_otp_auth.sqlite import SQLiteCache
from flask_otp_auth.sweep import SWEEP_EVERY

LABELS = {"sqlite": "SQLite", "redis": "Redis"}
HEADS = (
    *("storage", "phase", "requests/s", "p50 ms", "p95 ms", "p99 ms", "CPU s/1000"),
    "ratio to empty",
)

#: Writes of one row that are timed.
WRITES = 5000

#: Codes that are sent to see what one leaves behind.
SENT = 2000


def main() -> None:
    options = _options()
    print(describe(), "\n")
    for storage in options.storages:
        with folder() as place, ExitStack() as stack:
            _growth(storage, options, place, stack)
    if "sqlite" in options.storages:
        with folder() as place, ExitStack() as stack:
            _sweep(options, place, stack)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--live", type=int, nargs="+", default=[0, 10_000, 1_000_000])
    parser.add_argument("--expired", type=int, default=1_000_000, help="rows for the sweep")
    parser.add_argument("--size", type=int, default=400, help="identifiers per round, even")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--storages", nargs="+", choices=tuple(LABELS), default=tuple(LABELS))
    return parser.parse_args()


def _growth(storage: str, options: argparse.Namespace, place: Path, stack: ExitStack) -> None:
    field = _field(storage, [f"{live:,} live" for live in options.live], place, stack)
    sent = _bytes_per_code(field[0])
    before = [_footprint(item.uri) for item in field]
    _fill(zip(field, options.live, strict=True))
    after = [_footprint(item.uri) for item in field]
    turns(field, 2, options.size, first=WARM_UP)
    _print(field, turns(field, options.rounds, options.size))
    for live, small, large in zip(options.live, before, after, strict=True):
        if live:
            print(f"{LABELS[storage]}, {live:,} live: {(large - small) / live:,.0f} bytes for each")
    print(f"{LABELS[storage]}, a code just sent, windows and limits included: {sent:,.0f} bytes\n")


def _field(storage: str, names: Sequence[str], place: Path, stack: ExitStack) -> list[Running]:
    """Start one app and storage for each name; the first one is the others' yardstick."""
    first = f"{LABELS[storage]}, {names[0]}"
    field = []
    for name in names:
        full = f"{LABELS[storage]}, {name}"
        contender = Contender(full, "ours", storage, None if full == first else first)
        field.append(stack.enter_context(running(contender, own_folder(place, contender))))
    return field


def _bytes_per_code(item: Running) -> float:
    before = _footprint(item.uri)
    with closing(Driver(item.app.port, WARM_UP + 9)) as driver:
        driver.run(generating(f"sent-{number}@example.com" for number in range(SENT)), 200)
    return (_footprint(item.uri) - before) / SENT


def _footprint(uri: str) -> float:
    """Return what a storage takes: on disk, without the log that is to be merged, or memory."""
    if uri.startswith("redis"):
        return float(redis.Redis.from_url(uri).info("memory")["used_memory"])
    with closing(_connect(uri)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return _file(uri).stat().st_size


def _file(uri: str) -> Path:
    return Path(uri.removeprefix("sqlite:///"))


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(_file(uri), timeout=60)


def _fill(targets: Iterable[tuple[Running, int]]) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-m", "benchmarks.fill", item.uri, str(live)], cwd=ROOT)
        for item, live in targets
        if live
    ]
    for process in processes:
        if process.wait():
            raise RuntimeError("a storage could not be filled")


def _print(field: Sequence[Running], rounds: Sequence[Round]) -> None:
    rows = [row for item in field for row in _rows(item.contender, rounds)]
    print(table(HEADS, rows), "\n", flush=True)


def _rows(contender: Contender, rounds: Sequence[Round]) -> Iterator[list[str]]:
    for phase in PHASES:
        figures = [results[phase][contender.name] for results in rounds]
        yield [
            contender.name,
            phase,
            f"{middle(figures, 'rate'):.0f}",
            *percentiles(figures),
            f"{middle(figures, 'cpu'):.3f}",
            ratio(contender.name, contender.floor, [results[phase] for results in rounds]),
        ]


def _sweep(options: argparse.Namespace, place: Path, stack: ExitStack) -> None:
    """Compare latencies with and without a backlog of expired rows, with and without a queue."""
    names = ["nothing to sweep", f"{options.expired:,} expired rows"]
    field = _field("sqlite", names, place, stack)
    turns(field, 2, options.size, first=WARM_UP)
    _fill([(field[1], options.expired // len(template()))])
    backlog = _expire(field[1].uri)
    print(f"rows to sweep before: {backlog:,}\n")
    print(f"{_write_times(field[1].uri)}\n")
    for number, connections in enumerate((1, CONNECTIONS)):
        first = number * options.rounds
        rounds = turns(field, options.rounds, options.size, first, connections)
        print(f"{connections} connection{'s'[: connections > 1]}:\n")
        _print(field, rounds)
    print(f"rows swept meanwhile: {backlog - _expired(field[1].uri):,}\n")


def _expire(uri: str) -> int:
    """Let all rows expire that live as long as filled ones do, and return their number."""
    with closing(_connect(uri)) as connection, connection:
        sql = "UPDATE otp_cache SET expires = expires - 2 * ? WHERE expires > unixepoch() + ? / 2"
        return connection.execute(sql, (TTL, TTL)).rowcount


def _write_times(uri: str) -> str:
    """Tell how long writes take on one thread, with and without a sweep before them."""
    cache = SQLiteCache(_file(uri))
    times = []
    for number in range(WRITES):
        start = time.perf_counter()
        cache.set(f"timed:{number}", "1", timeout=TTL)
        times.append(1000 * (time.perf_counter() - start))
    times.sort()
    sweeps = times[-WRITES // SWEEP_EVERY :]
    return (
        f"one thread: a write takes {median(times):.2f} ms, the longest {1 / SWEEP_EVERY:.0%} of "
        f"them, which sweep, {median(sweeps):.2f} ms, the longest of all {sweeps[-1]:.2f} ms"
    )


def _expired(uri: str) -> int:
    with closing(_connect(uri)) as connection:
        sql = "SELECT count(*) FROM otp_cache WHERE expires < unixepoch() - ? / 2"
        return int(connection.execute(sql, (TTL,)).fetchone()[0])


if __name__ == "__main__":
    main()
