"""The recipes of docs/: each is run as it stands, with what it promises and what it refuses."""

import json
import re
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
from examples import Example, Start
from fakes import ADA, BOB, bearer, wrong
from flask import Flask
from launch import ROOT, environment
from mailbox_server import Mailbox
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from stores import Storages
from werkzeug.security import check_password_hash
from werkzeug.test import TestResponse

from flask_otp_auth import health

FOLDER = ROOT / "docs" / "recipes"
PAGE = (ROOT / "docs" / "recipes.md").read_text()
PHONE = "+4915123456789"


@pytest.fixture
def start(start_file: Start) -> Start:
    """Run a recipe by its name."""
    return lambda name, **variables: start_file(f"recipes/{name}.py", **variables)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_each_is_small_safe_to_copy_and_on_the_page(path: Path) -> None:
    text = path.read_text()
    assert len([line for line in text.splitlines() if line.strip()]) <= 60
    assert 'app.config["SECRET_KEY"] = os.environ["SECRET_KEY"]' in text
    handlers = re.findall(r"^def \w+\(sender.*", text, re.MULTILINE)
    assert handlers or "    mail_codes(app, " in text
    assert all(re.search(r"\*\*\w+\):$", handler) for handler in handlers)
    assert f"(recipes/{path.name})" in PAGE


def test_a_payment_is_confirmed_as_it_was_shown(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = start("payment")
    ada = recipe.sign_in("Customer", "customer", recipe.add("Customer", email=ADA))
    rent = {"amount": "950.00", "payee": "DE12 3456"}

    def pay(otp: str | None = None, **changed: str) -> TestResponse:
        headers = ada if otp is None else {**ada, "OTP": otp}
        return recipe.client.post("/payments", json={**rent, **changed}, headers=headers)

    asked = pay()
    assert (asked.status_code, asked.get_json()["type"]) == (401, "otp_required")
    otp = recipe.outbox.last.otp
    assert f"To {ADA}: {otp} pays 950.00 EUR to DE12 3456." in capsys.readouterr().out
    for changed in ({"amount": "9500.00"}, {"payee": "DE66 6666"}):
        assert pay(otp, **changed).get_json()["type"] == "invalid_otp"
    paid = pay(otp)
    assert (paid.status_code, paid.get_json()) == (200, {"paid": "950.00", "to": "DE12 3456"})
    assert pay(otp).status_code == 400
    recipe.api.generate()
    assert "is your code to sign in" in capsys.readouterr().out
    assert recipe.api.verify(recipe.outbox.last.otp).status_code == 200


def no_mail(to: str, text: str) -> None:
    """Fail as a mail server does that is out of reach."""
    raise OSError("no mail server")


def test_a_new_address_is_proved_and_the_old_one_told(
    start: Start, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = start("change_of_address")
    key = recipe.add("Customer", email=ADA)
    other = recipe.sign_in("Customer", "customer", recipe.add("Customer", email=BOB))
    here, elsewhere = (recipe.sign_in("Customer", "customer", key) for _ in range(2))
    assert recipe.post("/address", here, email="New@Example.com").status_code == 200
    otp = recipe.outbox.last.otp
    assert recipe.outbox.last.identifier == "new@example.com"
    given = {"email": "new@example.com", "otp": otp}
    assert recipe.post("/address/confirm", other, **given).status_code == 400
    assert recipe.post("/address/confirm", here, **given).get_json() == {"email": "new@example.com"}
    assert f"To {ADA}: Your address is new@example.com now." in capsys.readouterr().out
    assert recipe.row("Customer", key).email == "new@example.com"
    assert recipe.post("/address", elsewhere, email=ADA).status_code == 401
    thief = recipe.sign_in("Customer", "customer", key)
    recipe.post("/address", here, email="third@example.com")
    given = {"email": "third@example.com", "otp": recipe.outbox.last.otp}
    with monkeypatch.context() as broken:
        broken.setattr(recipe.code, "mail", no_mail)
        with pytest.raises(OSError, match="no mail server"):
            recipe.post("/address/confirm", here, **given)
    assert recipe.post("/address", thief, email=ADA).status_code == 401
    recipe.post("/address", here, email=BOB)
    taken = recipe.post("/address/confirm", here, email=BOB, otp=recipe.outbox.last.otp)
    assert (taken.status_code, taken.get_json()["type"]) == (409, "duplicate_error")
    assert recipe.row("Customer", key).email == "third@example.com"
    assert recipe.post("/address", here).status_code == 400


def test_a_phone_number_signs_in_beside_the_address(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = start("second_identifier")
    ada = recipe.sign_in("Customer", "customer", recipe.add("Customer", email=ADA))
    bob = recipe.sign_in("Customer", "customer", recipe.add("Customer", email=BOB))
    recipe.post("/phone", ada, phone="+49 151 23456789")
    answer = recipe.post("/phone/confirm", ada, phone=PHONE, otp=recipe.outbox.last.otp)
    assert answer.get_json() == {"phone": PHONE}
    assert f"To {ADA}: {PHONE} signs in to your account now, too." in capsys.readouterr().out
    for who in (PHONE, ADA):
        recipe.api.generate(who)
        assert recipe.api.verify(recipe.outbox.last.otp, who).status_code == 200
    recipe.post("/phone", bob, phone=PHONE)
    taken = recipe.post("/phone/confirm", bob, phone=PHONE, otp=recipe.outbox.last.otp)
    assert taken.status_code == 409
    recipe.post("/phone", ada, phone="+33612345678")
    assert recipe.outbox.suppressed[-1].reason == "country_not_allowed"


def test_an_account_is_deleted_with_a_code(start: Start) -> None:
    recipe = start("delete_account")
    key = recipe.add("Customer", email=ADA)
    ada = recipe.sign_in("Customer", "customer", key)
    assert recipe.client.delete("/account", headers=ada).get_json()["type"] == "otp_required"
    assert recipe.row("Customer", key) is not None
    code = {"OTP": recipe.outbox.last.otp}
    assert recipe.client.delete("/account", headers={**ada, **code}).status_code == 204
    assert recipe.row("Customer", key) is None
    assert recipe.client.delete("/account", headers=ada).status_code == 401
    assert recipe.add("Customer", email=BOB) != key


def test_a_guest_sees_one_order_of_his_own(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = start("guest_order")
    with recipe.app.app_context():
        recipe.code.add_order("A-17", "Ada@Example.com", "on its way")
        recipe.code.add_order("B-18", BOB, "paid")

    def look_up(number: str, email: str, by: str | None = None) -> TestResponse:
        asked = recipe.post(f"/orders/{by or number}/code", email=email)
        assert asked.status_code == 200
        otp = recipe.outbox.last.otp
        return recipe.post(f"/orders/{number}", email=email, otp=otp)

    assert look_up("A-17", "ADA@example.com").get_json() == {
        "order": "A-17",
        "status": "on its way",
    }
    assert look_up("B-18", ADA).status_code == 404  # somebody else's
    assert look_up("C-19", ADA).status_code == 404  # nobody's
    assert look_up("A-17", ADA, by="D-20").status_code == 400  # a code of another order
    mailed = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in mailed] == [f"To {ADA}"]  # once, for A-17


def test_a_forgotten_password_is_set_anew(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = start("password_reset")
    key = recipe.add("User", email=ADA, password_hash="old")
    ada = recipe.sign_in("User", "user", key)["Authorization"].split()[1]
    password = "correct horse battery"
    shapes = []
    for who, text in ((ADA, "lets you set a new password"), (BOB, "you have no account here")):
        answer = recipe.post("/password/forgot", email=who)
        shapes.append((answer.status_code, sorted(answer.get_json())))
        assert text in capsys.readouterr().out
    assert shapes[0] == shapes[1]
    for_ada, for_bob = recipe.outbox
    given = {"email": ADA, "otp": for_ada.otp}
    assert recipe.post("/password/reset", **given, password="short").status_code == 400
    assert recipe.post("/password/reset", **given, password=password).status_code == 200
    assert check_password_hash(recipe.row("User", key).password_hash, password)
    assert recipe.api.refresh(ada).status_code == 401
    stranger = recipe.post("/password/reset", email=BOB, otp=for_bob.otp, password=password)
    assert stranger.get_json()["type"] == "invalid_otp"


def test_only_who_was_invited_joins(start: Start) -> None:
    recipe = start("invitation")
    recipe.api.actor_type = "user"
    admin = recipe.sign_in("User", "user", recipe.add("User", email=ADA, is_admin=True))
    recipe.api.start(BOB)
    assert [each.reason for each in recipe.outbox.suppressed] == ["not_invited"]
    withdrawn = "cy@example.com"
    joining = {}
    for who in (withdrawn, "dee@example.com"):
        assert recipe.post("/invitations", admin, email=who.title()).get_json() == {"invited": who}
        recipe.api.start(who)
        joining[who] = bearer(recipe.api.finish(recipe.outbox.last.otp, who).get_json()["token"])
    with recipe.app.app_context():
        session = recipe.code.db.session
        session.delete(session.get(recipe.code.Invitation, withdrawn))
        session.commit()
    assert recipe.post("/users", joining[withdrawn]).status_code == 403
    joined = recipe.post("/users", joining["dee@example.com"])
    assert joined.status_code == 201
    dee = bearer(joined.get_json()["token"])
    assert recipe.post("/invitations", dee, email=BOB).get_json()["type"] == "refused"


class Service(ThreadingHTTPServer):
    """A local stand-in for somebody's server.

    :ivar asked: the forms that it was sent, and the account that each came with.
    """

    def __init__(self, answer: Callable[[dict[str, list[str]]], tuple[int, bytes]]) -> None:
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        asked = self.asked

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                account = b64decode(self.headers.get("Authorization", "").removeprefix("Basic "))
                asked.append((account.decode(), parse_qs(body)))
                status, said = answer(asked[-1][1])
                self.send_response(status)
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def served(self) -> Iterator["Service"]:
        """Answer for the time of a block."""
        thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        thread.start()
        yield self
        self.shutdown()
        thread.join()
        self.server_close()


@pytest.fixture
def captcha(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """Cloudflare's server, which says what the proof asks for, and is not waited for as long."""
    over = threading.Event()

    def answer(form: dict[str, list[str]]) -> tuple[int, bytes]:
        (proof,) = form["response"]
        if proof == "hangs":
            over.wait(30)
        said = {"success": proof == "human"}
        return 502 if proof == "fails" else 200, (
            b"<html>" if proof == "html" else json.dumps(said).encode()
        )

    post = requests.post

    def post_impatiently(*arguments: Any, timeout: float) -> requests.Response:
        assert timeout <= 5
        return post(*arguments, timeout=0.3)

    monkeypatch.setattr(requests, "post", post_impatiently)
    with Service(answer).served() as captcha:
        yield captcha
        over.set()


@pytest.mark.parametrize(
    ("proof", "status", "type_"),
    [
        ("human", 200, None),
        ("robot", 403, "refused"),
        (None, 403, "refused"),
        ("fails", 503, "unavailable"),
        ("html", 503, "unavailable"),
        ("hangs", 503, "unavailable"),
    ],
)
def test_a_captcha_stands_before_each_code(
    start: Start,
    captcha: Service,
    proof: str | None,
    status: int,
    type_: str | None,
) -> None:
    recipe = start("turnstile", TURNSTILE_SECRET="our secret", TURNSTILE_URL=captcha.url)
    recipe.add("Customer", email=ADA)
    answer = recipe.api.generate(ADA, proof=proof)
    assert (answer.status_code, answer.get_json().get("type")) == (status, type_)
    assert len(recipe.outbox) == (status == 200)
    said = {"secret": ["our secret"], "response": [proof], "remoteip": ["127.0.0.1"]}
    assert captcha.asked == ([] if proof is None else [("", said)])


def test_codes_go_out_by_smtp_in_the_readers_language(start: Start) -> None:
    with Mailbox() as mailbox:
        server = {"SHOP_MAIL_SERVER": "127.0.0.1", "SHOP_MAIL_PORT": str(mailbox.port)}
        recipe = start("mail_smtp", **server)
        recipe.client.post(
            "/auth/customer/otp/start",
            json={"identifier": "Ada@Bücher.example"},
            headers={"Accept-Language": "fr-CA, fr;q=0.9"},
        )
        mail = mailbox.next()
    otp = recipe.outbox.last.otp
    assert mail["To"] == "ada@xn--bcher-kva.example"
    (sender,) = mail["From"].addresses
    assert (sender.display_name, sender.addr_spec) == ("Zoë's shop", "post@shop.example")
    assert mail["Subject"] == f"{otp} est votre code pour Zoë's shop"
    assert mail.get_content_type() == "multipart/alternative"
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        assert otp in part.get_content()


@pytest.fixture
def provider() -> Iterator[Service]:
    """A provider of SMS, which is out of order for the first message."""
    statuses = chain([500], repeat(201))
    with Service(lambda form: (next(statuses), b"")).served() as provider:
        yield provider


def test_codes_go_out_by_sms(
    start: Start, provider: Service, caplog: pytest.LogCaptureFixture
) -> None:
    account = {"TWILIO_ACCOUNT": "AC1", "TWILIO_TOKEN": "a-token", "TWILIO_FROM": "+4930123456"}
    recipe = start("sms", TWILIO_URL=provider.url, **account)
    recipe.api.start(PHONE)
    assert "text_code raised HTTPError" in caplog.text
    assert recipe.outbox.last.otp not in caplog.text
    recipe.api.start(PHONE)  # as a failed delivery opens the window
    otp = recipe.outbox.last.otp
    text = f"{otp} is your code for {recipe.app.name}. Never tell it to anyone."
    body = f"{text}\n@shop.example #{otp}"
    sent = {"To": [PHONE], "From": ["+4930123456"], "Body": [body]}
    assert provider.asked[1:] == [("AC1:a-token", sent)]


def test_rq_workers_send_codes_that_redis_never_sees(
    start: Start,
    storages: Storages,
    tmp_path: Path,
) -> None:
    server = storages["redis"]
    recipe = start("rq_worker", REDIS_URL=server.uri)
    assert recipe.api.start(BOB).status_code == 200
    jobs = [job.data for job in recipe.code.RQExecutor.queue.get_jobs()]
    assert len(jobs) == 1
    run = subprocess.run(
        [sys.executable, "-m", "flask", "--app", str(FOLDER / "rq_worker.py"), "worker", "--burst"],
        env=environment(),  # with the variables that the recipe was started with
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    (otp,) = re.findall(rf"^To {BOB}: (\d{{6}}) is your code", run.stdout, re.MULTILINE)
    assert (otp not in run.stderr, otp.encode() not in jobs[0]) == (True, True)
    assert recipe.api.finish(otp, BOB).status_code == 200


def sign_in_after_a_slip(recipe: Example) -> None:
    """Let Ada mistype her code once, and then sign in."""
    recipe.add("Customer", email=ADA)
    recipe.api.generate(ADA)
    assert recipe.api.verify(wrong(recipe.outbox.last.otp), ADA).status_code == 400
    assert recipe.api.verify(recipe.outbox.last.otp, ADA).status_code == 200


def test_what_happens_is_counted_for_prometheus(start: Start) -> None:
    recipe = start("metrics")
    sign_in_after_a_slip(recipe)
    answer = recipe.client.get("/internal/metrics")
    assert answer.mimetype == "text/plain"
    counted = re.findall(
        r'^otp_auth_events_total{actor_type="customer",detail="(\w*)",event="(\w+)"} 1\.0$',
        answer.text,
        re.MULTILINE,
    )
    assert sorted(counted, key=lambda each: each[1]) == [
        ("otp", "actor_authenticated"),
        ("", "otp_generated"),
        ("wrong", "otp_rejected"),
        ("", "otp_verified"),
    ]
    assert ADA not in answer.text


def test_what_happens_is_traced_by_opentelemetry(start: Start) -> None:
    recipe, spans, read = start("traces"), InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([read])
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    tracer = tracers.get_tracer("test")
    recipe.code.watch(recipe.app, tracer, meters.get_meter("test"))
    with tracer.start_as_current_span("request") as request:
        sign_in_after_a_slip(recipe)
    found = {span.name: span for span in spans.get_finished_spans() if span.name != "request"}
    assert [name.removeprefix("otp_auth.") for name in found] == [
        "otp_generated", "otp_rejected", "otp_verified", "actor_authenticated"
    ]  # fmt: skip
    verified = found["otp_auth.otp_verified"]
    assert verified.parent is not None
    assert verified.parent.span_id == request.get_span_context().span_id
    assert found["otp_auth.otp_rejected"].attributes == {
        "otp_auth.actor_type": "customer", "otp_auth.detail": "wrong"
    }  # fmt: skip
    data = read.get_metrics_data()
    assert data is not None
    told = data.to_json()
    assert '"name": "otp_auth.events"' in told
    assert '"event": "otp_rejected"' in told
    assert not any(ADA in text for text in (told, *(span.to_json() for span in found.values())))
    tracers.shutdown()
    meters.shutdown()


def test_a_front_end_on_another_origin_may_send_and_read_what_it_needs(app: Flask) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/recipes.md", "exec"), {"app": app})  # noqa: S102 - to run it is the test
    client, origin = app.test_client(), {"Origin": "https://www.example.com"}
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "otp"}
    preflight = client.options("/auth/customer/otp/start", headers={**origin, **asked})
    assert preflight.headers["Access-Control-Allow-Headers"] == "otp"
    refused = client.get("/auth/sign-ins", headers=origin)
    assert refused.headers["Access-Control-Expose-Headers"] == "WWW-Authenticate"
    foreign = client.get("/auth/sign-ins", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in foreign.headers


def test_health_is_told_to_who_knows_the_token(start: Start) -> None:
    client = start("health_route", HEALTH_TOKEN="a token of the monitor").client
    for headers in ({}, {"Health-Token": "another"}, {"Health-Token": "é"}):
        assert client.get("/internal/health", headers=headers).status_code == 404
    answer = client.get("/internal/health", headers={"Health-Token": "a token of the monitor"})
    assert (answer.status_code, answer.get_json()["ok"]) == (200, True)


def test_the_page_on_observability_shows_what_the_recipes_and_health_have(app: Flask) -> None:
    page = (ROOT / "docs" / "observability.md").read_text()
    recipes = "".join(path.read_text() for path in FOLDER.glob("*.py"))
    blocks = re.findall(r"```(python|json)\n(.*?)```", page, re.DOTALL)
    assert [kind for kind, _ in blocks] == ["python", "json"]
    assert blocks[0][1] in recipes
    shown = json.loads(blocks[1][1])
    assert shape(shown) == shape(health(app))


def shape(value: Any) -> Any:
    """Return a value with what is measured left out."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return type(value)
