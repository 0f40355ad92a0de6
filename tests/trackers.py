"""Error trackers within the tests' own process."""

from collections.abc import Iterator
from contextlib import contextmanager

from blinker import ANY
from flask import before_render_template


@contextmanager
def templates_as_before() -> Iterator[None]:
    """Let go of what a tracker has put into the context of every template of the process.

    Sentry's Flask integration connects for good, and the pages' own tests look at that context.
    """
    before = list(before_render_template.receivers_for(ANY))
    yield
    for receiver in list(before_render_template.receivers_for(ANY)):
        if receiver not in before:
            before_render_template.disconnect(receiver)
