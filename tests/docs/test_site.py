"""The documentation's site: it is built as ``make docs`` builds it, then read as a browser would.

What Sphinx itself checks, a link, a name or an anchor that leads nowhere, is a warning, and ends
the build.
"""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from launch import ROOT, environment
from pages import errors_by_type

import flask_otp_auth

pytest.importorskip("furo", reason="the group docs is not installed, as in make test-lowest")

#: What a browser fetches by itself, by the attribute that names it.
FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    """A page's links, its anchors, and what it fetches."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.fetched: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors.add(found.get("id", ""))
        if tag == "a":
            self.links.add(found.get("href", ""))
        if tag in FETCHED:
            self.fetched.add(found.get(FETCHED[tag], ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    options = ["-W", "--keep-going", "-n", "-q", "-d", str(folder / "doctrees")]
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(ROOT / "docs"), str(folder / "html")],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert built.returncode == 0, built.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """The site's pages by their files."""
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_link_within_the_site_leads_to_a_page_and_to_a_place_in_it(
    pages: dict[Path, Page],
) -> None:
    for page in pages.values():
        for link in page.links:
            target, anchor = urldefrag(link)
            if ":" in target:
                continue
            path = (page.path.parent / unquote(target)).resolve() if target else page.path
            assert path.is_file(), (page.path.name, link)
            if anchor and path in pages:
                assert unquote(anchor) in pages[path].anchors, (page.path.name, link)


def test_nothing_is_fetched_from_another_host(site: Path, pages: dict[Path, Page]) -> None:
    for page in pages.values():
        assert not [url for url in page.fetched if re.match(r"(\w+:)?//", url)], page.path
    for path in site.rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:\w+:)?//[^)]*", path.read_text()), path


def test_it_can_be_searched_without_a_server(site: Path) -> None:
    assert "invalid_otp" in (site / "searchindex.js").read_text()
    assert (site / "search.html").is_file()


#: Public names of modules that are imported by their own names.
EXTRAS = {"Outbox", "SQLAlchemyActorStore", "email", "init_login_manager", "mail_codes",
          "login_with_token", "print_codes", "reset", "sms"}  # fmt: skip


def test_every_public_name_has_a_place_in_the_reference(pages: dict[Path, Page]) -> None:
    anchors = set().union(*(page.anchors for page in pages.values()))
    documented = {anchor.rpartition(".")[2] for anchor in anchors if "flask_otp_auth." in anchor}
    assert {*flask_otp_auth.__all__, *EXTRAS} - documented == set()


def test_every_error_has_an_address_of_its_own(site: Path) -> None:
    """The address that stands in the OpenAPI document."""
    for type_ in errors_by_type():
        assert (site / "errors" / f"{type_}.html").is_file()
