"""The shop and its document; the example shop under a server, for clients of that alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from example_shop import example_shop
from launch import Server

#: So many requests come from one address that its limits would be all that is seen.
UNLIMITED = {
    f"OTP_AUTH_{name}": "1000000/hour"
    for name in ("IP_GENERATE_LIMITS", "IP_VERIFY_LIMITS", "ACTOR_LIMITS", "GLOBAL_SEND_LIMIT")
}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Server]:
    """The example shop, which serves its document."""
    settings = {"OTP_AUTH_OPENAPI": "true", "OTP_AUTH_DELIVERY": "inline", **UNLIMITED}
    with example_shop(tmp_path, "--threads", "4", **settings) as server:
        yield server
