"""``flask otp``: what an operator asks for on the command line."""

import click
from flask.cli import AppGroup

from . import policy as arithmetic
from .audit import audit_ids
from .config import Settings
from .errors import InvalidIdentifier, NotFound
from .state import State, current_state

#: Identifiers that the spray in the policy's table goes over.
SPRAYED = 1_000_000

otp: AppGroup = AppGroup("otp", help="One-time codes: policy and audit.")


@otp.command()
def policy() -> None:
    """Print a guesser's chances under the settings in force."""
    state = current_state()
    rows = [("all defaults", state.settings)]
    rows += [(name, state.actors.get(name)[1]) for name in state.actors.names]
    for name, settings in rows:
        click.echo(f"{name}: {settings.digits} digits, {settings.max_attempts} guesses per code")
        for what, chance in _chances(settings):
            click.echo(f"  {what:<58} {chance:.1e}")
    click.echo(f"refused at the start: more than {state.settings.max_guess_chance:.1e} per day")


def _chances(settings: Settings) -> list[tuple[str, float]]:
    digits = settings.digits
    guesses = arithmetic.guesses_per_day(settings.verify_limits)
    failures = arithmetic.guesses_per_day(settings.global_failure_limit)
    per_day = arithmetic.chance(guesses, digits)
    spray = arithmetic.chance(1, digits)
    return [
        ("chance of a guess, per code", arithmetic.chance(settings.max_attempts, digits)),
        ("per identifier and day", per_day),
        ("per identifier and year", arithmetic.chance_of_any(per_day, 365)),
        (
            f"any of {SPRAYED:,} identifiers and day, by budgets alone",
            arithmetic.chance_of_any(per_day, SPRAYED),
        ),
        (
            f"any of {SPRAYED:,} identifiers and day, with the breaker",
            arithmetic.chance_of_any(spray, min(failures, SPRAYED * guesses)),
        ),
    ]


@otp.command("audit-id")
@click.argument("actor_type")
@click.argument("identifier")
def audit_id(actor_type: str, identifier: str) -> None:
    """Print how the audit log names IDENTIFIER, under each key, the newest first."""
    state = current_state()
    for name in _names_of(state, actor_type, identifier):
        click.echo(name)


def _names_of(state: State, actor_type: str, identifier: str) -> list[str]:
    try:
        kind, _ = state.actors.get(actor_type)
        return audit_ids(state.audit_names, kind.name, kind.canonical(identifier))
    except NotFound:
        raise click.BadParameter(f"no actor type {actor_type!r}") from None
    except InvalidIdentifier as error:
        raise click.BadParameter(error.message) from None
