"""The files of a SQLite database: made for their owner only, and never trusted if others may write.

SQLite keeps a log (``-wal``), its index (``-shm``) and at times a journal at the file's side, with
the owner and the mode of the file.
"""

import os
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Device and inode.
File = tuple[int, int]


class RefusedFile(sqlite3.OperationalError):
    """The file is no database, or somebody else owns it or may write to it: nothing in it counts.

    :ivar told: that the log has its text, where one is raised.
    """

    told = True


def file_at(path: str) -> File | None:
    """Return which file a path leads to, ``None`` if to none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def prepare(path: str, deadline: float) -> None:
    """Make the file and its folder if they are missing, and look who may write to them.

    :param deadline: by ``time.monotonic()``, when not to wait any longer for other processes.
    :raises RefusedFile: if others may write to them.
    :raises OSError: if they can't be made.
    """
    folder = os.path.dirname(path)
    _make_folder(folder)
    if not os.path.lexists(path):
        with _locked(folder, deadline):
            if not os.path.lexists(path):
                _make_file(path, folder)
    check_owners(path)


def _make_folder(folder: str) -> None:
    if os.path.isdir(folder):
        return
    parent = os.path.dirname(folder)
    _make_folder(parent)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
        if _is_root():
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            _give_away(descriptor, parent)


def _make_file(path: str, folder: str) -> None:
    for sidecar in _sidecars(path):  # SQLite would take a former file's log for the new one's
        with suppress(FileNotFoundError):
            os.unlink(sidecar)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    _give_away(descriptor, folder)


def _give_away(descriptor: int, folder: str) -> None:
    """Close what was made; if root made it, it belongs to the owner of the folder it is in.

    SQLite gives the files at its side to the same owner.
    """
    try:
        if _is_root():
            owner = os.stat(folder)
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
    finally:
        os.close(descriptor)


def check_owners(path: str) -> None:
    """Look who may write to a file and to those at its side.

    :raises RefusedFile: if others may.
    """
    if sys.platform == "win32":  # where modes say nothing
        return
    owners = {os.geteuid(), os.stat(os.path.dirname(path)).st_uid} if _is_root() else {os.geteuid()}
    for each in (path, *_sidecars(path)):
        with suppress(FileNotFoundError):
            status = os.stat(each)
            if not {status.st_uid, os.lstat(each).st_uid} <= owners:
                raise RefusedFile(f"{each} belongs to another user: delete it, or change its owner")
            if stat.S_IMODE(status.st_mode) & 0o022:
                raise RefusedFile(f"others may write to {each}: delete it, or chmod it to 600")


def keep_private(path: str) -> None:
    """Let only their owner read a file and those at its side.

    For a file that was opened as a database: a path may name another file by mistake.
    """
    if sys.platform == "win32":
        return
    for each in (path, *_sidecars(path)):
        with suppress(FileNotFoundError):
            if stat.S_IMODE(os.stat(each).st_mode) & 0o077:
                os.chmod(each, 0o600)


def _sidecars(path: str) -> list[str]:
    return [path + suffix for suffix in ("-wal", "-shm", "-journal")]


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0


@contextmanager
def _locked(folder: str, deadline: float) -> Iterator[None]:
    """Keep other processes from making files in the folder meanwhile."""
    if sys.platform == "win32":  # where a file in use can't be deleted
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.005)
        yield
    finally:
        os.close(descriptor)
