"""``flask otp inspect`` and ``unlock``: why somebody gets no code, or a long one."""

import click

from ..flows.support import Overview
from ..web.state import State
from .access import with_storage
from .commands import (
    actor_type_argument,
    as_json,
    command,
    identifier_argument,
    in_words,
    known,
    print_json,
    print_table,
    print_text,
    printable,
    without_asking,
)

_ATTACKS = {
    "sends": "too many codes were asked for",
    "guesses": "too many codes were guessed at",
    "breaker": "guesses fail all over the actor type",
}


@command("inspect", "customer ada@example.com")
@actor_type_argument
@identifier_argument
@as_json
@with_storage(looks=True)
def inspect(state: State, actor_type: str, identifier: str, as_json: bool) -> None:
    """Show what is pending: codes, windows, budgets. Never a code.

    Nothing is changed, and nothing is counted.
    """
    known(state, actor_type, identifier)
    found = state.support.inspect(actor_type, identifier)
    if as_json:
        print_json(found)
    else:
        _print(found)


def _print(found: Overview) -> None:
    print_text(f"{found.actor_type} {found.identifier}")
    click.echo()
    if found.attacked:
        click.echo("Counts as attacked, so new codes are long:")
        rows = [
            (each.purpose, _ATTACKS[each.by], in_words(each.seconds_left)) for each in found.attacks
        ]
        print_table(("purpose", "why", "for"), rows, "  ")
    else:
        click.echo("Doesn't count as attacked: new codes are short.")
    _print_codes(found)
    click.echo("\nBudgets:")
    budgets = [
        (
            each.what,
            each.purpose or "all",
            f"{each.left} of {each.limit}",
            "now" if each.left else f"in {in_words(each.seconds_until_room)}",
        )
        for each in found.budgets
    ]
    print_table(("what", "purpose", "left", "room"), budgets, "  ")


def _print_codes(found: Overview) -> None:
    click.echo("\nCodes that are good now:" if found.codes else "\nNo code is good now.")
    codes = [(each.purpose, _kind(each.long), in_words(each.seconds_left)) for each in found.codes]
    if codes:
        print_table(("purpose", "kind", "for"), codes, "  ")
    click.echo("\nThe next code is due:" if found.windows else "\nThe next code is due at once.")
    windows = [
        (each.purpose, _kind(each.long), f"in {in_words(each.seconds_left)}")
        for each in found.windows
    ]
    if windows:
        print_table(("purpose", "kind", "when"), windows, "  ")


def _kind(long: bool) -> str:
    return "long" if long else "short"


@command("unlock", "-y customer ada@example.com")
@actor_type_argument
@identifier_argument
@click.option(
    "--all-purposes", is_flag=True, help="Those of the purposes of the app's own as well."
)
@without_asking
@with_storage()
def unlock(state: State, actor_type: str, identifier: str, all_purposes: bool, yes: bool) -> None:
    """Give an identifier all its budgets and windows back.

    Its next code is due at once, and a short one unless guesses fail all over the actor type. Codes
    that were sent stay good. A guesser gets new guesses, too.
    """
    _, canonical = known(state, actor_type, identifier)
    if not yes:
        click.confirm(
            f"Give {actor_type} {printable(canonical)} all guesses and sends back?", abort=True
        )
    number = state.support.unlock(actor_type, canonical, own_purposes=all_purposes)
    print_text(f"{number} budgets are full again, and the next code is due at once.")
