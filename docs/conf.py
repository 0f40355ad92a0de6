"""Sphinx's configuration: ``make docs`` builds the site into build/docs, without a network."""

import sys
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

sys.path.insert(0, str(Path(__file__).parent.parent))

project = "flask-otp-auth"
author = "The flask-otp-auth authors"
copyright = f"2026, {author}"
release = version = installed("flask-otp-auth")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]

# A heading is an anchor, as on GitHub; a link to one that isn't there is a warning, so an error.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = f"flask-otp-auth {release}"
html_static_path = ["_static"]
html_css_files = ["own.css"]
html_show_sphinx = False
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True

nitpicky = True

# Names of other projects: their inventories would have to be fetched, and a build needs no network.
nitpick_ignore_regex = [
    ("py:.*", r"(collections|datetime|os|typing)\..*"),
    ("py:.*", r"(blinker|cachelib|click|flask|flask_limiter|flask_login|sqlalchemy|werkzeug)\..*"),
    ("py:class", r"flask_otp_auth\.storage\.database\.Database"),  # which nobody passes but we
    ("py:class", r"BaseCache|Flask|Level|Limiter|Mapping|S|datetime|timedelta|optional"),
]


def find_by_short_name(app: Sphinx, env: Any, node: Any, contnode: Any) -> Any:
    """Find what a docstring names without its module, or by a module that only re-exports it."""
    name = node.get("reftarget", "").rpartition(".")[2]
    domain = env.get_domain("py")
    found = [full for full in domain.objects if full.rpartition(".")[2] == name]
    if node.get("refdomain") != "py" or len(found) != 1:
        return None
    entry = domain.objects[found[0]]
    return make_refnode(
        app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, found[0]
    )


def setup(app: Sphinx) -> None:
    """Add what is above, and show diagrams as text: what draws them is another host's script."""
    app.connect("missing-reference", find_by_short_name)
    for language in ("conf", "mermaid"):
        app.add_lexer(language, TextLexer)
