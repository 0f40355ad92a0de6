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
    if not inspect.isawaitable(result):
        return result
    try:

        async def finish() -> Any:
            return await result

        return app.ensure_sync(finish)()
    finally:
        if inspect.iscoroutine(result):
            result.close()  # or Python warns of it, where it could not be run


def check_function(function: object, place: str) -> None:
    """Look whether it is a function that an app registers.

    :param place: what registers it.
    :raises TypeError: if it is none.
    """
    if not callable(function):
        raise TypeError(f"{place} takes a function, not {function!r}")


def gate_of(function: Callable[[Asked], Any]) -> Gate:
    """Return what calls a gate of the app's own, and waits for what it raises.

    It must not return anything but ``None`` or ``True``: an answer, such as Flask's
    ``before_request`` takes, or an error that is not raised would let everybody through.

    :raises TypeError: if it is no function.
    """
    check_function(function, "before_code")

    def gate(asked: Asked) -> None:
        answer = finished(current_app, function(asked))
        if answer is not None and answer is not True:
            raise TypeError(f"a gate refuses by raising Refused; it must not return {answer!r}")

    return gate
