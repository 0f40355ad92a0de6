"""How a table of the app's own spells identifiers, where it was there before this extension."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, String, and_, func, literal, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from ..core.identifiers import is_phone

#: Seconds for which a table that has no other spellings is taken to have none.
RECHECK_INTERVAL = 3600

#: What comes along when a table is filled from a file, before and after an identifier.
_BEFORE = ("", " ", "\t")
_AFTER = ("", " ", "\t", "\n", "\r", "\r\n")

#: What people put between the digits of a phone number.
_SEPARATORS = " -./()"
_LINE_ENDS = "\t\r\n"

#: Last digits of a phone number that are looked for: few numbers share them, and no country's way
#: to dial a number at home changes them.
_LAST_DIGITS = 7

#: What a country's mobile numbers were in E.164 before it wrote them as now: Mexico, Argentina,
#: Brazil, Benin and Gabon, as :func:`flask_otp_auth.core.phones.phone` brings them into one form.
_FORMER = (
    (re.compile(r"\+52(\d{10})"), r"+521\1"),
    (re.compile(r"\+549(\d{10})"), r"+54\1"),
    (re.compile(r"\+55(\d\d)9([6-9]\d{7})"), r"+55\1\2"),
    (re.compile(r"\+22901(\d{8})"), r"+229\1"),
    (re.compile(r"\+2416([256]\d{6})|\+2417([47]\d{6})"), r"+2410\1\2"),
)

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
    :param ignore_case: whether addresses in mixed case were found already.
    """

    def __init__(self, name: str, columns: list[Any], *, ignore_case: bool) -> None:
        self._name = name
        self._ignore_case = ignore_case
        self._columns = [each for each in columns if is_text(each)]
        self._found: dict[str, bool] = {}
        self._recheck_at: dict[str, float] = {}

    def conditions(self, read: Read, identifier: str) -> Iterator[ColumnElement[bool]]:
        """Return conditions of rows that may spell an identifier otherwise, the likeliest first."""
        if self._columns and "@" in identifier:
            yield from self._of_email(read, identifier)
        elif self._columns and is_phone(identifier):
            yield from self._of_phone(read, identifier)

    def _of_email(self, read: Read, identifier: str) -> Iterator[ColumnElement[bool]]:
        if not self._ignore_case and self._look(read, "emails", _in_mixed_case):
            yield or_(*lower_conditions(self._columns, identifier))
        yield _are_in(self._emails(), _with_blanks(identifier))

    def _of_phone(self, read: Read, identifier: str) -> Iterator[ColumnElement[bool]]:
        if self._look(read, "phones", _is_odd_phone):
            ending = identifier[-_LAST_DIGITS:]
            columns = [_without(_SEPARATORS + _LINE_ENDS, each) for each in self._columns]
            yield or_(*(column.endswith(ending) for column in columns))
        yield _are_in(self._columns, [*_former(identifier), *_with_blanks(identifier)])

    def in_other_letters(self, identifier: str) -> ColumnElement[bool] | None:
        """Return the condition of rows with a domain in letters that are not ASCII, if its domain
        stands for such letters. The database may not have them.
        """
        typed = _as_typed(identifier) if self._columns else []
        return _are_in(self._emails(), [*typed, *_with_blanks(*typed)]) if typed else None

    def _emails(self) -> list[Any]:
        any_case = self._ignore_case or self._found.get("emails")
        return [func.lower(each) if any_case else each for each in self._columns]

    def _look(self, read: Read, kind: str, is_other: Callable[[Any], ColumnElement[bool]]) -> bool:
        """Tell whether there are other spellings of a kind."""
        now = time.time()
        if now >= self._recheck_at.get(kind, 0):
            self._recheck_at[kind] = now + RECHECK_INTERVAL  # before, as it may end in a time-out
            query = select(literal(1)).where(or_(*map(is_other, self._columns))).limit(1)
            self._found[kind] = bool(read(query).all())
            if self._found[kind]:
                logger.warning(_WARNINGS[kind], self._name)
        return self._found.get(kind, False)


def _former(identifier: str) -> list[str]:
    """Return how a phone number was written in E.164 before, if it was."""
    return [
        match.expand(form) for pattern, form in _FORMER if (match := pattern.fullmatch(identifier))
    ]


def _with_blanks(*identifiers: str) -> list[str]:
    blanks = [(before, after) for before in _BEFORE for after in _AFTER][1:]
    return [f"{before}{each}{after}" for each in identifiers for before, after in blanks]


def _are_in(columns: list[Any], spellings: list[str]) -> ColumnElement[bool]:
    # The table needs no look beforehand: an index has them, so strangers may ask for them.
    return or_(*(column.in_(spellings) for column in columns))


class _Searchable(FunctionElement[str]):
    """A text in which PostgreSQL can look for parts, whatever the collation of its column.

    It can't where the collation takes different letters for equal ("nondeterministic").
    """

    inherit_cache = True
    type = String()


@compiles(_Searchable)
def _as_it_is(element: Any, compiler: Any, **options: Any) -> str:
    text: str = compiler.process(element.clauses, **options)
    return text


@compiles(_Searchable, "postgresql")
def _byte_by_byte(element: Any, compiler: Any, **options: Any) -> str:
    return f'{_as_it_is(element, compiler, **options)} COLLATE "C"'


def is_text(column: Any) -> bool:
    """Tell whether a column holds texts."""
    return isinstance(getattr(column, "type", None), String)


def lower_conditions(columns: list[Any], identifier: str) -> list[ColumnElement[bool]]:
    """Return what finds an identifier in each column, whatever the case of its letters."""
    return [
        func.lower(each) == identifier.lower() if is_text(each) else each == identifier
        for each in columns
    ]


def _as_typed(identifier: str) -> list[str]:
    """Return an address in letters that are not ASCII, if its domain stands for such letters."""
    local, _, domain = identifier.rpartition("@")
    if "xn--" not in domain:
        return []
    import idna  # here, as it takes a while; email-validator has it

    try:
        return [f"{local}@{idna.decode(domain)}"]
    except idna.IDNAError:  # in a form of the app's own
        return []


def _in_mixed_case(column: Any) -> ColumnElement[bool]:
    has_capitals: ColumnElement[bool] = func.lower(column) != column
    return has_capitals


def _is_odd_phone(column: Any) -> ColumnElement[bool]:
    text = _Searchable(column)
    # What has letters is no phone number, and no spelling of one.
    is_plain = and_(text != "", text.not_like("%@%"), func.lower(text) == func.upper(text))
    return and_(is_plain, or_(text.not_like("+%"), _digits(column) != text))


def _digits(column: Any) -> Any:
    return _without(_SEPARATORS, column)


def _without(characters: str, column: Any) -> Any:
    text: Any = _Searchable(column)
    return reduce(lambda text, character: func.replace(text, character, ""), characters, text)
