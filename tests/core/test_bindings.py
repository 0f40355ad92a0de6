"""What a code confirms has one canonical text, and any change to it gives another one."""

import enum
import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from fakes import ADA
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup
from werkzeug.datastructures import CombinedMultiDict, ImmutableMultiDict, MultiDict
from werkzeug.local import LocalProxy

from flask_otp_auth import InvalidData
from flask_otp_auth.core import codes
from flask_otp_auth.core.bindings import MAX_LENGTH, canonical_binding, read_binding
from flask_otp_auth.core.scopes import Scope

#: What may stand in a message.
TEXTS = st.text(
    st.characters(
        max_codepoint=0xD_FFFF,  # beyond are selectors and tags, which nothing shows
        exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp", "Mn", "Lo"),
        include_characters="äßжא",
    ),
    max_size=6,
)
SCALARS = st.none() | st.booleans() | st.integers(-1000, 1000) | TEXTS | st.from_regex(r"\A\d\d?\Z")
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
BINDS = st.dictionaries(TEXTS, VALUES, max_size=4)


def shape(value: Any) -> Any:
    """Return what two values have in common if they are the same as JSON, keys in any order."""
    if isinstance(value, dict):
        return "dict", frozenset((name, shape(each)) for name, each in value.items())
    if isinstance(value, list):
        return "list", tuple(map(shape, value))
    return type(value).__name__, value


def changes(value: Any) -> Iterator[Any]:
    """Yield what a value may be changed to, one step each: type, nesting, order, a part of it."""
    yield from ([value], {"x": value}, None, "")
    if isinstance(value, dict):
        yield from changes_of_dict(value)
    elif isinstance(value, list):
        yield from changes_of_list(value)
    elif isinstance(value, str):
        yield from (value + "0", value[1:], value[::-1], value.swapcase(), " " + value)
        yield from [int(value)] if value.isascii() and value.isdigit() else []
    else:
        yield from (str(value), str(value).lower(), not value, int(value or 0), int(value or 0) + 1)


def changes_of_dict(value: dict[str, Any]) -> Iterator[Any]:
    yield from ({**value, "new": None}, list(value.values()), sorted(value))
    for name, each in value.items():
        others = {other: kept for other, kept in value.items() if other != name}
        yield from (others, {**others, name + "x": each}, {**others, "deeper": {name: each}})
        yield from ({**value, name: changed} for changed in changes(each))
    for one, two in itertools.combinations(value, 2):
        yield {**value, one: value[two], two: value[one]}


def changes_of_list(value: list[Any]) -> Iterator[Any]:
    yield from ([*value, None], [value[:1], value[1:]], value[::-1], dict.fromkeys("ab", value))
    for place, each in enumerate(value):
        before, after = value[:place], value[place + 1 :]
        yield from (before + after, [*before, each, each, *after])
        yield from ([*before, changed, *after] for changed in changes(each))


def turned(value: Any) -> Any:
    """Return a value with the order of all keys turned round."""
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(value)}
    return [turned(each) for each in value] if isinstance(value, list) else value


def digest(subject: str | None, binds: dict[str, Any] | None) -> str:
    """Return what is stored of a code that is bound to these."""
    scope = Scope("", "transfer", ADA, canonical_binding(subject, binds))
    return codes.digest(b"a key", scope, "an id", "123456")


def test_any_change_of_what_is_bound_makes_another_code_of_it() -> None:
    """One field, its type, its place, the order of a list: 10,000 changes and more."""
    cases = 0

    @settings(max_examples=300)
    @given(binds=BINDS, subject=st.none() | TEXTS)
    def check(binds: dict[str, Any], subject: str | None) -> None:
        nonlocal cases
        right = digest(subject, binds)
        assert digest(subject, turned(binds)) == right
        assert read_binding(canonical_binding(subject, binds)) == (subject, binds)
        different = (
            each
            for each in changes(binds)
            if isinstance(each, dict | None) and shape(each) != shape(binds)
        )
        for changed in different:
            assert digest(subject, changed) != right
            cases += 1
        for other in (None, "", "None", "null", f"{subject}1", ADA):
            assert (digest(other, binds) == right) == (other == subject)

    check()
    assert cases >= 10_000


def test_the_text_is_json_in_unicode_with_sorted_names() -> None:
    binds = {"to": "Zoë", "amount": 12, "parts": ({"b": None, "a": True}, [])}
    text = '["7",{"amount":12,"parts":[{"a":true,"b":null},[]],"to":"Zoë"}]'
    assert canonical_binding("7", binds) == text
    assert canonical_binding(None, None) == "[null,null]"
    assert canonical_binding(None, {}) == "[null,{}]"


class Currency(str, enum.Enum):  # noqa: UP042 - str() of its members is their name
    EUR = "eur"


class Level(enum.IntEnum):
    HIGH = 3


def proxy(value: Any) -> Any:
    return LocalProxy(lambda: value)


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (proxy("x"), "x"),
        (proxy(None), None),
        (proxy(True), True),
        (proxy(5), 5),
        (proxy({"a": [1]}), {"a": [1]}),
        ((1, ("b",)), [1, ["b"]]),
        (Currency.EUR, "eur"),
        (Level.HIGH, 3),
        (Markup("<b>"), "<b>"),
        (ImmutableMultiDict([("a", "1"), ("b", "2")]), {"a": "1", "b": "2"}),
    ],
    ids=repr,
)
def test_what_only_wraps_a_value_is_that_value(value: Any, plain: Any) -> None:
    text = canonical_binding(proxy("7"), {"value": value})
    assert text == canonical_binding("7", {"value": plain})


NO_FORM = (
    r"^(the names in binds= must be texts|binds= must hold texts, integers, booleans, lists and "
    r"dicts, not (float|Decimal|bytes|set|object))$"
)


@pytest.mark.parametrize(
    "value", [1.0, float("nan"), Decimal(1), b"1", {1}, object(), [1.5], {1: "a"}, {"a": {None: 1}}]
)
def test_what_has_no_canonical_form_is_a_type_error(value: Any) -> None:
    """Amounts are texts or integers: 12.10 and 12.1 would be one float."""
    with pytest.raises(TypeError, match=NO_FORM):
        canonical_binding(None, {"amount": value})


@pytest.mark.parametrize(
    ("subject", "binds"), [(7, None), (b"7", None), (None, [("a", 1)]), (None, "a")]
)
def test_so_are_arguments_of_other_types(subject: Any, binds: Any) -> None:
    with pytest.raises(TypeError, match=r"^(subject= must be a text|binds= must be a dict)$"):
        canonical_binding(subject, binds)


FALSIFYING = [
    "\n", "\r", "\t", "\x00", "\x1b", "\x7f", "\x85", "\u00ad", "\u200b", "\u200d", "\u200e",
    "\u202e", "\u2028", "\u2029", "\u2066", "\ufeff", "\ud800", "\U000e0041", "\u034f", "\u115f",
    "\u1160", "\u17b4", "\u180b", "\u3164", "\ufe00", "\ufe0f", "\uffa0", "\U000e0100",
]  # fmt: skip


@pytest.mark.parametrize("character", FALSIFYING)
@pytest.mark.parametrize(
    "place",
    [
        lambda text: (text, None),
        lambda text: (None, {"to": text}),
        lambda text: (None, {text: 1}),
        lambda text: (None, {"a": [{"b": text}]}),
    ],
    ids=["subject", "value", "name", "nested"],
)
def test_what_would_falsify_the_message_is_invalid_data(
    character: str, place: Callable[[str], tuple[Any, Any]]
) -> None:
    with pytest.raises(
        InvalidData, match=r"^What is to be confirmed has characters that can't be shown\.$"
    ):
        canonical_binding(*place(f"DE12{character}34"))


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", ["x" * MAX_LENGTH, 10**5000, nested(100_000)], ids=["text", "integer", "nesting"]
)
def test_what_is_too_long_is_invalid_data(value: Any) -> None:
    with pytest.raises(InvalidData, match=r"^What is to be confirmed is too long\.$"):
        canonical_binding(None, {"value": value})


@pytest.mark.parametrize("kind", [MultiDict, lambda items: CombinedMultiDict([MultiDict(items)])])
def test_a_field_that_a_form_has_twice_is_invalid_data(kind: Callable[[Any], Any]) -> None:
    """The message would show one of the two, and the view may use the other."""
    with pytest.raises(InvalidData, match=r"^What is to be confirmed has a field twice\.$"):
        canonical_binding(None, {"form": kind([("to", "DE12"), ("to", "DE34")])})
