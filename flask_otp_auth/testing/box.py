"""A box for attackers: an app from a factory, on a storage of its own, which sends to nobody."""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from limits.storage import MemoryStorage
from limits.strategies import RateLimiter
from werkzeug.test import TestResponse

from ..core.actors import ActorType
from ..core.settings import Settings
from ..storage.memory import MemoryLimitStorage
from ..web.limits import strategy_for
from ..web.state import EXTENSION, State
from .executors import Held
from .limits import unlimited
from .messages import Message
from .outbox import Outbox
from .production import as_in_production
from .routes import path_of
from .siblings import siblings
from .twins import actor_type_of, state_of, swapped
from .watching import ALL_SIGNALS, Watch, WatchedCache, handlers_held_back

#: The address of whoever has but one (RFC 5737).
ADDRESS = "203.0.113.7"

#: The addresses of the app's own proxies.
_PROXY = "10.0.0.1"


@dataclass
class Box:
    """What attackers attack.

    :ivar known: a member's identifier, in canonical form.
    :ivar unknown: one of the same form that nobody has.
    :ivar workers: the app's parts in each process that serves it; several where each counts by
        itself.
    :ivar uncounted: why limits count less than they should, if the app's own limiter is the reason.
    :ivar proxies: how many proxies of its own the app stands behind.
    """

    app: Flask
    name: str
    known: str
    unknown: str
    workers: list[State]
    outbox: Outbox
    watch: Watch
    jobs: Held
    uncounted: str
    proxies: int
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def actor_type(self) -> ActorType:
        """Whose accounts are attacked."""
        return self.workers[0].actors.get(self.name)

    @property
    def settings(self) -> Settings:
        """The settings of the actor type."""
        return self.actor_type.settings

    def begin(self) -> None:
        """Forget all that was asked, counted and sent."""
        self.jobs.jobs.clear()
        for state in self.workers:
            state.forget()
        self.outbox.clear()
        self.watch.begin()

    def new_address(self) -> str:
        """Return an address that nobody had (RFC 2544's, which are for tests)."""
        number = next(self._numbers)
        return f"198.{18 + number // 65536 % 2}.{number // 256 % 256}.{number % 256}"

    def post(
        self,
        endpoint: str,
        fields: Mapping[str, str] | None = None,
        *,
        worker: int = 0,
        client: FlaskClient | None = None,
        address: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> TestResponse:
        """Post to a route of the blueprint.

        :param worker: the number of the process that serves it; there may be fewer.
        :param address: by default one that nobody had.
        :param headers: those that the caller sends.
        """
        path = path_of(self.app, endpoint, **({"actor_type": self.name} if fields else {}))
        with swapped(self.app.extensions, {EXTENSION: self.workers[worker % len(self.workers)]}):
            return (client or self.app.test_client()).post(
                path,
                json=fields,
                **self._sent(address or self.new_address(), headers or {}),
            )

    def _sent(self, address: str, headers: dict[str, str]) -> dict[str, Any]:
        """Return what arrives at the app, if something comes from an address."""
        if self.proxies:
            chain = [address] + [_PROXY] * (self.proxies - 1)
            said = headers.get("X-Forwarded-For")
            headers = {**headers, "X-Forwarded-For": ", ".join([said, *chain] if said else chain)}
            headers["X-Real-IP"] = address
            address = _PROXY
        return {"headers": headers, "environ_overrides": {"REMOTE_ADDR": address}}

    def deliver(self) -> None:
        """Do what waits, as the background does."""
        self.jobs.run()

    def ask(self, endpoint: str, identifier: str, **where: Any) -> str:
        """Ask for a code, and return the challenge."""
        answer = self.post(endpoint, {"identifier": identifier}, **where).get_json(silent=True)
        return str((answer or {}).get("challenge", ""))

    def enter(self, client: FlaskClient | None = None) -> str | None:
        """Let the member try the newest codes to sign in with; return the token, if one works."""
        codes = [message for message in self.outbox if message.identifier == self.known]
        for message in reversed(codes[-4:]):
            for endpoint in ("verify", "finish"):
                answer = self.post(endpoint, self.given(message), client=client)
                if answer.status_code == 200:
                    return str(answer.get_json()["token"])
        return None

    @staticmethod
    def given(message: Message) -> dict[str, str]:
        """Return what somebody sends who got a message."""
        challenge = message.challenge or ""
        return {"identifier": message.identifier, "otp": message.otp, "challenge": challenge}

    def strangers(self, number: int) -> list[str]:
        """Return identifiers that nobody has; fewer, where their form allows no more."""
        with self.app.app_context():
            return siblings(self.actor_type, self.known, number)


@contextmanager
def boxed(
    create_app: Callable[[], Flask], actor_type: str, known: str, unknown: str | None, proxies: int
) -> Iterator[Box]:
    """Put an app of a factory into a box.

    :raises TypeError: if it is no factory.
    :raises ValueError: if there is no such actor type, or ``known`` is no member.
    """
    if isinstance(create_app, Flask) or not callable(create_app):
        raise TypeError("attack() takes the factory of an app, and never an app that runs")
    app = create_app()
    store = actor_type_of(state_of(app), actor_type).store
    strategies, uncounted = _strategies(app)
    jobs, watch = Held(), Watch()
    cache = WatchedCache(watch)
    with ExitStack() as stack:
        stack.enter_context(_quiet(app))
        stack.enter_context(handlers_held_back(app, ALL_SIGNALS))
        workers = [
            stack.enter_context(as_in_production(app, cache, jobs, strategy=strategy))
            for strategy in strategies
        ]
        # The first one serves whatever doesn't come through the box.
        stack.enter_context(swapped(app.extensions, {EXTENSION: workers[0]}))
        stack.enter_context(watch.on(app, store))
        outbox = stack.enter_context(Outbox(app))
        box = Box(
            app, actor_type, known, unknown or "", workers, outbox, watch, jobs, uncounted, proxies
        )
        _introduce(box)
        yield box


@contextmanager
def _quiet(app: Flask) -> Iterator[None]:
    """Keep what attackers do out of the log: their warnings are nobody's concern."""
    loggers = (logging.getLogger("flask_otp_auth"), app.logger)
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _introduce(box: Box) -> None:
    with box.app.app_context():
        box.known = box.actor_type.canonical(box.known)
        if box.actor_type.find_by_identifier(box.known) is None:
            raise ValueError(f"known= must have an active {box.name} in the app")
    box.unknown = box.unknown or next(iter(box.strangers(1)), "")
    if not box.unknown:
        raise ValueError("pass unknown=, an identifier that has no account")


def _strategies(app: Flask) -> tuple[list[Callable[[], RateLimiter] | None], str]:
    """Return what counts in each process, and why that is less than it should be.

    An own limiter whose storage a deployment names in the configuration is elsewhere in production.
    """
    limiter = state_of(app).storages.limiter
    if limiter is None:
        return [None], ""
    if not limiter.enabled:
        return [unlimited], "limiter= is switched off (RATELIMIT_ENABLED), so nothing is counted"
    if not isinstance(limiter.storage, MemoryStorage) or "RATELIMIT_STORAGE_URI" in app.config:
        return [None], ""
    return [_own_memory, _own_memory], (
        "limiter= counts in the memory of each process, and there were two: name its storage in "
        "RATELIMIT_STORAGE_URI, or leave limiter= out"
    )


def _own_memory() -> RateLimiter:
    return strategy_for(MemoryLimitStorage())
