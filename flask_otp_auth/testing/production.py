"""How an app is run while it is measured or attacked."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from flask import Flask

from ..core.settings import PREFIX
from ..web.state import State
from .executors import Held
from .twins import swapped, twin
from .watching import WatchedCache


@contextmanager
def as_in_production(app: Flask, cache: WatchedCache, jobs: Held, **parts: Any) -> Iterator[State]:
    """Run a block in which an app works on a storage of its own, and its deliveries are held.

    Under ``TESTING``, so that nothing else of the app's becomes real; but errors are answered as in
    production, and codes are delivered in the background unless the app itself says otherwise.
    """
    is_inline = app.config.get(f"{PREFIX}DELIVERY") == "inline"
    settings = {
        "delivery": "inline" if is_inline else "background",
        "sign_ins_uri": None,
        "warn_on_error": False,
    }
    with ExitStack() as stack:
        changes = {"TESTING": True, "PROPAGATE_EXCEPTIONS": False}
        stack.enter_context(swapped(app.config, changes))
        yield stack.enter_context(
            twin(app, settings, cache=cache, limiter=None, executor=jobs, **parts)
        )
