"""``flask otp``: what an operator asks for on the command line, one file per group of commands."""

from importlib import import_module

import click
from flask.cli import AppGroup

#: Where each command is: its module, and its name there.
_COMMANDS = {
    "check": ("check", "check"),
    "send": ("codes", "send"),
    "verify": ("codes", "verify"),
    "inspect": ("support", "inspect"),
    "unlock": ("support", "unlock"),
    "sign-ins": ("sign_ins", "sign_ins"),
    "revoke": ("sign_ins", "revoke"),
    "policy": ("policy", "print_policy"),
    "audit-id": ("audit", "audit_id"),
    "test-identity": ("test_identity", "test_identity"),
    "openapi": ("openapi", "print_openapi"),
}


class _Group(AppGroup):
    """Imports a command when it is asked for: a server has no use for any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        found: click.Command = getattr(import_module(f".{module}", __name__), name)
        return found


otp: AppGroup = _Group("otp", help="One-time codes: look, send, mend.")
