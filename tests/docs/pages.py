"""What tests of the documentation share: its pages, their blocks of code, the errors."""

import importlib.util
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest
from launch import ROOT

from flask_otp_auth.errors import InvalidIdentifier, RequestError

DOCS = ROOT / "docs"

_FENCE = re.compile(r"(?ms)^( *)```([^\n`]*)\n(.*?)^\1```$")

#: A block whose first line is a comment with a file's name is that file, for what comes after it.
_NAME = re.compile(r"(?:#|//) ([\w./-]+\.\w+)(?:\n| )")


@dataclass(frozen=True)
class Block:
    """A block of code on a page.

    :ivar language: what stands behind the fence; a directive of MyST's has braces.
    """

    language: str
    code: str

    @property
    def file(self) -> str | None:
        """The name of the file that it is, if it says so in its first line."""
        found = _NAME.match(self.code)
        return found and found[1]

    def run(self, **names: Any) -> dict[str, Any]:
        """Run a block of Python with these names, and return what is defined then."""
        exec(compile(self.code, "<docs>", "exec"), names)  # noqa: S102 - our own documentation
        return names

    def steps(self) -> list[tuple[str, str]]:
        """Return what is typed into a console, line by line, each with what it prints."""
        parts = [step.partition("\n") for step in self.code.removeprefix("$ ").split("\n$ ")]
        return [(line, printed.strip()) for line, _, printed in parts]


def assert_is_like(output: str, expected: str) -> None:
    """Compare what was printed with what a page says, in which "…" stands for any text."""
    if not expected:
        assert output == ""
        return
    printed, promised = json.loads(output), json.loads(expected)
    assert printed.keys() == promised.keys()
    for name, value in promised.items():
        assert printed[name] == value or value == "…"


def pages() -> list[Path]:
    """Return every page of the documentation."""
    return sorted(DOCS.rglob("*.md"))


def name_of(page: Path) -> str:
    """Return a page's path below ``docs/``."""
    return str(page.relative_to(DOCS))


def blocks_of(page: Path, language: str | None = None) -> list[Block]:
    """Return a page's blocks of code, in one language or in all."""
    found = [
        Block(language, dedent(code)) for _, language, code in _FENCE.findall(page.read_text())
    ]
    return [block for block in found if language in (None, block.language)]


def errors_by_type() -> dict[str, type[RequestError]]:
    """Return the class of each type of error that stands on the wire."""
    found = {error.type: error for error in RequestError.__subclasses__()}
    assert issubclass(InvalidIdentifier, found["invalid_data"])
    return found


def load(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a file of the documentation, as a module of this test's own."""
    name = f"docs_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module
