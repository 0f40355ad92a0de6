"""What an app's actor store is held to, as far as it can be seen beforehand.

A function that returns a coroutine where an answer is expected is the worst of them: a coroutine is
true, whatever the answer would be. So is a generator.
"""

import inspect
from collections.abc import AsyncGenerator, Callable, Generator

from ..errors import ConfigError

#: The methods of a store, and what they are called with.
_METHODS = {
    "find_by_identifier": ("identifier",),
    "find_by_id": ("actor_id",),
    "is_active": ("actor",),
    "create": ("identifier", "fields"),
}
_OPTIONAL = frozenset({"is_active", "create"})


def check_store(name: str, store: object) -> None:
    """Check the store of an actor type.

    :raises ConfigError: if it lacks a method, or has one that can't work.
    """
    for method, arguments in _METHODS.items():
        function = getattr(store, method, None)
        place = f"{class_name(store)}.{method}()"
        if not callable(function):
            if method in _OPTIONAL:
                continue
            raise ConfigError(f"the store of actor type {name!r} has no method {method}()")
        if is_async(function):
            raise ConfigError(
                f"{place} is async def; the store of actor type {name!r} must be a plain one, "
                "whose methods return an actor or None"
            )
        if not _takes(function, len(arguments)):
            raise ConfigError(
                f"{place} can't be called as {method}({', '.join(arguments)}); the store of actor "
                f"type {name!r} must be an instance, not a class"
            )


def _takes(function: Callable[..., object], count: int) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some built-in functions have none
        return True
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def is_async(function: object) -> bool:
    """Tell whether a call returns a coroutine, as far as that can be seen.

    ``__wrapped__`` is not followed: a decorator that runs the coroutine is the way to mend it.
    """
    return inspect.iscoroutinefunction(function) or (
        callable(function) and inspect.iscoroutinefunction(type(function).__call__)
    )


def refuse_awaitable(value: object, place: str) -> None:
    """Refuse a coroutine or a generator where a value is expected.

    :param place: what has returned it.
    :raises TypeError: if it is one.
    """
    if isinstance(value, Generator | AsyncGenerator):
        raise TypeError(f"{place} must not have a yield in it: it returned a generator")
    if not inspect.isawaitable(value):
        return
    if inspect.iscoroutine(value):
        value.close()  # or it would warn that it was never awaited
    raise TypeError(
        f"{place} must not be async: it returned {described(value)} in place of a value"
    )


def truth(value: object, place: str) -> bool:
    """Return whether a value is true.

    :param place: what has returned it.
    :raises TypeError: if it would be true whatever it says: a coroutine, a text or bytes, as old
        tables have them (``"f"``, ``"N"``, ``b"\\x00"``).
    """
    refuse_awaitable(value, place)
    if value and isinstance(value, str | bytes):
        raise TypeError(
            f"{place} must be True or False, not {described(value)}, which is true even if it says "
            "no; compare it, such as is_active=lambda row: row.active == 'Y'"
        )
    return bool(value)


def described(value: object) -> str:
    """Return what a value is, without the value: it may be a person's data."""
    kind = type(value).__name__
    if inspect.isawaitable(value):
        return f"a coroutine or another awaitable ({kind})"
    return f"an object of the class {kind}"


def class_name(value: object) -> str:
    """Return the name of a value's class, or of the class that it is."""
    return value.__qualname__ if isinstance(value, type) else type(value).__qualname__
