"""The rules by themselves, on a store and on limits that can be watched."""

import itertools
from collections.abc import Callable, Sequence

from blinker import NamedSignal
from fakes import FakeLimits, FakeStore
from limits.strategies import MovingWindowRateLimiter

from flask_otp_auth.core.breaker import Breaker
from flask_otp_auth.core.budgets import Budgets
from flask_otp_auth.core.crypto import KeyHasher, Keys
from flask_otp_auth.core.jobs import Suppressed
from flask_otp_auth.core.lanes import Lanes, Turn
from flask_otp_auth.core.live_codes import LiveCodes, Rejected
from flask_otp_auth.core.scopes import Scope
from flask_otp_auth.core.settings import Settings

OLD, NEW = b"the old secret key of the shop ...", b"the new secret key of the shop ..."

LOGIN = Scope("customer", "login", "ada@example.com")
REGISTRATION = Scope("customer", "registration", "ada@example.com")
GRACE = Scope("customer", "grace", "ada@example.com")

#: Every way in which two codes may be for something else.
SCOPES = [
    Scope(*parts)
    for parts in itertools.product(
        ("customer", "user", ""),
        ("login", "registration", "door", "grace"),
        ("ada@example.com", "bob@example.com"),
        ("", "bound"),
    )
]


class Engine:
    """Budgets, breaker, lanes and codes of one process.

    :ivar heard: the name and the arguments of each signal.
    """

    def __init__(
        self, store: FakeStore, limits: FakeLimits, secrets: Sequence[bytes], settings: Settings
    ) -> None:
        self.store, self.limits, self.settings = store, limits, settings
        self.heard: list[tuple[str, dict[str, object]]] = []
        keys = Keys.derive(secrets, "shop")
        self.budgets = Budgets(lambda: MovingWindowRateLimiter(limits), KeyHasher(keys.names))
        self.breaker = Breaker(store, keys, self.budgets, self._emit)
        self.lanes = Lanes(store, keys, self.budgets, self.breaker)
        self.live_codes = LiveCodes(store, keys, self.lanes)

    def _emit(self, signal: NamedSignal, **arguments: object) -> None:
        self.heard.append((signal.name, arguments))

    def ask(self, scope: Scope = LOGIN) -> Turn | str:
        """Take the turn to send a code, or return why there is none."""
        try:
            turn = self.lanes.take_turn(scope, self.settings)
        except Suppressed as stop:
            return stop.reason
        if turn.attacked:
            self.lanes.mark_attacked_by_sends(scope, self.settings)
        return turn

    def put(self, code: str, scope: Scope = LOGIN, *, long: bool = False, ttl: int = 300) -> float:
        """Store a code and return its deadline."""
        return self.live_codes.put(scope, code, long=long, ttl=ttl).deadline

    def redeem(self, code: str, *scopes: Scope, long: bool = False) -> str:
        """Compare a code and use it; return for which purpose, or why it is refused."""
        try:
            match = self.live_codes.match(scopes or (LOGIN,), code, long=long)
        except Rejected as rejected:
            return rejected.reason
        used = self.live_codes.use(match, self.settings)
        return match.code.scope.purpose if used else "lost"


MakeEngine = Callable[..., Engine]
