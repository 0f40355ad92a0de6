"""What ``check`` sees in the settings alone."""

from collections.abc import Iterator
from operator import attrgetter

from flask import current_app

from ..core import policy
from ..core.crypto import is_expired
from ..core.secret_keys import ADVICE, published, secrets_of, short
from ..core.settings import PREFIX, Settings
from ..web.checks import Finding
from ..web.state import State

#: Issuers that many apps have, in lower case.
_GENERIC = frozenset(
    {"", "app", "__main__", "main", "wsgi", "application", "flask", "server", "web", "run", "api",
     "website", "site", "src", "example", "test", "localhost", "http://localhost"}
)  # fmt: skip


#: Seconds after which a test identity is old.
OLD = 30 * 86_400


def setting_findings(state: State) -> Iterator[Finding]:
    """Look at the app's configuration."""
    yield from _secrets()
    yield from _cookies(state)
    yield from _issuer(state.settings)
    yield from _site(state)
    yield from _delivery(state.settings)
    yield from _test_identities(state.settings)
    for whose, settings in _each(state, "always_return_success"):
        yield from _plain_answers(whose, settings)
    for whose, settings in _each(state, "verify_limits", "digits", "max_guess_chance"):
        yield from _guess_chance(whose, settings, moving=state.moving)


def _each(state: State, *names: str) -> list[tuple[str, Settings]]:
    """Return the app's settings, and those of actor types and purposes that differ in some.

    The app's own are left out where each of these has others.
    """
    types = [(f"actor type {name}", state.actors.get(name).settings) for name in state.actors.names]
    own = [(f"purpose {name}", state.own_purposes.get(name).settings)
           for name in state.own_purposes.names]  # fmt: skip
    wanted = attrgetter(*names)
    everybody = [*types, *own]
    differ = [each for each in everybody if wanted(each[1]) != wanted(state.settings)]
    if everybody and len(differ) == len(everybody):
        return differ
    return [("the app", state.settings), *differ]


def _secrets() -> Iterator[Finding]:
    *older, newest = secrets_of(current_app.config)
    for name, secret in (
        *(("a key of SECRET_KEY_FALLBACKS", each) for each in older),
        ("SECRET_KEY", newest),
    ):
        if (reason := short(secret)) is not None:
            yield Finding("secret-weak", "error", f"{name} {reason}", ADVICE)
        if published(secret):
            problem = f"{name} stands in a document or an example, where everybody can read it"
            yield Finding("secret-default", "error", problem, ADVICE)


def _cookies(state: State) -> Iterator[Finding]:
    config = current_app.config
    if not (config["SESSION_COOKIE_SECURE"] or state.debug):
        yield Finding(
            "cookie-insecure",
            "warning",
            "the session cookie is sent without TLS as well, where anybody on the way can read it",
            "set SESSION_COOKIE_SECURE = True",
        )
    if str(config["SESSION_COOKIE_SAMESITE"] or "").lower() == "none":
        yield Finding(
            "cookie-none",
            "warning",
            "the session cookie comes with requests from foreign sites (SameSite=None), which "
            "protects nothing from CSRF",
            "set SESSION_COOKIE_SAMESITE = 'Lax', unless pages of other sites embed yours",
        )


def _issuer(settings: Settings) -> Iterator[Finding]:
    is_default = f"{PREFIX}TOKEN_ISSUER" not in current_app.config
    if is_default or settings.token_issuer.strip().lower() in _GENERIC:
        how = "not set, so that tokens are issued by" if is_default else "one that many apps have:"
        yield Finding(
            "issuer-generic",
            "warning",
            f"OTP_AUTH_TOKEN_ISSUER is {how} {settings.token_issuer!r}: an app of the same issuer "
            "and SECRET_KEY takes these tokens",
            "set it to a name that no other app has, such as https://shop.example",
        )


def _site(state: State) -> Iterator[Finding]:
    has_pages = any(state.actors.get(name).settings.pages for name in state.actors.names)
    if has_pages and state.settings.site_url is None:
        yield Finding(
            "pages-no-site-url",
            "info",
            "OTP_AUTH_SITE_URL is not set, so messages can't say where the site is",
            "set it to the site's address, such as https://shop.example",
        )


def _delivery(settings: Settings) -> Iterator[Finding]:
    if settings.delivery == "inline" and not current_app.testing:
        yield Finding(
            "handler-inline",
            "warning",
            "OTP_AUTH_DELIVERY is inline, so the time of an answer tells who has an account",
            "leave it out, or pass an executor= of your own where no thread can run",
        )


def _test_identities(settings: Settings) -> Iterator[Finding]:
    for number, line in enumerate(settings.test_identities, 1):
        what = f"number {number} of OTP_AUTH_TEST_IDENTITIES"
        if line.has_ended:
            problem = f"{what} has ended, so that its identifier is an ordinary one"
            yield Finding("test-identity-expired", "error", problem, "remove it, or make a new one")
        elif is_expired(line.begin.timestamp() + OLD):
            problem = f"{what} is over 30 days old: whoever has its code signs in until it ends"
            yield Finding(
                "test-identity-old", "warning", problem, "remove it once it is not needed"
            )


def _plain_answers(whose: str, settings: Settings) -> Iterator[Finding]:
    if not settings.always_return_success:
        yield Finding(
            "identifier-enumerable",
            "warning",
            f"OTP_AUTH_ALWAYS_RETURN_SUCCESS of {whose} is off, so anybody can find out who has an "
            "account",
            "leave it out, unless only people whom you know can reach these routes",
        )


def _guess_chance(whose: str, settings: Settings, *, moving: bool) -> Iterator[Finding]:
    guesses = policy.guesses_per_day(settings.verify_limits, moving)
    chance = policy.chance(guesses, settings.digits)
    if 2 * chance > settings.max_guess_chance:
        yield Finding(
            "guess-chance",
            "warning",
            f"a guesser's chance per identifier and day is {chance:.1e} for {whose}, near "
            f"OTP_AUTH_MAX_GUESS_CHANCE ({settings.max_guess_chance:.1e})",
            "lower OTP_AUTH_VERIFY_LIMITS, or raise OTP_AUTH_DIGITS",
        )
