"""Figures into tables, and what they were measured on."""

import os
import platform
import re
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.measure import Figures

PACKAGES = ("flask", "werkzeug", "flask-limiter", "limits", "pyjwt", "gunicorn", "redis")


def describe() -> str:
    """Return date, machine, versions, and how busy the machine is already."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores "
        f"({model[1] if model else platform.machine()}), load average {os.getloadavg()[0]:.1f}, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {packages}"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, its columns in line."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def percentile(figures: Sequence[Figures], share: float) -> str:
    """Return a percentile of the latencies of all rounds together, in milliseconds."""
    latencies = sorted(latency for item in figures for latency in item.latencies)
    return f"{1000 * latencies[int(len(latencies) * share)]:.1f}"


def ratio(name: str, floor: str | None, rounds: Sequence[Mapping[str, Figures]]) -> str:
    """Return the median over the rounds of the ratio of two CPU times."""
    if floor is None:
        return ""
    return f"{median(figures[name].cpu / figures[floor].cpu for figures in rounds):.2f}"
