"""Opaque records: however one is printed, none of its fields is."""

import json
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable

import pytest
from werkzeug.debug.repr import debug_repr

from flask_otp_auth.opaque import Opaque


class Secret(Opaque):
    """A record as those of the package."""

    code: str
    length: int = 6


PRINTERS: dict[str, Callable[[Secret], str]] = {
    "repr": repr,
    "str": str,
    "format": lambda secret: f"{secret}",
    "percent": lambda secret: "%s" % (secret,),  # noqa: UP031 - what old code does
    "percent, bare": lambda secret: "%s" % secret,  # noqa: UP031 - a tuple would be taken apart
    "in a list": lambda secret: str([secret]),
    "pprint": pprint.pformat,
    "Werkzeug's debugger": debug_repr,
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


def test_nothing_can_take_it_apart() -> None:
    """Error reporters walk through whatever is a sequence or a dataclass."""
    secret = Secret("314159")
    with pytest.raises(TypeError):
        iter(secret)  # type: ignore[call-overload]  # what is tried
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert not hasattr(secret, "__dataclass_fields__")


def test_it_is_a_record() -> None:
    secret = Secret("314159")
    assert (secret.code, secret.length) == ("314159", 6)
    assert secret == Secret("314159", 6)
    assert Secret("314159", length=8) == secret.replace(length=8) != secret
    assert len({secret, Secret("314159"), Secret("271828")}) == 2
    assert pickle.loads(pickle.dumps(secret)) == secret  # noqa: S301 - it is our own


def test_one_of_another_class_is_another() -> None:
    class Other(Opaque):
        code: str

    assert Other("314159") != Secret("314159")


def test_it_is_frozen() -> None:
    secret = Secret("314159")
    with pytest.raises(AttributeError, match="Secret is frozen"):
        secret.length = 7  # type: ignore[misc]  # what is tried
    with pytest.raises(AttributeError, match="Secret is frozen"):
        del secret.code
    with pytest.raises(TypeError, match="no such field"):
        secret.replace(lenght=7)
