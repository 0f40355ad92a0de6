"""Opaque records: however one is printed, none of its fields is."""

import logging
import pickle
import traceback
from collections.abc import Callable
from typing import NamedTuple

import pytest

from flask_otp_auth.opaque import opaque


@opaque
class Secret(NamedTuple):
    """A record as those of the package."""

    code: str
    length: int = 6


PRINTERS: dict[str, Callable[[Secret], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda secret: f"{secret}",
    "percent": lambda secret: "%s" % (secret,),  # noqa: UP031 - what old code does
    "in a list": lambda secret: str([secret]),
    "ascii": ascii,
    "an error": lambda secret: "".join(traceback.format_exception_only(ValueError(secret))),
}


@pytest.mark.parametrize("printer", PRINTERS)
def test_it_prints_as_its_class(printer: str) -> None:
    printed = PRINTERS[printer](Secret("314159"))
    assert "Secret object" in printed
    assert "314159" not in printed


def test_a_log_shows_none_of_it(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger(__name__).warning("refused: %s", Secret("314159"))
    assert "Secret object" in caplog.text
    assert "314159" not in caplog.text


def test_it_stays_what_it_was() -> None:
    secret = Secret("314159")
    assert secret == ("314159", 6)
    assert pickle.loads(pickle.dumps(secret)) == secret  # noqa: S301 - it is our own
    assert secret._replace(length=8).length == 8
    with pytest.raises(AttributeError):
        secret.length = 7  # type: ignore[misc]  # what is tried
