"""How a table of the app's own spells identifiers, where it was there before this extension."""

import logging
import time
from collections.abc import Callable
from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, String, and_, case, false, func, or_, select

from .identifiers import is_phone

#: Seconds for which a table that has no other spellings is taken to have none.
RECHECK_INTERVAL = 3600

#: What people put between the digits of a phone number.
_SEPARATORS = " -./()"

#: Last digits of a phone number that are looked for: few numbers share them, and no country's way
#: to dial a number at home changes them.
_LAST_DIGITS = 7

#: Runs a query.
Read = Callable[[Any], Any]

logger: logging.Logger = logging.getLogger("flask_otp_auth")


_WARNINGS = {
    "emails": "the table of %s has e-mail addresses in mixed case, so each unknown address is "
    "looked for twice; bring them into canonical form (flask_otp_auth.canonicaliser), or pass "
    "ignore_case=True and make an index of lower(column)",
    "phones": "the table of %s has phone numbers that are not canonical, so each unknown number is "
    "looked for twice, and one that lacks its country code is not found; bring them into canonical "
    "form (flask_otp_auth.canonicaliser)",
}


class Spellings:
    """The spellings in some columns of a table that are not canonical.

    A look-up by them takes time, so strangers who ask for unknown identifiers must not cause it
    where there are none; and to look whether there are any takes time as well, so it is done at
    most once an hour.

    :param name: what a warning calls the table.
    :param columns: those that identifiers may be in.
    """

    def __init__(self, name: str, columns: list[Any]) -> None:
        self._name = name
        self._columns = [each for each in columns if is_text(each)]
        # PostgreSQL can't look for parts of a text under a collation that takes letters for equal.
        self._searchable = [each for each in self._columns if not each.type.collation]
        self._found: set[str] = set()
        self._recheck_at = 0.0

    def condition(self, read: Read, identifier: str) -> ColumnElement[bool] | None:
        """Return the condition of rows that may spell an identifier otherwise.

        :returns: ``None`` where there are none to look for.
        """
        if "@" in identifier:
            kind, columns, conditions = "emails", self._columns, lower_conditions
        elif is_phone(identifier):
            kind, columns, conditions = "phones", self._searchable, _phone_conditions
        else:
            return None
        if not columns or kind not in self._kinds(read):
            return None
        return or_(*conditions(columns, identifier))

    def _kinds(self, read: Read) -> set[str]:
        if time.time() >= self._recheck_at:
            self._found = self._look(read)
            self._recheck_at = time.time() + RECHECK_INTERVAL
            for kind in sorted(self._found):
                logger.warning(_WARNINGS[kind], self._name)
        return self._found

    def _look(self, read: Read) -> set[str]:
        emails = or_(*(func.lower(each) != each for each in self._columns))
        phones = or_(false(), *map(_is_odd_phone, self._searchable))
        kinds = case((and_(emails, phones), "emails phones"), (emails, "emails"), else_="phones")
        rows = read(select(kinds).where(or_(emails, phones)).distinct())
        return {kind for row in rows for kind in row.split()}


def is_text(column: Any) -> bool:
    """Tell whether a column holds texts."""
    return isinstance(getattr(column, "type", None), String)


def lower_conditions(columns: list[Any], identifier: str) -> list[ColumnElement[bool]]:
    """Return what finds an identifier in each column, whatever the case of its letters."""
    return [
        func.lower(each) == identifier.lower() if is_text(each) else each == identifier
        for each in columns
    ]


def _phone_conditions(columns: list[Any], identifier: str) -> list[ColumnElement[bool]]:
    return [_digits(each).endswith(identifier[-_LAST_DIGITS:]) for each in columns]


def _is_odd_phone(column: Any) -> ColumnElement[bool]:
    is_odd = or_(column.not_like("+%"), _digits(column) != column)
    return and_(column != "", column.not_like("%@%"), is_odd)


def _digits(column: Any) -> Any:
    return reduce(lambda text, character: func.replace(text, character, ""), _SEPARATORS, column)
