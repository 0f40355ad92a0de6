"""The example shop under a server, for clients that know nothing but its document."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from launch import ROOT, Server
from stores import free_port

#: So many requests come from one address that its limits would be all that is seen.
UNLIMITED = {
    f"OTP_AUTH_{name}": "1000000/hour"
    for name in ("IP_GENERATE_LIMITS", "IP_VERIFY_LIMITS", "ACTOR_LIMITS", "GLOBAL_SEND_LIMIT")
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Server]:
    """The example shop, which serves its document."""
    shutil.copy(ROOT / "example_app.py", tmp_path)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "--threads", "4", "--bind", f"127.0.0.1:{port}"]
    settings = {"OTP_AUTH_OPENAPI": "true", "OTP_AUTH_DELIVERY": "inline", **UNLIMITED}
    with Server([*command, "example_app:app"], tmp_path, port, **settings) as server:
        yield server
        assert "Traceback" not in server.output
