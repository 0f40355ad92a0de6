"""Figures into tables."""

from collections.abc import Mapping, Sequence
from statistics import median

from benchmarks.measure import Figures


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, its columns in line."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = [heads, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)


def middle(figures: Sequence[Figures], name: str) -> float:
    """Return the median of one figure."""
    values: list[float] = [getattr(item, name) for item in figures]
    return median(values)


def percentiles(figures: Sequence[Figures]) -> list[str]:
    """Return p50, p95 and p99 of all latencies, in milliseconds."""
    latencies = sorted(latency for item in figures for latency in item.latencies)
    return [f"{1000 * latencies[int(len(latencies) * share)]:.1f}" for share in (0.5, 0.95, 0.99)]


def ratio(name: str, floor: str | None, rounds: Sequence[Mapping[str, Figures]]) -> str:
    """Return the median ratio of CPU times of two contenders; nothing if one wasn't there."""
    if floor is None or floor not in rounds[0]:
        return ""
    return f"{median(results[name].cpu / results[floor].cpu for results in rounds):.2f}"
