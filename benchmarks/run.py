"""``make bench``: the package on each storage beside the floor, under the same load.

All servers run at once and take turns, so that whatever else the machine does hits all alike.
A ratio is the median over the rounds of what each round gave; requests per second, CPU time
and round trips are medians, too; latencies are those of all rounds together.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.contenders import Contender, Running, chosen, running
from benchmarks.imports import milliseconds
from benchmarks.load import CONNECTIONS
from benchmarks.machine import describe
from benchmarks.measure import PHASES, Figures, Turn
from benchmarks.report import middle, percentiles, ratio, table
from benchmarks.servers import NotStarted, folder

#: Figures by phase and contender.
Round = dict[str, dict[str, Figures]]

STORAGES = ("memory", "sqlite", "redis", "memcached")
HEADS = (
    *("storage", "phase", "requests/s", "p50 ms", "p95 ms", "p99 ms", "CPU s/1000"),
    *("ratio", "to", "round trips", "peak MiB"),
)

#: Identifiers of a round, where a round is only there to warm up or to count round trips.
SMALL = 40

#: The first numbers of rounds that are not measured; those that are start at 0.
WARM_UP, RELAYED = 240, 245


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    print(describe(), "\n")
    with folder() as place, ExitStack() as stack:
        field = start(chosen(set(options.storages)), place, stack, options.delivery)
        turns(field, 2, min(SMALL, options.size), first=WARM_UP)
        rounds = turns(field, options.rounds, options.size)
        rows = [row for item in field for row in _rows(item, rounds, place)]
    print(table(HEADS, rows))
    if not options.no_import:
        print(f"\nimport flask_otp_auth, over its dependencies: {milliseconds():.1f} ms")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--size", type=int, default=400, help="identifiers per round, even")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--storages", nargs="+", choices=STORAGES, default=STORAGES, metavar="STORAGE"
    )
    parser.add_argument("--delivery", choices=("background", "inline"), default="background")
    parser.add_argument("--no-import", action="store_true", help="leave out the import's time")
    return parser.parse_args(arguments)


def start(
    contenders: Sequence[Contender], place: Path, stack: ExitStack, delivery: str
) -> list[Running]:
    """Start all contenders; those that don't come up are named and left out."""
    field = []
    for contender in contenders:
        try:
            own = own_folder(place, contender)
            field.append(stack.enter_context(running(contender, own, delivery=delivery)))
        except NotStarted as reason:
            print(f"{contender.name} is left out: {reason}\n", file=sys.stderr)
    return field


def own_folder(place: Path, contender: Contender) -> Path:
    """Return a new folder in ``place``."""
    path = place / f"{contender.name.replace(', ', '-')}-{len(list(place.iterdir()))}"
    path.mkdir()
    return path


def turns(
    field: Sequence[Running],
    rounds: int,
    size: int,
    first: int = 0,
    connections: int = CONNECTIONS,
) -> list[Round]:
    """Let all take turns in each phase; every second round runs in the opposite order."""
    return [
        _round(field if number % 2 else field[::-1], number, size, connections)
        for number in range(first, first + rounds)
    ]


def _round(field: Sequence[Running], number: int, size: int, connections: int) -> Round:
    with ExitStack() as stack:
        turns = {
            item.contender.name: stack.enter_context(Turn(item, number, size, connections))
            for item in field
        }
        return {phase: {name: turn.run(phase) for name, turn in turns.items()} for phase in PHASES}


def _rows(item: Running, rounds: Sequence[Round], place: Path) -> Iterator[list[str]]:
    name, floor = item.contender.name, item.contender.floor
    trips = _trips(item, rounds, place)
    for phase in PHASES:
        figures = [results[phase][name] for results in rounds]
        last = phase == PHASES[-1]
        yield [
            name,
            phase,
            f"{middle(figures, 'rate'):.0f}",
            *percentiles(figures),
            f"{middle(figures, 'cpu'):.3f}",
            ratio(name, floor, [results[phase] for results in rounds]),
            floor or "",
            trips.get(phase, ""),
            f"{item.app.peak_rss():.0f}" if last else "",
        ]


def _trips(item: Running, rounds: Sequence[Round], place: Path) -> dict[str, str]:
    """Return the round trips of each phase, on a server that doesn't count them by a relay."""
    contender = item.contender
    if contender.storage == "memcached":
        with running(contender, own_folder(place, contender), relayed=True) as relayed:
            rounds = turns([relayed], 2, SMALL, first=RELAYED)[1:]
    figures = {phase: [results[phase][contender.name] for results in rounds] for phase in PHASES}
    return {
        phase: f"{middle(of_phase, 'trips'):.2f}"
        for phase, of_phase in figures.items()
        if of_phase[0].trips is not None
    }


if __name__ == "__main__":
    main()
