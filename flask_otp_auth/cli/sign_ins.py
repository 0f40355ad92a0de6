"""``flask otp sign-ins`` and ``revoke``: who is signed in where, and the end of that."""

from typing import Any

import click

from ..tokens.sign_ins import SignIn
from ..web.state import State
from .access import with_storage
from .commands import (
    Parameter,
    actor_type_argument,
    as_json,
    command,
    known_type,
    print_json,
    print_table,
    printable,
    without_asking,
)


def _given(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if value in ("", "None"):  # as of a variable that a script forgot to set
        raise click.UsageError("ACTOR_ID is empty.")
    return value


actor_id_argument: Parameter[Any] = click.argument("actor_id", metavar="ACTOR_ID", callback=_given)


@command("sign-ins", "customer 1")
@actor_type_argument
@actor_id_argument
@as_json
@with_storage(looks=True)
def sign_ins(state: State, actor_type: str, actor_id: str, as_json: bool) -> None:
    """List an actor's sign-ins, the newest first."""
    known_type(state, actor_type)
    found = state.credentials.sign_ins(actor_type, actor_id)
    if as_json:
        names = ("id", "browser", "platform", "since")
        print_json([{name: getattr(each, name) for name in names} for each in found])
    elif found:
        rows = [(each.id, f"{each.since:%Y-%m-%d %H:%M}", _device(each)) for each in found]
        print_table(("id", "since (UTC)", "device"), rows)
    else:
        click.echo("No sign-in is live.")


def _device(sign_in: SignIn) -> str:
    return ", ".join(filter(None, (sign_in.browser, sign_in.platform))) or "unknown"


@command("revoke", "-y customer 1")
@actor_type_argument
@actor_id_argument
@click.argument("sign_in", metavar="[SIGN_IN]", required=False)
@without_asking
@with_storage()
def revoke(state: State, actor_type: str, actor_id: str, sign_in: str | None, yes: bool) -> None:
    """End one sign-in of an actor, or all of them: every token and session of it.

    Exit code 1 if SIGN_IN is not live.
    """
    known_type(state, actor_type)
    live = [each.id for each in state.credentials.sign_ins(actor_type, actor_id)]
    if sign_in is not None and sign_in not in live:
        raise click.ClickException("This sign-in is not live; sign-ins lists those that are.")
    if not yes:
        what = "all sign-ins" if sign_in is None else "this sign-in"
        click.confirm(f"End {what} of {actor_type} {printable(actor_id)}?", abort=True)
    if sign_in is None:
        state.credentials.revoke_all(actor_type, actor_id)
        click.echo(f"Ended: {len(live)}.")
    elif state.credentials.end_sign_in(actor_type, actor_id, sign_in):
        click.echo("Ended: 1.")
    else:
        raise click.ClickException("This sign-in has just ended by itself.")
