"""``make bench``: the package on each storage beside the floor, under the same load.

One server runs at a time: pinned to a core, with the load on another one. The contenders take
turns over some rounds, every second one in the opposite order, so that whatever else the machine
does hits all alike. Each turn starts with a fresh server and an empty storage. A ratio is the
median over the rounds of what each round gave; requests per second and CPU time are medians,
too; latencies are those of all rounds together. Round trips are counted in a turn of their own.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.contenders import NAMES, Contender, contenders
from benchmarks.imports import milliseconds
from benchmarks.measure import PHASES, Figures, round_trips, take_turn
from benchmarks.report import describe, percentile, ratio, table
from benchmarks.servers import ROOT, Cores, NotStarted

HEADS = (
    *("storage", "phase", "requests/s", "p50 ms", "p95 ms", "CPU ms", "ratio", "to"),
    "round trips",
)

#: Figures by phase of each contender by name.
Round = dict[str, dict[str, Figures]]


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    cores = Cores.of_this_machine()
    print(describe())
    print(f"app on core {cores.app}, load on {cores.load}, storage on {cores.storage}\n")
    field = contenders(options.storages, options.package, options.live)
    with cores.pinned():
        rounds = [
            {
                item.name: take_turn(item, cores, options.size, options.delivery)
                for item in (field if number % 2 else field[::-1])
            }
            for number in range(options.rounds)
        ]
        rows = [row for item in field for row in _rows(item, rounds, cores)]
    print(table(HEADS, rows))
    for package in options.package if options.imports else ():
        label = f"import flask_otp_auth in {package.name}"
        print(f"\n{label}, over its dependencies: {milliseconds(package):.1f} ms")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--size", type=int, default=400, help="identifiers per turn, even")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--storages", nargs="+", choices=NAMES, default=list(NAMES))
    parser.add_argument("--delivery", choices=("background", "inline"), default="background")
    parser.add_argument(
        "--package",
        nargs="+",
        type=lambda text: Path(text).resolve(),
        default=[ROOT],
        help="checkouts whose package is measured, an older one too; default: this one's",
    )
    parser.add_argument("--live", type=int, default=0, help="also measure a storage so full")
    parser.add_argument(
        "--no-import", dest="imports", action="store_false", help="leave out the import's time"
    )
    return parser.parse_args(arguments)


def _rows(item: Contender, rounds: Sequence[Round], cores: Cores) -> Iterator[list[str]]:
    trips = round_trips(item, cores) if item.storage == "redis" and not item.live else {}
    for phase in PHASES:
        figures = [results[item.name][phase] for results in rounds]
        by_name = [{name: every[phase] for name, every in results.items()} for results in rounds]
        yield [
            item.name,
            phase,
            f"{median(one.rate for one in figures):.0f}",
            percentile(figures, 0.5),
            percentile(figures, 0.95),
            f"{median(one.cpu for one in figures):.3f}",
            ratio(item.name, item.floor, by_name),
            item.floor or "",
            trips.get(phase, ""),
        ]


if __name__ == "__main__":
    try:
        main()
    except NotStarted as reason:
        raise SystemExit(f"{reason}; --storages picks what is measured") from None
