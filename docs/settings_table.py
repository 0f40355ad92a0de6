"""Writes the table of reference/settings.md anew, from the fields of ``Settings``."""

import json
import re
from dataclasses import fields
from pathlib import Path

from limits import RateLimitItem

from flask_otp_auth.core.settings import Settings

PAGE = Path(__file__).parent / "reference" / "settings.md"
MARKED = re.compile(r"(?s)(?<=<!-- settings -->\n\n).*(?=\n<!-- /settings -->)")


def settings_table() -> str:
    """Return the table with a row for each setting: its name, its default, what it is about."""
    lines = ["| setting | default | meaning |\n|---|---|---|\n"]
    for item in fields(Settings):
        star = " *" if item.metadata["per_type"] else ""
        row = f"| `{item.name.upper()}`{star} | `{_shown(item.default)}` | {item.metadata['doc']} |"
        lines.append(f"{row}\n")
    return "".join(lines)


def _shown(default: object) -> str:
    """Return a default as it would be written in a configuration."""
    if isinstance(default, tuple) and default and isinstance(default[0], RateLimitItem):
        return ";".join(f"{item.amount}/{item.GRANULARITY.name}" for item in default)
    return json.dumps(default).strip('"') if isinstance(default, tuple) else str(default)


if __name__ == "__main__":
    PAGE.write_text(MARKED.sub(lambda _: settings_table(), PAGE.read_text()))
