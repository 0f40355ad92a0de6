"""Records that print as their class alone.

Most of what is passed around here is for no log: codes, identifiers, digests, keys.
"""

from typing import TypeVar

T = TypeVar("T")


def opaque(record: type[T]) -> type[T]:
    """Take from a named tuple the representation that shows its fields."""
    record.__repr__ = object.__repr__  # type: ignore[method-assign]  # it is what this is for
    return record
