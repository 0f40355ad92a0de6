"""What signals say while a command runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from blinker import NamedSignal
from flask import Flask, current_app

from ..web.state import app_itself

#: The name and the arguments of each signal.
Heard = list[tuple[str, dict[str, Any]]]


def this_app() -> Flask:
    """Return the app itself, which signals are sent by."""
    return app_itself(current_app)


def is_unheard(signal: NamedSignal) -> bool:
    """Tell whether no handler of a signal is there any more, or ever was."""
    return not any(signal.receivers_for(this_app()))


@contextmanager
def hearing(*signals: NamedSignal) -> Iterator[Heard]:
    """Note what the current app sends meanwhile."""
    heard: Heard = []
    app = this_app()

    def listen(signal: NamedSignal) -> Any:
        def hear(sender: object, **arguments: Any) -> None:
            heard.append((signal.name, arguments))

        return signal.connected_to(hear, app)

    with ExitStack() as stack:
        for signal in signals:
            stack.enter_context(listen(signal))
        yield heard
