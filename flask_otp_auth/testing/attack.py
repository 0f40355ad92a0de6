"""Attackers in a box: what they come to against an app from a factory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from flask import Flask

from .attackers.asking import flooder, lock_out
from .attackers.found import Found
from .attackers.guessing import guesser, sprayer
from .attackers.overwriting import overwriter, registration_views
from .attackers.redirecting import pages_of, redirector
from .attackers.replaying import replayer
from .attackers.scanning import mail_scanner
from .box import Box, boxed
from .enumeration import Enumeration
from .report import Report


def attack(
    create_app: Callable[[], Flask],
    actor_type: str,
    *,
    known: str,
    unknown: str | None = None,
    tries: int = 60,
    through: Sequence[str] = (),
    sign_in_pages: Sequence[str] | None = None,
    register_views: Sequence[str] | None = None,
    fields: Mapping[str, Any] | None = None,
    proxies: int = 0,
) -> Report:
    """Let attackers loose on an app, in this process.

    It works on a storage of its own, in memory, and none of its handlers is called. Its own tables
    are those of the factory: the last attacker registers, so make them of a test's.

    :param create_app: your factory; it is called without arguments.
    :param known: an identifier that has an active account in the app that it makes.
    :param unknown: one that has none; by default one of the same form.
    :param tries: how often each question is asked to tell known from unknown.
    :param through: as in :func:`assert_enumeration_safe`.
    :param sign_in_pages: paths; by default those that end in ``/login``, ``/sign-in`` and such.
    :param register_views: paths; by default those that ``registration_required`` guards.
    :param fields: what these views need beside the identifier.
    :param proxies: how many proxies of its own the app stands behind.
    """
    with boxed(create_app, actor_type, known, unknown, proxies) as box:
        found = list(_attackers(box, tries, through, sign_in_pages))
        views = (
            registration_views(box.app, actor_type)
            if register_views is None
            else list(register_views)
        )
        found.append(overwriter(box, views, fields or {}))  # last, as it makes accounts
    return Report(
        rows=[each.row for each in found], leaks=[line for each in found for line in each.lines]
    )


def _attackers(
    box: Box, tries: int, through: Sequence[str], pages: Sequence[str] | None
) -> Iterator[Found]:
    yield guesser(box)
    yield sprayer(box)
    yield from _enumerator(box, tries, through)
    yield flooder(box)
    yield replayer(box)
    yield mail_scanner(box)
    yield lock_out(box)
    yield redirector(box, pages_of(box) if pages is None else list(pages))


def _enumerator(box: Box, tries: int, through: Sequence[str]) -> Iterator[Found]:
    comparison = Enumeration(box.app, box.name, box.known, box.unknown, tries, through)
    comparison.run()
    for by in ("answers", "time"):
        leaks = comparison.leaks(by)
        yield Found(f"enumerator ({by})", tries=comparison.asked, through=len(leaks), leaks=leaks)
