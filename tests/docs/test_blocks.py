"""No block of code in docs/ goes unchecked.

A page's Python is run here, from its top to its end, in a shop's app, unless a test of the page's
own runs it. Lines for a shell, JSON and TOML are read. What can't be run is of a kind that says so.
"""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import click
import pytest
from fakes import SECRET, Customers, MakeApp
from flask import Flask
from launch import ROOT
from pages import DOCS, Block, blocks_of, name_of, pages

from flask_otp_auth import OTPAuth, signals
from flask_otp_auth.cli import otp as commands
from flask_otp_auth.core.settings import Settings
from flask_otp_auth.testing import Outbox

#: Run, or read, by a test.
CHECKED = {"python", "console", "bash", "json", "toml"}

#: Shown, and run nowhere: what people see, other programs' configuration, drawings, markup. The
#: JavaScript and the TypeScript are played by tests of their pages' own.
SHOWN = {"text", "conf", "nginx", "mermaid", "html", "js", "ts"}

#: What MyST itself reads.
DIRECTIVES = {"{toctree}", "{eval-rst}", "{literalinclude}", "{note}", "{warning}"}

#: Pages whose Python a test of their own runs, with how many blocks there are: that test takes
#: each of them, so who adds one adds it there, and then here.
RUN_ELSEWHERE = {
    "audit.md": ("test_audit_doc.py", 1),
    "openapi.md": ("test_openapi_doc.py", 5),
    "deploy.md": ("test_deploy_doc.py", 6),
    "pages.md": ("test_pages_doc.py", 3),
    "testing.md": ("test_testing_doc.py", 2),
    "tokens.md": ("test_tokens_doc.py", 12),
    "tutorial.md": ("test_tutorial.py", 3),
}

#: Programs that a reader is asked to start.
PROGRAMS = {
    "cat", "cd", "curl", "export", "flask", "grep", "make", "mkdir", "npm", "npx", "openssl", "pip",
    "pytest", "python3", "redis-server", "token", "token()",
}  # fmt: skip

#: Where a command begins in a line: at its start, after assignments, in a pipe.
_COMMAND = re.compile(
    r"(?:^(?:[A-Z_]+=(?:\$\(.*\)|[^$ ]\S*) )*|\$\(|\| |&& )([a-z][\w-]*(?:\(\))?)"
)

BLOCKS = [
    pytest.param(block, id=f"{name_of(page)}-{number}")
    for page in pages()
    for number, block in enumerate(blocks_of(page), 1)
]


def of(*languages: str) -> list[object]:
    return [each for each in BLOCKS if each.values[0].language in languages]


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_each_block_is_of_a_kind_that_is_known(page: Path) -> None:
    kinds = {block.language.split(" ")[0] for block in blocks_of(page)}
    assert kinds <= CHECKED | SHOWN | DIRECTIVES
    assert page.read_text().count("```") == 2 * len(blocks_of(page))


@pytest.mark.parametrize("page", RUN_ELSEWHERE)
def test_a_page_with_a_test_of_its_own_has_as_many_blocks_as_that_runs(page: str) -> None:
    test, count = RUN_ELSEWHERE[page]
    assert Path(page).name in (Path(__file__).parent / test).read_text()
    assert len(blocks_of(DOCS / page, "python")) == count


@pytest.fixture
def shop(make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """The app that the pages speak of, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", SECRET)
    customers, otp_auth = Customers(), OTPAuth()
    customers.add("ada@example.com")
    otp_auth.add_actor_type("customer", customers)
    app = make_app(otp_auth)
    app.config["ROOT_PATH"] = app.config.root_path = str(tmp_path)
    app.extensions["names"] = {"app": app, "otp_auth": otp_auth, "customers": customers}
    return app


@pytest.mark.parametrize(
    "page",
    [page for page in pages() if blocks_of(page, "python") and name_of(page) not in RUN_ELSEWHERE],
    ids=name_of,
)
def test_the_python_of_a_page_runs(page: Path, shop: Flask, tmp_path: Path) -> None:
    for block in blocks_of(page):
        if block.file:
            (tmp_path / block.file).write_text(block.code)
    names = shop.extensions["names"]
    with Outbox(shop):
        for block in blocks_of(page, "python"):
            names = block.run(**names)


@pytest.mark.parametrize("block", of("console"))
def test_what_is_typed_can_be_typed(block: Block) -> None:
    assert block.code.startswith("$ ")
    for line, _ in block.steps():
        check_shell(line)
        check_commands(line)


def check_commands(line: str) -> None:
    """See that what a line calls is there: programs, our own commands, targets and extras."""
    programs, words = _COMMAND.findall(line), line.split()
    assert programs, line
    assert set(programs) <= PROGRAMS, line
    if "flask" in programs and "otp" in words:
        assert words[words.index("otp") + 1] in commands.list_commands(click.Context(commands))
    if programs == ["make"]:
        assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r"(?:flask-otp-auth|\.)\[([\w,]+)\]", line):
        assert set(extras.split(",")) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("block", of("bash"))
def test_a_script_is_one(block: Block) -> None:
    check_shell(block.code)


def check_shell(script: str) -> None:
    """See that bash can read it."""
    read = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr


@pytest.mark.parametrize("block", of("json"))
def test_json_is_json(block: Block) -> None:
    try:
        json.loads(block.code)
    except ValueError:
        for line in block.code.splitlines():  # as in a log
            json.loads(line)


@pytest.mark.parametrize("block", of("toml"))
def test_a_configuration_is_good(block: Block) -> None:
    assert Settings.load({**tomllib.loads(block.code), "SECRET_KEY": SECRET})


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_setting_and_signal_that_a_page_names_is_one(page: Path) -> None:
    settings = {f"OTP_AUTH_{name.upper()}" for name in Settings.__dataclass_fields__}
    assert settings >= set(re.findall(r"OTP_AUTH_\w+\w", page.read_text()))
    for name in re.findall(r"`(\w+)\.connect", page.read_text()):
        assert hasattr(signals, name)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    for path in re.findall(r"`((?:tests|flask_otp_auth|docs)/[\w./]+)`", page.read_text()):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize(
    "path",
    [path for folder in ("howto", "recipes") for path in sorted((DOCS / folder).iterdir())
     if path.suffix in (".py", ".mjs")],
    ids=lambda path: path.name,
)  # fmt: skip
def test_each_file_is_on_a_page_and_run_by_a_test(path: Path) -> None:
    links = r"(?:```\{literalinclude\} |\]\()([\w./-]+)"
    shown = [
        name_of(page)
        for page in pages()
        for target in re.findall(links, page.read_text())
        if (page.parent / target).resolve() == path
    ]
    assert shown, f"no page shows {path.name}"
    tests = "".join(test.read_text() for test in Path(__file__).parent.glob("test_*.py"))
    assert re.search(rf'"(\./)?{path.stem}(\.mjs)?"', tests), f"no test runs {path.name}"


@pytest.mark.parametrize(
    "path",
    [ROOT / "README.md", ROOT / "example_app.py", *pages(), *sorted(DOCS.rglob("*.py"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_accounts_id_is_used_again(path: Path) -> None:
    """In SQLite it would be, after a deletion: tokens of who has left would be the next one's."""
    text = path.read_text()
    assert "id=len(" not in text
    assert "(len(self." not in text
    for model in text.split("\nclass ")[1:]:
        if re.search(r"\bid = db\.Column\(db\.Integer, primary_key=True\)", model):
            assert "sqlite_autoincrement" in model
