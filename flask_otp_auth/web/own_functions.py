"""Functions of the app's own that may be ``async def``, or return the coroutine of one that is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

if TYPE_CHECKING:
    from ..core.gates import Asked, Gate


def finished(app: Flask, result: Any) -> Any:
    """Return what a function has returned; of a coroutine, what that returns.

    What a call returns says more than the function: a ``partial``, a ``lambda`` or an object with
    an ``async def __call__`` is no coroutine function.
    """
    if not inspect.iscoroutine(result):
        return result
    try:

        async def finish() -> Any:
            return await result

        return app.ensure_sync(finish)()
    finally:
        result.close()  # or Python warns of it, where it could not be run


def gate_of(function: Callable[[Asked], Any]) -> Gate:
    """Return what calls a gate of the app's own, and waits for what it raises.

    :raises TypeError: if it is no function.
    """
    if not callable(function):
        raise TypeError("before_code takes a function of one argument")

    def gate(asked: Asked) -> None:
        finished(current_app, function(asked))

    return gate
