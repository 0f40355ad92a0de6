"""How a Redis server is looked at, where it answers in ways that a test server doesn't."""

from typing import Any

import pytest
import redis

from flask_otp_auth.storage.redis_findings import redis_findings


class Client:
    """A client whose server answers each command with an error, or with nothing.

    :param info: what the server says of itself.
    """

    def __init__(self, error: Exception | None = None, **info: Any) -> None:
        self._error = error
        self._info = info

    def execute_command(self, *_: str) -> None:
        if self._error is not None:
            raise self._error

    def info(self, section: str) -> dict[str, Any]:
        return self._info


def test_an_outage_is_no_lack_of_rights() -> None:
    with pytest.raises(redis.ConnectionError):
        redis_findings(Client(redis.ConnectionError()))


def test_what_a_service_does_not_tell_is_no_finding() -> None:
    """Some managed services leave out most of INFO."""
    assert redis_findings(Client()) == []


def test_an_error_of_another_kind_is_an_answer() -> None:
    assert redis_findings(Client(redis.ResponseError("WRONGTYPE"))) == []


def test_a_script_that_may_not_run_is_a_lack_of_rights() -> None:
    (finding,) = redis_findings(Client(redis.exceptions.NoPermissionError("no")))
    assert "SCRIPT LOAD, EVALSHA" in finding.problem
    assert "+script|load +evalsha" in finding.mend


@pytest.mark.parametrize("text", ["unknown command 'INFO', with args", "unknown command `INFO`"])
def test_so_is_a_command_that_was_renamed(text: str) -> None:
    """As managed services do it; the tick is that of Redis 4 and 5."""
    (finding,) = redis_findings(Client(redis.ResponseError(text)))
    assert "INFO" in finding.problem


def test_keys_that_may_not_be_touched_are_named_once() -> None:
    error = redis.exceptions.NoPermissionError("no permissions to access a key")
    (finding,) = redis_findings(Client(error))
    assert "may not use the keys otp_auth:*, so" in finding.problem
    assert finding.mend == "ACL SETUSER <user> ~otp_auth:*"
