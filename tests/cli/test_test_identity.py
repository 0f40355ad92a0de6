"""``flask otp test-identity``: the line for the configuration and the code, printed once."""

import pytest
from fakes import ADA, Api, MakeApp
from flask import Flask
from running import run
from time_machine import Traveller


def test_what_it_prints_works_in_an_app_with_the_same_secret_key(
    make_app: MakeApp, clock: Traveller
) -> None:
    ran = run(make_app(), "test-identity", "customer", " Ada@Example.COM", "--days", "14")
    assert ran.exit_code == 0
    _, line, _, code = ran.output.splitlines()
    assert line.split(" ")[:4] == ["customer", ADA, "2026-01-02T03:04:05Z", "2026-01-16T03:04:05Z"]
    api = Api(make_app(OTP_AUTH_TEST_IDENTITIES=[line]).test_client())
    assert [api.verify(code).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    "arguments",
    [
        ["customer", ADA, "--days", "0"],
        ["customer", ADA, "--days", "91"],
        ["customer", ADA, "--days", "soon"],
        ["customer", ADA],
    ],
    ids=" ".join,
)
def test_it_refuses_what_can_not_be(app: Flask, arguments: list[str]) -> None:
    ran = run(app, "test-identity", *arguments)
    assert ran.exit_code == 2
    assert "Error: " in ran.output
