"""Functions of the app's own that may be ``async def``, or return the coroutine of one that is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import copy_context
from types import FunctionType
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

from ..core.store_checks import described

if TYPE_CHECKING:
    from ..core.gates import Asked


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

        return _run(app.ensure_sync(finish))
    finally:
        if inspect.iscoroutine(result):
            result.close()  # or Python warns of it, where it could not be run


def _run(function: Callable[[], Any]) -> Any:
    """Call what runs a coroutine; in another thread if this one runs an event loop already.

    That is so where a view that is ``async def`` calls us: asgiref refuses a loop within a loop.
    """
    from asyncio import get_running_loop  # here: few apps have anything asynchronous
    from concurrent.futures import ThreadPoolExecutor

    try:
        get_running_loop()
    except RuntimeError:
        return function()
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(copy_context().run, function).result()


def check_function(function: object, place: str) -> None:
    """Look whether it is a function that an app registers.

    :param place: what registers it.
    :raises TypeError: if it is none.
    """
    if not callable(function):
        raise TypeError(f"{place} takes a function, not {function!r}")


class OwnGate:
    """Calls a gate of the app's own, and waits for what it raises.

    It must not return anything but ``None`` or ``True``: an answer, such as Flask's
    ``before_request`` takes, or an error that is not raised would let everybody through.

    :raises TypeError: if it is no function.
    """

    def __init__(self, function: Callable[[Asked], Any]) -> None:
        check_function(function, "before_code")
        self._function = function

    def calls(self, function: Callable[[Asked], Any]) -> bool:
        """Tell whether it is the gate of that very function, or of that object's method.

        So is what the same ``def`` has made anew, as in an app factory, if it uses none of the
        factory's variables. Two that are merely equal are two gates: to drop one would let people
        through.
        """
        own = self._function
        if inspect.ismethod(function) and inspect.ismethod(own):
            return own.__self__ is function.__self__ and own.__func__ is function.__func__
        if inspect.isfunction(function) and inspect.isfunction(own):
            return _parts(own) == _parts(function)
        return own is function

    def __call__(self, asked: Asked) -> None:
        """Return, or raise what refuses."""
        answer = finished(current_app, self._function(asked))
        if answer is not None and answer is not True:
            raise TypeError(
                f"a gate refuses by raising Refused; it must not return {described(answer)}"
            )


def _parts(function: FunctionType) -> list[int]:
    """Return the identities of all that makes a function what it is."""
    cells = function.__closure__ or ()  # variables: a factory's own are others at each call
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return [*map(id, (function.__code__, function.__globals__, *cells, *defaults))]
