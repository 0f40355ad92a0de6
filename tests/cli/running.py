"""Commands as an operator types them."""

import json
from collections.abc import Callable
from typing import Any

from click.testing import Result
from flask import Flask


def run(app: Flask, *arguments: str, typed: str | None = None) -> Result:
    """Run ``flask otp …`` on an app.

    :param typed: what is typed when the command asks.
    """
    ran = app.test_cli_runner().invoke(args=["otp", *arguments], input=typed)
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exc_info
    return ran


def read(app: Flask, *arguments: str) -> Any:
    """Run a command with ``--json`` and return what it printed."""
    return json.loads(run(app, *arguments, "--json").stdout)


def found(app: Flask, *arguments: str) -> dict[str, dict[str, str]]:
    """Return what ``check`` finds, by id."""
    return {each["id"]: each for each in read(app, "check", *arguments)}


#: Makes a shop with settings of the test's own.
Make = Callable[..., Flask]
