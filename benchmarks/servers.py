"""Servers for the time of a benchmark: where they run, and what the kernel says they used."""

import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")

#: Seconds that a server may take to come up.
START = 20


class NotStarted(Exception):
    """A server did not come up; the text says why."""


@dataclass(frozen=True)
class Cores:
    """Which core each part is pinned to.

    The app has one of its own. With two cores the storage's server shares the load's: its work
    is not the app's, and each waits while the other one works.
    """

    app: int
    load: int
    storage: int

    @classmethod
    def of_this_machine(cls) -> "Cores":
        cores = sorted(os.sched_getaffinity(0))
        app, load, storage = (*cores, *cores[-1:] * 2)[:3]
        return cls(app, load, storage)

    @contextmanager
    def pinned(self) -> Iterator[None]:
        """Pin this process, which makes the load, for the time of a block."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.load})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder that is removed at the end."""
    path = tempfile.mkdtemp(prefix="flask-otp-auth-bench-")
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def checkout(place: Path, package: Path) -> Path:
    """Return a folder to import from: ``package``'s own package, and these benchmarks."""
    path = place / "checkout"
    path.mkdir()
    (path / "flask_otp_auth").symlink_to(package / "flask_otp_auth")
    (path / "benchmarks").symlink_to(ROOT / "benchmarks")
    return path


def free_port() -> int:
    """Return a port that nobody listens on, of those that no connection is given as its own."""
    while True:
        port = random.randrange(20_000, 32_768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@dataclass(frozen=True)
class Server:
    """A started server process with its port."""

    process: subprocess.Popen[bytes]
    port: int

    def cpu(self) -> float:
        """Return the CPU seconds of its whole process tree so far."""
        return sum(_cpu(pid) for pid in _tree(self.process.pid))


def _tree(pid: int) -> list[int]:
    pids = [pid]
    for parent in pids:
        for task in Path(f"/proc/{parent}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
                pids.extend(map(int, (task / "children").read_text().split()))
    return pids


def _cpu(pid: int) -> float:
    # The process's own CPU clock (clock_getcpuclockid(3)): user and system time as in
    # /proc/<pid>/stat, but in nanoseconds instead of hundredths of a second.
    own = time.clock_gettime(~pid << 3 | 2)
    # Children that have ended (proc(5)); the name before the fields may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own + sum(map(int, fields[13:15])) / TICKS


@contextmanager
def started(
    command: Sequence[str], port: int, place: Path, core: int, hello: bytes, **variables: str
) -> Iterator[Server]:
    """Start a server on one core, wait until it answers, and stop it at the end.

    :param hello: what it answers.
    :raises NotStarted: if it is not installed, ends, or is too slow.
    """
    if shutil.which(command[0]) is None:
        raise NotStarted(f"{command[0]} is not installed")
    log = place / f"{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *command],
            cwd=place,
            env={**os.environ, **variables},
            stdout=output,
            stderr=output,
        )
        try:
            _await(process, port, log, hello)
            yield Server(process, port)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: Path, hello: bytes) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), START) as client:
            client.sendall(hello)
            if client.recv(1):
                return
        time.sleep(0.05)
    lines = log.read_text(errors="replace").split("\n")
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    raise NotStarted(errors[-1] if errors else f"no answer on port {port}")


@contextmanager
def gunicorn(target: str, place: Path, core: int, **variables: str) -> Iterator[Server]:
    """Serve ``target`` (``module:app``) with one worker and eight threads."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", target, "--bind", f"127.0.0.1:{port}"]
    command += ["--workers", "1", "--threads", "8", "--worker-class", "gthread"]
    command += ["--keep-alive", "600", "--log-level", "warning", "--no-control-socket"]
    hello = b"GET /bench/codes HTTP/1.0\r\n\r\n"
    with started(command, port, place, core, hello, **variables) as server:
        yield server


@contextmanager
def redis_server(place: Path, core: int) -> Iterator[Server]:
    """Start a Redis that keeps nothing on disk."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(place)]
    with started(command, port, place, core, b"PING\r\n") as server:
        yield server


@contextmanager
def memcached(place: Path, core: int) -> Iterator[Server]:
    """Start a Memcached."""
    port = free_port()
    command = ["memcached", "-p", str(port), "-l", "127.0.0.1", "-U", "0", "-m", "256"]
    command += ["-u", "nobody"] if os.geteuid() == 0 else []
    with started(command, port, place, core, b"version\r\n") as server:
        yield server
