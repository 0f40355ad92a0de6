"""Medusa's own JavaScript client drives the example shop, over real HTTP."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from example_shop import example_shop
from launch import environment
from npm import node_modules
from stores import PATIENCE, Storages

SDK = "@medusajs/js-sdk@2"
Play = Callable[[str], dict[str, Any]]


@pytest.fixture(scope="module")
def modules(pytestconfig: pytest.Config) -> Path:
    """The client and what it needs."""
    return node_modules(pytestconfig, "js-sdk", SDK)


@pytest.fixture(scope="module", params=["default", "redis", "memcached"])
def play(
    request: pytest.FixtureRequest,
    modules: Path,
    storages: Storages,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Play]:
    """Play a scenario of ``js_sdk.cjs`` against the example under gunicorn."""
    folder = tmp_path_factory.mktemp("shop")
    settings = {"OTP_AUTH_RESEND_INTERVAL": "0", "OTP_AUTH_DELIVERY": "inline"}
    if request.param != "default":
        settings["OTP_AUTH_STORAGE_URI"] = storages[request.param].uri
    if request.param == "memcached":  # which forgets, so it can't keep sign-ins
        settings["OTP_AUTH_SIGN_INS_URI"] = f"sqlite:///{folder}/sign_ins.sqlite3"
    with example_shop(folder, "-w", "2", **settings) as server:

        def run(scenario: str) -> dict[str, Any]:
            url, output = f"http://127.0.0.1:{server.port}", folder / "output.txt"
            played = subprocess.run(
                ["node", str(Path(__file__).with_name("js_sdk.cjs")), scenario, url, str(output)],
                capture_output=True,
                text=True,
                check=False,
                env=environment(NODE_PATH=str(modules)),
                timeout=PATIENCE,
            )
            assert played.returncode == 0, played.stderr
            found: dict[str, Any] = json.loads(played.stdout)
            return found

        yield run


def error(status: int, text: str, message: str) -> dict[str, Any]:
    """Return what the client's ``FetchError`` says."""
    fetch_error = {"name": "Error", "status": status, "statusText": text, "message": message}
    return {"error": fetch_error}


def typ(token: str) -> str:
    """Return what kind of token it is."""
    kind: str = jwt.get_unverified_header(token)["typ"]
    return kind


UNAUTHORIZED = error(401, "UNAUTHORIZED", "Unauthorized")
INVALID_OTP = error(400, "BAD REQUEST", "Invalid OTP")


def test_sign_up_by_grace_then_sign_in_with_tokens(play: Play) -> None:
    found = play("token")
    assert found["asked"]["message"].startswith("Please validate the OTP")
    assert found["early"] == error(409, "CONFLICT", "The account has not been created yet.")
    customer = found["customer"]
    assert customer["email"] == "token@example.com"
    assert found["signedUp"] == {"value": customer}
    assert found["again"] == INVALID_OTP

    assert found["sent"]["message"].startswith("If an account exists")
    assert found["signedIn"] == {"value": customer}
    assert found["refreshed"] == {"token": found["held"]}
    assert found["afterRefresh"] == {"value": customer}
    assert found["afterLogout"] == UNAUTHORIZED

    assert [typ(found[name]) for name in ("registration", "byGrace", "byCode", "held")] == [
        "registration+jwt",
        "auth+jwt",
        "auth+jwt",
        "auth+jwt",
    ]


def test_sign_up_and_sign_in_with_sessions(play: Play) -> None:
    found = play("session")
    customer = found["customer"]
    assert found["before"] == UNAUTHORIZED
    assert typ(found["refreshed"]["token"]) == "auth+jwt"
    assert found["signedUp"] == {"value": customer}
    assert [name for name, _ in found["first"]] == ["session"]

    assert found["loggedOut"] == UNAUTHORIZED
    assert found["emptied"] == []
    assert found["signedIn"] == {"value": customer}
    assert found["second"] != found["first"]
    assert found["copied"] == UNAUTHORIZED


def test_errors_reach_the_client_with_status_and_message(play: Play) -> None:
    found = play("errors")
    assert found["wrongCode"] == INVALID_OTP
    assert found["unknown"] == INVALID_OTP
    assert found["noCode"] == error(400, "BAD REQUEST", "otp must be a text.")
    assert found["noAddress"] == error(400, "BAD REQUEST", "The identifier is not valid.")
    assert found["noType"] == error(404, "NOT FOUND", "Not found")
    assert found["noToken"] == UNAUTHORIZED
    assert found["noSession"] == {}
