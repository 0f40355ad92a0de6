"""``flask otp check``: what is wrong with the configuration and the deployment."""

import click

from ..web.checks import FINDINGS, Finding
from ..web.state import State
from .access import with_storage
from .app_findings import app_findings, own_findings
from .commands import as_json, command, print_json, print_text
from .setting_findings import setting_findings
from .storage_findings import storage_findings

_COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}


@command("check", "--silence guess-chance")
@as_json
@click.option("--silence", metavar="ID", multiple=True, help="Leave a finding out; repeatable.")
@with_storage(looks=True)
def check(state: State, as_json: bool, silence: tuple[str, ...]) -> None:
    """Look at configuration and deployment, and say what to mend.

    Exit code 1 if there is an error.
    """
    _refuse_unknown(state, silence)
    found = [each for each in _look(state) if each.id not in silence]
    if as_json:
        print_json(found)
    else:
        _print(found)
    if any(each.level == "error" for each in found):
        click.get_current_context().exit(1)


def _refuse_unknown(state: State, silence: tuple[str, ...]) -> None:
    for name in silence:
        if name not in FINDINGS and name not in state.checks:
            raise click.UsageError(f"There is no finding {name!r} to silence.")


def _look(state: State) -> list[Finding]:
    """Return what is found, the gravest first."""
    looks = setting_findings, app_findings, storage_findings, own_findings
    found = dict.fromkeys(each for look in looks for each in look(state))  # of one server twice
    return sorted(found, key=lambda each: list(_COLOURS).index(each.level))


def _print(found: list[Finding]) -> None:
    for each in found:
        click.echo(f"{click.style(each.level, fg=_COLOURS[each.level], bold=True)}: {each.id}")
        print_text(_sentence(each.problem), "  ")
        if each.mend:
            print_text(f"To mend: {each.mend}", "  ")
        click.echo()
    errors = sum(each.level == "error" for each in found)
    click.echo(f"Findings: {len(found)}, errors: {errors}." if found else "Nothing was found.")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
