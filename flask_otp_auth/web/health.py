"""Health: what an app's own health route tells of codes and sign-ins."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.budgets import Budget
from ..errors import Unavailable
from .state import state_of

if TYPE_CHECKING:
    from flask import Flask

    from ..storage.base import Store
    from .state import State

#: What is looked at in a store: no such key is ever written.
_KEY = "otp_auth:{health}:00"


def health(app: Flask) -> dict[str, Any]:
    """Tell how an app's storages are, in values that JSON has; nothing of it is secret.

    It never raises for an outage, changes nothing and counts nothing. It waits for each storage as
    long as a request would, so ask it in an internal route alone::

        {
            "ok": True,                         # all three can be reached
            "storage": {"reachable": True, "latency_ms": 0.41},
            "sign_ins": {"reachable": True, "latency_ms": 0.41},
            "limiter": {"reachable": True, "latency_ms": 0.39},
            "breaker_open": {"customer": False},  # by actor type; None if nobody knows
            "pending_deliveries": 0,            # of this process's queue
        }

    ``latency_ms`` is ``None`` where a storage can't be reached.

    :raises ConfigError: if the app has no :class:`~flask_otp_auth.OTPAuth`.
    """
    state = state_of(app)
    storage = _looked_at(lambda: state.storages.codes.peek(_KEY))
    sign_ins = storage if state.storages.sign_ins is state.storages.codes else _sign_ins(state)
    limiter = _looked_at(lambda: state.budgets.retry_after(never_taken(state)))
    return {
        "ok": all(part["reachable"] for part in (storage, sign_ins, limiter)),
        "storage": storage,
        "sign_ins": sign_ins,
        "limiter": limiter,
        "breaker_open": _breakers(state),
        "pending_deliveries": state.delivery.pending,
    }


def _sign_ins(state: State) -> dict[str, Any]:
    store: Store = state.storages.sign_ins
    return _looked_at(lambda: store.peek(_KEY))


def never_taken(state: State) -> Budget:
    """Return a budget to look at whether the limiter answers."""
    return Budget(state.settings.global_failure_limit, ("health",))


def _looked_at(look: Callable[[], object]) -> dict[str, Any]:
    start = time.perf_counter()
    try:
        look()
    except Unavailable:
        return {"reachable": False, "latency_ms": None}
    return {"reachable": True, "latency_ms": round((time.perf_counter() - start) * 1000, 3)}


def _breakers(state: State) -> dict[str, bool | None]:
    names = state.actors.names
    try:
        return dict(zip(names, state.breaker.are_open(names), strict=True))
    except Unavailable:
        return dict.fromkeys(names)
