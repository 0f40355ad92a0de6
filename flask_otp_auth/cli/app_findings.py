"""What ``check`` sees of the app itself: its handlers, its rows, and what its own checks say."""

from collections.abc import Callable, Iterator
from typing import Any

from blinker import NamedSignal

from .. import signals
from ..core.purposes import PURPOSES
from ..web.checks import Finding
from ..web.state import State
from .hearing import is_unheard, this_app


def app_findings(state: State) -> Iterator[Finding]:
    """Look at handlers and actor stores."""
    for name in state.actors.names:
        yield from _handlers(state, name)
        yield from _rows(state, name)
    for name in state.own_purposes.names:
        if is_unheard(signals.confirmation_otp_generated):
            yield _no_handler(f"purpose {name}", signals.confirmation_otp_generated)


def own_findings(state: State) -> Iterator[Finding]:
    """Run the checks of the app's own."""
    for each in state.checks.values():
        found = each.run(this_app())
        if found is not None:
            yield found


def _handlers(state: State, actor_type: str) -> Iterator[Finding]:
    found = state.actors.get(actor_type)
    closed = found.sign_up == "closed"
    for purpose in PURPOSES.values():
        for signal in (purpose.to_member, None if closed else purpose.to_newcomer):
            if signal is not None and is_unheard(signal, actor_type, found.identifier):
                yield _no_handler(f"actor type {actor_type}, purpose {purpose.name}", signal)


def _no_handler(what: str, signal: NamedSignal) -> Finding:
    name = signal.name.replace("-", "_")
    return Finding(
        "no-handler",
        "error",
        f"no handler delivers the codes of {what}",
        f"connect one: flask_otp_auth.signals.{name}.connect(handler, app); blinker forgets local "
        "functions and methods, unless weak=False is added",
    )


def _rows(state: State, actor_type: str) -> Iterator[Finding]:
    count: Callable[[], Any] | None = getattr(
        state.actors.get(actor_type).store, "count_non_canonical", None
    )
    if count is None:
        return
    mend = "bring them into the form that flask_otp_auth.canonicaliser gives"
    try:
        number = count()
    except Exception as error:  # noqa: BLE001 - whatever the app's database raises
        problem = f"the rows of {actor_type} can't be looked at: {type(error).__name__}"
        yield Finding("identifiers-not-canonical", "warning", problem, "mend the database")
        return
    if number:
        rows, have = ("rows", "have") if number > 1 else ("row", "has")
        problem = f"{number} {rows} of {actor_type} {have} an identifier that is not canonical"
        yield Finding("identifiers-not-canonical", "warning", problem, mend)
