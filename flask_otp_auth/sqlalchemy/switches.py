"""Models with a column that says who is switched off, where nothing reads it."""

import inspect
import re
from collections.abc import Iterable

from ..errors import ConfigError

#: Names of attributes that say who is switched off.
_SWITCH = re.compile(
    r"(is_)?(active|inactive|enabled|disabled|deactivated|blocked|banned|suspended|locked"
    r"|(?P<deleted>deleted|removed|archived))(_at|_on|_since|_until)?"
)


def refuse_unread_switch(
    model: type[object], names: Iterable[str], *, reads_deleted: bool = False
) -> None:
    """Refuse a model with an attribute for who is switched off that its ``is_active`` doesn't read.

    :param names: the names of the model's attributes.
    :param reads_deleted: whether something else reads which rows are deleted.
    :raises ConfigError: if there is one.
    """
    found = {name: _SWITCH.fullmatch(name) for name in names if name != "is_active"}
    switches = [
        name for name, match in found.items() if match and not (match["deleted"] and reads_deleted)
    ]
    if switches and _is_constant(inspect.getattr_static(model, "is_active", True)):
        raise ConfigError(
            f"{model.__name__} has a column {switches[0]!r}, but no is_active that reads it, so "
            "users who are switched off could sign in; say who may sign in, such as "
            "is_active=lambda row: row.active or is_active=lambda row: not row.disabled (or, of "
            "rows that are deleted, is_deleted=)"
        )


def _is_constant(attribute: object) -> bool:
    """Tell whether ``is_active`` says the same of each row, as in Flask-Login's ``UserMixin``."""
    function = attribute.fget if isinstance(attribute, property) else attribute
    code = getattr(function, "__code__", None)
    if code is None:
        return isinstance(attribute, bool)
    # A function that uses no name reads no attribute.
    return not code.co_names and not code.co_freevars
