"""What the commands share: how they are declared, what they take, how they print."""

import dataclasses
import json
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from ..core.actors import ActorType
from ..errors import InvalidData, NotFound
from ..web.state import State

F = TypeVar("F", bound=Callable[..., Any])

#: Columns of a line at most.
WIDTH = 80

#: Adds a parameter to a command.
Parameter = Callable[[F], F]

as_json: Parameter[Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for machines."
)
without_asking: Parameter[Any] = click.option("-y", "--yes", is_flag=True, help="Don't ask, do it.")
actor_type_argument: Parameter[Any] = click.argument("actor_type", metavar="TYPE")
identifier_argument: Parameter[Any] = click.argument("identifier", metavar="IDENTIFIER")


class Command(click.Command):
    """A command whose help ends with an example, under the name that the group has here.

    :param example: its arguments.
    """

    def __init__(self, *args: Any, example: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        with formatter.section("Example"):
            formatter.write_text(f"{command_line(ctx, self.example)}")


def command(name: str, example: str = "") -> Callable[[Callable[..., Any]], Command]:
    """Declare a command."""
    return click.command(name, cls=Command, example=example)


def command_line(ctx: click.Context, arguments: str = "", name: str | None = None) -> str:
    """Return how a command of the group is typed here.

    :param name: of the command; this one if none is given.
    """
    group = "" if ctx.parent is None else ctx.parent.info_name
    return f"flask {group} {name or ctx.info_name} {arguments}".rstrip()


def known_type(state: State, name: str) -> ActorType:
    """Return an actor type; an unknown one is a wrong use of the command."""
    try:
        return state.actors.get(name)
    except NotFound:
        names = ", ".join(state.actors.names) or "none"
        raise click.UsageError(f"There is no actor type {name!r}; known: {names}.") from None


def known(state: State, actor_type: str, identifier: str) -> tuple[ActorType, str]:
    """Return an actor type, and an identifier in canonical form; else it is a wrong use."""
    found = known_type(state, actor_type)
    try:
        return found, found.canonical(identifier)
    except InvalidData as error:
        raise click.UsageError(error.message) from None


def printable(text: str) -> str:
    """Return a text whose characters can't steer a terminal: those that are not shown are named.

    Identifiers, answers of mail servers and the like are written by others.
    """
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def print_json(value: object) -> None:
    """Print dataclasses, lists and dicts of them."""
    click.echo(json.dumps(value, default=_plain, indent=2))


def _plain(value: Any) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return dataclasses.asdict(value)


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]], indent: str = "") -> None:
    """Print a table of at most 80 columns; what is too long for the last one is cut."""
    cells = [[printable(str(cell)) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(_cut(indent + line.rstrip()))


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def print_text(text: str, indent: str = "", *, err: bool = False) -> None:
    """Print a paragraph."""
    width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
    text = printable(" ".join(text.split()))
    for line in textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent):
        click.echo(line, err=err)


def in_words(seconds: int) -> str:
    """Return a time as people say it: 45 s, 12 min, 3 h."""
    if seconds < 120:
        return f"{seconds} s"
    return f"{-(-seconds // 60)} min" if seconds < 7200 else f"{-(-seconds // 3600)} h"


def said(reasons: Mapping[str, str], reason: str) -> str:
    """Return a reason in words, and its name as signals and the audit log have it."""
    return f"{reasons.get(reason, reason)} ({reason})"
