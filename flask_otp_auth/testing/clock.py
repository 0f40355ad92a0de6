"""A clock for tests, which stands still until it is moved."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING

import jwt
from flask import Flask
from itsdangerous import TimestampSigner

from ..errors import ConfigError
from .extras import import_time_machine
from .twins import state_of

if TYPE_CHECKING:
    import time_machine

_KEY = "a key for tests alone, of thirty-two bytes"


class Clock:
    """Moves everything that the package and its limits measure.

    :raises ConfigError: if the app's storage is a server, which has a clock of its own.
    """

    def __init__(self, app: Flask) -> None:
        theirs = state_of(app).storages.clock_of_its_own
        if theirs is not None:
            raise ConfigError(
                f"{theirs} has a clock of its own, which no test can move: use "
                "OTP_AUTH_STORAGE_URI='memory://' in tests that do"
            )
        self._travel = import_time_machine().travel(time.time(), tick=False)

    def __enter__(self) -> Clock:
        self._traveller: time_machine.Traveller = self._travel.start()
        try:
            self._check()
        except BaseException:
            self._travel.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._travel.stop()

    @property
    def now(self) -> datetime:
        """What time it is, in UTC."""
        return datetime.now(UTC)

    def tick(self, seconds: float) -> None:
        """Let some seconds pass."""
        self._traveller.shift(seconds)
        self._check()

    def move_to(self, moment: datetime) -> None:
        """Let it be another moment.

        :param moment: one without a time zone is in UTC.
        """
        self._traveller.move_to(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        self._check()

    def _check(self) -> None:
        """See that PyJWT and itsdangerous have moved along."""
        now = int(time.time())
        stamps = {
            "datetime": int(datetime.now(UTC).timestamp()),
            "itsdangerous": TimestampSigner(_KEY).get_timestamp(),
            "PyJWT": now if _pyjwt_is_at(now) else None,
        }
        stay = [name for name, stamp in stamps.items() if stamp != now]
        if stay:
            raise RuntimeError(f"{', '.join(stay)} did not move with the clock of the test")


def _pyjwt_is_at(now: int) -> bool:
    def is_valid(end: int) -> bool:
        try:
            jwt.decode(jwt.encode({"exp": end}, _KEY), _KEY, algorithms=["HS256"])
        except jwt.ExpiredSignatureError:
            return False
        return True

    return is_valid(now + 1) and not is_valid(now)
