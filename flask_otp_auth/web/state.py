"""What the extension keeps for one app, in ``app.extensions["otp_auth"]``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import Flask, current_app
from werkzeug.local import LocalProxy

from ..errors import ConfigError

if TYPE_CHECKING:  # guards know the state's type alone: its parts are imported by init_app
    from collections.abc import Mapping

    from ..core.actors import ActorRegistry
    from ..core.breaker import Breaker
    from ..core.budgets import Budgets
    from ..core.challenges import Challenges
    from ..core.crypto import KeyHasher
    from ..core.events import Emit
    from ..core.notes import Notes
    from ..core.own_purposes import OwnPurposeRegistry
    from ..core.settings import Settings
    from ..core.test_identities import FixedCodes
    from ..flows.confirm import Confirmations
    from ..flows.issue import CodeIssuer
    from ..flows.redeem import CodeRedeemer
    from ..flows.support import Support
    from ..tokens.credentials import Credentials
    from .checks import OwnCheck
    from .delivery import Delivery
    from .flow_cookies import FlowCookies
    from .page_parts import PageParts
    from .storages import Storages

EXTENSION = "otp_auth"


@dataclass(frozen=True, repr=False, eq=False)
class State:
    """The parts of one app, put together by ``init_app``.

    :ivar moving: whether the windows of limits move.
    :ivar debug: whether the app was in debug when this was made: the command line sets
        ``app.debug`` anew.
    :ivar address_notice: warns where all callers of the current request's kind count as one.
    :ivar checks: the app's own, by their names; may grow.
    :ivar rebuild: builds the app's parts anew, from the settings as they are then; keywords replace
        what the extension was given (``cache=``, ``limiter=``, ``executor=``). For tests.
    """

    settings: Settings
    moving: bool
    debug: bool
    actors: ActorRegistry
    storages: Storages
    budgets: Budgets
    emit: Emit
    audit_hasher: KeyHasher
    credentials: Credentials
    challenges: Challenges
    issuer: CodeIssuer
    redeemer: CodeRedeemer
    confirmations: Confirmations
    delivery: Delivery
    flow_cookies: FlowCookies
    page_parts: PageParts
    fixed_codes: FixedCodes
    breaker: Breaker
    own_purposes: OwnPurposeRegistry
    notes: Notes
    support: Support
    address_notice: Callable[[], None]
    checks: Mapping[str, OwnCheck]
    rebuild: Callable[..., State]

    def forget(self) -> None:
        """Forget every code, window, budget and sign-in of an app on ``memory://``; for tests.

        :raises ConfigError: if the app's storage is another one.
        """
        self.storages.forget()
        self.budgets.forget()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Make no file meanwhile; for commands that only look, in a process that serves nobody."""
        with self.storages.looking():
            self._forget_absent_limits()
            yield
            self._forget_absent_limits()

    def _forget_absent_limits(self) -> None:
        if self.storages.has_absent_limits:
            self.budgets.forget()


def state_of(app: Flask) -> State:
    """Return the state of an app.

    :raises ConfigError: if the extension was not initialised with this app.
    """
    state = app.extensions.get(EXTENSION)
    if state is None:
        raise ConfigError("the app has no OTPAuth: call otp_auth.init_app(app)")
    return cast(State, state)


def app_itself(app: Flask) -> Flask:
    """Return the app, where a proxy such as ``current_app`` may stand for it.

    What is connected to a proxy never hears of the app's signals, and nothing can refer to one
    weakly.
    """
    return app._get_current_object() if isinstance(app, LocalProxy) else app


def current_state() -> State:
    """Return the current app's state.

    :raises ConfigError: if the extension was not initialised with this app.
    :raises RuntimeError: outside of an app context.
    """
    return state_of(current_app)
