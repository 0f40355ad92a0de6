"""E-mails: codes, confirmations and notices, as subject, text, HTML and headers."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from flask import Flask

from . import facts
from .kinds import template_of
from .rendering import render, written_for
from .site import host_of, page_url, settings_of
from .translation import direction, language

#: Of this process alone: what is made with it tells nothing of a code.
_KEY = secrets.token_bytes(32)

#: What would end a header's line, or hide in it.
_NOT_IN_A_LINE = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")

#: The page that a notice leads to.
_PAGES = {"already_registered": "sign-in", "unknown_actor": "sign-in", "new_device": "devices"}


@dataclass(frozen=True, repr=False)
class Email:
    """An e-mail without addresses; nothing prints it, as it holds a code.

    :ivar subject: in one line.
    :ivar text: the content as plain text.
    :ivar html: the same content as HTML.
    :ivar headers: headers beside those that every message has.
    """

    subject: str
    text: str
    html: str
    headers: Mapping[str, str]


def email(app: Flask, /, **signal: Any) -> Email | None:
    """Return the e-mail for what a signal says, in the language of whoever asked.

    :param app: the app that sent the signal.
    :param signal: the arguments of ``otp_generated``, ``pre_register_otp_generated``,
        ``confirmation_otp_generated``, ``otp_suppressed`` or ``actor_authenticated``, all of them.
    :returns: ``None`` where nobody is told: for reasons of ``otp_suppressed`` other than
        ``already_registered`` and ``unknown_actor``, and for a device that isn't new.
    :raises TypeError: if the arguments are of no signal that has a message.
    :raises ConfigError: if the extension was not initialised with the app.
    """
    template = template_of(signal)
    if template is None:
        return None
    with written_for(app, signal.get("context")):
        values = _values(app, template, signal)
        subject = _one_line(render(app, f"{template}.subject", values))
        text = re.sub(r"\n{3,}", "\n\n", render(app, f"{template}.txt", values)) + "\n"
        html = render(app, f"{template}.html", {**values, "subject": subject}) + "\n"
    return Email(subject, text, html, _headers(app, signal))


def _values(app: Flask, template: str, signal: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of a template."""
    context = signal.get("context")
    values: dict[str, Any] = {
        "site_name": settings_of(app).site_name,
        "language": language(),
        "direction": direction(),
        "device": facts.device(context),
        "time": facts.time(context),
    }
    if template in _PAGES:
        return {**values, "url": page_url(app, signal["actor_type"], _PAGES[template])}
    values |= {
        "code": facts.grouped(signal["otp"]),
        "code_in_subject": settings_of(app).code_in_subject,
        "lasts": facts.lasts(signal["expires_at"]),
    }
    if template == "code":
        return {**values, "is_new": "actor_id" not in signal, "link": signal.get("link")}
    return {**values, "purpose": signal["purpose"], "fields": facts.fields(signal["binds"])}


def _headers(app: Flask, signal: Mapping[str, Any]) -> dict[str, str]:
    # Mail programs hide a message under an older one of the same subject, unless it refers to
    # another thread. The same signal has the same one, for when it has to be sent again.
    digest = blake2b(repr(sorted(signal.items())).encode(), digest_size=16, key=_KEY)
    return {
        "Auto-Submitted": "auto-generated",  # RFC 3834, 5
        "X-Auto-Response-Suppress": "All",
        "References": f"<{digest.hexdigest()}@{host_of(app) or 'otp-auth.invalid'}>",
    }


def _one_line(text: str) -> str:
    return _NOT_IN_A_LINE.sub(" ", text).strip()
