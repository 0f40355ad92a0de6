"""How throughput grows with workers that share one storage.

    python -m benchmarks.scale

Driver, workers and storage share the machine's cores: where there are few, this shows less
what a storage can do than where the machine ends.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from statistics import median

from benchmarks.contenders import Contender, Running, running
from benchmarks.machine import describe
from benchmarks.measure import PHASES
from benchmarks.report import middle, percentiles, table
from benchmarks.run import WARM_UP, Round, own_folder, turns
from benchmarks.servers import folder

LABELS = {"sqlite": "SQLite", "redis": "Redis"}
HEADS = (
    *("storage", "phase", "requests/s", "to 1 worker", "p50 ms", "p95 ms", "p99 ms"),
    *("CPU s/1000", "Redis CPU s/1000"),
)

#: Enough of them for each worker to get some.
CONNECTIONS = 16


def main() -> None:
    options = _options()
    print(describe(), "\n")
    for storage in options.storages:
        with folder() as place, ExitStack() as stack:
            field = []
            for workers in options.workers:
                contender = Contender(f"{LABELS[storage]}, {workers}", "ours", storage)
                own = own_folder(place, contender)
                field.append(stack.enter_context(running(contender, own, workers=workers)))
            turns(field, 2, options.size, first=WARM_UP, connections=CONNECTIONS)
            rounds = turns(field, options.rounds, options.size, connections=CONNECTIONS)
            print(table(HEADS, list(_rows(field, rounds))), "\n", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--size", type=int, default=400, help="identifiers per round, even")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--storages", nargs="+", choices=tuple(LABELS), default=tuple(LABELS))
    return parser.parse_args()


def _rows(field: Sequence[Running], rounds: Sequence[Round]) -> Iterator[list[str]]:
    first = field[0].contender.name
    for phase in PHASES:
        for item in field:
            name = item.contender.name
            figures = [results[phase][name] for results in rounds]
            gain = median(
                results[phase][name].rate / results[phase][first].rate for results in rounds
            )
            store_cpu = middle(figures, "store_cpu")
            yield [
                name,
                phase,
                f"{middle(figures, 'rate'):.0f}",
                f"{gain:.2f}",
                *percentiles(figures),
                f"{middle(figures, 'cpu'):.3f}",
                f"{store_cpu:.3f}" if store_cpu else "",
            ]


if __name__ == "__main__":
    main()
