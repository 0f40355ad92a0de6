"""What ``check`` sees of the storages."""

import os
from collections.abc import Iterator

from flask import current_app

from ..errors import Unavailable
from ..storage.caches import findings_of_limits
from ..storage.mounts import network_file_system
from ..web.checks import NOTED, Finding
from ..web.health import never_taken
from ..web.state import State
from .access import unreachable


def storage_findings(state: State) -> Iterator[Finding]:
    """Look at the storages of codes, sign-ins and limits."""
    yield from _files(state)
    yield from _memory(state)
    try:
        yield from _servers(state)
        yield from _notes(state)
        yield from _limits(state)
    except Unavailable as error:
        yield _unreachable(unreachable(error))


def _files(state: State) -> Iterator[Finding]:
    for path in state.storages.files:
        kind = network_file_system(path)
        if kind is not None:
            yield Finding(
                "storage-network-file",
                "error",
                f"{path} is on a network file system ({kind}), where SQLite's locks don't work",
                "put the file on a local disk; for several machines use Redis",
            )


def _memory(state: State) -> Iterator[Finding]:
    workers = os.environ.get("WEB_CONCURRENCY", "").strip()
    in_development = state.debug or current_app.testing
    if not state.storages.in_memory or workers == "1" or in_development:
        return
    known = f"there are {workers} workers" if workers else "WEB_CONCURRENCY doesn't say 1"
    yield Finding(
        "storage-not-shared",
        "error",
        f"codes or sign-ins are in the memory of one process, and {known}: another worker knows "
        "none of them, and where limits are there as well, it grants every guess anew",
        "set OTP_AUTH_STORAGE_URI (and OTP_AUTH_SIGN_INS_URI) to a file or a server, or "
        "WEB_CONCURRENCY=1 if there is one process",
    )


def _servers(state: State) -> Iterator[Finding]:
    stores = dict.fromkeys((state.storages.codes, state.storages.sign_ins))
    yield from dict.fromkeys(each for store in stores for each in store.findings())


def _notes(state: State) -> Iterator[Finding]:
    for kind, text in state.notes.read(*NOTED).items():
        level, mend = NOTED[kind]
        yield Finding(kind, level, f"seen by a serving process within a day: {text}", mend)


def _limits(state: State) -> Iterator[Finding]:
    if state.storages.counts_in_memory_alone:
        yield Finding(
            "limits-elsewhere",
            "error",
            "limits are counted in the memory of each process, so each worker grants every budget "
            "anew, and a restart all of them",
            "leave limiter= out, or give it a storage that all workers share",
        )
        return
    try:
        found = findings_of_limits(state.budgets.storage)
        if not any(each.id == "redis-rights" for each in found):
            # Not its check(), which asks for PING: a right that nothing else needs.
            state.budgets.retry_after(never_taken(state))
    except Unavailable:
        yield _unreachable("The storage of the limits can't be reached.")
    else:
        yield from found


def _unreachable(problem: str) -> Finding:
    return Finding(
        "storage-unreachable",
        "error",
        problem,
        "start it, or correct its address; until then requests are answered 503",
    )
