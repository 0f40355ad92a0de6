"""The templates say which variables they have."""

import re
from pathlib import Path
from typing import Any

import pytest
from fakes import MakeApp
from flask import Flask
from jinja2 import Environment, StrictUndefined, meta
from said import MESSAGES, confirmation_code, login_code

from flask_otp_auth.messages import email, emails, rendering, short_messages, sms

FOLDER = rendering.TEMPLATES / "otp_auth" / "messages"
NAMES = [path.name for path in sorted(FOLDER.iterdir())]
HELPERS = {"_", "ngettext"}


def listed(name: str) -> set[str]:
    """Return the variables in the comment at the head of a template."""
    head = re.match(r"\{#\n(.*?)\n#\}\n", (FOLDER / name).read_text(), re.DOTALL)
    assert head is not None
    return set(re.findall(r"^(\w+): ", head[1], re.MULTILINE))


def used(name: str) -> set[str]:
    """Return the variables that a template uses."""
    tree = Environment(autoescape=True).parse((FOLDER / name).read_text())
    return meta.find_undeclared_variables(tree)


@pytest.fixture
def given(shop: Flask, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[str]]:
    """The variables that each template is given."""
    given: dict[str, set[str]] = {}

    def render(app: Flask, name: str, values: dict[str, Any]) -> str:
        given[name] = set(values)
        return rendering.render(app, name, values)

    monkeypatch.setattr(emails, "render", render)
    monkeypatch.setattr(short_messages, "render", render)
    for said in MESSAGES.values():
        email(shop, **said())
    for said in (login_code, confirmation_code):
        sms(shop, **said())
    return given


def test_the_templates_are_those_that_are_promised() -> None:
    promised = [f"{name}.{part}" for name in MESSAGES for part in ("subject", "txt", "html")]
    promised += ["code.sms.txt", "confirmation.sms.txt", "_base.txt", "_base.html"]
    assert sorted(promised) == NAMES


def test_each_lists_the_variables_that_it_is_given(given: dict[str, set[str]]) -> None:
    assert {name: listed(name) for name in given} == given
    assert set(given) == {name for name in NAMES if not name.startswith("_")}


@pytest.mark.parametrize("name", NAMES)
def test_none_uses_others(given: dict[str, set[str]], name: str) -> None:
    if name.startswith("_"):
        everywhere = [given[other] for other in given if Path(other).suffix == Path(name).suffix
                      and ".sms" not in other]  # fmt: skip
        assert used(name) - HELPERS <= set.intersection(*everywhere)
    else:
        assert used(name) - HELPERS <= given[name]


@pytest.mark.parametrize("name", MESSAGES)
def test_the_app_may_have_chosen_another_syntax_for_its_own(make_shop: MakeApp, name: str) -> None:
    usual, other = make_shop(), make_shop()
    env = other.jinja_env
    env.block_start_string, env.block_end_string = "[%", "%]"
    env.variable_start_string, env.variable_end_string = "[[", "]]"
    env.autoescape, env.undefined = False, StrictUndefined
    said = MESSAGES[name]()
    assert email(other, **said) == email(usual, **said)


@pytest.mark.parametrize("name", MESSAGES)
def test_no_variable_is_useless(given: dict[str, set[str]], name: str) -> None:
    parts = [f"{name}.subject", f"{name}.txt", f"{name}.html", "_base.txt", "_base.html"]
    assert given[f"{name}.html"] <= set.union(*map(used, parts))
