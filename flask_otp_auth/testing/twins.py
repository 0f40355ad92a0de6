"""An app's parts, built a second time for a test and put in place of the first for a while.

The app itself stays as it is: its views and guards look for their parts at each request.
"""

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from flask import Flask

from ..core.actors import ActorType
from ..core.settings import PREFIX
from ..errors import NotFound
from ..web.queue import IN_DELIVERY
from ..web.state import EXTENSION, State, state_of

__all__ = ["actor_type_of", "finish_deliveries", "state_of", "swapped", "twin"]

#: Seconds that a test waits for deliveries in the background, which begin within a second, and
#: between two looks.
PATIENCE, PAUSE = 5, 0.02


def actor_type_of(state: State, name: str) -> ActorType:
    """Return an actor type.

    :raises ValueError: if there is none of this name.
    """
    try:
        return state.actors.get(name)
    except NotFound:
        names = ", ".join(state.actors.names) or "none"
        raise ValueError(f"the app has no actor type {name!r}; it has: {names}") from None


@contextmanager
def twin(app: Flask, settings: dict[str, Any], **parts: Any) -> Iterator[State]:
    """Run a block with parts that are built anew.

    :param settings: what they differ in, by field name.
    :param parts: what ``State.rebuild`` takes.
    """
    first = state_of(app)
    with swapped(app.config, {PREFIX + name.upper(): settings[name] for name in settings}):
        second = first.rebuild(**parts)
    with swapped(app.extensions, {EXTENSION: second}):
        try:
            yield second
        finally:
            finish_deliveries(second)  # nobody could wait for them later


def finish_deliveries(state: State, hanging: int = 0) -> int:
    """Wait for the deliveries of this process that are on their way.

    :param hanging: how many are not waited for.
    :returns: how many are still there after some seconds: they hang, or fail and are tried again.
    """
    if IN_DELIVERY.get():
        return hanging  # a handler would wait for itself
    for _ in range(round(PATIENCE / PAUSE)):  # counted, as a test's clock may stand still
        if state.delivery.pending <= hanging:
            break
        time.sleep(PAUSE)
    return state.delivery.pending


@contextmanager
def swapped(mapping: MutableMapping[str, Any], changes: dict[str, Any]) -> Iterator[None]:
    """Run a block with changes to a mapping."""
    before = {name: mapping[name] for name in changes if name in mapping}
    mapping.update(changes)
    try:
        yield
    finally:
        for name in changes.keys() - before.keys():
            mapping.pop(name, None)
        mapping.update(before)
