"""What signals say while a command runs."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from blinker import NamedSignal
from flask import Flask, current_app

from ..core.identifiers import IdentifierSpec
from ..web.signalling import may_deliver
from ..web.state import app_itself

#: The name and the arguments of each signal.
Heard = list[tuple[str, dict[str, Any]]]


def this_app() -> Flask:
    """Return the app itself, which signals are sent by."""
    return app_itself(current_app)


def is_unheard(
    signal: NamedSignal, actor_type: str | None = None, identifier: IdentifierSpec | None = None
) -> bool:
    """Tell whether no handler of a signal is there any more, or ever was.

    :param actor_type: whose codes it is to deliver; ``None`` for those of purposes.
    :param identifier: what they are sent to; ``None`` if it doesn't matter.
    """
    handlers = signal.receivers_for(this_app())
    return not any(may_deliver(each, actor_type, identifier) for each in handlers)


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
