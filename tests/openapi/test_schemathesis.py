"""A fuzzer that knows the document finds no answer that contradicts it."""

import re
import subprocess
import sys
from pathlib import Path

from launch import ROOT, Server, environment

#: 413 is a refusal as well: a proof of so many characters may have too many bytes.
CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 404, 413, 415, 422]
"""

#: The only one that can't hold: a well-formed code is refused, as nobody guesses one.
EXCLUDED = "positive_data_acceptance"

#: Phases that there are; each has to have found something to do.
PHASES = ("Examples", "Coverage", "Fuzzing", "Stateful")


def test_no_answer_contradicts_the_document(shop: Server, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{shop.port}"
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    paths = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "openapi")]
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(configuration), "--no-color"),
            *("run", f"{url}/auth/openapi.json"),
            *("--phases", "examples,coverage,fuzzing,stateful", "--checks", "all"),
            *("--exclude-checks", EXCLUDED, "--generation-deterministic"),
            *("--seed", "20260102"),
            *("--max-examples", "10", "--continue-on-failure", "--warnings", "off"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment(
            SCHEMATHESIS_HOOKS="schemathesis_hooks",
            SHOP_URL=url,
            SHOP_OUTPUT=str(tmp_path / "output.txt"),
            PYTHONPATH=":".join(paths),
        ),
        timeout=180,
    )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    for phase in PHASES:
        assert re.search(rf"✅  {phase} \(in", ran.stdout), ran.stdout
    assert "15 selected / 15 total" in ran.stdout
    assert "4 covered / 4 selected / 4 total" in ran.stdout
    (cases,) = re.findall(r"(\d+) generated, \1 passed", ran.stdout)
    assert int(cases) > 400
