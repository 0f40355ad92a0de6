"""docs/cli.md prints what the commands print, and lists what check finds."""

import re
from collections.abc import Iterator
from typing import Any

import click
import pytest
from fakes import ADA, Api
from flask import Flask
from launch import ROOT
from time_machine import Traveller

from flask_otp_auth.cli import otp
from flask_otp_auth.signals import otp_generated, pre_register_otp_generated
from flask_otp_auth.web.checks import FINDINGS

PAGE = (ROOT / "docs" / "cli.md").read_text()
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

#: What is another one each time.
SIGN_IN = re.compile(r"\b\d+\.[0-9a-f]{32}")


def examples() -> list[tuple[str, str]]:
    """Return each command of the page, and what it prints there."""
    return re.findall(r"^```console\n\$ flask ([^\n]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shop(app: Flask, clock: Traveller) -> Iterator[tuple[Flask, list[str]]]:
    """The page's shop, and the codes that it mails."""
    mailed: list[str] = []
    app.config.update(OTP_AUTH_TOKEN_ISSUER="shop")

    def deliver(sender: Flask, otp: str, **_: Any) -> None:
        mailed.append(otp)

    with (
        otp_generated.connected_to(deliver, app),
        pre_register_otp_generated.connected_to(deliver, app),
    ):
        yield app, mailed


def test_each_command_prints_what_the_page_says(shop: tuple[Flask, list[str]]) -> None:
    app, mailed = shop
    for command, printed in examples():
        if command.startswith("otp sign-ins"):
            client = app.test_client()
            client.environ_base["HTTP_USER_AGENT"] = FIREFOX
            assert Api(client).verify(mailed[-1], ADA).status_code == 200
        ran = app.test_cli_runner().invoke(args=command.split())
        assert _plain(ran.output.partition("WARNING")[0]) == _plain(printed), command


def _plain(text: str) -> str:
    return re.sub(r" +", " ", SIGN_IN.sub("ID", text))


def test_every_command_is_named() -> None:
    for name in otp.list_commands(click.Context(otp)):
        assert f"`{name}`" in PAGE or f"flask otp {name} " in PAGE or f"otp {name}\n" in PAGE


def test_every_command_has_an_example_in_its_help(app: Flask) -> None:
    for name in otp.list_commands(click.Context(otp)):
        lines = app.test_cli_runner().invoke(args=["otp", name, "--help"]).output.splitlines()
        assert lines[-2] == "Example:"
        assert lines[-1].startswith(f"  flask otp {name}")
        assert max(map(len, lines)) <= 80


def test_its_table_is_what_check_finds() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert {name: (level, when) for name, level, when in rows} == FINDINGS
