"""A TypeScript client that is generated from the document compiles and signs in."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from launch import ROOT, Server, environment
from npm import node_modules
from stores import PATIENCE

PACKAGES = ("openapi-fetch@0.17", "openapi-typescript@7", "typescript@5")
PAGE = (ROOT / "docs" / "openapi.md").read_text()
HERE = Path(__file__).parent
COMPILER = {
    "compilerOptions": {
        "strict": True,
        "target": "es2022",
        "module": "nodenext",
        "lib": ["es2022", "dom"],
        "types": [],
    },
    "files": ["sign_in.ts", "types.ts"],
}


@pytest.fixture(scope="module")
def modules(pytestconfig: pytest.Config) -> Path:
    """The generator, the client and the compiler."""
    return node_modules(pytestconfig, "openapi-ts", *PACKAGES)


def run(command: str, folder: Path) -> str:
    """Run a line of the page, or of ours, in the client's folder."""
    ran = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment(),
        timeout=5 * PATIENCE,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture
def client(modules: Path, tmp_path: Path) -> Path:
    """A folder with the client of the page, generated and compiled as the page says."""
    folder = tmp_path / "client"
    folder.mkdir()
    (folder / "node_modules").symlink_to(modules)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "tsconfig.json").write_text(json.dumps(COMPILER))
    shutil.copy(ROOT / "example_app.py", folder / "shop.py")
    for name in ("sign_in.mjs", "types.ts"):
        shutil.copy(HERE / name, folder)
    (source,) = re.findall(r"(?ms)^```ts\n// sign_in.ts\n(.*?)^```", PAGE)
    (folder / "sign_in.ts").write_text(source)
    lines = re.findall(r"(?m)^\$ (.*)$", PAGE)
    printed, installed, generated = lines
    assert installed.split()[2:] == [package.rpartition("@")[0] for package in PACKAGES]
    run(printed, folder)
    run(generated, folder)
    run("npx tsc", folder)
    return folder


def test_the_client_of_the_page_signs_in(client: Path, shop: Server, tmp_path: Path) -> None:
    printed = run(
        f"node sign_in.mjs http://127.0.0.1:{shop.port} {tmp_path / 'output.txt'}", client
    )
    found: dict[str, Any] = json.loads(printed)
    assert found["wrong"] == "Invalid OTP"
    assert found["joined"].keys() == {"token", "registration"}
    (sign_in,) = found["listed"]["sign_ins"]
    assert sign_in["current"] is True
    assert found["ended"] == {"success": True}
    assert found["after"] == {"type": "unauthorized", "message": "Unauthorized"}
