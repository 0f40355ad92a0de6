"""The benchmark runs; what it measures is nothing to test."""

import os
import re

import pytest

from benchmarks import run


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="CPU time is read from /proc")
def test_run_prints_a_row_for_each_phase_of_the_floor_and_of_the_package(capsys):
    run.main(["--storages", "memory", "--size", "8", "--rounds", "1", "--no-import"])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in table[2:]]
    phases = ["generate", "wrong", "verify"]
    assert [row[:2] for row in cells] == [
        [name, phase] for name in ("floor, dict", "memory") for phase in phases
    ]
    assert all(re.fullmatch(r"\d+\.\d\d\d", row[6]) and float(row[6]) > 0 for row in cells)
    assert all(re.fullmatch(r"\d+\.\d\d", row[7]) for row in cells[3:])
