"""Where the difference to the floor goes: the WSGI app alone, on one thread, under cProfile.

    python -m benchmarks.hotspots --storage memory://

The first table has no profiler in it. The second is cProfile's own time by function, which
makes much of small functions: read it as an order, not as a measure.
"""

import argparse
import cProfile
import importlib
import io
import os
import pstats
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from flask import Flask

from benchmarks.codebook import Codebook
from benchmarks.measure import PHASES, generating, right, wrong
from benchmarks.report import table

Environ = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hotspots")
    parser.add_argument("--storage", default="memory://", help="a storage's URI")
    parser.add_argument("--size", type=int, default=1000, help="requests per phase")
    parser.add_argument("--lines", type=int, default=30)
    options = parser.parse_args(arguments)
    floor = _load("floor", options.storage if options.storage.startswith("redis") else "memory://")
    ours = _load("ours", options.storage)
    _plain(floor, ours, options.size)
    _profiled(ours, options.size, options.lines)


def _load(module: str, storage: str) -> Flask:
    os.environ["BENCH_STORAGE"] = storage
    app: Flask = importlib.import_module(f"benchmarks.{module}").app
    return app


def _plain(floor: Flask, ours: Flask, size: int) -> None:
    rounds = [(_cpu(floor, number, size), _cpu(ours, number, size)) for number in range(6)][1:]
    rows = []
    for phase in PHASES:
        low = min(first[phase] for first, _ in rounds)
        high = min(second[phase] for _, second in rounds)
        rows.append([phase, f"{low:.0f}", f"{high:.0f}", f"{high - low:.0f}", f"{high / low:.2f}"])
    print(table(("phase", "floor us", "ours us", "difference", "ratio"), rows), "\n")


def _cpu(app: Flask, series: int, size: int) -> dict[str, float]:
    """Return the CPU microseconds per request of each phase, all threads counted."""
    spent = {}
    for phase, requests in _phases(app, series, size):
        start = time.process_time()
        serve(app, requests)
        time.sleep(0.05)  # deliveries in the background
        spent[phase] = (time.process_time() - start) * 1e6 / len(requests)
    return spent


def _phases(app: Flask, series: int, size: int) -> Iterable[tuple[str, list[Environ]]]:
    names = [f"hot-{series}-{number}@example.com" for number in range(size)]
    yield "generate", environs(generating(names))
    time.sleep(0.1)
    book: Codebook = app.extensions["bench"]
    codes = book.take()
    yield "wrong", environs(wrong(codes)[: size // 2])
    yield "verify", environs(right(codes)[size // 2 :])


def environs(requests: Iterable[bytes]) -> list[Environ]:
    """Return WSGI environs as gunicorn makes them."""
    return [_environ(*request.partition(b"\r\n\r\n")[::2]) for request in requests]


def _environ(head: bytes, body: bytes) -> Environ:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": head.split()[1].decode(),
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def serve(app: Flask, requests: Iterable[Environ]) -> None:
    for environ in requests:
        answer = app.wsgi_app(environ, _start_response)
        b"".join(answer)
        answer.close()  # type: ignore[attr-defined] # not in the stubs


def _start_response(*_: object) -> Any:
    return None


def _profiled(app: Flask, size: int, lines: int) -> None:
    for phase, requests in _phases(app, 99, size):
        profiler = cProfile.Profile()
        profiler.runcall(serve, app, requests)
        rows = sorted(_rows(profiler, len(requests)), key=lambda row: -float(row[0]))
        print(f"\n{phase}: own time per request, profiled\n")
        print(table(("own us", "with callees", "calls", "function"), rows[:lines]))


def _rows(profiler: cProfile.Profile, count: int) -> Iterable[list[str]]:
    for function, (_, calls, own, total, _) in pstats.Stats(profiler).stats.items():  # type: ignore[attr-defined] # not in the stubs
        path, line, name = function
        place = f"{'/'.join(path.split('/')[-2:])}:{line} {name}" if line else name
        yield [
            f"{own * 1e6 / count:.1f}",
            f"{total * 1e6 / count:.1f}",
            f"{calls / count:.1f}",
            place,
        ]


if __name__ == "__main__":
    main()
