"""``flask otp audit-id``: the way into the audit log."""

import click
from flask.cli import with_appcontext

from ..core.audit import audit_ids
from ..web.state import current_state
from .commands import (
    actor_type_argument,
    as_json,
    command,
    identifier_argument,
    known,
    print_json,
)


@command("audit-id", "customer ada@example.com")
@actor_type_argument
@identifier_argument
@as_json
@with_appcontext
def audit_id(actor_type: str, identifier: str, as_json: bool) -> None:
    """Print how the audit log names IDENTIFIER, under each key, the newest first."""
    state = current_state()
    found, canonical = known(state, actor_type, identifier)
    names = audit_ids(state.audit_hasher, found.name, canonical)
    if as_json:
        print_json(names)
    else:
        click.echo("\n".join(names))
