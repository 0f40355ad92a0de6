"""What an operator may see and mend for an identifier: never a code."""

import time
from dataclasses import dataclass
from itertools import product

from ..core.actors import ActorRegistry
from ..core.audit import Audit
from ..core.bindings import canonical_binding
from ..core.budgets import Budget, Budgets
from ..core.lanes import LaneMarks, Lanes, send_budget
from ..core.live_codes import LiveCodes
from ..core.own_purposes import OwnPurposeRegistry
from ..core.purposes import GRACE, PURPOSES
from ..core.scopes import Scope
from ..core.settings import Settings
from ..core.validators import Limit
from ..errors import InvalidData
from .guess import guess_budget
from .send import mailbox_budget


@dataclass(frozen=True)
class PendingCode:
    """A live code.

    :ivar long: whether it has 20 digits.
    """

    purpose: str
    long: bool
    seconds_left: int


@dataclass(frozen=True)
class Attack:
    """Why codes are long at present.

    :ivar by: ``sends``, ``guesses`` or ``breaker``, which is open for the whole actor type.
    :ivar purpose: whose codes these are.
    """

    purpose: str
    by: str
    seconds_left: int


@dataclass(frozen=True)
class Window:
    """A resend window: the next code of this kind is due when it ends."""

    purpose: str
    long: bool
    seconds_left: int


@dataclass(frozen=True)
class Allowance:
    """A budget, and what is left of it.

    :ivar what: ``guesses``, ``sends`` or ``mailbox`` (messages while it has no account).
    :ivar purpose: ``None`` where it is for all purposes of the actor type.
    :ivar seconds_until_room: 0 where something is left.
    """

    what: str
    purpose: str | None
    limit: str
    left: int
    seconds_until_room: int


@dataclass(frozen=True)
class Overview:
    """What is pending for an identifier.

    :ivar identifier: in canonical form.
    """

    actor_type: str
    identifier: str
    attacked: bool
    attacks: list[Attack]
    codes: list[PendingCode]
    windows: list[Window]
    budgets: list[Allowance]


#: Scopes, and the settings that count for each.
_Scopes = dict[Scope, Settings]


@dataclass(frozen=True, repr=False, eq=False)
class Support:
    """What an operator asks of one app."""

    actors: ActorRegistry
    own_purposes: OwnPurposeRegistry
    lanes: Lanes
    live_codes: LiveCodes
    budgets: Budgets
    audit: Audit

    def inspect(self, actor_type: str, identifier: str) -> Overview:
        """Tell what is pending for an identifier. Nothing is changed, and nothing is counted.

        What is bound to a subject of the app's own can't be looked up without it, so of the app's
        own purposes only what is bound to nothing is found.

        :raises NotFound: if the actor type is not registered.
        :raises InvalidIdentifier: if the identifier is not valid for it.
        :raises Unavailable: if the store or the limiter can't be reached.
        """
        canonical, scopes = self._scopes(actor_type, identifier)
        scopes |= self._own_scopes(canonical)
        marks = [(scope.purpose, self.lanes.marks(scope)) for scope in scopes]
        attacks = [attack for purpose, mark in marks for attack in _attacks(purpose, mark)]
        return Overview(
            actor_type,
            canonical,
            attacked=bool(attacks),
            attacks=attacks,
            codes=self._codes([*scopes, Scope(actor_type, GRACE, canonical)]),
            windows=[window for purpose, mark in marks for window in _windows(purpose, mark)],
            budgets=[
                self._allowance(*what, budget)
                for what, budget in _budgets(scopes, canonical).items()
            ],
        )

    def unlock(self, actor_type: str, identifier: str, *, own_purposes: bool = False) -> int:
        """Give an identifier its budgets and windows back, so that its codes are short again.

        Codes that were sent stay good. The breaker, which is no one's own, stays as it is.

        :param own_purposes: whether those of the app's own purposes are given back as well.
        :returns: how many budgets there were.

        Errors are those of :meth:`inspect`.
        """
        canonical, scopes = self._scopes(actor_type, identifier)
        scopes |= self._own_scopes(canonical) if own_purposes else {}
        for scope in scopes:
            self.lanes.unmark(scope)
        budgets = _budgets(scopes, canonical)
        for budget in budgets.values():
            self.budgets.give_back(budget)
        self.audit.note("identifier_unlocked", actor_type=actor_type, identifier=canonical)
        return len(budgets)

    def _scopes(self, actor_type: str, identifier: str) -> tuple[str, _Scopes]:
        """Return an identifier in canonical form, and its scopes."""
        registered = self.actors.get(actor_type)
        canonical = registered.canonical(identifier)
        scopes = [Scope(actor_type, purpose, canonical) for purpose in PURPOSES]
        return canonical, dict.fromkeys(scopes, registered.settings)

    def _own_scopes(self, identifier: str) -> _Scopes:
        scopes = {}
        for name in self.own_purposes.names:
            purpose = self.own_purposes.get(name)
            try:
                canonical = purpose.canonical(identifier)
            except InvalidData:  # a phone number's purpose has no business with an e-mail address
                continue
            scope = Scope("", name, canonical, canonical_binding(None, None))
            scopes[scope] = purpose.settings
        return scopes

    def _codes(self, scopes: list[Scope]) -> list[PendingCode]:
        now = time.time()
        return [
            PendingCode(code.scope.purpose, long, max(1, int(code.deadline - now)))
            for scope, long in product(scopes, (False, True))
            for code in self.live_codes.pending(scope, long=long)
        ]

    def _allowance(self, what: str, purpose: str | None, budget: Budget) -> Allowance:
        room = self.budgets.room(budget)
        return Allowance(what, purpose, _written(budget.limit), room.left, room.seconds)


def _budgets(scopes: _Scopes, identifier: str) -> dict[tuple[str, str | None], Budget]:
    budgets: dict[tuple[str, str | None], Budget] = {}
    for scope, settings in scopes.items():
        # The purposes of an actor type share their guesses.
        what = "guesses", None if scope.actor_type else scope.purpose
        budgets[what] = guess_budget(scope, settings)
    for scope, settings in scopes.items():
        budgets["sends", scope.purpose] = send_budget(scope, settings)
    budgets["mailbox", None] = mailbox_budget(identifier)
    return budgets


def _attacks(purpose: str, marks: LaneMarks) -> list[Attack]:
    found = {"sends": marks.sends, "guesses": marks.guesses, "breaker": marks.breaker}
    return [Attack(purpose, by, seconds) for by, seconds in found.items() if seconds]


def _windows(purpose: str, marks: LaneMarks) -> list[Window]:
    found = {False: marks.short, True: marks.long}
    return [Window(purpose, long, seconds) for long, seconds in found.items() if seconds]


def _written(limit: Limit) -> str:
    """Return a limit as it stands in a configuration."""
    return ";".join(
        f"{item.amount}/{f'{item.multiples} '.removeprefix('1 ')}{item.GRANULARITY.name}"
        for item in limit
    )
