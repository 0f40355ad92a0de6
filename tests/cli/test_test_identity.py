"""``flask otp test-identity``: the line for the configuration and the code, printed once."""

from collections.abc import Callable
from pathlib import Path

import pytest
import time_machine
from click.testing import Result
from fakes import ADA, Api
from flask import Flask


def run(app: Flask, *arguments: str) -> Result:
    """Run the command."""
    return app.test_cli_runner().invoke(args=["otp", "test-identity", *arguments])


def test_what_it_prints_works_in_an_app_with_the_same_secret_key(
    make_app: Callable[..., Flask], clock: time_machine.Traveller
) -> None:
    ran = run(make_app(), "customer", " Ada@Example.COM", "--days", "14")
    assert ran.exit_code == 0
    _, line, _, code = ran.output.splitlines()
    assert line.split(" ")[:4] == ["customer", ADA, "2026-01-02T03:04:05Z", "2026-01-16T03:04:05Z"]
    api = Api(make_app(OTP_AUTH_TEST_IDENTITIES=[line]).test_client())
    assert [api.verify(code).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "arguments",
    [
        ["robot", ADA, "--days", "14"],
        ["customer", "not an address", "--days", "14"],
        ["customer", ADA, "--days", "0"],
        ["customer", ADA, "--days", "91"],
        ["customer", ADA, "--days", "soon"],
        ["customer", ADA],
    ],
    ids=" ".join,
)
def test_it_refuses_what_can_not_be(app: Flask, arguments: list[str]) -> None:
    ran = run(app, *arguments)
    assert ran.exit_code == 2
    assert "Error: " in ran.output


def test_it_opens_no_storage(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    """As root it would leave a file behind that the server can't open."""
    app = make_app(OTP_AUTH_STORAGE_URI=f"sqlite:///{tmp_path}/otp_auth.sqlite3")
    assert run(app, "customer", ADA, "--days", "1").exit_code == 0
    assert list(tmp_path.iterdir()) == []
