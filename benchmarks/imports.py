"""What ``import flask_otp_auth`` takes when all that it depends on is imported already."""

import os
import re
import subprocess
import sys
from pathlib import Path

from benchmarks.servers import ROOT, checkout, folder

DEPENDENCIES = (
    *("blinker", "cachelib", "email_validator", "flask", "flask_limiter", "itsdangerous"),
    *("jwt", "limits"),
)
PROGRAM = f"import {', '.join(DEPENDENCIES)}; import flask_otp_auth"


def milliseconds(package: Path = ROOT, times: int = 10) -> float:
    """Return the shortest of some runs of ``python -X importtime``.

    Whatever else the machine does can only make a run longer.
    """
    with folder() as place:
        path = checkout(place, package)
        return min(_once(place, path) for _ in range(times + 1))


def _once(place: Path, path: Path) -> float:
    variables = {**os.environ, "PYTHONPATH": str(path), "PYTHONPYCACHEPREFIX": str(place)}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-X", "importtime", "-c", PROGRAM]
    report = subprocess.run(
        command, cwd=path, env=variables, check=True, capture_output=True, text=True
    ).stderr
    found = re.search(r"\|\s*(\d+) \| flask_otp_auth$", report, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"no time in the report:\n{report[-2000:]}")
    return int(found[1]) / 1000


if __name__ == "__main__":
    print(f"import flask_otp_auth, over its dependencies: {milliseconds():.1f} ms")
