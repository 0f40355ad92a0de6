"""The files of docs/howto: each is run as it stands, and does what its page says."""

import json
import os
import pickle
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from example_shop import example_shop
from examples import Start
from fakes import ADA, BOB, SECRET, Api, Customers, MakeApp, bearer
from launch import Server, environment
from mailbox_server import Mailbox
from pages import DOCS, blocks_of
from stores import PATIENCE, installed

from flask_otp_auth import OTPAuth
from flask_otp_auth.errors import OTPRequired, RequestError, Unauthorized
from flask_otp_auth.testing import Outbox

PHONE = "+4915123456789"


@pytest.fixture
def start(start_file: Start) -> Start:
    """Run a file of docs/howto by its name."""
    return lambda name, **variables: start_file(f"howto/{name}.py", **variables)


# -- messages -----------------------------------------------------------------------------


def test_codes_are_mailed(start: Start) -> None:
    with Mailbox() as mailbox:
        shop = start("mail", SMTP_HOST="127.0.0.1", SMTP_PORT=str(mailbox.port))
        shop.know_ada()
        for ask, whom in ((shop.api.generate, ADA), (shop.api.pre_register, BOB)):
            ask(whom)
            mail = mailbox.next()
            assert (mail["To"], mail["Subject"]) == (whom, f"{shop.outbox.last.otp} is your code")
            assert mail["Auto-Submitted"] == "auto-generated"
        shop.api.pre_register(ADA)
        assert mailbox.next()["Subject"] == "You have an account"


# -- queues -------------------------------------------------------------------------------


def test_celery_sends_the_codes(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = f"sqlite:///{tmp_path}/codes.sqlite3"
    shop = start("celery_queue", BROKER_URL="memory://", STORAGE_URI=storage)
    kept: list[tuple[Any, ...]] = []
    task = shop.code.run_job
    real = task.apply_async
    task.apply_async = lambda args, **options: kept.append(args) or options
    shop.app.testing = False
    shop.api.start(BOB)
    task.apply_async = real
    assert "is your code" not in capsys.readouterr().out
    (args,) = pickle.loads(pickle.dumps(kept))  # noqa: S301 - as a broker carries it
    task.apply(args).get()
    assert f"To {BOB}: " in capsys.readouterr().out


# -- neighbours ---------------------------------------------------------------------------


def test_flask_login_knows_who_came_by_a_code(start: Start) -> None:
    shop = start("with_flask_login")
    shop.add("User", email=ADA)
    client = shop.client
    assert client.get("/").status_code == 401
    assert client.post("/login/code", json={"email": "Ada@Example.com"}).status_code == 200
    answer = {"email": ADA, "otp": shop.outbox.last.otp}
    assert client.post("/login", json=answer).get_json() == {"hello": ADA}
    assert client.get("/").get_json() == {"hello": ADA}
    copied = client.get_cookie("session")
    assert client.post("/logout").status_code == 200
    assert copied is not None
    client.set_cookie("session", copied.value)
    assert client.get("/").status_code == 401


def test_csrf_protects_forms_and_lets_the_api_be(start: Start) -> None:
    shop = start("with_flask_wtf")
    shop.know_ada()
    headers = bearer(shop.token())
    assert shop.client.post("/auth/session", headers=headers).status_code == 200
    page = shop.client.get("/name").text
    assert shop.client.post("/name", data={"name": "Ada"}).status_code == 400
    (csrf_token,) = re.findall(r'name="csrf_token" type="hidden" value="([^"]+)"', page)
    named = shop.client.post("/name", data={"name": "Ada", "csrf_token": csrf_token})
    assert named.get_json() == {"name": "Ada"}


@pytest.mark.filterwarnings("ignore:FileSystemCache:DeprecationWarning")
def test_sessions_on_the_server_get_a_new_id(start: Start, tmp_path: Path) -> None:
    shop = start("with_flask_session", SESSION_FOLDER=str(tmp_path / "sessions"))
    shop.know_ada()
    shop.client.post("/basket/tea")
    planted = shop.client.get_cookie("session")
    assert shop.client.get("/basket").status_code == 401
    headers = bearer(shop.token())
    assert shop.client.post("/auth/session", headers=headers).status_code == 200
    assert shop.client.get("/basket").get_json() == {"email": ADA, "basket": ["tea"]}
    assert planted is not None
    thief = shop.app.test_client()
    thief.set_cookie("session", planted.value)
    assert thief.get("/basket").status_code == 401


def test_each_type_has_a_table_of_its_own(start: Start) -> None:
    shop = start("tables")
    with shop.app.app_context():
        shop.code.add_customer("Ada@Example.com", "0151 23456789")
    shop.add("Employee", mail="Bob@Example.com")
    for who in (ADA, "+49 151 23456789"):
        orders = shop.client.get("/orders", headers=bearer(shop.token(who)))
        assert orders.get_json() == {"customer": 1}
    shop.api.actor_type = "staff"
    headers = bearer(shop.token(BOB))
    assert len(shop.outbox.last.otp) == 8
    assert shop.client.get("/office", headers=headers).get_json() == {"employee": 1}
    assert shop.client.get("/orders", headers=headers).status_code == 401


# -- moving here --------------------------------------------------------------------------


def test_users_of_flask_security_sign_in(start: Start) -> None:
    shop = start("from_flask_security")
    shop.api.actor_type = "user"
    shop.add("User", email="Ada@example.com", active=True, fs_uniquifier="a", us_phone_number=PHONE)
    shop.add("User", email=BOB, active=False, fs_uniquifier="b")
    for who in (ADA, PHONE):
        profile = shop.client.get("/profile", headers=bearer(shop.token(who)))
        assert profile.get_json() == {"email": "Ada@example.com"}
    shop.api.generate(BOB)
    assert shop.outbox.suppressed[-1].reason == "unknown_actor"


EXPORT = """user_id,email,email_verified
a|1,Ada@Example.com,true
a|2,bob@example.com,false
a|3,nobody,true
a|4,ada@example.com,true
"""


def test_users_of_a_hosted_service_sign_in(start: Start, tmp_path: Path) -> None:
    shop = start("from_a_hosted_service")
    shop.api.actor_type = "user"
    (tmp_path / "users.csv").write_text(EXPORT)
    command = ["import-users", str(tmp_path / "users.csv")]
    imported = shop.app.test_cli_runner().invoke(args=command)
    assert imported.exit_code == 0, imported.output
    assert "a|3: not an address" in imported.output
    assert imported.output.endswith("1 users\n")
    assert shop.token()
    shop.api.generate(BOB)
    assert shop.outbox.suppressed[-1].reason == "unknown_actor"


def test_a_shop_of_medusa_works_as_before(start: Start) -> None:
    shop = start("from_medusa")
    shop.api.pre_register(BOB)
    otp = shop.outbox.last.otp
    headers = bearer(shop.api.register(otp).get_json()["token"])
    made = shop.client.post("/store/customers", headers=headers)
    assert made.get_json()["customer"]["email"] == BOB
    assert shop.client.post("/store/customers", headers=headers).status_code == 409
    assert shop.api.authenticate(otp).status_code == 200


# -- an app store's review ------------------------------------------------------------------


def test_a_reviewer_signs_in_by_the_page_s_own_line(make_app: MakeApp) -> None:
    (block,) = blocks_of(DOCS / "howto" / "app_store_review.md", "console")
    command = block.code.split("otp ", 1)[1].split()
    printed = make_app().test_cli_runner().invoke(args=["otp", *command])
    line, code = printed.output.splitlines()[1::2]
    accounts = Customers()
    accounts.add("review@example.com")
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", accounts)
    app = make_app(otp_auth, OTP_AUTH_TEST_IDENTITIES=[line])
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.generate("review@example.com")
        assert not outbox.messages
        for _ in range(2):
            assert api.verify(code, "review@example.com").status_code == 200


# -- front ends ---------------------------------------------------------------------------


@pytest.fixture
def shop_url(tmp_path: Path) -> Iterator[tuple[str, Server]]:
    """The example shop behind a server, and the server, which prints the codes."""
    settings = {"OTP_AUTH_RESEND_INTERVAL": "0", "OTP_AUTH_REQUIRE_CHALLENGE": "true"}
    with example_shop(tmp_path, **settings) as server:
        yield f"http://127.0.0.1:{server.port}", server


def play(script: str, folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Run a script in Node.js, beside the files of docs/howto."""
    for path in (DOCS / "howto").glob("*.mjs"):
        shutil.copy(path, folder)
    (folder / "play.mjs").write_text(script)
    return subprocess.Popen(
        [installed("node"), str(folder / "play.mjs"), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )


FRONT_END = """
import { createInterface } from "node:readline/promises"
import { SignIn, text } from "./front_end.mjs"
const base = process.argv[2]
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const signIn = new SignIn(`${base}/auth`)
const wrong = await signIn.ask("nobody").catch(text)
const resend = await signIn.ask("ada@example.com")
const refused = await signIn.answer("000000").catch(text)
const joined = await signIn.answer((await lines.next()).value)
const headers = { Authorization: `Bearer ${joined.token}` }
await fetch(`${base}/customers`, { method: "POST", headers })
await signIn.ask("ada@example.com")
const { token, registration } = await signIn.answer((await lines.next()).value)
const session = await signIn.begin(token)
console.log(JSON.stringify({ wrong, resend, refused, joined, registration, session }))
process.exit(0)
"""


def test_a_front_end_in_two_steps(shop_url: tuple[str, Server], tmp_path: Path) -> None:
    url, server = shop_url
    process = play(FRONT_END, tmp_path, url)
    assert process.stdin is not None
    for purpose in ("join", "sign in"):
        (code,) = server.printed(rf"To {ADA}: your code to {purpose} is (\w+)")
        process.stdin.write(f"{code}\n")
        process.stdin.flush()
    printed, _ = process.communicate(timeout=PATIENCE)
    found = json.loads(printed)
    assert found["wrong"] == "Please check the address."
    assert found["resend"] == 0
    assert found["refused"] == "That code is not right, or it has expired."
    assert found["joined"]["registration"] is True
    assert "registration" not in found
    assert found["session"]["user"] == {"actor_type": "customer", "actor_id": "1"}


MOBILE = """
import { Session } from "./mobile_app.mjs"
const [base, token] = process.argv.slice(2)
let kept = token
const vault = {
  async get() { return kept },
  async set(token) { kept = token },
  async clear() { kept = null },
}
const asked = []
const session = new Session(base, vault, (url, options) => {
  asked.push(new URL(url).pathname)
  return fetch(url, options)
})
const fresh = (await session.request("/me")).status
const now = Date.now
Date.now = () => now() + 1801 * 1000
const later = (await session.request("/me")).status
Date.now = now
const refreshed = kept !== token
await session.signOut()
kept = token
const copied = (await session.request("/me")).status
console.log(JSON.stringify({ fresh, later, refreshed, copied, kept, asked }))
"""


def test_a_mobile_app_refreshes_and_signs_out(shop_url: tuple[str, Server], tmp_path: Path) -> None:
    url, server = shop_url
    asked = server.call("POST", "/auth/customer/otp/start", {"identifier": ADA}).body
    (code,) = server.printed(r"your code to join is (\w+)")
    answer = {"identifier": ADA, "otp": code, "challenge": asked["challenge"]}
    registration = server.call("POST", "/auth/customer/otp/finish", answer).body["token"]
    server.call("POST", "/customers", token=registration)
    token = server.call("POST", "/auth/token/refresh", token=registration).body["token"]
    printed, _ = play(MOBILE, tmp_path, url, token).communicate(timeout=PATIENCE)
    assert json.loads(printed) == {
        "fresh": 200,
        "later": 200,
        "refreshed": True,
        "copied": 401,
        "kept": None,
        "asked": ["/me", "/auth/token/refresh", "/me", "/auth/token/revoke", "/me"],
    }


REFUSED = """
import { Session } from "./mobile_app.mjs"
const [token, body, challenge] = process.argv.slice(2)
let kept = token
const vault = { async get() { return kept }, async clear() { kept = null } }
const headers = { "WWW-Authenticate": challenge }
const session = new Session("", vault, async () => new Response(body, { status: 401, headers }))
await session.request("/address")
console.log(kept !== null)
"""


@pytest.mark.parametrize(
    ("error", "is_kept"),
    [
        (Unauthorized(), False),
        (Unauthorized("insufficient_user_authentication", max_age=300), True),
        (OTPRequired("TqDzqXM4nHTuTRRFhW8nGg", 300, 60), True),
    ],
)
def test_a_mobile_app_keeps_a_token_that_is_good(
    error: RequestError, is_kept: bool, tmp_path: Path
) -> None:
    now = int(time.time())
    token = jwt.encode({"iat": now, "exp": now + 3600}, SECRET)
    challenge = error.extra_headers["WWW-Authenticate"]
    printed, _ = play(REFUSED, tmp_path, token, error.get_body(), challenge).communicate(
        timeout=PATIENCE
    )
    assert json.loads(printed) is is_kept


def test_the_front_end_has_words_for_each_error_that_it_meets() -> None:
    types = {error.type for error in RequestError.__subclasses__()}
    script = (DOCS / "howto" / "front_end.mjs").read_text()
    assert set(re.findall(r'case "(\w+)"', script)) <= types


def test_no_file_needs_more_than_the_reader_sees() -> None:
    """No path of this machine, and no secret, is written into one."""
    for path in (DOCS / "howto").glob("*.py"):
        text = path.read_text()
        assert 'app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]' in text
        assert os.sep + "home" not in text
