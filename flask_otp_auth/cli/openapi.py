"""``flask otp openapi``: the document of the API, for generators of clients."""

import json

import click
from flask import current_app
from flask.cli import with_appcontext

from ..web.state import current_state
from .commands import command


@command("openapi")
@with_appcontext
def print_openapi() -> None:
    """Print the OpenAPI document of the routes, as JSON."""
    from ..openapi.document import Document  # here: the other commands have no use for it

    document = Document(current_app, current_state()).whole()
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
