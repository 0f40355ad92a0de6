"""What a code confirms, as a text that is the same for the same facts, and for no others.

The message that asks for the code is rendered from this very text, so that it shows what is
confirmed (Commission Delegated Regulation (EU) 2018/389, Article 5, "dynamic linking").
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from types import NoneType
from typing import Any

from ..errors import InvalidData

#: Cc: control characters; Cf: bidi marks and zero-width characters; Cs: lone surrogates; Zl, Zp:
#: line ends. They would let a message show something else than what is bound.
_FALSIFYING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

#: What else is not shown (Unicode's Default_Ignorable_Code_Point): joiners, fillers, selectors.
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0000-\U000e0fff]"
)

#: Characters of the text at most.
MAX_LENGTH = 4096


def canonical_binding(subject: str | None, binds: Mapping[str, Any] | None) -> str:
    """Return whom and what a code is for in canonical form: JSON with sorted names.

    :param subject: whom it is for.
    :param binds: what it is for: integers, texts, booleans, ``None``, lists and dicts of them.
    :raises TypeError: if there is anything else in it. Amounts are texts or integers, as a float
        has many spellings.
    :raises InvalidData: if a text has characters that would falsify the message, if a form has a
        field twice, or if all is too long or nested too deeply.
    """
    if not isinstance(subject, str | NoneType):
        raise TypeError("subject= must be a text")
    if not isinstance(binds, Mapping | NoneType):
        raise TypeError("binds= must be a dict")
    # Nested too deeply; an integer of thousands of digits.
    with suppress(RecursionError, ValueError):
        facts = [_plain(subject), _plain(binds)]
        text = json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        if len(text) <= MAX_LENGTH:
            return text
    raise InvalidData("What is to be confirmed is too long.")


def read_binding(text: str) -> tuple[str | None, dict[str, Any] | None]:
    """Return subject and binds from their canonical form."""
    subject, binds = json.loads(text)
    return subject, binds


def _plain(value: Any) -> Any:
    """Return a value in the types that JSON has, so that proxies and subclasses count as theirs."""
    if isinstance(value, NoneType):
        return None
    if isinstance(value, bool):
        return bool(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Mapping):
        return _plain_dict(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    raise TypeError(
        f"binds= must hold texts, integers, booleans, lists and dicts, not {type(value).__name__}"
    )


def _plain_dict(value: Mapping[Any, Any]) -> dict[str, Any]:
    if not all(isinstance(name, str) for name in value):
        raise TypeError("the names in binds= must be texts")
    # Of a form's field that is there twice, the message would show one, and the view may use both.
    values_of = getattr(value, "getlist", None)
    if values_of is not None and any(len(values_of(name)) > 1 for name in value):
        raise InvalidData("What is to be confirmed has a field twice.")
    return {_clean(name): _plain(each) for name, each in value.items()}


def _clean(text: str) -> str:
    plain = "".join(text)  # str() would give the name of an enum's member
    if INVISIBLE.search(plain) or any(unicodedata.category(each) in _FALSIFYING for each in plain):
        raise InvalidData("What is to be confirmed has characters that can't be shown.")
    return plain
