"""Whether an app tells which identifiers have an account: by answers, work or time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from flask import Flask

from .. import signals
from ..core.actors import ActorType
from .answers import differences
from .asking import Asker, Pair, timed
from .executors import Held
from .places import defined_at, places, slowest_place
from .production import as_in_production
from .questions import NOT_TAKEN, Question, own_questions, view_questions
from .ranks import FEWEST, MANY
from .siblings import siblings
from .twins import actor_type_of
from .watching import FINDERS, Watch, WatchedCache, Work, handlers_held_back

#: Signals whose handlers write to people; they are sent by jobs, after the answer.
DELIVERED = (
    signals.otp_generated,
    signals.pre_register_otp_generated,
    signals.confirmation_otp_generated,
    signals.otp_suppressed,
    signals.delivery_failed,
)
_DELIVERED_NAMES = frozenset(signal.name.replace("-", "_") for signal in DELIVERED)

#: Seconds by which a finder may be slower for rows that exist, as it has more to load.
LOADING = 0.005


@dataclass(frozen=True)
class Leak:
    """One way in which an app tells who has an account.

    :ivar by: ``answers`` (and the work behind them) or ``time``.
    :ivar question: whose answers tell.
    :ivar cause: what they tell, without figures.
    """

    by: str
    question: str
    cause: str
    text: str


def assert_enumeration_safe(
    app: Flask,
    actor_type: str,
    *,
    known: str,
    unknown: str,
    tries: int = 60,
    through: Sequence[str] = (),
) -> None:
    """Ask an app the same things for a member and for a stranger, and compare.

    It has a storage of its own meanwhile, so that each request is as the first one. Codes are
    delivered in the background, as in production, by jobs that are never run.

    :param known: an identifier that has an active account.
    :param unknown: one that has none.
    :param tries: how often each question is asked for each of the two.
    :param through: paths of views of the app's own that are asked as well: pages with a form, views
        that take JSON or a form, or paths with ``{identifier}`` in them.
    :raises AssertionError: with each difference, and where it comes from.
    :raises ValueError: if the two are not what they must be, or nothing could be measured.
    """
    comparison = Enumeration(app, actor_type, known, unknown, tries, through)
    comparison.run()
    leaks = comparison.leaks()
    if leaks:
        lines = "\n".join(f"  - {leak}" for leak in leaks)
        raise AssertionError(f"the app tells who has an account:\n{lines}")


class Enumeration:
    """One comparison.

    :ivar asked: how many requests were made.
    """

    def __init__(
        self,
        app: Flask,
        actor_type: str,
        known: str,
        unknown: str,
        tries: int,
        through: Sequence[str],
    ) -> None:
        if tries < FEWEST:
            raise ValueError(f"tries must be {FEWEST} at least, or no difference is significant")
        self._found: list[Leak] = []
        self.asked: int = 0
        self._app = app
        self._name = actor_type
        self._known = known
        self._unknown = unknown
        self._tries = tries
        self._through = through

    def run(self) -> None:
        """Ask everything."""
        watch, jobs = Watch(), Held()
        with ExitStack() as stack:
            stack.enter_context(handlers_held_back(self._app, DELIVERED))
            state = stack.enter_context(as_in_production(self._app, WatchedCache(watch), jobs))
            actor_type = actor_type_of(state, self._name)
            stack.enter_context(watch.on(self._app, actor_type.store))
            self._check_identifiers(actor_type)
            asker = Asker(self._app, state, jobs, watch, self._tries)
            for question in self._questions():
                self._compare(asker, actor_type, question)
            self._measure_finder(actor_type)
            self.asked = asker.asked

    def _questions(self) -> Iterator[Question]:
        yield from own_questions(self._app, self._name)
        yield from view_questions(self._app, self._through, self._unknown)

    def _check_identifiers(self, actor_type: ActorType) -> None:
        def is_member(identifier: str) -> bool:
            with self._app.app_context():
                return actor_type.find_by_identifier(actor_type.canonical(identifier)) is not None

        if not is_member(self._known) or is_member(self._unknown):
            raise ValueError(
                f"known= must have an active {self._name} in the app, and unknown= none"
            )

    def leaks(self, by: str | None = None) -> list[str]:
        """Return each difference once, with the questions whose answers tell it.

        :param by: as in :class:`Leak`; ``None`` for all.
        """
        causes: dict[str, list[Leak]] = {}
        for leak in self._found:
            if by in (None, leak.by):
                causes.setdefault(leak.cause, []).append(leak)
        return [_line(leaks) for leaks in causes.values()]

    def _add(self, by: str, question: str, cause: str, text: str = "") -> None:
        self._found.append(Leak(by, question, cause, text or cause))

    def _compare(self, asker: Asker, actor_type: ActorType, question: Question) -> None:
        first = asker.ask(question, self._known, self._unknown)
        _check_answered(question, first)
        for text in _told_by_work(question, first):
            self._add("answers", question.name, text)
        told = differences(first.first.answers, first.second.answers)
        if not told and not first.differs:
            return
        # Seen twice, or it was chance: a busy machine, a page that has just changed.
        second = asker.ask(question, self._known, self._unknown)
        for text in differences(second.first.answers, second.second.answers):
            if text in told:
                self._add("answers", question.name, text)
        if first.differs and second.differs_like(first.gap):
            self._add_time(asker, actor_type, question, second)

    def _add_time(
        self, asker: Asker, actor_type: ActorType, question: Question, pair: Pair
    ) -> None:
        if not self._is_of_the_account(asker, actor_type, question, pair.gap):
            return
        calls = [asker.call(question, who) for who in (self._known, self._unknown)]
        slow, fast = calls if pair.gap > 0 else reversed(calls)
        who, where = "known" if pair.gap > 0 else "unknown", places(slowest_place(slow, fast))
        text = f"time: {abs(pair.gap) * 1000:.2f} ms more for {who}{where}"
        self._add("time", question.name, f"time for {who}{where}", text)

    def _is_of_the_account(
        self, asker: Asker, actor_type: ActorType, question: Question, gap: float
    ) -> bool:
        """Tell whether a difference in time is not just one of length or spelling."""
        doubles = 0
        for who, sign in ((self._known, 1), (self._unknown, -1)):
            with self._app.app_context():
                found = siblings(actor_type, who)
            for double in found:
                doubles += 1
                if asker.ask(question, who, double).differs_like(sign * gap):
                    return True
        return not doubles

    def _measure_finder(self, actor_type: ActorType) -> None:
        """Measure the finder by itself: it runs in the request where nothing runs after it.

        What an account does to say whether it is active belongs to it.
        """
        find: Callable[[str], Any] = actor_type.find_by_identifier
        pair = [actor_type.canonical(who) for who in (self._known, self._unknown)]
        for _ in range(2):
            with self._app.app_context():
                measured = timed(find, pair[0], pair[1], max(self._tries, MANY))
            if abs(measured.gap) < LOADING or not measured.differs:
                return
        which = "exist" if measured.gap > 0 else "do not exist"
        with self._app.app_context():
            where = places(self._finders_place(actor_type, pair, measured.gap))
        self._add(
            "time", "find_by_identifier", f"time for rows that {which}{where}",
            f"time: {abs(measured.gap) * 1000:.2f} ms more for rows that {which}{where}: answers "
            "show it wherever it runs in the request",
        )  # fmt: skip

    @staticmethod
    def _finders_place(actor_type: ActorType, pair: Sequence[str], gap: float) -> str:
        """Return the finder, unless something else that the look-up calls is slow."""
        slow, fast = pair if gap > 0 else reversed(pair)
        find = actor_type.find_by_identifier
        place = slowest_place(lambda: find(slow), lambda: find(fast))
        is_elsewhere = place and not place.startswith("find_by_identifier ")
        return place if is_elsewhere else defined_at(actor_type.store.find_by_identifier)


def _line(leaks: Sequence[Leak]) -> str:
    names = list(dict.fromkeys(leak.question for leak in leaks))
    more = f" (and {len(names) - 1} more)" if names[1:] else ""
    return f"{names[0]}{more}: {leaks[0].text}"


def _check_answered(question: Question, pair: Pair) -> None:
    statuses = {answer.status for answer in pair.first.answers + pair.second.answers}
    if question.takes_nothing and statuses <= set(NOT_TAKEN):
        raise ValueError(
            f"{question.name} answers {min(statuses)} to everybody, and nothing else is taken "
            "there: through= is for views that need no more than an identifier"
        )
    if question.asks and statuses <= {403, 429, 503}:
        raise ValueError(
            f"{question.name} answers {sorted(statuses)[0]} to everybody, so nothing is measured: "
            "switch the app's gates (before_code) and limits of its own off in its test settings"
        )


def _told_by_work(question: Question, pair: Pair) -> Iterator[str]:
    """Yield what was done within the requests that must be done after them, or for both."""
    known, unknown = pair.first.works, pair.second.works
    every = [*known, *unknown]
    sent = {name for work in every for name in work.signals} & _DELIVERED_NAMES
    for name in sorted(sent):
        yield (
            f"signal {name} is sent within the request (OTP_AUTH_DELIVERY is "
            "'inline'), so its handlers tell by their time"
        )
    look_ups = [look_up for work in every for look_up in work.look_ups]
    for finder, place in dict.fromkeys(look_ups) if question.asks else ():
        done = "called" if finder in FINDERS else "made"
        yield f"{finder} is {done} within the request{places(place)}"
    if sent or (look_ups and question.asks):
        return
    for what in ("signals", "finders", "storage"):
        told = [{_told(work, what) for work in works} for works in (known, unknown)]
        if told[0].isdisjoint(told[1]):
            yield (
                f"{what}: {_shown(told[0])} for known, {_shown(told[1])} for "
                f"unknown{places(*(place for _, place in look_ups))}"
            )


def _told(work: Work, what: str) -> tuple[str, ...]:
    if what == "finders":
        return tuple(finder for finder, _ in work.look_ups)
    return tuple(work.signals if what == "signals" else work.storage)


def _shown(told: set[tuple[str, ...]]) -> str:
    return ", ".join(min(told)) or "none"
