"""The benchmark runs; what it measures is nothing to test."""

import os
import re
import shutil

import pytest

from benchmarks import run

HEADS = "storage | phase | requests/s | p50 ms | p95 ms | CPU ms | ratio | to | round trips"
PHASES = ("generate", "wrong", "verify")

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/stat"), reason="CPU time is read from /proc"
)


def table_of(text):
    """Return the cells of a Markdown table, its head first."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if "--" not in line
    ]


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server")
def test_a_run_compares_the_package_with_the_floor_and_a_full_storage_with_an_empty_one(capsys):
    cores = os.sched_getaffinity(0)
    arguments = ["--storages", "redis", "--size", "8", "--rounds", "1", "--no-import"]
    run.main([*arguments, "--live", "50"])
    heads, *rows = table_of(capsys.readouterr().out)
    names = ("floor, Redis", "Redis", "Redis, 50 live")
    assert heads == HEADS.split(" | ")
    assert [row[:2] for row in rows] == [[name, phase] for name in names for phase in PHASES]
    assert all(re.fullmatch(r"\d+\.\d\d\d", row[5]) and float(row[5]) > 0 for row in rows)
    assert all(re.fullmatch(r"\d+\.\d\d", row[6]) for row in rows[3:])
    assert [row[8] for row in rows[:3]] == ["1.00", "1.00", "1.00"]
    assert all(re.match(r"\d\.\d\d", row[8]) for row in rows[3:6])
    assert os.sched_getaffinity(0) == cores
