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
    "GAE_ENV": "App Engine",
    "FUNCTIONS_WORKER_RUNTIME": "Azure Functions",
    "TENCENTCLOUD_RUNENV": "Tencent SCF",
    "FC_FUNCTION_NAME": "Alibaba Function Compute",
    "FN_FN_ID": "Oracle Functions",
    "__OW_API_HOST": "OpenWhisk",
    "VERCEL": "Vercel",
    "NETLIFY": "Netlify",
}

#: Takes the kind of a note and its text; see :class:`flask_otp_auth.core.notes.Notes`.
LeaveNote = Callable[[str, str], None]

_WARNING = (
    "{}, so codes are delivered in the request, and the time of an answer tells who has an "
    "account; {}"
)


def inline_policy(
    app: Flask, delivery: str, *, has_executor: bool, leave_note: LeaveNote = lambda *_: None
) -> Callable[[], bool]:
    """Return what tells, at each delivery, whether it runs in the request.

    Where it must and nobody asked for it, logs a warning, and leaves a note at each delivery.

    :param delivery: ``background`` or ``inline``, as in the settings.
    :param has_executor: whether an executor of the app's own takes the jobs.
    """
    if delivery == "inline":
        return lambda: True
    is_explicit = "OTP_AUTH_DELIVERY" in app.config
    obstacle = None if has_executor else _obstacle(is_explicit=is_explicit)
    if obstacle is None:
        return (lambda: False) if is_explicit else (lambda: app.testing)

    def must_be_inline() -> bool:
        # Here, as nothing is stored before the first use.
        leave_note("no-threads", obstacle)
        return True

    if app.testing:
        return lambda: True
    logger.warning("%s", obstacle)
    return must_be_inline


def _obstacle(*, is_explicit: bool) -> str | None:
    obstacle = _missing_threads() or (None if is_explicit else _freezing_host())
    return None if obstacle is None else _WARNING.format(*obstacle)


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
