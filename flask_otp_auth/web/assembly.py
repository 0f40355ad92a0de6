"""Puts the parts of one app together; the one place that knows them all."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from cachelib import BaseCache
from flask import Flask
from flask_limiter import Limiter
from limits.strategies import RateLimiter
from werkzeug.routing import Map, Rule

from ..core.actors import ActorRegistry, ActorTypeSpec
from ..core.audit import Audit
from ..core.breaker import Breaker
from ..core.budgets import Budgets
from ..core.challenges import Challenges
from ..core.crypto import KeyHasher, Keys
from ..core.gates import Gate
from ..core.keyset import symmetric_keys
from ..core.lanes import Lanes
from ..core.live_codes import LiveCodes
from ..core.notes import Notes
from ..core.own_purposes import OwnPurposeRegistry, OwnPurposeSpec
from ..core.secret_keys import secrets_of
from ..core.settings import PREFIX, Settings
from ..core.store_checks import is_async
from ..core.test_identities import FixedCodes
from ..core.validators import storage_uri
from ..errors import ConfigError, collecting
from ..flows.ask import Asker
from ..flows.confirm import Confirmations
from ..flows.guess import Guesser
from ..flows.issue import CodeIssuer
from ..flows.redeem import CodeRedeemer
from ..flows.send import CodeSender
from ..flows.support import Support
from ..storage.backends import backend_for
from ..storage.base import Store
from ..storage.drivers import driver_errors
from ..tokens.credentials import Credentials
from ..tokens.drafts import ClaimsLoader
from ..tokens.jwt import TokenIssuer
from ..tokens.registrations import RegistrationRights
from ..tokens.sign_ins import SignIns
from .checks import OwnCheck
from .delivery import Delivery, Executor
from .flow_cookies import FlowCookies
from .limits import AddressNotice
from .page_parts import PageParts
from .signalling import Signaller
from .state import State
from .storages import Storages

S = TypeVar("S", ActorTypeSpec, OwnPurposeSpec)


@dataclass(frozen=True, repr=False, eq=False)
class Registered:
    """What an app's code has registered on its extension; mappings and lists may grow.

    :ivar own_claims: returns the app's own claims for an actor.
    :ivar page_parts: forms and variables of pages.
    :ivar checks: the app's own, for ``flask otp check``.
    """

    actor_types: Mapping[str, ActorTypeSpec]
    purposes: Mapping[str, OwnPurposeSpec]
    own_claims: ClaimsLoader
    gates: Sequence[Gate]
    page_parts: PageParts
    checks: Mapping[str, OwnCheck]
    cache: BaseCache | Store | None
    limiter: Limiter | None
    executor: Executor | None


def build_state(
    app: Flask,
    registered: Registered,
    *,
    storages: Storages | None = None,
    strategy: Callable[[], RateLimiter] | None = None,
    uniform: Collection[str] = (),
) -> State:
    """Read an app's settings and put its parts together.

    :param storages: the app's, where its parts are built anew; for tests.
    :param strategy: what counts against limits, in place of the storages'; for tests.
    :param uniform: names of settings that are the app's for all actor types and purposes, whatever
        these have of their own; for tests.
    :raises ConfigError: with every fault of the configuration.
    """
    settings = _settings(app)
    storages = storages or Storages(app, settings, registered.cache, registered.limiter)
    actors, own_purposes = _registries(app, settings, storages.moving, registered, uniform)
    keys = Keys.derive(secrets_of(app.config), settings.token_issuer)
    connect, hasher = strategy or storages.strategy, KeyHasher(keys.names)
    budgets = Budgets(connect, hasher, driver_errors, storages.limits_count)
    audit_hasher = KeyHasher(keys.audit)
    emit = Audit(Signaller(app), audit_hasher)
    breaker = Breaker(storages.codes, keys, budgets, emit)
    lanes = Lanes(storages.codes, keys, budgets, breaker)
    live_codes = LiveCodes(storages.codes, keys, lanes)
    fixed_codes = FixedCodes(keys, settings.test_identities)
    challenges, notes = Challenges(keys), Notes(storages.codes, keys)
    credentials = _credentials(settings, storages, keys, actors, budgets, emit, registered)
    sender = CodeSender(actors, own_purposes, lanes, live_codes, budgets, breaker, emit)
    executor, of_scope = _executor_of(registered), sender.settings_of
    delivery = Delivery(app, settings, of_scope, sender, emit, executor, leave_note=notes.leave)
    asker = Asker(lanes, challenges, budgets, delivery, emit, registered.gates, fixed_codes)
    guesser = Guesser(lanes, live_codes, fixed_codes, challenges, budgets, breaker, emit)
    storages.connect()
    return State(
        settings=settings,
        moving=storages.moving,
        debug=app.debug,
        actors=actors,
        storages=storages,
        budgets=budgets,
        emit=emit,
        audit_hasher=audit_hasher,
        credentials=credentials,
        challenges=challenges,
        issuer=CodeIssuer(actors, asker),
        redeemer=CodeRedeemer(actors, guesser, live_codes, credentials),
        confirmations=Confirmations(own_purposes, asker, guesser),
        delivery=delivery,
        flow_cookies=FlowCookies(keys),
        page_parts=registered.page_parts.checked(actors),
        fixed_codes=fixed_codes,
        breaker=breaker,
        own_purposes=own_purposes,
        notes=notes,
        support=Support(actors, own_purposes, lanes, live_codes, budgets, emit),
        address_notice=AddressNotice(notes.leave),
        checks=registered.checks,
        rebuild=partial(_rebuild, app, registered),
    )


def _settings(app: Flask) -> Settings:
    try:
        return Settings.load(app.config, token_issuer=app.name, site_name=app.name)
    except ConfigError as error:
        raise ConfigError(*error.faults, *_uri_faults(app)) from None


def _executor_of(registered: Registered) -> Executor | None:
    """Return the app's own executor, if it has one.

    :raises ConfigError: if it takes no jobs.
    """
    executor = registered.executor
    if executor is None:
        return None
    submit = getattr(executor, "submit", None)
    if not callable(submit):
        raise ConfigError(f"executor= must have submit(); {type(executor).__name__} has none")
    if isinstance(executor, type) or is_async(submit):
        raise ConfigError("executor= must be an object, not a class, and its submit() not async")
    return executor


def _uri_faults(app: Flask) -> list[str]:
    """Return what is wrong with the URIs of storages, beyond what their settings' check tells."""
    faults: list[str] = []
    for name in (f"{PREFIX}STORAGE_URI", f"{PREFIX}SIGN_INS_URI"):
        with suppress(ValueError), collecting(faults):
            backend_for(storage_uri(app.config.get(name)), app.instance_path, name)
    return faults


def _rebuild(
    app: Flask,
    registered: Registered,
    *,
    storages: Storages | None = None,
    strategy: Callable[[], RateLimiter] | None = None,
    uniform: Collection[str] = (),
    **others: Any,
) -> State:
    """Put an app's parts together once more, with others in place of some; for tests.

    :param others: what stands in place of what was registered, by its name in :class:`Registered`.
    """
    changed = replace(registered, **others)
    return build_state(app, changed, storages=storages, strategy=strategy, uniform=uniform)


def _credentials(
    settings: Settings,
    storages: Storages,
    keys: Keys,
    actors: ActorRegistry,
    budgets: Budgets,
    emit: Audit,
    registered: Registered,
) -> Credentials:
    sign_ins, rights = SignIns(storages.sign_ins, keys), RegistrationRights(storages.codes, keys)
    issuer, own_claims = _token_issuer(settings, keys), registered.own_claims
    return Credentials(actors, issuer, sign_ins, rights, emit, own_claims, budgets)


def _uniform(specs: Mapping[str, S], names: Collection[str]) -> Mapping[str, S]:
    if not names:
        return specs  # the very mapping, which may grow
    return {name: replace(spec, overrides=_left(spec, names)) for name, spec in specs.items()}


def _left(spec: ActorTypeSpec | OwnPurposeSpec, names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in spec.overrides.items() if name not in names}


def _registries(
    app: Flask,
    settings: Settings,
    moving: bool,
    registered: Registered,
    uniform: Collection[str],
) -> tuple[ActorRegistry, OwnPurposeRegistry]:
    """Return actor types and purposes as the app's settings have them.

    :raises ConfigError: with every contradiction, among the app's settings or with them.
    """
    faults = settings.type_faults(moving)
    if faults:  # each type and each purpose would repeat them
        raise ConfigError(*faults)

    def special_use() -> bool:
        return app.debug or app.testing

    actor_types = _uniform(registered.actor_types, uniform)
    purposes = _uniform(registered.purposes, uniform)
    with collecting(faults):
        actors = ActorRegistry(actor_types, settings, special_use=special_use, moving=moving)
    with collecting(faults):
        own_purposes = OwnPurposeRegistry(
            purposes, settings, special_use=special_use, moving=moving
        )
    if faults:
        raise ConfigError(*faults)
    return actors, own_purposes


def check_prefix(app: Flask, prefix: str) -> None:
    """Look whether routes can be mounted there.

    :raises ConfigError: if it has a converter that is not known, or a part of a name of ours.
    """
    names = "<actor_type>/<sign_in_id>/<token>/<path:filename>"
    try:
        Map([Rule(f"{prefix}/{names}", endpoint="any")], converters=app.url_map.converters)
    except AttributeError:
        return  # a converter that asks the app's own map for more: adding the routes will tell
    except (LookupError, SyntaxError, ValueError) as error:
        raise ConfigError(f"OTP_AUTH_URL_PREFIX can't be the path of routes: {error}") from None


def _token_issuer(settings: Settings, keys: Keys) -> TokenIssuer:
    return TokenIssuer(
        settings.token_keys or symmetric_keys(keys.tokens),
        settings.token_algorithm,
        settings.token_issuer,
        settings.token_leeway,
    )
