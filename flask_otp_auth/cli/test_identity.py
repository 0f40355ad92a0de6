"""``flask otp test-identity``: a code that stays the same, for an app store's reviewer."""

import click
from flask.cli import with_appcontext

from ..core.test_identities import MOST_DAYS
from ..web.state import current_state
from .commands import actor_type_argument, command, identifier_argument, known


@command("test-identity", "customer review@shop.example --days 30")
@actor_type_argument
@identifier_argument
@click.option(
    "--days", type=click.IntRange(1, MOST_DAYS), required=True, help="How long it is good for."
)
@with_appcontext
def test_identity(actor_type: str, identifier: str, days: int) -> None:
    """Print a line for OTP_AUTH_TEST_IDENTITIES, and the code of IDENTIFIER.

    No message is sent to it then, and the code is good any number of times until the end. Run it
    with the SECRET_KEY of the app that is to take the line.
    """
    state = current_state()
    found, canonical = known(state, actor_type, identifier)
    line, code = state.fixed_codes.new(found.name, canonical, days)
    click.echo("The line, for the list in OTP_AUTH_TEST_IDENTITIES:")
    click.echo(str(line))
    click.echo("The code, which is shown this once:")
    click.echo(code)
