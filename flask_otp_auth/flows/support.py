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


@dataclass(frozen=True, repr=False, eq=False)
class _Lane:
    """A scope, and the settings that count for it."""

    scope: Scope
    settings: Settings

    @property
    def guesses(self) -> tuple[str, str | None]:
        """What guesses are counted for: an actor type's purposes share them."""
        return "guesses", None if self.scope.actor_type else self.scope.purpose


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
        lanes = self._lanes_of(actor_type, identifier)
        canonical = lanes[0].scope.identifier
        lanes += self._own_lanes(canonical)
        marks = [(lane.scope.purpose, self.lanes.marks(lane.scope)) for lane in lanes]
        attacks = [attack for purpose, mark in marks for attack in _attacks(purpose, mark)]
        return Overview(
            actor_type,
            canonical,
            attacked=bool(attacks),
            attacks=attacks,
            codes=self._codes([lane.scope for lane in lanes]),
            windows=[window for purpose, mark in marks for window in _windows(purpose, mark)],
            budgets=[
                self._allowance(*what, budget)
                for what, budget in _budgets(lanes, canonical).items()
            ],
        )

    def unlock(self, actor_type: str, identifier: str, *, own_purposes: bool = False) -> int:
        """Give an identifier its budgets and windows back, so that its codes are short again.

        Codes that were sent stay good. The breaker, which is no one's own, stays as it is.

        :param own_purposes: whether those of the app's own purposes are given back as well.
        :returns: how many budgets there were.

        Errors are those of :meth:`inspect`.
        """
        lanes = self._lanes_of(actor_type, identifier)
        canonical = lanes[0].scope.identifier
        lanes += self._own_lanes(canonical) if own_purposes else []
        for lane in lanes:
            self.lanes.unmark(lane.scope)
        budgets = _budgets(lanes, canonical)
        for budget in budgets.values():
            self.budgets.give_back(budget)
        self.audit.note("identifier_unlocked", actor_type=actor_type, identifier=canonical)
        return len(budgets)

    def _lanes_of(self, actor_type: str, identifier: str) -> list[_Lane]:
        registered = self.actors.get(actor_type)
        canonical = registered.canonical(identifier)
        scopes = [Scope(registered.name, purpose, canonical) for purpose in PURPOSES]
        return [_Lane(scope, registered.settings) for scope in scopes]

    def _own_lanes(self, identifier: str) -> list[_Lane]:
        lanes = []
        for name in self.own_purposes.names:
            purpose = self.own_purposes.get(name)
            try:
                canonical = purpose.canonical(identifier)
            except InvalidData:  # a phone number's purpose has no business with an e-mail address
                continue
            scope = Scope("", name, canonical, canonical_binding(None, None))
            lanes.append(_Lane(scope, purpose.settings))
        return lanes

    def _codes(self, scopes: list[Scope]) -> list[PendingCode]:
        grace = Scope(scopes[0].actor_type, GRACE, scopes[0].identifier)
        now = time.time()
        return [
            PendingCode(code.scope.purpose, long, max(1, int(code.deadline - now)))
            for scope, long in product((*scopes, grace), (False, True))
            for code in self.live_codes.pending(scope, long=long)
        ]

    def _allowance(self, what: str, purpose: str | None, budget: Budget) -> Allowance:
        room = self.budgets.room(budget)
        return Allowance(what, purpose, _written(budget.limit), room.left, room.seconds)


def _budgets(lanes: list[_Lane], identifier: str) -> dict[tuple[str, str | None], Budget]:
    budgets = {lane.guesses: guess_budget(lane.scope, lane.settings) for lane in lanes}
    for lane in lanes:
        budgets["sends", lane.scope.purpose] = send_budget(lane.scope, lane.settings)
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
