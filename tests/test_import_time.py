"""Importing the package brings in nothing that it does not need.

How long that takes depends on the machine, so ``make bench`` tells it; what is imported doesn't.
"""

import json
import subprocess
import sys

#: The top-level modules of the required dependencies.
REQUIRED = (
    *("blinker", "cachelib", "email_validator", "flask", "flask_limiter", "itsdangerous"),
    *("jwt", "limits"),
)
PROGRAM = f"""
import json, sys
import {", ".join(REQUIRED)}
before = set(sys.modules)
import flask_otp_auth
print(json.dumps(sorted(set(sys.modules) - before)))
"""

#: Slow ones of the standard library, which a signer-in of people has no use for.
SLOW = {"asyncio", "multiprocessing", "unittest", "xml", "ctypes", "distutils", "pydoc", "tkinter"}


def imported():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )
    return json.loads(run.stdout)


def test_drivers_and_other_extras_are_imported_only_when_used():
    names = {name.partition(".")[0] for name in imported()}
    assert names - set(sys.stdlib_module_names) == {"flask_otp_auth"}
    assert not names & SLOW
