"""What ``flask otp check`` can find, and the checks of an app's own."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from ..core.store_checks import is_async
from ..errors import ConfigError
from ..storage.findings import Finding as Finding
from ..storage.findings import Level

#: Takes the app; returns what is wrong and how to mend it, or ``None``.
Check = Callable[[Any], str | None]

#: Each finding of ours: its level, or its levels, and when it is found.
FINDINGS: Mapping[str, tuple[str, str]] = {
    "secret-weak": ("error", "a secret key is short or of few different bytes; in debug and "
                    "testing alone, as the app doesn't start elsewhere"),
    "secret-default": ("error", "a secret key stands in a document or an example; in debug and "
                       "testing alone, as the app doesn't start elsewhere"),
    "storage-unreachable": ("error", "the storage, or that of the limits, doesn't answer"),
    "storage-not-shared": ("error", "`memory://`, for codes or for sign-ins, outside of debug and "
                           "testing, unless `WEB_CONCURRENCY` is 1"),
    "storage-network-file": ("error", "SQLite on a network file system"),
    "storage-evicts": ("warning", "Redis with a policy other than `noeviction`, or Memcached"),
    "storage-not-durable": ("warning", "Redis without an append-only file"),
    "redis-rights": ("error, warning", "the Redis user lacks a command; a warning where that is "
                     "`INFO` alone"),
    "limits-elsewhere": ("error", "limits are counted in the memory of each process, codes are "
                         "kept elsewhere"),
    "no-handler": ("error", "no handler delivers the codes of an actor type or of a purpose"),
    "handler-inline": ("warning", "`OTP_AUTH_DELIVERY` is `inline` outside of testing"),
    "cookie-insecure": ("warning", "`SESSION_COOKIE_SECURE` is off outside of debug"),
    "cookie-none": ("warning", "`SESSION_COOKIE_SAMESITE` is `None`, as a text"),
    "pages-no-site-url": ("info", "pages without `OTP_AUTH_SITE_URL`"),
    "links-no-site-url": ("error", "links without `OTP_AUTH_SITE_URL`; the app doesn't start"),
    "issuer-generic": ("warning", "`OTP_AUTH_TOKEN_ISSUER` is not set, or is a name that many apps "
                       "have"),
    "identifier-enumerable": ("warning", "`OTP_AUTH_ALWAYS_RETURN_SUCCESS` is off"),
    "identifiers-not-canonical": ("warning", "rows of a `SQLAlchemyActorStore` whose identifiers "
                                  "are not canonical: how many, never which"),
    "test-identity-old": ("warning", "a test identity is over 30 days old"),
    "test-identity-expired": ("error", "a test identity has ended"),
    "guess-chance": ("warning", "a guesser's chance is more than half of "
                     "`OTP_AUTH_MAX_GUESS_CHANCE`"),
    "proxy-not-trusted": ("error", "a serving process has seen requests of a proxy that the app "
                          "doesn't trust, or without an address"),
    "no-threads": ("warning", "a serving process has no threads, or its host freezes it, so codes "
                   "are delivered in the request"),
    "handler-hangs": ("warning", "deliveries of a serving process had to wait, as handlers hung"),
}  # fmt: skip

#: The findings that a serving process leaves as notes: level, and how to mend them.
NOTED: Mapping[str, tuple[Level, str]] = {
    "proxy-not-trusted": ("error", "let ProxyFix trust exactly the proxies that you run"),
    "no-threads": ("warning", "start the server with threads, or pass an executor= of your own"),
    "handler-hangs": ("warning", "give what sends mail or SMS a time-out of a few seconds"),
}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


@dataclass(frozen=True, repr=False, eq=False)
class OwnCheck:
    """A check of an app's own."""

    name: str
    function: Check
    level: Level

    @classmethod
    def build(cls, name: str, function: Check, level: Level) -> "OwnCheck":
        """Check and make it.

        :raises ConfigError: if anything about it can't work.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(f"a check is named by 1 to 64 letters, digits and -, not {name!r}")
        if name in FINDINGS:
            raise ConfigError(f"{name!r} is a check of flask-otp-auth; give yours another name")
        if level not in get_args(Level):
            raise ConfigError(f"level= must be one of {', '.join(get_args(Level))}, not {level!r}")
        if is_async(function):
            raise ConfigError(f"the check {name!r} must be a plain function, not async def")
        return cls(name, function, level)

    def run(self, app: Any) -> Finding | None:
        """Return what it finds. One that raises is a finding itself, and hides no other."""
        try:
            problem = self.function(app)
        except Exception as error:  # noqa: BLE001 - whatever the app's function raises
            text = f"the check raised {type(error).__name__}: {error}"
            return Finding(self.name, "error", text, "mend the function of this check")
        return Finding(self.name, self.level, str(problem), "") if problem else None


def registering(checks: dict[str, OwnCheck], name: str, level: Level) -> Callable[[Check], Check]:
    """Return a decorator that registers a check.

    :raises ConfigError: if it is used without a name: such a check would never run.
    """
    if callable(name):
        raise ConfigError('check() needs the name of what it finds: @otp_auth.check("mail")')

    def register(function: Check) -> Check:
        checks[name] = OwnCheck.build(name, function, level)
        return function

    return register
