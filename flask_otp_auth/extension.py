"""The extension object: constructor, ``init_app``, and the flows without HTTP."""

import logging
import os
from collections.abc import Callable
from functools import cached_property
from typing import Any

from cachelib import BaseCache
from flask import Blueprint, Flask
from flask_limiter import Limiter
from limits.storage import Storage
from limits.strategies import RateLimiter

from .actors import Actors, ActorStore, ActorType
from .answers import render
from .audit import Audit
from .background import threads_are_missing
from .breaker import Breaker
from .challenges import Challenges, Rights
from .cli import otp
from .config import PREFIX, Settings, secrets_of
from .credentials import ClaimsLoader, Credentials
from .delivery import Delivery, Executor
from .errors import ConfigError, RequestError
from .flows import Flows
from .identifiers import Kind
from .issuing import Issued, Issuing
from .keys import Keys, Names
from .limits import Limits, strategy_for, strategy_of
from .revocations import Revocations
from .signing import symmetric_keys
from .state import EXTENSION, State, current_state
from .tokens import TokenIssuer
from .verbs import Store
from .views import build_blueprint

logger: logging.Logger = logging.getLogger("flask_otp_auth")


class OTPAuth:
    """Passwordless sign-up and sign-in for one app or for many.

    :param app: an app to initialise at once; else call :meth:`init_app`.
    :param cache: where codes are kept, in place of ``OTP_AUTH_STORAGE_URI``: a cachelib
        object that can keep its promises, or a :class:`flask_otp_auth.store.Store`.
    :param limiter: the app's own Flask-Limiter, in place of one made here.
    :param executor: what runs deliveries, in place of a small thread pool: anything with
        ``submit(function, *args)``.
    :param register_blueprint: whether ``init_app`` mounts the routes; else mount
        :attr:`blueprint` by hand.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        cache: BaseCache | Store | None = None,
        limiter: Limiter | None = None,
        executor: Executor | None = None,
        register_blueprint: bool = True,
    ) -> None:
        self._cache = cache
        self._limiter = limiter
        self._executor = executor
        self._register_blueprint = register_blueprint
        self._actor_types: dict[str, ActorType] = {}
        self._claims_loader: ClaimsLoader | None = None
        if app is not None:
            self.init_app(app)

    def add_actor_type(
        self,
        name: str,
        store: ActorStore,
        *,
        identifier: Kind = "email",
        **overrides: Any,
    ) -> None:
        """Register who can sign in; before or after :meth:`init_app`.

        :param name: the actor type as it stands in URLs: letters, digits, ``-`` and ``_``.
        :param store: finds the app's accounts: ``find_by_identifier`` and ``find_by_id``.
        :param identifier: ``"email"``, ``"phone"``, ``("email", "phone")`` for either in one
            field, or a callable that returns the canonical form of what was typed or raises
            :class:`InvalidIdentifier`.
        :param overrides: settings of this type's own, such as ``digits=8``.
        :raises ConfigError: if any of these can't work.
        """
        if name in self._actor_types:
            raise ConfigError(f"actor type {name!r} is registered already")
        self._actor_types[name] = ActorType.build(name, store, identifier, overrides)

    def claims_loader(self, function: ClaimsLoader) -> ClaimsLoader:
        """Let ``function(actor_type, actor)`` return claims of the app's own for tokens."""
        self._claims_loader = function
        return function

    @property
    def actor_types(self) -> tuple[str, ...]:
        """The names of the registered actor types."""
        return tuple(self._actor_types)

    @cached_property
    def blueprint(self) -> Blueprint:
        """The blueprint with the routes, to mount by hand or to exempt from CSRF checks."""
        return build_blueprint()

    def init_app(self, app: Flask) -> None:
        """Read the app's settings, open its storage and mount the routes.

        :raises ConfigError: with every fault of the configuration.
        """
        if EXTENSION in app.extensions:
            raise ConfigError("this app has an OTPAuth already; call init_app once")
        settings = _load_settings(app)
        app.extensions[EXTENSION] = self._build(app, settings)
        # Our own exceptions only, raised by guards and flows in the app's own views; an app may
        # put a handler of its own in this one's place.
        app.register_error_handler(RequestError, render)
        app.cli.add_command(otp)
        if self._register_blueprint:
            app.register_blueprint(self.blueprint, url_prefix=settings.url_prefix)

    def _build(self, app: Flask, settings: Settings) -> State:
        # Here, as storages and what they build on take longer to import than all the rest.
        from .backends import backend_for, open_store

        keys = Keys.derive(secrets_of(app.config))
        own_limits = self._limiter is not None
        backend = backend_for(settings.storage_uri, app.instance_path, own_limits=own_limits)
        store = open_store(backend, self._cache)
        limits = Limits(self._strategy(backend.open_limits), keys)
        audit_names = Names(keys.audit)
        actors = Actors(self._actor_types, settings)
        for name in actors.names:
            actors.get(name)  # tells what is wrong with its own settings now, not at a request
        delivery = Delivery(app, self._executor, _inline(app, settings), actors.warns)
        emit = Audit(delivery, audit_names)
        breaker = Breaker(limits, settings.global_failure_limit, emit)
        challenges = Challenges(store, keys)
        issuer = TokenIssuer(
            settings.token_keys or symmetric_keys(keys.tokens),
            settings.token_algorithm,
            settings.token_issuer,
            settings.token_leeway,
        )
        credentials = Credentials(
            actors,
            issuer,
            Rights(store, keys),
            Revocations(store, keys),
            emit,
            self._own_claims,
        )
        issuing = Issuing(actors, challenges, limits, emit, breaker)
        flows = Flows(actors, challenges, limits, credentials, emit, breaker)
        return State(settings, actors, limits, emit, audit_names, credentials, issuing, flows)

    def _strategy(self, open_limits: Callable[[], Storage]) -> Callable[[], RateLimiter]:
        limiter = self._limiter
        if limiter is None:
            return lambda: strategy_for(open_limits())
        strategy = strategy_of(limiter)
        return lambda: strategy

    def _own_claims(self, actor_type: str, actor: Any) -> dict[str, Any]:
        loader = self._claims_loader
        return dict(loader(actor_type, actor)) if loader else {}

    def generate(self, actor_type: str, identifier: str, challenge: str | None = None) -> Issued:
        """Issue a login code; see :meth:`flask_otp_auth.issuing.Issuing.generate`."""
        return current_state().issuing.generate(actor_type, identifier, challenge)

    def pre_register(
        self, actor_type: str, identifier: str, challenge: str | None = None
    ) -> Issued:
        """Issue a registration code; see :meth:`flask_otp_auth.issuing.Issuing.pre_register`."""
        return current_state().issuing.pre_register(actor_type, identifier, challenge)

    def verify(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None = None
    ) -> str:
        """Redeem a login code; see :meth:`flask_otp_auth.flows.Flows.verify`."""
        return current_state().flows.verify(actor_type, identifier, otp, challenge)

    def register(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None = None
    ) -> str:
        """Redeem a registration code; see :meth:`flask_otp_auth.flows.Flows.register`."""
        return current_state().flows.register(actor_type, identifier, otp, challenge)

    def authenticate(
        self, actor_type: str, identifier: str, otp: str, challenge: str | None = None
    ) -> str:
        """Redeem a code in its grace, or a login code; see
        :meth:`flask_otp_auth.flows.Flows.authenticate`."""
        return current_state().flows.authenticate(actor_type, identifier, otp, challenge)

    def refresh(self, token: str) -> str:
        """Exchange a token; see :meth:`flask_otp_auth.credentials.Credentials.refresh`."""
        return current_state().credentials.refresh(token)

    def revoke(self, token: str) -> None:
        """Revoke a token; see :meth:`flask_otp_auth.credentials.Credentials.revoke`."""
        current_state().credentials.revoke(token)

    def revoke_all(self, actor_type: str, actor_id: object) -> None:
        """Sign an actor out everywhere; see
        :meth:`flask_otp_auth.credentials.Credentials.revoke_all`."""
        current_state().credentials.revoke_all(actor_type, actor_id)


def _load_settings(app: Flask) -> Settings:
    default = "sqlite:///" + os.path.join(app.instance_path, "otp_auth.sqlite3")
    settings = Settings.load(
        app.config,
        storage_uri="memory://" if app.testing else default,
        token_issuer=app.name,
    )
    if settings.storage_uri.startswith("memory:") and not (app.debug or app.testing):
        logger.warning(
            "OTP_AUTH_STORAGE_URI is memory://: codes and limits are lost at a restart and "
            "are not shared with other workers"
        )
    return settings


def _inline(app: Flask, settings: Settings) -> Callable[[], bool]:
    """Return what tells whether handlers run within the request."""
    if settings.delivery == "inline":
        return lambda: True
    if threads_are_missing():
        logger.warning(
            "this server runs no threads (uWSGI without --enable-threads), so codes are "
            "delivered within the request, and its time tells which identifiers exist"
        )
        return lambda: True
    explicit = f"{PREFIX}DELIVERY" in app.config
    return lambda: app.testing and not explicit
