"""Signals on their way to their handlers, each of which is called by itself.

A handler that raises stops no other. The text of its error stays out of the log, as it may hold the
code; and a code is hidden until the very call of a handler, so that no error tracker finds it in
frames of ours.
"""

import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from traceback import format_tb, walk_tb
from typing import Any

from blinker import NamedSignal
from flask import Flask, current_app

from ..core.identifiers import IdentifierSpec
from ..core.jobs import Secret
from ..errors import OTPAuthError
from ..storage.base import log_error
from .own_functions import finished

logger: logging.Logger = logging.getLogger("flask_otp_auth")

Handler = Callable[..., Any]


class Selective(ABC):
    """Has handlers of this package's own that deliver some codes, and pass over all others."""

    @abstractmethod
    def delivers(self, actor_type: str | None, identifier: IdentifierSpec | None = None) -> bool:
        """Tell whether codes are delivered.

        :param actor_type: whose; ``None`` for those of purposes.
        :param identifier: what they are sent to; ``None`` if it doesn't matter.
        """


def may_deliver(
    handler: Handler, actor_type: str | None, identifier: IdentifierSpec | None = None
) -> bool:
    """Tell whether a handler may deliver codes; one of the app's own is taken to deliver all."""
    owner = getattr(handler, "__self__", None)
    return not isinstance(owner, Selective) or owner.delivers(actor_type, identifier)


#: Where an app's list of handlers is that tests hold back.
HELD_BACK = "otp_auth_held_back"

#: In the texts of Flask's proxies, of url_for() without SERVER_NAME, of what copies the request for
#: later, of our own proxies, of LocalProxy objects of the app's own, and of g in a template.
_WITHOUT_REQUEST = (
    "outside of request context",
    "outside an active request",
    "request context is active",
    "guards this view",
    "object is not bound",
    "flask.ctx.",
)

#: The arguments that no log shows.
_SECRETS = ("otp", "identifier", "challenge", "link", "error")


@dataclass(frozen=True, repr=False, eq=False)
class Message:
    """A signal with what it says; nothing prints it.

    :ivar arguments: without what may show the code.
    :ivar error: of ``delivery_failed``, as its text may hold the code.
    """

    signal: NamedSignal
    arguments: Mapping[str, Any]
    otp: Secret | None = None
    error: BaseException | None = None
    link: Secret | None = None

    def reveal(self) -> dict[str, Any]:
        """Return the arguments as handlers get them; not to be kept in a variable."""
        return {
            **self.arguments,
            **({} if self.otp is None else {"otp": self.otp.reveal()}),
            **({} if self.link is None else {"link": self.link.reveal()}),
            **({} if self.error is None else {"error": self.error}),
        }

    def is_mentioned_in(self, text: str) -> bool:
        """Tell whether a text holds what no log shows."""
        revealed = (_secret_part(*each) for each in self.reveal().items() if each[0] in _SECRETS)
        return any(secret and secret in text for secret in revealed)


@dataclass(frozen=True, repr=False, eq=False)
class Failure:
    """What was raised; nothing prints it, as its text may hold the code.

    :ivar by: whose code raised it.
    :ivar is_final: whether it would be raised each time.
    :ivar advice: what the app should do, or an empty text.
    """

    by: str
    error: BaseException
    is_final: bool = False
    advice: str = ""


class Signaller:
    """Sends the signals of one app.

    :ivar held_back: handlers, each with its signal, that are not called; for tests.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        # One list for an app, however often a test has its parts built anew.
        self.held_back: list[tuple[NamedSignal, Handler]] = app.extensions.setdefault(HELD_BACK, [])

    def __call__(self, signal: NamedSignal, **arguments: object) -> None:
        """Send ``signal`` now; what a handler raises is logged."""
        self.send(Message(signal, arguments))

    def send(self, message: Message, caught: type[BaseException] = Exception) -> None:
        """Send a message now; what a handler raises is logged.

        :param caught: what stops at a handler.
        """
        for handler in self.handlers(message):
            failure = self.call(handler, message, caught)
            if failure is not None:
                self.report(failure, message)

    def handlers(self, message: Message) -> list[Handler]:
        """Return who handles a message; a code that nobody delivers is logged as an error."""
        signal = message.signal
        if signal.is_muted:
            return []
        handlers = list(signal.receivers_for(self._app))
        if message.otp is not None:
            _report_unheard(message, handlers)
        return [handler for handler in handlers if (signal, handler) not in self.held_back]

    def call(
        self, handler: Handler, message: Message, caught: type[BaseException] = Exception
    ) -> Failure | None:
        """Call one handler; return what it raised, if it did."""
        try:
            self._call(handler, message)
        except caught as error:
            return _failure(handler, message, error)
        return None

    def _call(self, handler: Handler, message: Message) -> None:
        returned = finished(self._app, handler(self._app, **message.reveal()))
        # Not each iterator: the answer of urlopen() is one, and the message is sent by then.
        if isinstance(returned, Generator | AsyncGenerator):
            raise TypeError("a handler with a yield in it never runs: let it be a plain function")

    def report(
        self,
        failure: Failure,
        message: Message,
        *,
        level: int = logging.ERROR,
        where: str | None = None,
        then: str = "",
    ) -> None:
        """Log what was raised, and where; its text only where that can hold no secret.

        :param where: if not at a handler of the message's signal.
        :param then: what happens next.
        """
        if where is None:
            where = f" on signal {message.signal.name}"
        text = _safe_text(failure.error, message, is_testing=self._app.testing)
        lines = [
            f"{failure.by} raised {type(failure.error).__qualname__}{where}{text}{then}",
            *_places(failure.error),
            *([failure.advice] if failure.advice else []),
        ]
        log_error("%s", "\n".join(lines), level=level)


def _secret_part(name: str, value: object) -> str:
    """Return what a text must not hold of an argument: of a link, what stands in no other one."""
    return str(value).rpartition("/")[2] if name == "link" else str(value)


def name_of(handler: Handler) -> str:
    """Return what the log calls a handler."""
    return getattr(handler, "__qualname__", type(handler).__qualname__)


def _failure(handler: Handler, message: Message, error: BaseException) -> Failure:
    name, names = name_of(handler), list(message.reveal())
    if isinstance(error, TypeError) and not _fits(handler, names):
        advice = (
            f"{name} can't be called with what {message.signal.name} says: let it take by name "
            f"what it needs of {', '.join(names)}, and add **_ for all else"
        )
        return Failure(name, error, is_final=True, advice=advice)
    if needs_request(error):
        advice = (
            "handlers run without the request context, as the answer may be out already: use "
            "the signal's argument `context` for what they need of the request"
        )
        return Failure(name, error, advice=advice)
    return Failure(name, error)


def _fits(handler: Handler, names: list[str]) -> bool:
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):  # some built-in functions have none
        return True
    try:
        signature.bind(None, **dict.fromkeys(names))
    except TypeError:
        return False
    return True


def needs_request(error: BaseException) -> bool:
    """Tell whether an error, or what it was raised from, says that there is no request."""
    return any(_misses_request(each) for each in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []  # `raise first from second` can make a circle
    while error is not None and not any(error is each for each in seen):
        yield error
        seen.append(error)
        context = None if error.__suppress_context__ else error.__context__
        error = context if error.__cause__ is None else error.__cause__


def _misses_request(error: BaseException) -> bool:
    text = str(error)
    if any(part in text for part in _WITHOUT_REQUEST):
        return True
    if isinstance(error, LookupError) and "<ContextVar name=" in text:  # of the app's own
        return True
    for frame, _ in list(walk_tb(error.__traceback__))[-1:]:
        # What a view has put into g is not there, and Flask-Login's current_user is None.
        if frame.f_globals.get("__name__") == "flask.ctx":
            return True
        if isinstance(error, AttributeError) and error.obj is None:
            return "current_user" in frame.f_code.co_names
    return False


def _places(error: BaseException) -> list[str]:
    return "".join(format_tb(error.__traceback__)).rstrip().splitlines()


def _safe_text(error: BaseException, message: Message, *, is_testing: bool) -> str:
    text = str(error)
    if not text or not (is_testing or _is_ours(error)):
        return ""
    return "" if message.is_mentioned_in(text) else f": {text}"


def _is_ours(error: BaseException) -> bool:
    """Tell whether the error was raised by this package, whose texts repeat no input."""
    if not isinstance(error, (OTPAuthError, TypeError)):
        return False
    modules = [str(frame.f_globals.get("__name__")) for frame, _ in walk_tb(error.__traceback__)]
    return modules[-1].startswith(f"{__package__.partition('.')[0]}.")


def _report_unheard(message: Message, handlers: list[Handler]) -> None:
    """Say what is wrong where nobody delivers a code, or a handler never hears of it."""
    signal, actor_type = message.signal, message.arguments.get("actor_type")
    connect = f"flask_otp_auth.signals.{signal.name.replace('-', '_')}.connect(handler, app"
    for handler in signal.receivers_for(current_app):
        if handler not in handlers:
            logger.error(
                "%s is connected to the proxy current_app, so it is never called: connect it to "
                "the app itself, with %s)", name_of(handler), connect,
            )  # fmt: skip
    if not any(may_deliver(each, actor_type) for each in handlers):
        logger.error(
            "no handler delivers codes: connect one with %s); blinker holds a handler by a weak "
            "reference, so a local function or an object's method is forgotten unless something "
            "else refers to it: then use %s, weak=False)", connect, connect,
        )  # fmt: skip
