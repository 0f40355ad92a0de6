"""The code of ``docs/tokens.md`` does what the text around it says."""

import itertools
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joserfc.jwt
import jwt
import pytest
from example_shop import example_shop
from fakes import ADA, BOB, Customer, Customers, MakeApp, bearer, claims_of, register, sign_in
from flask import Flask
from flask.testing import FlaskClient
from joserfc.jwk import KeySet
from launch import ROOT, environment
from pems import ALGORITHMS, pem, public_pem
from stores import PATIENCE, installed
from time_machine import Traveller

from flask_otp_auth import OTPAuth, current_actor, token_required

PAGE = (ROOT / "docs" / "tokens.md").read_text()
HTTPS = "https://localhost"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def blocks(heading: str, language: str = "python") -> list[str]:
    """Return the code under a heading of the page."""
    (section,) = re.findall(rf"(?ms)^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE)
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", section)


def run(code: list[str], **names: Any) -> dict[str, Any]:
    """Run code blocks one after the other, and return what they define."""
    for block in code:
        exec(block, names)  # noqa: S102 - our own documentation
    return names


# -- keys, and services that have only the public ones ------------------------------------


@dataclass
class Publisher:
    """The example shop behind a server, and the tokens of somebody who joined."""

    url: str
    algorithm: str
    registration: str
    token: str


@pytest.fixture(params=ALGORITHMS, scope="module")
def publisher(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Publisher]:
    """The example shop with a key of its own, once for each algorithm."""
    keys = [public_pem(pem(request.param, "old")), pem(request.param)]
    settings = {
        "OTP_AUTH_DELIVERY": "inline",
        "OTP_AUTH_TOKEN_ALGORITHM": request.param,
        "OTP_AUTH_TOKEN_KEYS": json.dumps(keys),
    }
    with example_shop(tmp_path_factory.mktemp("shop"), **settings) as server:
        server.call("POST", "/auth/customer/otp/pre-register", {"identifier": ADA})
        (code,) = server.printed(r"your code to join is (\w+)")
        answer = {"identifier": ADA, "otp": code}
        registration = server.call("POST", "/auth/customer/otp/register", answer).body["token"]
        server.call("POST", "/customers", token=registration)
        token = server.call("POST", "/auth/customer/otp", answer).body["token"]
        yield Publisher(f"http://127.0.0.1:{server.port}", request.param, registration, token)


def verify(publisher: Publisher, token: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run the page's verifier as a program of its own."""
    (script,) = blocks("A service that has only the public keys")
    assert script.count('["ES256"]') == 1
    path = folder / "verify.py"
    path.write_text(script.replace("ES256", publisher.algorithm))
    return subprocess.run(
        [sys.executable, str(path), publisher.url, token],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=PATIENCE,
    )


class TestVerifier:
    """A service that has only the public keys."""

    def test_tells_whose_token_it_is(self, publisher: Publisher, tmp_path: Path) -> None:
        verified = verify(publisher, publisher.token, tmp_path)
        assert (verified.stdout, verified.returncode) == ("1\n", 0), verified.stderr

    def test_refuses_a_registration_token(self, publisher: Publisher, tmp_path: Path) -> None:
        refused = verify(publisher, publisher.registration, tmp_path)
        assert refused.returncode == 1
        assert refused.stderr == "a registration token is no sign-in\n"

    def test_refuses_a_changed_token(self, publisher: Publisher, tmp_path: Path) -> None:
        header, _, signature = publisher.token.split(".")
        claims = publisher.registration.split(".")[1]
        refused = verify(publisher, f"{header}.{claims}.{signature}", tmp_path)
        assert refused.returncode == 1
        assert "InvalidSignatureError" in refused.stderr

    def test_is_ten_lines_long(self) -> None:
        (script,) = blocks("A service that has only the public keys")
        lines = [line for line in script.splitlines() if line and not line.startswith("#")]
        assert len(lines) <= 10

    # It would have it called Ed25519 (RFC 9864); PyJWT knows no such name yet.
    @pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")
    def test_pyjwt_and_joserfc_read_the_same(self, publisher: Publisher) -> None:
        client = jwt.PyJWKClient(f"{publisher.url}/auth/.well-known/jwks.json")
        document = client.fetch_data()
        for token in (publisher.token, publisher.registration):
            key = client.get_signing_key_from_jwt(token)
            by_pyjwt = jwt.decode_complete(
                token, key, [publisher.algorithm], audience="customer", issuer="example_app"
            )
            by_joserfc = joserfc.jwt.decode(
                token, KeySet.import_key_set(document), algorithms=[publisher.algorithm]
            )
            assert by_joserfc.header == by_pyjwt["header"] == jwt.get_unverified_header(token)
            assert by_joserfc.claims == by_pyjwt["payload"] == claims_of(token)


def test_a_key_is_made_and_signs(
    make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed("openssl")
    (line,) = blocks("Keys of your own", "bash")
    subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, check=True)
    monkeypatch.chdir(tmp_path)
    app = SimpleNamespace(config={})
    run(blocks("Keys of your own"), app=app)
    assert jwt.get_unverified_header(sign_in(make_app(**app.config)))["alg"] == "ES256"


def test_every_step_of_a_change_of_keys_keeps_every_token(
    make_app: MakeApp, tmp_path: Path
) -> None:
    keys = {"old": pem("ES256", "old"), "new": pem("ES256", "new")}
    keys["old_public"] = public_pem(keys["old"])
    steps = ["[old]", *re.findall(r"^\|[^|]*\| `(\[.*?\])` \|", PAGE, re.MULTILINE)]
    assert steps == ["[old]", "[new, old]", "[old, new]", "[old_public, new]", "[new]"]
    settings = {
        "OTP_AUTH_TOKEN_ALGORITHM": "ES256",
        "OTP_AUTH_RESEND_INTERVAL": 0,
        "OTP_AUTH_STORAGE_URI": f"sqlite:///{tmp_path}/codes.sqlite3",
    }
    apps = []
    for step in steps:
        pems = [keys[name] for name in step.strip("[]").split(", ")]
        apps.append(make_app(OTP_AUTH_TOKEN_KEYS=pems, **settings))
    # Servers are at most one step apart from each other, and from who verifies.
    for before, after in itertools.pairwise(apps):
        for issuing, verifying in ((before, after), (after, before)):
            headers = bearer(sign_in(issuing))
            answer = verifying.test_client().post("/auth/token/refresh", headers=headers)
            assert answer.status_code == 200


# -- sign-ins -----------------------------------------------------------------------------


@pytest.fixture
def ada(customers: Customers) -> Customer:
    """Ada's account."""
    return customers.accounts[0]


class TestSignIns:
    """Sign-ins and their end."""

    @pytest.fixture
    def notices(self) -> list[str]:
        """What people were told."""
        return []

    @pytest.fixture
    def names(
        self, app: Flask, otp_auth: OTPAuth, customers: Customers, ada: Customer, notices: list[str]
    ) -> dict[str, Any]:
        """What the page's code defines."""
        vars(ada)["locale"] = "de"
        return run(
            blocks("Sign-ins and their end"),
            app=app,
            otp_auth=otp_auth,
            customers=customers.accounts,
            notices=notices,
        )

    @pytest.fixture
    def app(self, make_app: MakeApp, otp_auth: OTPAuth) -> Flask:
        return make_app(otp_auth, OTP_AUTH_RESEND_INTERVAL=0)

    @pytest.mark.usefixtures("names")
    def test_one_view_ends_all_other_sign_ins(self, app: Flask, client: FlaskClient) -> None:
        former, current = bearer(sign_in(app)), bearer(sign_in(app))
        answer = client.post("/devices/others/end", headers=current)
        assert answer.get_json() == {"ended": 1}
        assert client.post("/address", headers=former).status_code == 401
        assert client.post("/address", headers=current).status_code == 200

    def test_who_takes_an_id_over_takes_no_sign_in_over(
        self, app: Flask, client: FlaskClient, names: dict[str, Any], customers: Customers
    ) -> None:
        headers, (ada,) = bearer(sign_in(app)), customers.accounts
        with app.app_context():
            names["delete_account"](ada)
        customers.accounts.append(Customer(ada.id, BOB))
        assert client.post("/address", headers=headers).status_code == 401

    @pytest.mark.usefixtures("names")
    def test_people_are_told_of_a_new_device_once(self, app: Flask, notices: list[str]) -> None:
        sign_in(app, user_agent=FIREFOX)
        sign_in(app, user_agent=FIREFOX)
        assert notices == ["1: a sign-in with Firefox on Linux"]

    @pytest.mark.usefixtures("names")
    def test_an_older_sign_in_is_answered_as_the_page_says(
        self, clock: Traveller, app: Flask, client: FlaskClient
    ) -> None:
        headers = bearer(sign_in(app))
        clock.shift(301)
        answer = client.post("/address", headers=headers)
        promised = 'Bearer error="insufficient_user_authentication", …, max_age="300"'
        assert promised in PAGE
        start, end = promised.split("…")
        assert answer.headers["WWW-Authenticate"].startswith(start)
        assert answer.headers["WWW-Authenticate"].endswith(end)

    @pytest.mark.usefixtures("names")
    def test_the_claims_are_those_of_the_table(self, app: Flask) -> None:
        table = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE.split("## ")[0], re.MULTILINE)
        names = set(re.findall(r"\w+", " ".join(table)))
        assert names == set(claims_of(register(app)))
        assert names | {"locale"} == set(claims_of(sign_in(app)))

    def test_every_call_in_the_table_is_one_of_the_extension(self) -> None:
        assert set(re.findall(r"otp_auth\.(\w+)\(", PAGE)) <= set(dir(OTPAuth))


def test_a_password_ends_in_a_token_that_a_socket_takes(
    make_app: MakeApp, otp_auth: OTPAuth, ada: Customer
) -> None:
    names = run(blocks("Tokens without a code"), otp_auth=otp_auth)
    with make_app(otp_auth).app_context():
        token = names["password_accepted"](ada)
        assert claims_of(token)["amr"] == ["pwd"]
        assert names["on_connect"](token) == ADA


class TestConfirmations:
    """A code for one action, or for one address."""

    @pytest.fixture
    def sent(self) -> list[str]:
        """The messages that were sent."""
        return []

    @pytest.fixture
    def app(self, make_app: MakeApp, otp_auth: OTPAuth, sent: list[str]) -> Flask:
        app = make_app(otp_auth)
        run(
            blocks("A code for one action, or for one address"),
            app=app,
            otp_auth=otp_auth,
            send=lambda identifier, text: sent.append(text),
            token_required=token_required,
            current_actor=current_actor,
        )
        return app

    def test_what_was_shown_is_what_is_paid_once(
        self, app: Flask, client: FlaskClient, sent: list[str]
    ) -> None:
        headers, order = bearer(sign_in(app)), {"amount": "12.50", "to": "DE02"}
        asked = client.post("/transfers", json=order, headers=headers)
        assert (asked.status_code, asked.get_json()["type"]) == (401, "otp_required")
        otp = sent[-1].partition(" ")[0]
        assert sent[-1] == f"{otp} pays 12.50 to DE02."

        headers["OTP"] = otp
        other = {**order, "amount": "1250"}
        assert client.post("/transfers", json=other, headers=headers).status_code == 400
        paid = client.post("/transfers", json=order, headers=headers)
        assert paid.get_json() == {"paid": order}
        assert client.post("/transfers", json=order, headers=headers).status_code == 400

    def test_an_address_is_proved_a_day_later(
        self,
        clock: Traveller,
        app: Flask,
        client: FlaskClient,
        sent: list[str],
        ada: Customer,
    ) -> None:
        assert client.post("/contact", json={"email": BOB}).status_code == 401
        asked = client.post("/contact", json={"email": BOB}, headers=bearer(sign_in(app)))
        assert asked.get_json()["expires_in"] == 86400
        clock.shift(86000)
        answer = {"email": BOB, "otp": sent[-1].partition(" ")[0]}
        proved = client.post("/contact/proof", json=answer, headers=bearer(sign_in(app)))
        assert proved.get_json() == {"contact": BOB}
        assert vars(ada)["contact"] == BOB


# -- sessions -----------------------------------------------------------------------------


class TestSessions:
    """Sessions for pages, with the flags of cookies and with CSRF tokens."""

    @pytest.fixture
    def app(self, make_app: MakeApp, otp_auth: OTPAuth) -> Flask:
        app = make_app(otp_auth)
        run(blocks("Sessions for pages"), app=app)
        return app

    @pytest.fixture
    def signed_in(self, app: Flask, client: FlaskClient) -> FlaskClient:
        """A browser with a session."""
        answer = client.post("/auth/session", headers=bearer(sign_in(app)), base_url=HTTPS)
        assert answer.status_code == 200
        return client

    def test_the_cookie_has_every_flag(self, app: Flask, client: FlaskClient) -> None:
        answer = client.post("/auth/session", headers=bearer(sign_in(app)), base_url=HTTPS)
        name_and_value, *flags = answer.headers["Set-Cookie"].split("; ")
        assert name_and_value.startswith("__Host-session=")
        assert sorted(flags) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]

    def test_a_forged_request_is_refused(self, signed_in: FlaskClient) -> None:
        assert signed_in.post("/orders", base_url=HTTPS).status_code == 400
        headers = {"Authorization": "Basic YTpi"}
        assert signed_in.post("/orders", headers=headers, base_url=HTTPS).status_code == 400

    def test_the_pages_own_request_is_taken(self, signed_in: FlaskClient) -> None:
        token = signed_in.get("/csrf-token", base_url=HTTPS).get_json()["csrf_token"]
        headers = {"X-CSRFToken": token, "Referer": f"{HTTPS}/account"}
        answer = signed_in.post("/orders", headers=headers, base_url=HTTPS)
        assert (answer.status_code, answer.get_json()) == (201, {"customer": 1})

    def test_a_csrf_token_of_before_the_sign_in_is_refused(
        self, app: Flask, client: FlaskClient
    ) -> None:
        token = client.get("/csrf-token", base_url=HTTPS).get_json()["csrf_token"]
        client.post("/auth/session", headers=bearer(sign_in(app)), base_url=HTTPS)
        headers = {"X-CSRFToken": token, "Referer": f"{HTTPS}/account"}
        assert client.post("/orders", headers=headers, base_url=HTTPS).status_code == 400

    def test_a_bearer_token_needs_no_csrf_token(self, app: Flask, client: FlaskClient) -> None:
        answer = client.post("/orders", headers=bearer(sign_in(app)), base_url=HTTPS)
        assert answer.status_code == 201

    def test_the_apis_own_routes_need_none(self, signed_in: FlaskClient) -> None:
        assert signed_in.get("/account", base_url=HTTPS).get_json() == {"email": ADA}
        assert signed_in.delete("/auth/session", base_url=HTTPS).status_code == 200
        assert signed_in.get("/account", base_url=HTTPS).status_code == 401


def test_every_line_of_medusas_client_is_tried() -> None:
    (block,) = blocks("Medusa's client", "js")
    script = (ROOT / "tests" / "web" / "js_sdk.cjs").read_text()
    calls = re.findall(r"sdk\.(auth\.\w+|client\.fetch)\(", textwrap.dedent(block))
    assert len(calls) == 5
    assert all(f"sdk.{call}(" in script for call in calls)
