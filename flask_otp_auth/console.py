"""Codes on the terminal, for development."""

import sys
from typing import Any

import click
from flask import Flask

from . import signals
from .errors import ConfigError
from .messages import email, sms
from .web.state import app_itself


def print_codes(app: Flask) -> None:
    """Print each message that the app would send: e-mails, and SMS to phone numbers.

    :raises ConfigError: where codes would end in a log: if neither ``app.debug`` nor
        ``app.testing`` is true, and the output is no terminal. With ``app.run(debug=True)``, which
        comes later, set ``app.debug`` before. Each message is refused there, too.
    """
    app = app_itself(app)
    _refuse_in_production(app)
    signals.otp_generated.connect(_print, app)
    signals.pre_register_otp_generated.connect(_print, app)
    signals.confirmation_otp_generated.connect(_print, app)
    signals.otp_suppressed.connect(_print_notice, app)
    signals.actor_authenticated.connect(_print_notice, app)


def _print(sender: Flask, **signal: Any) -> None:
    _refuse_in_production(sender)
    identifier = signal["identifier"]
    if "@" not in identifier:
        _show(identifier, sms(sender, **signal))
        return
    message = email(sender, **signal)
    if message is not None:
        _show(identifier, f"{message.subject}\n\n{message.text}")


def _print_notice(sender: Flask, **signal: Any) -> None:
    if "@" in (signal["identifier"] or ""):  # notices have no SMS
        _print(sender, **signal)


def _show(identifier: str, text: str) -> None:
    click.echo(f"\nTo {identifier}: {text.rstrip()}\n")


def _refuse_in_production(app: Flask) -> None:
    if app.debug or app.testing or sys.stdout.isatty():
        return
    raise ConfigError(
        "print_codes() is for development, and here the codes would end in a log: use "
        "mail_codes(), or run the app in a terminal or with --debug"
    )
