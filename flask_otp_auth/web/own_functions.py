"""Functions of the app's own that may be ``async def``, or return the coroutine of one that is."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

if TYPE_CHECKING:
    from ..core.gates import Asked, Gate


def finished(app: Flask, result: Any) -> Any:
    """Return what a function has returned; of a coroutine, what that returns.

    What a call returns says more than the function: a ``partial``, a ``lambda`` or an object with
    an ``async def __call__`` is no coroutine function.
    """
    if not inspect.isawaitable(result):
        return result
    try:

        async def finish() -> Any:
            return await result

        return app.ensure_sync(finish)()
    finally:
        if inspect.iscoroutine(result):
            result.close()  # or Python warns of it, where it could not be run


def gate_of(function: Callable[[Asked], Any]) -> Gate:
    """Return what calls a gate of the app's own, and waits for what it raises.

    Of what it returns, that is refused which would let everybody through by mistake.

    :raises TypeError: if it is no function.
    """
    if not callable(function):
        raise TypeError("before_code takes a function of one argument")

    def gate(asked: Asked) -> None:
        answer = finished(current_app, function(asked))
        if answer is False or isinstance(answer, Iterator | AsyncIterator):
            raise TypeError(f"a gate refuses by raising Refused; it must not return {answer!r}")

    return gate
