"""SMS: the code first, in one segment."""

from collections.abc import Iterator
from typing import Any

from flask import Flask

from . import facts
from .kinds import template_of
from .rendering import render, written_for
from .segments import fits
from .site import host_of, settings_of


def sms(app: Flask, /, **signal: Any) -> str:
    """Return the SMS for a code, in the language of whoever asked.

    It fits in one segment. Where it would not, the site's name loses up to half of its words, from
    the end, then goes; at last there is the code alone. Only what a code confirms is never cut: a
    message that shows more than a segment holds is longer. With ``SITE_URL`` the last line binds
    the code to the site (WICG, origin-bound one-time codes).

    :param app: the app that sent the signal.
    :param signal: the arguments of ``otp_generated``, ``pre_register_otp_generated`` or
        ``confirmation_otp_generated``, all of them.
    :raises TypeError: if they are of no signal that carries a code.
    :raises ConfigError: if the extension was not initialised with the app.
    """
    template = template_of(signal)
    if "otp" not in signal:
        raise TypeError("notices have no SMS: send one for signals that carry a code")
    otp, host = signal["otp"], host_of(app)
    values = {"code": otp, "fields": facts.fields(signal.get("binds"))}
    bound = f"\n@{host} #{otp}" if host else ""
    with written_for(app, signal.get("context")):
        texts = [
            render(app, f"{template}.sms.txt", {**values, **space}) + bound
            for space in _spaces(settings_of(app).site_name)
        ]
    return next(filter(fits, texts), texts[0])


def _spaces(site_name: str) -> Iterator[dict[str, Any]]:
    """Yield what a text has room for, the most first."""
    words = site_name.split()
    for number in (*range(len(words), (len(words) - 1) // 2, -1), 0):
        yield {"site_name": " ".join(words[:number]), "is_brief": False}
    yield {"site_name": "", "is_brief": True}
