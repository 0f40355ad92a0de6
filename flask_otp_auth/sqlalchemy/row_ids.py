"""How an actor's id, a text everywhere else, leads to a row of a model."""

from collections.abc import Callable
from typing import Any

from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Mapper, class_mapper
from sqlalchemy.orm.exc import UnmappedClassError

from ..core.store_checks import described
from ..errors import ConfigError


def mapper_of(model: Any) -> Mapper[Any]:
    """Return the mapper of a model.

    :raises ConfigError: if it is no mapped class.
    """
    # Unlike inspect(), this doesn't configure the mappers: other models may be still to come.
    try:
        return class_mapper(model, configure=False)
    except (ArgumentError, UnmappedClassError):
        raise ConfigError(f"model must be a mapped class, not {described(model)}") from None


def primary_key(model: type[Any]) -> str:
    """Return the name of the attribute that is a model's primary key.

    :raises ConfigError: if it has several.
    """
    mapper = mapper_of(model)
    if len(mapper.primary_key) > 1:
        raise ConfigError(
            f"{model.__name__} has a primary key of several columns; name the attribute that "
            "is an actor's id with key="
        )
    return mapper.get_property_by_column(mapper.primary_key[0]).key


def check_key(model: type[Any], key: str) -> None:
    """Look whether rows can be found by an attribute as their id.

    :raises ConfigError: if they can't.
    """
    try:
        python_type(getattr(model, key))("1")
    except (ValueError, ArithmeticError):
        pass  # this one is no id
    except (AttributeError, TypeError):
        raise ConfigError(
            f"{model.__name__}.{key} can't be made of the text that an id is elsewhere; name "
            "another unique column with key="
        ) from None


def python_type(column: Any) -> Callable[[str], Any]:
    """Return what makes a column's value of a text; itself if the column's type doesn't tell."""
    try:
        python_type = column.type.python_type
    except NotImplementedError:  # as SQLAlchemy 2.0 has it
        return str
    return str if python_type is object else python_type  # as 2.1 has it
