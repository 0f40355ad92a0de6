"""The extension object: constructor, ``init_app``, and the flows without HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from flask import Blueprint, Flask, Response, current_app, has_app_context

from .errors import ConfigError
from .web.flow_calls import FlowCalls
from .web.own_functions import OwnGate, check_function, finished
from .web.page_parts import PageContext, PageParts
from .web.purposes import Purpose
from .web.state import EXTENSION, app_itself, state_of

if TYPE_CHECKING:
    from datetime import timedelta

    from apispec import APISpec
    from cachelib import BaseCache
    from flask.blueprints import BlueprintSetupState
    from flask_limiter import Limiter

    from .core.actors import ActorStore, ActorTypeSpec, SignUp
    from .core.gates import Gate
    from .core.identifiers import IdentifierSpec
    from .core.own_purposes import OwnPurposeSpec
    from .storage.base import Store
    from .storage.findings import Level
    from .tokens.drafts import ClaimsLoader
    from .web.checks import Check, OwnCheck
    from .web.delivery import Executor

    S = TypeVar("S", APISpec, dict[str, Any])

F = TypeVar("F", bound=type[Any])

# What the methods import takes most of the package's time at import (`make bench`): 40 of 50 ms.


class OTPAuth(FlowCalls):
    """Passwordless sign-up and sign-in for one app or for many.

    :param app: an app to initialise at once; else call :meth:`init_app`.
    :param cache: where codes are kept, in place of ``OTP_AUTH_STORAGE_URI``: a supported cachelib
        object, or a :class:`flask_otp_auth.Store`.
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
        self._actor_types: dict[str, ActorTypeSpec] = {}
        self._claims_loader: ClaimsLoader | None = None
        self._gates: list[OwnGate] = []
        self._purposes: dict[str, OwnPurposeSpec] = {}
        self._page_parts = PageParts()
        self._apps: WeakSet[Flask] = WeakSet()  # for document() alone, and only if there is one
        self._checks: dict[str, OwnCheck] = {}
        if app is not None:
            self.init_app(app)

    def add_actor_type(
        self,
        name: str,
        store: ActorStore,
        *,
        identifier: IdentifierSpec = "email",
        sign_up: SignUp = "open",
        form: type[Any] | None = None,
        **overrides: Any,
    ) -> None:
        """Register who can sign in; before or after :meth:`init_app`.

        A name that is added again replaces the former for apps initialised from then on.

        :param name: the actor type as it stands in URLs: letters, digits, ``-`` and ``_``.
        :param store: finds the app's accounts: ``find_by_identifier`` and ``find_by_id``.
        :param identifier: ``"email"``, ``"phone"``, ``("email", "phone")`` for either in one
            field, or a callable that returns the canonical form of what was typed, and such a form
            as it is, or raises :class:`InvalidIdentifier`.
        :param sign_up: ``"open"``, ``"closed"``, or a callable that tells of a canonical identifier
            whether it may register.
        :param form: the sign-up form of the pages, as in :meth:`sign_up_form`.
        :param overrides: settings of this type's own, such as ``digits=8``.
        :raises ConfigError: if any of these can't work.
        """
        from .core.actors import ActorTypeSpec

        self._actor_types[name] = ActorTypeSpec.build(name, store, identifier, sign_up, overrides)
        if form is not None:
            self.sign_up_form(name)(form)

    def claims_loader(self, function: ClaimsLoader) -> ClaimsLoader:
        """Let ``function(actor_type, actor)`` return claims of the app's own for tokens."""
        check_function(function, "claims_loader")
        self._claims_loader = function
        return function

    def before_code(self, function: Gate) -> Gate:
        """Let ``function(asked)`` see each request for a code, before anything is looked up.

        It returns, or raises :class:`Refused`. It is called for known and unknown identifiers
        alike, and only within a request; see :class:`flask_otp_auth.core.gates.Asked`. The same
        function is called once, and so is what a factory makes anew without its own variables.

        :raises TypeError: if it is no function.
        """
        if not any(gate.calls(function) for gate in self._gates):
            self._gates.append(OwnGate(function))  # a captcha's answer can be checked only once
        return function

    def sign_up_form(self, actor_type: str) -> Callable[[F], F]:
        """Let people who join at the pages fill in a form: ``@otp_auth.sign_up_form("customer")``
        above a class of WTForms.

        Its values go to the store's ``create(identifier, fields)``.

        :raises ConfigError: if it is no class of WTForms.
        """

        def register(form: F) -> F:
            self._page_parts.add_form(actor_type, form)
            return form

        return register

    def page_context(self, function: PageContext) -> PageContext:
        """Let ``function()`` return variables of the app's own for the pages' templates."""
        check_function(function, "page_context")
        self._page_parts.contexts.append(function)
        return function

    def purpose(
        self,
        name: str,
        *,
        identifier: IdentifierSpec = "email",
        ttl: int | timedelta | None = None,
        confirms_address_only: bool = False,
        **overrides: Any,
    ) -> Purpose:
        """Register a purpose of the app's own; before or after :meth:`init_app`.

        :param name: letters, digits, ``-`` and ``_``.
        :param identifier: as in :meth:`add_actor_type`.
        :param ttl: seconds that a code lives, up to 600; by default ``OTP_AUTH_TTL``.
        :param confirms_address_only: whether a code proves an address and nothing else; then it may
            live for up to a day.
        :param overrides: settings of this purpose's own, such as ``digits=8``.
        :raises ConfigError: if any of these can't work.
        """
        from .core.own_purposes import OwnPurposeSpec

        self._purposes[name] = OwnPurposeSpec.build(
            name, identifier, ttl, confirms_address_only, overrides
        )
        return Purpose(name)

    def check(self, name: str, *, level: Level = "warning") -> Callable[[Check], Check]:
        """Register a check of the app's own for ``flask otp check``.

        The function takes the app, and returns what is wrong and how to mend it, or ``None``. A
        name that is registered again replaces the former.

        :param name: the id of what it finds: letters, digits and ``-``.
        :param level: ``error``, ``warning`` or ``info``.
        :raises ConfigError: if the name is one of our own, or none is given.
        """
        from .web.checks import registering

        return registering(self._checks, name, level)

    @property
    def actor_types(self) -> tuple[str, ...]:
        """The names of the registered actor types."""
        return tuple(self._actor_types)

    @cached_property
    def blueprint(self) -> Blueprint:
        """The blueprint with the routes, to mount by hand or to exempt from CSRF checks."""
        from .web.api import build_blueprint

        blueprint = build_blueprint()
        blueprint.record(_add_pages)
        blueprint.record(_mount_document)
        return blueprint

    def init_app(self, app: Flask) -> None:
        """Read the app's settings, look at its storage and mount the routes.

        :raises ConfigError: with every fault of the configuration.
        """
        from .web.assembly import Registered, build_state, check_prefix
        from .web.limits import exempt
        from .web.notices import fall_back_on_handlers_of, warn_of_settings

        app = app_itself(app)
        if EXTENSION in app.extensions:
            raise ConfigError("this app has an OTPAuth already; call init_app once")
        fall_back_on_handlers_of(app)
        registered = Registered(
            actor_types=self._actor_types,
            purposes=self._purposes,
            own_claims=self._own_claims,
            gates=self._gates,
            page_parts=self._page_parts,
            checks=self._checks,
            cache=self._cache,
            limiter=self._limiter,
            executor=self._executor,
        )
        state = build_state(app, registered)
        app.extensions[EXTENSION] = state
        self._apps.add(app)
        warn_of_settings(app, state.settings)
        if state.settings.cli is not None:
            from .cli import otp  # here: click's commands are for the command line alone

            app.cli.add_command(otp, state.settings.cli)
        if self._limiter is not None:
            exempt(self._limiter, self.blueprint)
        if self._register_blueprint:
            check_prefix(app, state.settings.url_prefix)
            app.register_blueprint(self.blueprint, url_prefix=state.settings.url_prefix)

    def openapi(self, app: Flask | None = None) -> dict[str, Any]:
        """Return the OpenAPI 3.1 document of the routes, wherever the app has mounted them.

        :param app: the app; by default the current one.
        :raises ConfigError: if the routes are not mounted.
        """
        from .openapi.document import Document

        app = app or self._app()
        return Document(app, state_of(app)).whole()

    def document(self, spec: S, app: Flask | None = None) -> S:
        """Add the routes, with schemas and security schemes, to an app's own document.

        :param spec: an ``apispec.APISpec``, or the dict that one was made into; flask-smorest,
            APIFlask and APIFairy have one of these. OpenAPI 3.0 or 3.1.
        :param app: the app; by default the current one, or the only one that was initialised.
        :returns: the same ``spec``.
        :raises ConfigError: if the routes are not mounted, or if it is a document of Swagger 2.
        """
        from .openapi.own_spec import add_to

        app = app or self._app()
        return add_to(spec, app, state_of(app))

    def _app(self) -> Flask:
        """Return the app that is meant where none is named."""
        if has_app_context() or len(self._apps) != 1:
            return current_app
        return next(iter(self._apps))

    def _own_claims(self, actor_type: str, actor: Any) -> Mapping[str, Any]:
        loader = self._claims_loader
        return finished(current_app, loader(actor_type, actor)) if loader else {}


def _add_pages(state: BlueprintSetupState) -> None:
    """Add the pages where the blueprint is mounted, if the app has any."""
    from .web.page_redirects import app_has_pages

    if app_has_pages(state.app):
        from .pages.routes import add_pages  # here: an app without pages doesn't import them

        add_pages(state)


def _mount_document(setup: BlueprintSetupState) -> None:
    """Mount ``openapi.json`` beside the other routes, if the app serves it."""
    state = setup.app.extensions.get(EXTENSION)
    if state is None or state.settings.openapi:  # no settings yet: the view will ask for them
        setup.add_url_rule("/openapi.json", "openapi", _serve_document)


def _serve_document(**_: str) -> Response:
    from .openapi.serving import serve

    return serve()
