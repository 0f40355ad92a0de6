"""The example app under gunicorn, for clients that know nothing but its address."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launch import ROOT, Server
from stores import free_port


@contextmanager
def example_shop(folder: Path, *options: str, **settings: str) -> Iterator[Server]:
    """Serve a copy of ``example_app.py`` from a folder, with settings of the test's own."""
    shutil.copy(ROOT / "example_app.py", folder)
    port = free_port()
    gunicorn = [sys.executable, "-m", "gunicorn", *options, "--bind", f"127.0.0.1:{port}"]
    with Server([*gunicorn, "example_app:app"], folder, port, **settings) as server:
        yield server
        assert "Traceback" not in server.output
