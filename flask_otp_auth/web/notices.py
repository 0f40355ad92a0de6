"""What the log says of settings that are allowed and yet seldom meant."""

import logging
from collections.abc import Sequence

from flask import Flask
from flask.logging import has_level_handler

from ..core.settings import PREFIX, Settings
from ..core.test_identities import IdentityLine

logger: logging.Logger = logging.getLogger("flask_otp_auth")


def fall_back_on_handlers_of(app: Flask) -> None:
    """Let the app's log handlers take what this package logs, where nothing else would."""
    if not has_level_handler(logger):
        for handler in app.logger.handlers:
            logger.addHandler(handler)


def warn_of_settings(app: Flask, settings: Settings) -> None:
    """Warn of settings that only suit development; in debug, of settings that come too late."""
    if app.debug:
        _watch_changes(app)
    if settings.test_identities:
        _tell_of_test_identities(settings.test_identities)
    if app.debug or app.testing:
        return
    if settings.storage_uri.startswith("memory:"):
        logger.warning(
            "OTP_AUTH_STORAGE_URI is memory://: codes and limits are lost at a restart and "
            "are not shared with other workers"
        )
    if (settings.sign_ins_uri or "").startswith("memory:"):
        logger.warning(
            "OTP_AUTH_SIGN_INS_URI is memory://: people are signed out at a restart, and by each "
            "request that another worker answers"
        )
    if f"{PREFIX}TOKEN_ISSUER" not in app.config:
        logger.warning(
            "OTP_AUTH_TOKEN_ISSUER is not set, so tokens are issued by %r, the app's name: an app "
            "of the same name with the same SECRET_KEY would take them; set it to a name that no "
            "other app has, such as its address", settings.token_issuer,
        )  # fmt: skip


def _tell_of_test_identities(lines: Sequence[IdentityLine]) -> None:
    ended = sum(line.has_ended for line in lines)
    logger.warning(
        "OTP_AUTH_TEST_IDENTITIES lets %d identities sign in with a fixed code, and has %d that "
        "have ended; remove each as soon as its test is over", len(lines) - ended, ended
    )  # fmt: skip


def _watch_changes(app: Flask) -> None:
    """Say at the first request which settings were changed after ``init_app``, to no effect."""
    before = _given(app)

    @app.before_request
    def compare() -> None:
        nonlocal before
        after = _given(app)
        changed = sorted(name for name, _ in before.items() ^ after.items())
        before = after
        for name in dict.fromkeys(changed):
            logger.warning("%s was changed after init_app: this has no effect", name)


def _given(app: Flask) -> dict[str, str]:
    # As texts, as values may be lists; nothing of them is logged.
    return {name: repr(value) for name, value in app.config.items() if name.startswith(PREFIX)}
