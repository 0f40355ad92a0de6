"""``flask otp policy``: a guesser's chances."""

import click
from flask.cli import with_appcontext

from ..core.policy import SPRAYED, figures, guesses_per_day
from ..core.settings import Settings
from ..web.state import current_state


@click.command("policy")
@with_appcontext
def print_policy() -> None:
    """Print a guesser's chances under the settings in force."""
    state = current_state()
    rows = [("all defaults", state.settings)]
    rows += [(name, state.actors.get(name).settings) for name in state.actors.names]
    for name, settings in rows:
        guesses = guesses_per_day(settings.verify_limits, state.moving)
        click.echo(f"{name}: {settings.digits} digits, {guesses} guesses per day")
        for what, chance in _chances(settings, moving=state.moving):
            click.echo(f"  {what:<58} {chance:.1e}")
    click.echo(f"refused at the start: more than {state.settings.max_guess_chance:.1e} per day")


def _chances(settings: Settings, *, moving: bool) -> list[tuple[str, float]]:
    found = figures(settings.digits, settings.verify_limits, settings.global_failure_limit, moving)
    spray = f"any of {SPRAYED:,} identifiers, below the breaker"
    return [
        ("chance of one guess at the two newest codes", found.per_guess),
        ("per identifier and day", found.per_day),
        ("per identifier and year", found.per_year),
        (f"{spray}, per day", found.spray_per_day),
        (f"{spray}, per year", found.spray_per_year),
    ]
