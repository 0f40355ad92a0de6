"""Writes the tables of reference/ anew: settings from their dataclass, templates from their heads.

``python docs/tables.py``; a test compares the pages with what this would write.
"""

import json
import re
from dataclasses import fields
from pathlib import Path

from limits import RateLimitItem

from flask_otp_auth.core.settings import Settings

REFERENCE = Path(__file__).parent / "reference"
PACKAGE = Path(__file__).parent.parent / "flask_otp_auth"
MESSAGES = PACKAGE / "messages" / "templates" / "otp_auth" / "messages"

_HEAD = re.compile(r"(?s)\A\{#-?\n(.*?)-?#\}")
_ROW = re.compile(r"(?m)^(\w+)(?:: |  +)(\S.*)$")


def settings_table() -> str:
    """Return the table with a row for each setting: its name, its default, what it is about."""
    lines = ["| setting | default | meaning |\n|---|---|---|\n"]
    for item in fields(Settings):
        star = " *" if item.metadata["per_type"] else ""
        row = f"| `{item.name.upper()}`{star} | `{_shown(item.default)}` | {item.metadata['doc']} |"
        lines.append(f"{row}\n")
    return "".join(lines)


def page_templates() -> str:
    """Return a section for each template of a page."""
    folder = PACKAGE / "pages" / "templates" / "otp_auth"
    return "\n".join(_section(path, folder) for path in sorted(folder.glob("[!_]*.html")))


def message_templates() -> str:
    """Return a section for each template of a message."""
    paths = sorted(path for path in MESSAGES.iterdir() if path.name[0] != "_")
    return "\n".join(_section(path, MESSAGES) for path in paths)


#: What stands between ``<!-- name -->`` and ``<!-- /name -->``, by page and name.
PARTS = {
    ("settings.md", "settings"): settings_table,
    ("templates.md", "pages"): page_templates,
    ("templates.md", "messages"): message_templates,
}


def with_part(text: str, name: str, part: str) -> str:
    """Return a page's text with what stands between two marks replaced."""
    marked = re.compile(rf"(?s)(?<=<!-- {name} -->\n\n).*(?=\n<!-- /{name} -->)")
    if marked.search(text) is None:
        raise LookupError(f"no marks of {name}")
    return marked.sub(lambda _: part, text)


def _section(path: Path, folder: Path) -> str:
    head = _HEAD.match(path.read_text())
    if head is None:
        raise LookupError(f"{path} doesn't begin with a comment")
    about, _, table = head[1].strip().partition("\n\n")
    rows = "".join(f"| `{name}` | {_escaped(meaning)} |\n" for name, meaning in _ROW.findall(table))
    heading = f"### `{path.relative_to(folder)}`\n\n{about}\n"
    return f"{heading}\n| variable | meaning |\n|---|---|\n{rows}" if rows else heading


def _escaped(text: str) -> str:
    return text.replace("_(", "\\_(")


def _shown(default: object) -> str:
    """Return a default as it would be written in a configuration."""
    if isinstance(default, tuple) and default and isinstance(default[0], RateLimitItem):
        return ";".join(f"{item.amount}/{item.GRANULARITY.name}" for item in default)
    return json.dumps(default).strip('"') if isinstance(default, tuple) else str(default)


if __name__ == "__main__":
    for (page, name), write in PARTS.items():
        path = REFERENCE / page
        path.write_text(with_part(path.read_text(), name, write()))
