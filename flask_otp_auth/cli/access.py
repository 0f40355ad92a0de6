"""How commands get at the storage: never as root over what is another user's."""

import os
import stat
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any

import click
from flask.cli import with_appcontext

from ..errors import ConfigError, Unavailable
from ..web.state import current_state


def with_storage(*, looks: bool = False) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the app's state as its first argument, and access to the storage.

    Run as root over a SQLite file of another user, it does nothing and says so.

    :param looks: whether it only looks, so that no file is made.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @with_appcontext
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            state = current_state()
            for path in state.storages.files:
                _refuse_as_root(path, looks=looks)
            try:
                with state.looking() if looks else nullcontext():
                    return function(state, *args, **kwargs)
            except Unavailable as error:
                raise click.ClickException(unreachable(error)) from None

        return run

    return decorate


def unreachable(error: Unavailable) -> str:
    """Return what is to be said where a storage, or the limiter's, doesn't answer."""
    cause = error.__cause__
    if isinstance(cause, ConfigError):
        return f"The storage can't be used: {'; '.join(cause.faults)}."
    # Its text may hold keys or a password.
    return f"The storage can't be reached: {type(cause or error).__name__}."


def _refuse_as_root(path: str, *, looks: bool) -> None:
    if sys.platform == "win32" or os.geteuid() != 0:
        return
    owner = _other_owner(path, looks=looks)
    if owner is not None:
        raise click.ClickException(
            f"This is run as root, and {path} {owner}: SQLite would leave files there that the "
            "app can't open. Nothing was done; run it as the app's own user, as with sudo -u."
        )


def _other_owner(path: str, *, looks: bool) -> str | None:
    """Tell whose a file is, or would have to be, if that isn't root."""
    if os.path.lexists(path):
        owner = os.stat(path).st_uid
        return f"belongs to {_name(owner)}" if owner else None
    folder = os.path.dirname(path)
    while not os.path.lexists(folder):
        folder = os.path.dirname(folder)
    status = os.stat(folder)
    if status.st_uid:
        return f"is in a folder of {_name(status.st_uid)}"
    if not looks and stat.S_IMODE(status.st_mode) & 0o022:
        return "is not there yet, in a folder that others may write to"
    return None


def _name(uid: int) -> str:
    import pwd

    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user {uid}"
