"""Checks by themselves: those that are made for a setting, of limits, words or a form."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from flask_otp_auth.core.validators import choice, matching, numbered, optional, seconds, whole

MAKERS: list[tuple[Callable[[], Any], list[tuple[Any, Any]], list[Any], str]] = [
    (
        lambda: whole(6, 10),
        [(6, 6), (10, 10), ("8", 8)],
        [5, 11, "11", 6.0, True, None, "six", timedelta(seconds=7)],
        "must be a whole number from 6 to 10",
    ),
    (
        lambda: seconds(1, 600),
        [(1, 1), (600, 600), (7.0, 7), ("7", 7), (timedelta(minutes=1), 60)],
        [0, 601, 7.5, True, None, "soon", timedelta(milliseconds=1500)],
        "must be 1 to 600 whole seconds, as a number or a timedelta",
    ),
    (
        lambda: choice("inline", "background"),
        [("inline", "inline"), ("background", "background")],
        ["", "line", "inline ", "inline\n", "inlinebackground", 7, None, ["inline"]],
        "must be one of inline, background",
    ),
    (
        lambda: matching("[a-z]+|X", "must be small letters"),
        [("abc", "abc"), ("X", "X")],
        ["", "abX", "a b", "abc\n", 7, None],
        "must be small letters",
    ),
]


@pytest.mark.parametrize(
    ("make", "good", "bad", "fault"), MAKERS, ids=["whole", "seconds", "choice", "matching"]
)
def test_a_check_returns_what_is_good_and_says_what_it_must_be(
    make: Callable[[], Any], good: list[tuple[Any, Any]], bad: list[Any], fault: str
) -> None:
    check = make()
    assert [check(given) for given, _ in good] == [meant for _, meant in good]
    for value in bad:
        with pytest.raises(ValueError, match=f"^{re.escape(fault)}$"):
            check(value)


def test_what_is_optional_may_be_none() -> None:
    check = optional(whole(6, 10))
    assert [check(None), check(7)] == [None, 7]
    with pytest.raises(ValueError, match="whole number"):
        check(0)


def test_items_that_can_not_be_used_are_told_by_their_number() -> None:
    assert numbered(whole(1, 3), [1, 9, 2, "x"]) == (
        [1, 2],
        [
            "number 2 must be a whole number from 1 to 3",
            "number 4 must be a whole number from 1 to 3",
        ],
    )
