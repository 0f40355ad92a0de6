"""Delivery: signals reach their handlers, in the background where a caller could time them.

A handler that takes 400 ms to talk to a mail server must not tell a caller which identifiers
exist, so handlers that run only for some of them run on a small thread pool.
"""

import logging
import traceback
from collections.abc import Callable
from typing import Any, Protocol

from blinker import NamedSignal
from flask import Flask

from . import signals
from .background import ProcessPools
from .challenges import LOGIN, REGISTRATION

logger: logging.Logger = logging.getLogger("flask_otp_auth")

#: The signals whose handlers would tell by their time which identifiers exist, and where a
#: signal implies it, its purpose.
_BACKGROUND = {
    signals.otp_generated: LOGIN,
    signals.pre_register_otp_generated: REGISTRATION,
    signals.otp_suppressed: None,
}
_CARRY_CODES = {
    signals.otp_generated: "otp_generated",
    signals.pre_register_otp_generated: "pre_register_otp_generated",
}


class Executor(Protocol):
    """Anything that runs a function later."""

    def submit(self, function: Callable[..., None], /, *args: Any) -> object:
        """Run ``function(*args)`` some time soon."""


class Delivery:
    """Sends signals for one app.

    :param executor: runs background handlers; by default a thread pool of this process.
    :param inline: tells, at each delivery, whether handlers run within the request.
    :param warns: tells whether a suppressed code of an actor type is logged. That is done where
        handlers run, as a log handler may take its time, too.
    """

    def __init__(
        self,
        app: Flask,
        executor: Executor | None,
        inline: Callable[[], bool],
        warns: Callable[[str], bool] = lambda actor_type: False,
    ) -> None:
        self._app = app
        self._executor = executor
        self._inline = inline
        self._warns = warns
        self._pools = ProcessPools()

    def __call__(self, signal: NamedSignal, **arguments: Any) -> None:
        """Send ``signal`` with the app as its sender."""
        if signal in _CARRY_CODES and not signal.has_receivers_for(self._app):
            name = _CARRY_CODES[signal]
            logger.error(
                "no handler delivers codes: connect one with "
                "flask_otp_auth.signals.%s.connect(handler, app)", name,
            )  # fmt: skip
        if signal not in _BACKGROUND or self._inline():
            self._send(signal, arguments)
            return
        # What is meant to end a thread is meant for another one than that of our own pool.
        caught = Exception if self._executor else BaseException
        try:
            (self._executor or self._pools).submit(self._send_later, signal, arguments, caught)
        except Exception as error:  # noqa: BLE001 - whatever an executor raises
            self._failed(signal, arguments, "the executor", error)

    def _send_later(
        self, signal: NamedSignal, arguments: dict[str, Any], caught: type[BaseException]
    ) -> None:
        try:
            with self._app.app_context():
                self._send(signal, arguments, caught)
        except Exception as error:  # noqa: BLE001 - what an app does as a context begins or ends
            self._failed(signal, arguments, "the app context", error)

    def _send(
        self,
        signal: NamedSignal,
        arguments: dict[str, Any],
        caught: type[BaseException] = Exception,
    ) -> None:
        if signal is signals.otp_suppressed and self._warns(arguments["actor_type"]):
            logger.warning(
                "no %s code sent for actor type %s: %s",
                arguments["purpose"],
                arguments["actor_type"],
                arguments["reason"],
            )
        for handler in signal.receivers_for(self._app):
            try:
                self._app.ensure_sync(handler)(self._app, **arguments)
            except caught as error:
                name = getattr(handler, "__qualname__", type(handler).__name__)
                self._failed(signal, arguments, name, error)

    def _failed(
        self, signal: NamedSignal, arguments: dict[str, Any], who: str, error: BaseException
    ) -> None:
        # The error's own text stays out of the log: it may hold the code.
        logger.error(
            "%s raised %s on signal %s\n%s",
            who,
            type(error).__qualname__,
            signal.name,
            "".join(traceback.format_tb(error.__traceback__)).rstrip(),
        )
        purpose = arguments.get("purpose") or _BACKGROUND.get(signal)
        if purpose and signal is not signals.delivery_failed:
            self._send(
                signals.delivery_failed,
                {
                    "actor_type": arguments["actor_type"],
                    "identifier": arguments["identifier"],
                    "purpose": purpose,
                    "error": error,
                },
            )
