"""The ready actor store on SQLAlchemy 2 (the extra ``sqlalchemy``).

It works with Flask-SQLAlchemy, Flask-SQLAlchemy-Lite and plain sessions.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import class_mapper, sessionmaker

from .actors import is_active
from .emails import email
from .errors import AmbiguousActor, ConfigError
from .identifiers import Canonicaliser

Opener = Callable[[], AbstractContextManager[Any]]


def stored_form(text: str) -> str:
    """Return the canonical form of a stored e-mail address; of any other text, itself.

    :raises InvalidIdentifier: if it has an ``@`` but is no address.
    """
    return email(text) if "@" in text else text


class SQLAlchemyActorStore:
    """Finds the actors of one type among the rows of a model.

    A column must hold identifiers in canonical form (what :func:`flask_otp_auth.emails.email`
    and :func:`flask_otp_auth.phones.phone` return), or have a collation that finds them so. A
    collation alone decides nothing: what it finds is compared once more, exactly, so that
    one person's code never goes to another whose address it deems equal.

    :param model: the mapped class.
    :param session: the Flask extension's object ``db``; a ``scoped_session``, such as
        Flask-SQLAlchemy's ``db.session``; any other function that returns the session which
        is current; or a ``sessionmaker``, whose sessions are closed after each look-up, so
        that its actors are detached.
    :param identifiers: names of the attributes that an identifier may be in. No two rows may
        share a value, not even across them.
    :param key: name of the attribute that is an actor's id; by default the primary key. It is
        what ``get_id()`` returns as a text, for models that have a ``get_id()``.
    :param active: tells which rows there still are: ``lambda row: row.deleted_at is None``. The
        others are unknown, and their identifiers free to be registered anew; those of a row
        with a false ``is_active`` are not.
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
        active: Callable[[Any], bool] = lambda row: True,
        canonical: Canonicaliser = stored_form,
    ) -> None:
        if isinstance(identifiers, str) or not identifiers:
            raise ConfigError('identifiers= must be a list of names, such as ("email", "phone")')
        self._model = model
        self._open = _opener(session)
        self._identifiers = tuple(identifiers)
        self._key = key or _primary_key(model)
        self._active = active
        self._canonical = canonical
        for name in (*self._identifiers, self._key):
            if not hasattr(model, name):
                raise ConfigError(f"{model.__name__} has no attribute {name!r}")

    def find_by_identifier(self, identifier: str) -> Any | None:
        """Return the row with that canonical identifier, or ``None``.

        :raises AmbiguousActor: if more than one row has it.
        """
        columns = [getattr(self._model, name) for name in self._identifiers]
        return self._find(
            or_(*(column == identifier for column in columns)),
            lambda row: any(self._same(getattr(row, n), identifier) for n in self._identifiers),
        )

    def find_by_id(self, actor_id: str) -> Any | None:
        """Return the row with that id, or ``None``.

        :raises AmbiguousActor: if more than one row has it.
        """
        column = getattr(self._model, self._key)
        try:
            wanted = _python_type(column)(actor_id)
        except (ValueError, ArithmeticError):  # a Decimal raises the other
            return None
        return self._find(column == wanted, lambda row: str(getattr(row, self._key)) == actor_id)

    def _find(self, condition: Any, matches: Callable[[Any], bool]) -> Any | None:
        with self._open() as session:
            rows = session.scalars(select(self._model).where(condition)).unique()
            found = [row for row in rows if self._active(row) and matches(row)]
            # Who was switched off is known, as an owner, but gives way to who is not.
            found = [row for row in found if is_active(row)] or found
        if len(found) > 1:
            raise AmbiguousActor
        return found[0] if found else None

    def _same(self, stored: object, identifier: str) -> bool:
        if stored == identifier:
            return True
        try:
            return isinstance(stored, str) and self._canonical(stored) == identifier
        except ValueError:  # InvalidIdentifier is one, and what most parsers raise is another
            return False


def _opener(session: Any) -> Opener:
    if isinstance(session, sessionmaker):
        return session
    if callable(session):  # a scoped_session, too
        return lambda: nullcontext(session())
    if "session" not in dir(session):
        raise ConfigError(
            "session= must be db, a scoped_session, a sessionmaker or a function that returns "
            "the current session; a single Session can't serve several threads"
        )
    # Looked up at each use: Flask-SQLAlchemy-Lite has a session only in an app context.
    return lambda: nullcontext(session.session)


def _primary_key(model: type[Any]) -> str:
    # Unlike inspect(), this doesn't configure the mappers: other models may be still to come.
    mapper = class_mapper(model, configure=False)
    if len(mapper.primary_key) > 1:
        raise ConfigError(
            f"{model.__name__} has a primary key of several columns; name the attribute that "
            "is an actor's id with key="
        )
    return mapper.get_property_by_column(mapper.primary_key[0]).key


def _python_type(column: Any) -> Callable[[str], Any]:
    """Return what makes a column's value of a text; itself if the column's type doesn't tell."""
    try:
        python_type = column.type.python_type
    except NotImplementedError:  # as SQLAlchemy 2.0 has it
        return str
    return str if python_type is object else python_type  # as 2.1 has it
