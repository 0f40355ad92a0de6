"""Commands as an operator types them."""

import json
from inspect import signature
from typing import Any

from click.testing import CliRunner, Result
from flask import Flask

#: Before click 8.2 a runner mixed both outputs, if it was not told.
_APART: dict[str, Any] = (
    {"mix_stderr": False} if "mix_stderr" in signature(CliRunner.__init__).parameters else {}
)


def run(app: Flask, *arguments: str, typed: str | None = None, apart: bool = False) -> Result:
    """Run ``flask otp …`` on an app.

    :param typed: what is typed when the command asks.
    :param apart: whether ``stdout`` is to be what a script would get.
    """
    ran = app.test_cli_runner(**_APART if apart else {}).invoke(
        args=["otp", *arguments], input=typed
    )
    assert ran.exception is None or isinstance(ran.exception, SystemExit), ran.exc_info
    return ran


def read(app: Flask, *arguments: str) -> Any:
    """Run a command with ``--json`` and return what it printed."""
    return json.loads(run(app, *arguments, "--json", apart=True).stdout)


def found(app: Flask, *arguments: str) -> dict[str, dict[str, str]]:
    """Return what ``check`` finds, by id."""
    return {each["id"]: each for each in read(app, "check", *arguments)}
