"""The ready actor store on SQLAlchemy 2, Flask-SQLAlchemy and Flask-SQLAlchemy-Lite."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from ..core import actors
from ..core.identifiers import Canonicaliser, stored_form
from ..core.store_checks import is_async
from ..errors import AmbiguousActor, ConfigError, DuplicateError
from .row_ids import check_key, mapper_of, primary_key, python_type
from .spellings import RECHECK_INTERVAL, Read, Spellings, lower_conditions
from .switches import refuse_unread_switch

__all__ = ["RECHECK_INTERVAL", "SQLAlchemyActorStore"]

logger: logging.Logger = logging.getLogger("flask_otp_auth")

#: Opens a session for one look-up.
Opener = Callable[[], AbstractContextManager[Session]]

#: How databases say, in the first line, that a value is missing.
_MISSING_VALUE = re.compile(r"not[ -]null|cannot be null|have a default value", re.IGNORECASE)


def _nobody(row: Any) -> bool:
    return False


class SQLAlchemyActorStore:
    """Finds the actors of one type among the rows of a model.

    A column should hold identifiers in canonical form, which
    :func:`flask_otp_auth.canonicaliser` gives. What the database finds is compared once more,
    exactly, so that one person's code never goes to another whose address its collation deems
    equal.

    A look-up ends the transaction that it has begun; one that was there before goes on. The actor
    stays loaded, and belongs to the session.

    :param model: the mapped class.
    :param session: the Flask extension's object ``db``; a ``scoped_session``, such as
        Flask-SQLAlchemy's ``db.session``; any other function that returns the session which
        is current; or a ``sessionmaker``, whose sessions are closed after each look-up, so
        that its actors are detached.
    :param identifiers: names of the attributes that an identifier may be in. No two rows may
        share a value, not even across them.
    :param key: name of the attribute that is an actor's id; by default the primary key. It is
        what ``get_id()`` returns as a text, for models that have a ``get_id()``. It is found by
        what its type's ``python_type`` makes of the text: a ``TypeDecorator`` over bytes, such as
        one for UUIDs, needs one.
    :param ignore_case: whether rows such as ``Ada@Example.com`` are found. ``True`` compares
        ``lower(column)``, for which the table wants an index. ``False`` compares the column alone.
        By default it is compared so, and ``lower(column)`` once that has found nothing and the
        table is known to have e-mail addresses in mixed case: it is looked through for them at
        most once an hour. But for ``False``, addresses with a blank beside them or a domain that is
        not ASCII are found alike, as are phone numbers with spaces and such.
    :param is_active: tells who may sign in: ``lambda row: not row.disabled``; by default the
        model's ``is_active``. The identifiers of others are still taken.
    :param is_deleted: tells which rows count as deleted: ``lambda row: row.deleted_at is not
        None``. They are unknown, and their identifiers free to be registered again.
    :param canonical: the canonical form of a stored identifier. An actor type with a function
        of its own as ``identifier=`` passes the same one here.
    :raises ConfigError: if any of these can't work.
    """

    def __init__(
        self,
        model: type[Any],
        session: Any,
        identifiers: Sequence[str] = ("email",),
        *,
        key: str | None = None,
        ignore_case: bool | None = None,
        is_active: Callable[[Any], bool] | None = None,
        is_deleted: Callable[[Any], bool] = _nobody,
        canonical: Canonicaliser = stored_form,
    ) -> None:
        if isinstance(identifiers, str) or not identifiers:
            raise ConfigError('identifiers= must be a list of names, such as ("email", "phone")')
        self._model = model
        self._open = _opener(session)
        self._identifiers = tuple(identifiers)
        self._key = key or primary_key(model)
        self._ignore_case = ignore_case
        self._is_active = is_active
        self._is_deleted = is_deleted
        self._canonical = canonical
        self._has_said = False
        for name in (*self._identifiers, self._key):
            if not isinstance(name, str) or not hasattr(model, name):
                raise ConfigError(f"{model.__name__} has no attribute {str(name)!r}")
        check_key(model, self._key)
        functions = (_nobody if is_active is None else is_active, is_deleted, canonical)
        if not all(map(callable, functions)) or any(map(is_async, functions)):
            raise ConfigError(
                "is_active=, is_deleted= and canonical= must be plain functions, not async def, "
                "such as is_active=lambda row: not row.disabled"
            )
        if is_active is None:
            names = mapper_of(model).columns.keys()
            refuse_unread_switch(model, names, reads_deleted=is_deleted is not _nobody)

    def find_by_identifier(self, identifier: str) -> Any | None:
        """Return the row with that canonical identifier, or ``None``.

        :raises AmbiguousActor: if more than one row has it.
        """
        with self._reading() as (session, read):
            found = self._with_identifier(read, identifier, self._condition(identifier))
            if not found and self._ignore_case is not False:
                found = self._spelt_otherwise(session, read, identifier)
            self._look_at_ids(found)
        return _only(found)

    def find_by_id(self, actor_id: str) -> Any | None:
        """Return the row with that id, or ``None``.

        :raises AmbiguousActor: if more than one row has it.
        """
        column = getattr(self._model, self._key)
        try:
            wanted = python_type(column)(actor_id)
        except (ValueError, ArithmeticError):  # a Decimal raises the other
            return None
        with self._reading() as (_, read):
            found = self._rows(
                read, column == wanted, lambda row: str(getattr(row, self._key)) == actor_id
            )
        return _only(found)

    def is_active(self, actor: Any) -> bool:
        """Tell whether an actor may sign in."""
        return actors.is_active(actor) if self._is_active is None else self._is_active(actor)

    def create(self, identifier: str, fields: Mapping[str, Any]) -> Any:
        """Add a row with that canonical identifier, commit, and return the row.

        An identifier with an ``@`` goes to the attribute that has ``mail`` in its name (else the
        first of ``identifiers=``), any other to the first one that hasn't (else the last).

        :param fields: the row's other attributes; none that is an identifier or the id, as nobody
            has proved that it is his.
        :raises DuplicateError: if the database has such a row already.
        """
        if refused := {*self._identifiers, self._key} & fields.keys():
            raise ValueError(f"fields= must not set {', '.join(sorted(refused))}")
        row = self._model(**{self._attribute_for(identifier): identifier}, **fields)
        with self._open() as session:
            session.add(row)
            try:
                session.commit()
            except IntegrityError as error:
                session.rollback()
                if _MISSING_VALUE.search(str(error.orig).partition("\n")[0]):
                    raise
                raise DuplicateError from None
            with _transaction(session):
                session.refresh(row)  # or it would be read again in a transaction that nobody ends
        return row

    def count_non_canonical(self) -> int:
        """Return how many rows have an identifier that is not in canonical form."""
        query = select(*self._columns()).execution_options(yield_per=1000)
        with self._open() as session, _transaction(session):
            return sum(not all(map(self._is_canonical, row)) for row in session.execute(query))

    @contextmanager
    def _reading(self) -> Iterator[tuple[Session, Read]]:
        with self._open() as session, _transaction(session) as begun:
            # What an earlier transaction has loaded may be out of date. No pending change is lost:
            # there would be a transaction already.
            options = {"populate_existing": begun}
            yield session, lambda query: session.scalars(query, execution_options=options)

    @cached_property  # at the first use: other models may be still to come
    def _spellings(self) -> Spellings:
        columns, ignore_case = self._columns(), bool(self._ignore_case)
        return Spellings(self._model.__name__, columns, ignore_case=ignore_case)

    def _columns(self) -> list[Any]:
        return [getattr(self._model, name) for name in self._identifiers]

    def _condition(self, identifier: str) -> Any:
        columns = self._columns()
        if self._ignore_case:
            return or_(*lower_conditions(columns, identifier))
        return or_(*(column == identifier for column in columns))

    def _with_identifier(self, read: Read, identifier: str, condition: Any) -> list[Any]:
        return self._rows(
            read,
            condition,
            lambda row: any(self._same(getattr(row, n), identifier) for n in self._identifiers),
        )

    def _spelt_otherwise(self, session: Session, read: Read, identifier: str) -> list[Any]:
        for condition in self._spellings.conditions(read, identifier):
            if found := self._with_identifier(read, identifier, condition):
                return found
        foreign = self._spellings.in_other_letters(identifier)
        if foreign is not None:
            # The database may lack the letters; PostgreSQL would end the app's transaction for it.
            with suppress(UnicodeEncodeError, DataError), session.connection().begin_nested():
                return self._with_identifier(read, identifier, foreign)
        return []

    def _look_at_ids(self, rows: list[Any]) -> None:
        """Warn, once, if `find_by_id` will not find a row by its id."""
        if self._has_said or type(self).find_by_id is not SQLAlchemyActorStore.find_by_id:
            return
        with suppress(TypeError, ValueError):  # of a row without an id: whoever needs it says so
            lost = any(actors.actor_id(row) != str(getattr(row, self._key)) for row in rows)
            self._has_said = lost
        if self._has_said:
            name = self._model.__name__
            logger.warning(
                "the id of a %s, which is what its get_id() returns, else its id, is not its %s, "
                "by which its store finds it again: no token of it will be taken, unless your own "
                "store around this one translates them; name the attribute that is the id with "
                "key= of SQLAlchemyActorStore", name, self._key,
            )  # fmt: skip

    def _rows(self, read: Read, condition: Any, matches: Callable[[Any], bool]) -> list[Any]:
        rows = read(select(self._model).where(condition)).unique()
        found = [row for row in rows if not self._is_deleted(row) and matches(row)]
        # Inactive rows count only if no active row matches.
        return [row for row in found if self.is_active(row)] or found

    def _attribute_for(self, identifier: str) -> str:
        first, last = self._identifiers[0], self._identifiers[-1]
        mail = [name for name in self._identifiers if "mail" in name.lower()] or [first]
        others = [name for name in self._identifiers if name not in mail] or [last]
        return (mail if "@" in identifier else others)[0]

    def _same(self, stored: object, identifier: str) -> bool:
        return stored == identifier or self._form_of(stored) == identifier

    def _is_canonical(self, stored: object) -> bool:
        return not stored or self._form_of(stored) == stored

    def _form_of(self, stored: object) -> object:
        try:
            return self._canonical(stored) if isinstance(stored, str) else stored
        except ValueError:  # InvalidIdentifier is one, and what most parsers raise is another
            return None


def _only(found: list[Any]) -> Any | None:
    if len(found) > 1:
        raise AmbiguousActor
    return found[0] if found else None


@contextmanager
def _transaction(session: Session) -> Iterator[bool]:
    """Begin a transaction where there is none, and end that one; give whether it was begun."""
    if session.in_transaction():
        yield False
        return
    transaction = session.begin()
    try:
        yield True
    finally:
        # Unlike commit() and rollback(), this expires nothing that was loaded, and leaves a
        # transaction alone that the session has joined, as in tests.
        transaction.close()


def _opener(session: Any) -> Opener:
    if isinstance(session, sessionmaker):
        return session
    kind = session if isinstance(session, type) else type(session)
    if kind.__module__.startswith("sqlalchemy.ext.asyncio") or is_async(session):
        raise ConfigError("session= must give plain sessions, not those of sqlalchemy.ext.asyncio")
    if not callable(session) and "session" not in dir(session):
        raise ConfigError(
            "session= must be db, a scoped_session, a sessionmaker or a function that returns "
            "the current session; a single Session can't serve several threads"
        )
    # Looked up at each use: Flask-SQLAlchemy-Lite has a session only in an app context.
    current = session if callable(session) else lambda: session.session
    return lambda: nullcontext(_plain(current()))


def _plain(session: Any) -> Session:
    plain = session() if callable(session) else session  # a scoped_session's own, for one
    if not isinstance(plain, Session):
        raise TypeError(
            "session= of SQLAlchemyActorStore must give a sqlalchemy.orm.Session, not an object "
            f"of the class {type(plain).__qualname__}"
        )
    return plain
