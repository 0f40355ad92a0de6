"""Servers for the time of a benchmark, and what the kernel says they used."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")

#: Seconds that a server may take to come up.
START = 20


class NotStarted(Exception):
    """A server did not come up; the text says why."""


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder that goes away at the end."""
    path = tempfile.mkdtemp(prefix="flask-otp-auth-bench-")
    try:
        yield Path(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A started server process with its port."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def cpu(self) -> float:
        """Return the CPU seconds of its whole process tree so far."""
        return sum(_cpu(pid) for pid in _tree(self.process.pid))

    def peak_rss(self) -> float:
        """Return the peak resident memory of its largest process, in MiB."""
        return max(_status(pid, "VmHWM") for pid in _tree(self.process.pid)) / 1024

    def rss(self) -> float:
        """Return the resident memory of its largest process, in MiB."""
        return max(_status(pid, "VmRSS") for pid in _tree(self.process.pid)) / 1024


def _tree(pid: int) -> list[int]:
    pids = [pid]
    for parent in pids:
        for task in Path(f"/proc/{parent}/task").iterdir():
            with suppress(FileNotFoundError):
                pids.extend(map(int, (task / "children").read_text().split()))
    return pids


def _cpu(pid: int) -> float:
    # The process's own CPU clock (clock_getcpuclockid(3)): what /proc/<pid>/stat says of user
    # and system time, but in nanoseconds, where that rounds to hundredths of a second.
    own = time.clock_gettime(~pid << 3 | 2)
    # Children that have ended (proc(5)); the name before the fields may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return own + sum(map(int, fields[13:15])) / TICKS


def _status(pid: int, name: str) -> int:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) if found else 0


@contextmanager
def started(command: Sequence[str], port: int, log: Path, **variables: str) -> Iterator[Server]:
    """Start a server, wait until it listens, and stop it at the end.

    :raises NotStarted: if it ends or is too slow.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **variables}, stdout=output, stderr=output
        )
        try:
            _await(process, port, log)
            yield Server(process, port, log)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise NotStarted(_reason(log))


def _reason(log: Path) -> str:
    """Return the last error in a log: the last line that says what was raised, if any."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (errors or lines or ["no output"])[-1].strip()


@contextmanager
def gunicorn(
    target: str, place: Path, *, workers: int = 1, threads: int = 8, **variables: str
) -> Iterator[Server]:
    """Serve ``target`` (``module:app``) with threads."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", target, "--bind", f"127.0.0.1:{port}"]
    command += ["--workers", str(workers), "--threads", str(threads), "--keep-alive", "600"]
    command += ["--worker-class", "gthread", "--log-level", "warning", "--no-control-socket"]
    with started(command, port, place / f"gunicorn-{port}.log", **variables) as server:
        yield server


@contextmanager
def redis_server(place: Path) -> Iterator[Server]:
    """Start a Redis that keeps nothing on disk."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(place)]
    with started(_installed(command), port, place / f"redis-{port}.log") as server:
        yield server


@contextmanager
def memcached(place: Path) -> Iterator[Server]:
    """Start a Memcached."""
    port = free_port()
    command = ["memcached", "-p", str(port), "-l", "127.0.0.1", "-U", "0", "-m", "256"]
    command += ["-u", "nobody"] if os.geteuid() == 0 else []
    with started(_installed(command), port, place / f"memcached-{port}.log") as server:
        yield server


def _installed(command: Sequence[str]) -> Sequence[str]:
    if shutil.which(command[0]) is None:
        raise NotStarted(f"{command[0]} is not installed")
    return command
