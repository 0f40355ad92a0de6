"""Where deliveries run: in the background, or in the request where nothing else would work."""

import logging
import os
import sys
from collections.abc import Callable

from flask import Flask

logger: logging.Logger = logging.getLogger("flask_otp_auth")

#: Environment variables of hosts that freeze a process, or end it, after its answer.
_FREEZING_HOSTS = {
    "AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda",
    "LAMBDA_TASK_ROOT": "AWS Lambda",
    "K_SERVICE": "Cloud Run",
    "K_REVISION": "Cloud Run",
    "CLOUD_RUN_JOB": "Cloud Run",
    "FUNCTION_TARGET": "Google Cloud Functions",
    "FUNCTIONS_WORKER_RUNTIME": "Azure Functions",
    "VERCEL": "Vercel",
    "NETLIFY": "Netlify",
}

_WARNING = (
    "%s, so codes are delivered in the request, and the time of an answer tells who has an "
    "account; %s"
)


def inline_policy(app: Flask, delivery: str, *, has_executor: bool) -> Callable[[], bool]:
    """Return what tells, at each delivery, whether it runs in the request.

    Logs a warning where it must and nobody asked for it.

    :param delivery: ``background`` or ``inline``, as in the settings.
    :param has_executor: whether an executor of the app's own takes the jobs.
    """
    if delivery == "inline":
        return lambda: True
    is_explicit = "OTP_AUTH_DELIVERY" in app.config
    if not has_executor and _is_impossible(app, is_explicit=is_explicit):
        return lambda: True
    return (lambda: False) if is_explicit else (lambda: app.testing)


def _is_impossible(app: Flask, *, is_explicit: bool) -> bool:
    obstacle = _missing_threads() or (None if is_explicit else _freezing_host())
    if obstacle is None:
        return False
    if not app.testing:
        logger.warning(_WARNING, *obstacle)
    return True


def _missing_threads() -> tuple[str, str] | None:
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None or uwsgi.opt.get("enable-threads") or uwsgi.opt.get("threads"):
        return None
    return "uWSGI runs without threads", "start it with --enable-threads"


def _freezing_host() -> tuple[str, str] | None:
    for variable, host in _FREEZING_HOSTS.items():
        if os.environ.get(variable):
            return (
                f"{variable} is set, and {host} may freeze the process after the answer",
                "pass an executor= of your own, or set OTP_AUTH_DELIVERY to 'background' if it "
                "doesn't and to 'inline' if that is all right",
            )
    return None
