"""docs/architecture.md leads to files that are there, and through all that decides."""

import configparser
import re

import pytest
from launch import ROOT

PAGE = ROOT / "docs" / "architecture.md"
TEXT = PAGE.read_text()
LINKS = set(re.findall(r"\]\(([^)]+)\)", TEXT))


def linked() -> set[str]:
    """Return the files that the page leads to, as paths from the repository's folder."""
    return {str((PAGE.parent / link).resolve().relative_to(ROOT)) for link in LINKS}


@pytest.mark.parametrize("label", sorted(set(re.findall(r"\[([\w/]+\.py)\]", TEXT))))
def test_what_a_link_is_called_is_where_it_leads(label: str) -> None:
    assert f"flask_otp_auth/{label}" in linked()


def test_every_flow_is_on_the_way() -> None:
    flows = (ROOT / "flask_otp_auth" / "flows").glob("[!_]*.py")
    assert {str(path.relative_to(ROOT)) for path in flows} <= linked()


def test_every_backend_is_named() -> None:
    for backend in ("memory", "sqlite", "redis", "memcached"):
        assert f"flask_otp_auth/storage/{backend}.py" in linked()


def test_the_layers_are_those_of_the_contract() -> None:
    contract = configparser.ConfigParser()
    contract.read(ROOT / "setup.cfg")
    layers = contract["importlinter:contract:layers"]["layers"].split()
    for name in ("extension", "guards", "web", "flows", "tokens", "core", "storage"):
        assert name in layers
        assert re.search(rf"[\[ ]{name}\b", TEXT), name


def test_the_diagram_is_one_that_mermaid_reads() -> None:
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", TEXT, re.DOTALL)
    assert diagram.startswith("flowchart TD\n")
    assert diagram.count("subgraph ") == len(re.findall(r"(?m)^ *end$", diagram))
