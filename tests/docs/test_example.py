"""The example app as people run it: over real HTTP, under gunicorn with four workers.

Codes are read where a customer of the shop would find them: in what the server prints.
"""

import re
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from fakes import wrong
from launch import ROOT, Answer, Server
from stores import PATIENCE, at_once, free_port, until

REFUSED = Answer(400, {"type": "invalid_otp", "message": "Invalid OTP"})

#: One address asks for hundreds of codes here, and nobody waits a minute for the next one.
ROOMY = {
    "OTP_AUTH_DIGITS": "8",
    "OTP_AUTH_RESEND_INTERVAL": "0",
    "OTP_AUTH_VERIFY_LIMITS": "40/day",
    "OTP_AUTH_GLOBAL_SEND_LIMIT": "10000/hour",
    "OTP_AUTH_IP_GENERATE_LIMITS": "10000/hour",
    "OTP_AUTH_IP_VERIFY_LIMITS": "10000/hour",
}


class Shop:
    """The example app behind a server."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.call = server.call
        self.printed = server.printed
        self._server = server
        self._folder = folder

    def code(self, identifier: str, purpose: str, count: int = 1) -> str:
        """Return the newest of the ``count`` codes printed for ``identifier``."""
        pattern = rf"To {re.escape(identifier)}: your code to {purpose} is (\w+)\."
        return self._server.printed(pattern, count)[-1]

    def post(self, route: str, identifier: str, **fields: str) -> Answer:
        return self.call("POST", f"/auth/customer{route}", {"identifier": identifier, **fields})

    def sign_in(self, number: int) -> bool:
        """Sign a customer in, and leave the number in the log of requests."""
        identifier = f"{number}@example.com"
        self.post(f"/otp/generate?issue{number}", identifier)
        code = self.code(identifier, "sign in")
        return "token" in self.post(f"/otp/verify?verify{number}", identifier, otp=code).body

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

    def member(self, identifier: str) -> str:
        """Sign up and return a code to sign in with."""
        self.sign_up(identifier)
        assert self.post("/otp/generate", identifier).status == 200
        return self.code(identifier, "sign in")

    def remember(self, identifiers: list[str]) -> None:
        """Make customers who joined long ago."""
        connection = sqlite3.connect(self._folder / "instance" / "shop.sqlite3")
        with connection:
            rows = [(identifier,) for identifier in identifiers]
            connection.executemany("INSERT INTO customer (email) VALUES (?)", rows)
        connection.close()

    def workers(self, mark: str, count: int) -> dict[str, str]:
        """Return the process that answered each of ``count`` requests marked so and numbered."""
        log = self._folder / "access.txt"
        pattern = re.compile(rf"^{mark}(\d+) <(\d+)>$", re.MULTILINE)
        until(lambda: len(pattern.findall(log.read_text())) >= count, "the log of requests")
        return dict(pattern.findall(log.read_text()))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The example under gunicorn with four workers, on the default storage."""
    folder = tmp_path_factory.mktemp("shop")
    shutil.copy(ROOT / "example_app.py", folder)
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "-w", "4", "--bind", f"127.0.0.1:{port}"]
    command += ["--access-logfile", "access.txt", "--access-logformat", "%(q)s %(p)s"]
    with Server([*command, "example_app:app"], folder, port, PORT=str(port), **ROOMY) as server:
        with suppress(TimeoutError):  # a busy machine takes long to load it four times
            server.call("GET", "/me")
        yield Shop(server, folder)
        assert "Traceback" not in server.output


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


def test_a_registration_code_works_once_for_each_step(shop: Shop) -> None:
    bob = "bob@example.com"
    code = shop.sign_up(bob)
    assert shop.post("/otp/register", bob, otp=code) == REFUSED
    assert shop.post("/otp", bob, otp=code).status == 200
    assert shop.post("/otp", bob, otp=code) == REFUSED


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


def test_a_sign_out_ends_every_token_of_the_sign_in(shop: Shop) -> None:
    hal = "hal@example.com"
    first = shop.post("/otp/verify", hal, otp=shop.member(hal)).body["token"]
    second = shop.call("POST", "/auth/token/refresh", token=first).body["token"]
    assert shop.call("POST", "/auth/token/revoke", token=second).status == 200
    for token in (first, second):
        assert shop.call("GET", "/me", token=token).status == 401


def test_200_of_200_codes_of_one_worker_verify_in_another(shop: Shop) -> None:
    """Which worker takes a connection is the kernel's choice, so there are codes to spare."""
    verified: list[bool] = []
    crossed = 0
    while crossed < 200:
        assert len(verified) < 2_000, f"only {crossed} codes met another worker"
        numbers = range(len(verified), len(verified) + 100)
        shop.remember([f"{number}@example.com" for number in numbers])
        with ThreadPoolExecutor(32) as pool:  # each waits for its mail
            verified += pool.map(shop.sign_in, numbers)
        issuers = shop.workers("issue", len(verified))
        verifiers = shop.workers("verify", len(verified))
        crossed = sum(issuers[code] != verifiers[code] for code in issuers)
    assert all(verified)


def test_of_64_parallel_right_answers_one_gets_a_token(shop: Shop) -> None:
    eve = "eve@example.com"
    code = shop.member(eve)
    answers = at_once(*[partial(shop.post, "/otp/verify", eve, otp=code)] * 64)
    assert [answer.status for answer in answers].count(200) == 1
    assert [answer == REFUSED for answer in answers].count(True) == 63


def test_after_64_parallel_wrong_answers_a_long_code_signs_in(shop: Shop) -> None:
    finn = "finn@example.com"
    code = shop.member(finn)
    answers = at_once(*[partial(shop.post, "/otp/verify", finn, otp=wrong(code))] * 64)
    assert answers == [REFUSED] * 64
    assert shop.post("/otp/verify", finn, otp=code) == REFUSED

    assert shop.post("/otp/generate", finn).status == 200
    long = shop.code(finn, "sign in", 2)
    assert len(long) == 20
    assert shop.post("/otp/verify", finn, otp=long).status == 200


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
        shop = Shop(server, tmp_path)
        code = shop.pre_register("ada@example.com")
        pages = [get(f"http://127.0.0.1:{port}{path}") for path in ("/letterbox", "/")]
    assert [status for status, _ in pages] == [status, 200]
    assert (code in pages[0][1]) == (status == 200)
    assert ("letterbox" in pages[1][1]) == (status == 200)


def get(url: str) -> tuple[int, str]:
    """Return the status and the text of a page."""
    try:
        with urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - our own server
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("click", [0, 1])
def test_after_a_double_click_both_challenges_are_good(alone: Server, click: int) -> None:
    shop, ivy = Shop(alone, Path()), "ivy@example.com"
    answers = [shop.post("/otp/start", ivy) for _ in range(2)]
    challenge = answers[click].body["challenge"]
    answer = shop.post("/otp/finish", ivy, otp=shop.code(ivy, "join"), challenge=challenge)
    assert answer.status == 200


def test_without_its_file_everybody_is_signed_out(alone: Server, tmp_path: Path) -> None:
    shop, jan = Shop(alone, tmp_path), "jan@example.com"
    code = shop.sign_up(jan)
    token = shop.post("/otp", jan, otp=code).body["token"]
    assert shop.call("GET", "/me", token=token).status == 200
    (tmp_path / "instance" / "otp_auth.sqlite3").unlink()
    assert shop.call("GET", "/me", token=token).status == 401


def test_no_id_is_used_again(alone: Server, tmp_path: Path) -> None:
    shop = Shop(alone, tmp_path)
    shop.sign_up("kim@example.com")
    with closing(sqlite3.connect(tmp_path / "instance" / "shop.sqlite3")) as table, table:
        table.execute("DELETE FROM customer")
    token = shop.post("/otp", "lou@example.com", otp=shop.sign_up("lou@example.com")).body["token"]
    assert shop.call("GET", "/me", token=token).body["id"] == 2


def test_it_fits_on_a_few_screens() -> None:
    assert len((ROOT / "example_app.py").read_text().splitlines()) < 200
