"""The example app as people run it: over real HTTP, under gunicorn with four workers.

What workers share is in ``tests/servers``.
Codes are read where a customer of the shop would find them: in what the server prints.
"""

import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
import requests
from example_shop import example_shop
from launch import ROOT, Answer, Server
from stores import PATIENCE, at_once, free_port

#: Nobody waits a minute for the next code here.
SETTINGS = {"OTP_AUTH_RESEND_INTERVAL": "0"}


class Shop:
    """The example app behind a server."""

    def __init__(self, server: Server) -> None:
        self.call = server.call
        self.printed = server.printed

    def code(self, identifier: str, purpose: str) -> str:
        """Return the code that was printed for ``identifier``."""
        return self.printed(rf"To {re.escape(identifier)}: your code to {purpose} is (\w+)\.")[-1]

    def post(self, route: str, identifier: str, **fields: str) -> Answer:
        return self.call("POST", f"/auth/customer{route}", {"identifier": identifier, **fields})

    def pre_register(self, identifier: str) -> str:
        """Ask for a code to join with, and return it."""
        assert self.post("/otp/pre-register", identifier).status == 200
        return self.code(identifier, "join")

    def sign_up(self, identifier: str) -> str:
        """Join, and return the code that it was done with."""
        code = self.pre_register(identifier)
        token = self.post("/otp/register", identifier, otp=code).body["token"]
        assert self.call("POST", "/customers", token=token).status == 201
        return code


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The example under gunicorn with four workers, on the default storage."""
    with example_shop(tmp_path_factory.mktemp("shop"), "-w", "4", **SETTINGS) as server:
        with suppress(TimeoutError):  # a busy machine takes long to load it four times
            server.call("GET", "/me")
        yield Shop(server)


def test_sign_up_then_sign_in(shop: Shop) -> None:
    ada = "ada@example.com"
    code = shop.pre_register(ada)
    registration = shop.post("/otp/register", ada, otp=code).body["token"]
    created = shop.call("POST", "/customers", token=registration)
    assert (created.status, created.body["email"]) == (201, ada)

    by_grace = shop.post("/otp", ada, otp=code).body["token"]
    assert shop.call("GET", "/me", token=by_grace) == Answer(200, created.body)

    assert shop.post("/otp/generate", ada).status == 200
    by_code = shop.post("/otp/verify", ada, otp=shop.code(ada, "sign in")).body["token"]
    assert shop.call("GET", "/me", token=by_code) == Answer(200, created.body)


def test_one_door_for_members_and_newcomers(shop: Shop) -> None:
    gus = "gus@example.com"
    assert shop.post("/otp/start", gus).status == 200
    new = shop.post("/otp/finish", gus, otp=shop.code(gus, "join")).body
    assert new["registration"] is True
    assert shop.call("POST", "/customers", token=new["token"]).status == 201

    assert shop.post("/otp/start", gus).status == 200
    known = shop.post("/otp/finish", gus, otp=shop.code(gus, "sign in")).body
    assert "registration" not in known
    assert shop.call("GET", "/me", token=known["token"]).body["email"] == gus


def test_nobody_joins_twice(shop: Shop) -> None:
    cleo = "cleo@example.com"
    shop.sign_up(cleo)
    assert shop.post("/otp/pre-register", cleo).status == 200
    assert shop.printed(f"To {cleo}: You already have an account at Tiny shop")


def test_a_double_click_ends_in_one_account(shop: Shop) -> None:
    for number in range(10):
        dora = f"dora{number}@example.com"
        token = shop.post("/otp/register", dora, otp=shop.pre_register(dora)).body["token"]
        created = at_once(*[partial(shop.call, "POST", "/customers", token=token)] * 2)
        assert sorted(answer.status for answer in created) == [201, 409]


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Server]:
    """The example as ``make run`` starts it, with default settings."""
    shutil.copy(ROOT / "example_app.py", tmp_path)
    port = free_port()
    with Server([sys.executable, "example_app.py"], tmp_path, port, PORT=str(port)) as server:
        yield server


def test_it_prints_where_to_open_it(alone: Server) -> None:
    alone.printed(f"Open http://127.0.0.1:{alone.port}\n")
    assert len(alone.output.splitlines()) == 1


FLASK_RUN = ["flask", "--app", "example_app", "run", "--no-reload", "--port"]
GUNICORN = ["gunicorn", "example_app:app", "--bind"]


@pytest.mark.parametrize(
    ("command", "debug", "status"),
    [
        (FLASK_RUN, "1", 200),
        (FLASK_RUN, "0", 404),
        (GUNICORN, "0", 404),
        (GUNICORN, "1", 404),  # somebody has forgotten the variable on a server
    ],
    ids=["flask run --debug", "flask run", "gunicorn", "gunicorn with FLASK_DEBUG"],
)
def test_strangers_find_no_letterbox(
    command: list[str], debug: str, status: int, tmp_path: Path
) -> None:
    """It shows everybody's codes."""
    shutil.copy(ROOT / "example_app.py", tmp_path)
    port = free_port()
    where = str(port) if command is FLASK_RUN else f"127.0.0.1:{port}"
    variables = {"PORT": str(port), "FLASK_DEBUG": debug}
    with Server([sys.executable, "-m", *command, where], tmp_path, port, **variables) as server:
        shop = Shop(server)
        code = shop.pre_register("ada@example.com")
        letterbox, front = (
            requests.get(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE)
            for path in ("/letterbox", "/")
        )
    assert (letterbox.status_code, front.status_code) == (status, 200)
    assert (code in letterbox.text) == ("letterbox" in front.text) == (status == 200)


@pytest.mark.parametrize("click", [0, 1])
def test_after_a_double_click_both_challenges_are_good(alone: Server, click: int) -> None:
    shop, ivy = Shop(alone), "ivy@example.com"
    answers = [shop.post("/otp/start", ivy) for _ in range(2)]
    challenge = answers[click].body["challenge"]
    answer = shop.post("/otp/finish", ivy, otp=shop.code(ivy, "join"), challenge=challenge)
    assert answer.status == 200


def test_without_its_file_everybody_is_signed_out(alone: Server, tmp_path: Path) -> None:
    shop, jan = Shop(alone), "jan@example.com"
    code = shop.sign_up(jan)
    token = shop.post("/otp", jan, otp=code).body["token"]
    assert shop.call("GET", "/me", token=token).status == 200
    (tmp_path / "instance" / "otp_auth.sqlite3").unlink()
    assert shop.call("GET", "/me", token=token).status == 401


def test_no_id_is_used_again(alone: Server, tmp_path: Path) -> None:
    shop = Shop(alone)
    shop.sign_up("kim@example.com")
    with closing(sqlite3.connect(tmp_path / "instance" / "shop.sqlite3")) as table, table:
        table.execute("DELETE FROM customer")
    token = shop.post("/otp", "lou@example.com", otp=shop.sign_up("lou@example.com")).body["token"]
    assert shop.call("GET", "/me", token=token).body["id"] == 2


def test_it_fits_on_a_few_screens() -> None:
    assert len((ROOT / "example_app.py").read_text().splitlines()) < 200
