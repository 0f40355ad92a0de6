"""``flask otp policy``: a guesser's chances."""

from typing import Any

import click
from flask.cli import with_appcontext

from ..core.policy import SPRAYED, figures, guesses_per_day
from ..core.settings import Settings
from ..web.state import State, current_state
from .commands import as_json, command, print_json


@command("policy")
@as_json
@with_appcontext
def print_policy(as_json: bool) -> None:
    """Print a guesser's chances under the settings in force."""
    state = current_state()
    rows = [_row(name, settings, moving=state.moving) for name, settings in _settings(state)]
    highest = state.settings.max_guess_chance
    if as_json:
        print_json({"max_guess_chance": highest, "actor_types": rows})
        return
    for row in rows:
        name = row["actor_type"] or "all defaults"
        click.echo(f"{name}: {row['digits']} digits, {row['guesses_per_day']} guesses per day")
        for field, what in _WHAT.items():
            click.echo(f"  {what:<58} {row[field]:.1e}")
    click.echo(f"refused at the start: more than {highest:.1e} per day")


_SPRAY = f"any of {SPRAYED:,} identifiers, below the breaker"
_WHAT = {
    "per_guess": "chance of one guess at the two newest codes",
    "per_day": "per identifier and day",
    "per_year": "per identifier and year",
    "spray_per_day": f"{_SPRAY}, per day",
    "spray_per_year": f"{_SPRAY}, per year",
}


def _settings(state: State) -> list[tuple[str | None, Settings]]:
    of_types = [(name, state.actors.get(name).settings) for name in state.actors.names]
    return [(None, state.settings), *of_types]


def _row(name: str | None, settings: Settings, *, moving: bool) -> dict[str, Any]:
    found = figures(settings.digits, settings.verify_limits, settings.global_failure_limit, moving)
    return {
        "actor_type": name,
        "digits": settings.digits,
        "guesses_per_day": guesses_per_day(settings.verify_limits, moving),
        **found._asdict(),
    }
