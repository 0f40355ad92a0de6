"""Packages of npm, for tests that drive the routes from JavaScript."""

import os
import subprocess
from pathlib import Path

import pytest
from stores import installed


def node_modules(config: pytest.Config, name: str, *packages: str) -> Path:
    """Return a folder ``node_modules`` with packages, installed once and kept in pytest's cache.

    Where the registry can't be reached, skip, but in CI fail.

    :param name: what the cache calls them.
    :param packages: what ``npm install`` takes; each has a version.
    """
    installed("node")
    npm = installed("npm")
    cache = config.cache
    folder = cache.mkdir(name)
    modules = folder / "node_modules"
    wanted = [modules / package.rpartition("@")[0] / "package.json" for package in packages]
    if not all(path.exists() for path in wanted):
        _install(npm, folder, packages)
    return modules


def _install(npm: str, folder: Path, packages: tuple[str, ...]) -> None:
    command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
    try:
        subprocess.run(command, capture_output=True, check=True, timeout=300)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        complaint = (error.stderr or b"").decode(errors="replace").strip().partition("\n")[0]
        reason = f"npm can't install {', '.join(packages)}: {complaint or type(error).__name__}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
