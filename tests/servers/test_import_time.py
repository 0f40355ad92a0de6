"""Importing the package imports nothing that it does not need.

How long it takes depends on the machine, so ``make bench`` measures that.
"""

import json
import subprocess
import sys

#: The top-level modules of the required dependencies.
REQUIRED = (
    *("blinker", "cachelib", "click", "email_validator", "flask", "flask_limiter"),
    *("itsdangerous", "jwt", "limits", "werkzeug"),
)
PROGRAM = f"""
import json, sys
import {", ".join(REQUIRED)}
before = set(sys.modules)
import flask_otp_auth
print(json.dumps(sorted(set(sys.modules) - before)))
"""

#: Slow ones of the standard library, which the package has no use for.
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


def test_a_server_imports_no_command():
    program = """
import json, sys
from flask import Flask
from flask_otp_auth import OTPAuth
app = Flask("shop")
app.config.update(TESTING=True, SECRET_KEY="a-secret-key-of-more-than-32-bytes-for-tests")
OTPAuth(app)
print(json.dumps([name for name in sys.modules if name.startswith("flask_otp_auth.cli.")]))
"""
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert json.loads(run.stdout) == []


def test_what_only_some_apps_use_is_imported_only_when_used():
    unused = {"cli", "console", "login", "mail", "messages", "pages", "sqlalchemy", "testing"}
    assert not {f"flask_otp_auth.{name}" for name in unused} & set(imported())
