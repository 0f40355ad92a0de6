"""What an app asks its own database, where it does so by SQLAlchemy."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

#: Takes the text of a query and the values in it.
Hear = Callable[[str, list[str]], None]

_SOURCE = re.compile(r"\b(?:FROM|JOIN)\s+([\w.\"`\[\]]+)", re.IGNORECASE)


@contextmanager
def heard(hear: Hear) -> Iterator[None]:
    """Have each query of any engine heard while a block runs; without SQLAlchemy there are none."""
    if "sqlalchemy" not in sys.modules:
        yield
        return
    from sqlalchemy import Engine, event

    def before(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            given = values.values() if isinstance(values, Mapping) else values
            hear(statement, [value for value in given if isinstance(value, str)])

    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", before)


def tables(statement: str) -> set[str]:
    """Return the names of the tables that a query reads."""
    return {re.sub(r"\W", "", name.rpartition(".")[2]) for name in _SOURCE.findall(statement)}
