"""Records that print as their class alone.

Most of what is passed around here is for no log: codes, identifiers, digests, keys. Error
reporters and debuggers print the fields of tuples and dataclasses, so these are neither.
"""

from typing import Any, ClassVar, NoReturn, Self, dataclass_transform


@dataclass_transform(frozen_default=True)
class Opaque:
    """A frozen record; its class's annotations are its fields, in that order."""

    fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls.fields = tuple(cls.__annotations__)

    def __init__(self, *values: Any, **named: Any) -> None:
        self.__dict__.update(zip(self.fields, values))  # noqa: B905 - others may follow by name
        if named:
            self.__dict__.update(named)

    def replace(self, **changes: Any) -> Self:
        """Return a record that differs in these fields.

        :raises TypeError: if it has no such field.
        """
        if not changes.keys() <= set(self.fields):
            raise TypeError(f"{type(self).__name__} has no such field")
        return type(self)(**{**self.__dict__, **changes})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other._all() == self._all()

    def __hash__(self) -> int:
        return hash(self._all())

    def _all(self) -> tuple[Any, ...]:
        return type(self), *[getattr(self, name) for name in self.fields]

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen")
