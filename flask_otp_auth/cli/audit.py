"""``flask otp audit-id``: the way into the audit log."""

import click
from flask.cli import with_appcontext

from ..core.audit import audit_ids
from ..errors import InvalidIdentifier, NotFound
from ..web.state import State, current_state


@click.command("audit-id")
@click.argument("actor_type")
@click.argument("identifier")
@with_appcontext
def audit_id(actor_type: str, identifier: str) -> None:
    """Print how the audit log names IDENTIFIER, under each key, the newest first."""
    for name in _names_of(current_state(), actor_type, identifier):
        click.echo(name)


def _names_of(state: State, actor_type: str, identifier: str) -> list[str]:
    try:
        found = state.actors.get(actor_type)
        return audit_ids(state.audit_hasher, found.name, found.canonical(identifier))
    except NotFound:
        raise click.BadParameter(f"no actor type {actor_type!r}") from None
    except InvalidIdentifier as error:
        raise click.BadParameter(error.message) from None
