"""Real servers, real requests and a real shell, for tests that drive an app from outside."""

import http.client
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stores import PATIENCE, StorageServer, until

#: The folder of this repository.
ROOT = Path(__file__).parent.parent


def environment(**variables: str) -> dict[str, str]:
    """Return an environment in which this Python's programs and this package come first.

    Without ``PYTHONUNBUFFERED``: it makes two writes of a printed line, its text and its end, and
    the server's log line may come between them.
    """
    inherited = {name: os.environ[name] for name in os.environ if name != "PYTHONUNBUFFERED"}
    paths = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return {
        **inherited,
        "PATH": os.pathsep.join(paths),
        "PYTHONPATH": str(ROOT),
        **variables,
    }


class Server(StorageServer):
    """A server of an app, which runs while the ``with`` block does.

    :param command: what starts it.
    :param folder: where.
    """

    def __init__(self, command: Sequence[str], folder: Path, port: int, **variables: str) -> None:
        super().__init__(folder, port, command, environment(**variables))

    def __enter__(self) -> "Server":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()

    def printed(self, pattern: str, count: int = 1) -> list[str]:
        """Return what it printed that matches, once there are so many matches."""
        until(lambda: len(re.findall(pattern, self.output)) >= count, pattern)
        return re.findall(pattern, self.output)

    def call(
        self, method: str, path: str, body: object = None, token: str | None = None
    ) -> "Answer":
        """Send one request on a connection of its own."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read()), dict(answer.headers))
        finally:
            connection.close()


@dataclass(frozen=True)
class Answer:
    """A server's answer."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict, compare=False)


class Shell:
    """A shell into which lines are pasted, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> "Shell":
        self._process = subprocess.Popen(
            ["sh", "-u"],
            cwd=self._folder,
            env=environment(**_curl(self._folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=PATIENCE)

    def run(self, line: str) -> str:
        """Paste a line and return what it prints."""
        assert self._process.stdin
        assert self._process.stdout
        end = f"-- {line}\n"
        self._process.stdin.write(f"{line}\nprintf '\\n%s\\n' {shlex.quote(end.strip())}\n")
        self._process.stdin.flush()
        printed = ""
        while not printed.endswith(f"\n{end}"):
            more = self._process.stdout.readline()
            assert more, f"the shell has ended: {printed}"
            printed += more
        return printed.removesuffix(f"\n{end}")


def _curl(folder: Path) -> dict[str, str]:
    """Put a stand-in on the path where there is no curl: the tests need nothing but Python."""
    if shutil.which("curl"):
        return {}
    stand_in = folder / "curl"
    stand_in.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/curl.py" "$@"\n')
    stand_in.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{environment()['PATH']}"}
