"""What figures were measured on: without it they tell nothing."""

import os
import platform
import re
import sqlite3
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("flask", "werkzeug", "flask-limiter", "limits", "pyjwt", "gunicorn", "redis")


def describe() -> str:
    """Return date, machine, versions, and how busy the machine is already."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores "
        f"({model[1] if model else platform.machine()}), load average {os.getloadavg()[0]:.1f}, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, {packages}"
    )
