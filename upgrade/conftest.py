"""Two versions of the package, each with a server of its own, on one storage."""

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from launch import ROOT
from stores import Redis
from visits import Version, Versions


@pytest.fixture(scope="session")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has the version before, with what that version needs."""
    folder = tmp_path_factory.mktemp("old")
    archive = subprocess.run(
        ["git", "archive", "--format=tar", os.environ["FROM"]],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder / "source", filter="data")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    subprocess.run([*pip, f"{folder / 'source'}[redis]", "gunicorn"], check=True)
    return python


@pytest.fixture(scope="session", params=["redis", "sqlite"])
def versions(
    request: pytest.FixtureRequest, old_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Versions]:
    """The version before and this one."""
    folder = tmp_path_factory.mktemp(request.param)
    with ExitStack() as running:
        storage = f"sqlite:///{folder}/codes.sqlite3"
        if request.param == "redis":
            storage = running.enter_context(Redis(folder / "redis")).uri
        old = Version(old_python, ROOT / "upgrade", folder, storage)
        new = Version(Path(sys.executable), ROOT, folder, storage)
        running.enter_context(old.server)
        running.enter_context(new.server)
        yield Versions(old, new, folder)
