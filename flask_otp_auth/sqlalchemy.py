"""The ready actor store on SQLAlchemy 2, Flask-SQLAlchemy and Flask-SQLAlchemy-Lite."""

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from sqlalchemy import String, false, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, class_mapper, sessionmaker

from .core import actors
from .core.identifiers import Canonicaliser, stored_form
from .core.store_checks import is_async, refuse_unread_switch
from .errors import AmbiguousActor, ConfigError, DuplicateError

#: Opens a session for one look-up.
Opener = Callable[[], AbstractContextManager[Session]]

#: Runs a query for rows, or for one column of them.
Read = Callable[[Any], Any]

#: Seconds for which a table that has no address in mixed case is taken to have none.
RECHECK_INTERVAL = 3600

#: How databases say, in the first line, that a value is missing.
_MISSING_VALUE = re.compile(r"not[ -]null|cannot be null|have a default value", re.IGNORECASE)

_log = logging.getLogger("flask_otp_auth")


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
        what ``get_id()`` returns as a text, for models that have a ``get_id()``.
    :param ignore_case: whether rows such as ``Ada@Example.com`` are found. ``True`` compares
        ``lower(column)``, for which the table wants an index. ``False`` compares the column alone.
        By default it is compared so, and ``lower(column)`` once that has found nothing and the
        table is known to have e-mail addresses in mixed case: it is looked through for them at
        most once an hour.
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
        is_deleted: Callable[[Any], bool] = lambda row: False,
        canonical: Canonicaliser = stored_form,
    ) -> None:
        if isinstance(identifiers, str) or not identifiers:
            raise ConfigError('identifiers= must be a list of names, such as ("email", "phone")')
        self._model = model
        self._open = _opener(session)
        self._identifiers = tuple(identifiers)
        self._key = key or _primary_key(model)
        self._ignore_case = ignore_case
        self._is_active = is_active
        self._is_deleted = is_deleted
        self._canonical = canonical
        self._mixed_case = False
        self._recheck_at = 0.0
        for name in (*self._identifiers, self._key):
            if not hasattr(model, name):
                raise ConfigError(f"{model.__name__} has no attribute {name!r}")
        if is_async(is_active) or is_async(is_deleted):
            raise ConfigError("is_active= and is_deleted= must be plain functions, not async def")
        if is_active is None:
            refuse_unread_switch(model, class_mapper(model, configure=False).columns.keys())

    def find_by_identifier(self, identifier: str) -> Any | None:
        """Return the row with that canonical identifier, or ``None``.

        :raises AmbiguousActor: if more than one row has it.
        """
        with self._reading() as read:
            found = self._with_identifier(read, identifier, lower=bool(self._ignore_case))
            if not found and self._may_be_in_mixed_case(read, identifier):
                found = self._with_identifier(read, identifier, lower=True)
        return _only(found)

    def find_by_id(self, actor_id: str) -> Any | None:
        """Return the row with that id, or ``None``.

        :raises AmbiguousActor: if more than one row has it.
        """
        column = getattr(self._model, self._key)
        try:
            wanted = _python_type(column)(actor_id)
        except (ValueError, ArithmeticError):  # a Decimal raises the other
            return None
        with self._reading() as read:
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
    def _reading(self) -> Iterator[Read]:
        with self._open() as session, _transaction(session) as begun:
            # What an earlier transaction has loaded may be out of date. No pending change is lost:
            # there would be a transaction already.
            options = {"populate_existing": begun}
            yield lambda query: session.scalars(query, execution_options=options)

    def _columns(self) -> list[Any]:
        return [getattr(self._model, name) for name in self._identifiers]

    def _with_identifier(self, read: Read, identifier: str, *, lower: bool) -> list[Any]:
        def condition(column: Any) -> Any:
            if lower and _is_text(column):
                return func.lower(column) == identifier.lower()
            return column == identifier

        return self._rows(
            read,
            or_(*map(condition, self._columns())),
            lambda row: any(self._same(getattr(row, n), identifier) for n in self._identifiers),
        )

    def _rows(self, read: Read, condition: Any, matches: Callable[[Any], bool]) -> list[Any]:
        rows = read(select(self._model).where(condition)).unique()
        found = [row for row in rows if not self._is_deleted(row) and matches(row)]
        # Inactive rows count only if no active row matches.
        return [row for row in found if self.is_active(row)] or found

    def _may_be_in_mixed_case(self, read: Read, identifier: str) -> bool:
        if self._ignore_case is not None or "@" not in identifier:
            return False
        # To look at each row takes time, so strangers who ask for unknown addresses can't cause it.
        if time.time() >= self._recheck_at:
            self._mixed_case = self._has_mixed_case(read)
            self._recheck_at = time.time() + RECHECK_INTERVAL
        return self._mixed_case

    def _has_mixed_case(self, read: Read) -> bool:
        mixed = [column != func.lower(column) for column in self._columns() if _is_text(column)]
        query = select(getattr(self._model, self._key)).where(or_(false(), *mixed)).limit(1)
        if not read(query).all():
            return False
        _log.warning(
            "the table of %s has e-mail addresses in mixed case, so each unknown address is "
            "looked for twice; bring them into canonical form (flask_otp_auth.canonicaliser), "
            "or pass ignore_case=True and make an index of lower(column)",
            self._model.__name__,
        )
        return True

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


def _primary_key(model: type[Any]) -> str:
    # Unlike inspect(), this doesn't configure the mappers: other models may be still to come.
    mapper = class_mapper(model, configure=False)
    if len(mapper.primary_key) > 1:
        raise ConfigError(
            f"{model.__name__} has a primary key of several columns; name the attribute that "
            "is an actor's id with key="
        )
    return mapper.get_property_by_column(mapper.primary_key[0]).key


def _is_text(column: Any) -> bool:
    return isinstance(getattr(column, "type", None), String)


def _python_type(column: Any) -> Callable[[str], Any]:
    """Return what makes a column's value of a text; itself if the column's type doesn't tell."""
    try:
        python_type = column.type.python_type
    except NotImplementedError:  # as SQLAlchemy 2.0 has it
        return str
    return str if python_type is object else python_type  # as 2.1 has it
