"""Tokens: one that is not exactly as we have written it, for this use, lets nobody in.

What each single claim and header must be is told in ``tests/tokens``; here they are attacked
wholesale, on every route that takes a token.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attacks import Begin
from fakes import ADA, BOB, SECRET, Api, Customers, Everybody, MakeApp, bearer, register, sign_in
from flask import Flask, session
from forging import Forger, encode
from itsdangerous import URLSafeTimedSerializer
from pems import ALGORITHMS, pem, public_pem

from flask_otp_auth import OTPAuth

#: Everything that an authentication token opens; what ends it comes last.
DOORS = (
    ("GET", "/me"),
    ("GET", "/any"),
    ("POST", "/auth/token/refresh"),
    ("GET", "/auth/sign-ins"),
    ("POST", "/auth/session"),
    ("DELETE", "/auth/sign-ins"),
    ("POST", "/auth/token/revoke"),
)


def opened(app: Flask, token: str) -> list[str]:
    """Return everything that a token opens; a refusal tells nobody why."""
    found = []
    for method, path in DOORS:
        answer = app.test_client().open(path, method=method, headers=bearer(token))
        if answer.status_code == 200:
            found.append(path)
        elif answer.get_json()["type"] != "actor_not_created":  # what a registration waits for
            assert answer.status_code == 401
            assert answer.get_json() == {"type": "unauthorized", "message": "Unauthorized"}
    return found


@pytest.fixture
def app(make_guarded: MakeApp) -> Flask:
    """A shop that lets an attacker try as often as he likes."""
    return make_guarded(OTP_AUTH_ACTOR_LIMITS="1000000/hour")


@pytest.fixture
def forger(app: Flask) -> Forger:
    """Forges on the model of Ada's own token."""
    return Forger(app, sign_in(app))


def test_a_token_forged_with_the_key_and_nothing_changed_opens_everything(
    app: Flask, forger: Forger
) -> None:
    assert len(opened(app, forger.token())) == len(DOORS)


def headers(forger: Forger) -> Iterator[str]:
    """Yield tokens whose header asks to be verified in a way of the attacker's."""
    for alg in ("none", "None", "NONE", "nOnE", "", None, 0, ["HS256"], "HS384", "HS512", "RS256"):
        yield forger.unsigned(alg=alg)
        yield forger.token({"alg": alg})
        yield forger.token({"alg": alg}, key=b"secret")
    for bits in ("384", "512"):
        yield forger.token({"alg": f"HS{bits}"}, hash_name=f"sha{bits}")
    for name in ("jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "cty", "x"):
        yield forger.token({name: "https://evil.example/keys"})
        yield forger.token({name: {"kty": "oct", "k": encode(b"s" * 32)}}, key=b"s" * 32)
    for kid in ("", "0", "../../../../dev/null", "' OR 1=1 --", None, 0, [], {}, "\0", ...):
        yield forger.token({"kid": kid})
        yield forger.token({"kid": kid}, key=b"\0")
    for typ in ("JWT", "at+jwt", "registration+jwt", "AUTH+JWT", "session", "", None, ..., []):
        yield forger.token({"typ": typ})
    for content in (b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000):
        yield forger.token(header=content)


def claims(forger: Forger) -> Iterator[str]:
    """Yield tokens, signed with the right key, whose claims are not ours."""
    odd: list[object] = [..., None, "", 0, -1, True, [], {}, "x", 1e400, 2**70]
    # By these nothing is decided, but that nobody is signed in for so long: see below.
    harmless = {("jti", "x"), ("jti", ""), ("iat", 0), ("auth_time", 0)}
    for name in ("iss", "sub", "aud", "iat", "exp", "jti", "sid", "auth_time", "amr"):
        for value in odd:
            is_harmless = isinstance(value, str | int) and (name, value) in harmless
            if not (is_harmless and value is not True) and (name, value) != ("amr", []):
                yield forger.token(claims={name: value})
    for aud in (["customer", "staff"], ["customer"], "staff", "Customer", "customer "):
        yield forger.token(claims={"aud": aud})
    for nbf in (2**40, "tomorrow", 1e400):
        yield forger.token(claims={"nbf": nbf})
    slot, _, random = forger.claims["sid"].partition(".")
    for sid in (f"{slot}.{'0' * 32}", f"{int(slot) + 1}.{random}", random, slot, f"-1.{random}"):
        yield forger.token(claims={"sid": sid})
    for root in ([], "x", 7, None, [forger.claims]):
        yield forger.token(claims=json.dumps(root).encode())
    signed = forger.honest.rpartition(".")[0]
    yield from (f"{signed}.", f"{signed}.{encode(bytes(32))}", f"{forger.honest}.{signed}")


@pytest.mark.parametrize("kind", [headers, claims])
def test_asvs_9_1_2_a_token_says_nothing_about_how_it_is_verified(
    app: Flask, forger: Forger, attack: Begin, kind: Callable[[Forger], Iterator[str]]
) -> None:
    """OWASP ASVS 5.0, 9.1.2, 9.1.3, 9.2.1 to 9.2.4; RFC 8725, 3.1 to 3.12."""
    forging = attack(f"tokens: forged {kind.__name__}")
    for token in kind(forger):
        forging.tried(opened(app, token) != [])
    assert forging.failed(tries=70)
    assert opened(app, forger.honest)


def test_a_sign_in_of_long_ago_can_be_ended_and_that_is_all(app: Flask, forger: Forger) -> None:
    """Even if ``SESSION_TTL`` was lowered since: raised again, it would let somebody in."""
    assert opened(app, forger.token(claims={"auth_time": 0})) == ["/auth/token/revoke"]


def test_asvs_9_2_2_no_other_text_that_we_signed_is_a_token(
    app: Flask, forger: Forger, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 9.2.2: what was signed for one use is of no use for another."""
    cookie = URLSafeTimedSerializer(app.config["SECRET_KEY"], salt="cookie-session")
    challenge = Api(app.test_client()).generate().get_json()["challenge"]
    registration = register(app)
    mixing = attack("tokens: other texts of ours in their place")
    for token in (
        registration,
        str(cookie.dumps(forger.claims)),
        forger.token(key=app.config["SECRET_KEY"].encode()),
        f"{forger.honest}.{forger.honest}",
        forger.honest.rsplit(".", 1)[0],
        forger.claims["sid"],
        challenge,
        ADA,
        "123456",
    ):
        mixing.tried(opened(app, token) != [])
    mixing.tried(app.test_client().get("/join", headers=bearer(forger.honest)).status_code == 200)
    assert app.test_client().get("/join", headers=bearer(registration)).status_code == 200
    assert mixing.failed(tries=10)


def test_asvs_9_2_3_a_token_of_one_actor_type_is_none_of_another(
    make_guarded: MakeApp, attack: Begin, everybody: Everybody
) -> None:
    """OWASP ASVS 5.0, 9.2.3: though both are the same people, with the same ids."""
    otp_auth = OTPAuth()
    for name in ("customer", "staff"):
        otp_auth.add_actor_type(name, everybody)
    app = make_guarded(otp_auth)
    crossing = attack("tokens: of another actor type, by token and by session")
    for name, own, other in (("customer", "/me", "/staff"), ("staff", "/staff", "/me")):
        token = sign_in(app, actor_type=name)
        browser = app.test_client()
        browser.post("/auth/session", headers=bearer(token))
        for client, head in ((app.test_client(), bearer(token)), (browser, {})):
            assert client.get(own, headers=head).status_code == 200
            crossing.tried(client.get(other, headers=head).status_code != 401)
    assert crossing.failed(tries=4)


def test_asvs_9_2_4_no_app_takes_another_apps_tokens(
    make_guarded: MakeApp, customers: Customers, tmp_path: Any, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 9.2.4: neither with another secret, nor with another issuer.

    The apps share their name, their storage and the ids of their actors.
    """
    customers.add(BOB)
    crossing = attack("tokens: of an app with another secret or issuer")
    storage = {"OTP_AUTH_STORAGE_URI": f"sqlite:///{tmp_path}/codes.sqlite3"}
    for differs in (
        {"OTP_AUTH_TOKEN_ISSUER": "the back office"},
        {"SECRET_KEY": "another secret, of more than 32 bytes, too"},
        {"OTP_AUTH_TOKEN_ISSUER": "the back office", "SECRET_KEY": "k" * 8 + "0123456789" * 4},
    ):
        shop, office = make_guarded(**storage), make_guarded(**storage, **differs)
        token = sign_in(shop)
        assert opened(shop, token)[0] == "/me"
        issuer = differs.get("OTP_AUTH_TOKEN_ISSUER", "shop")
        forged = Forger(shop, sign_in(shop, BOB)).token(claims={"iss": issuer})
        crossing.tried(opened(office, token) != [])
        crossing.tried(opened(office, forged) != [])
    assert crossing.failed(tries=6)


def test_two_apps_of_one_name_and_secret_take_each_others_tokens_and_are_told(
    customers: Customers, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    """Not prevented: apps that share name, secret, storage and actor type are one app.

    Who leaves the issuer at its default is warned.
    """
    apps = []
    for _ in range(2):
        app = Flask("myproject", instance_path=str(tmp_path))
        app.config.update(SECRET_KEY=SECRET)
        app.config["OTP_AUTH_DELIVERY"] = "inline"
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("customer", customers)
        otp_auth.init_app(app)
        apps.append(app)
    shop, office = apps
    answer = office.test_client().get("/auth/sign-ins", headers=bearer(sign_in(shop)))
    assert answer.status_code == 200
    warnings = [record.getMessage() for record in caplog.records]
    assert sum("OTP_AUTH_TOKEN_ISSUER" in warning for warning in warnings) == 2
    assert "take them" in caplog.text


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_asvs_9_1_2_a_published_key_verifies_and_signs_nothing(
    make_guarded: MakeApp, attack: Begin, algorithm: str
) -> None:
    """OWASP ASVS 5.0, 9.1.2; RFC 8725, 3.1: the algorithm is the app's choice, not the header's."""
    keys = {"OTP_AUTH_TOKEN_ALGORITHM": algorithm, "OTP_AUTH_TOKEN_KEYS": [pem(algorithm)]}
    app = make_guarded(**keys)
    forger, public = Forger(app, sign_in(app)), public_pem(pem(algorithm))
    document = app.test_client().get("/auth/.well-known/jwks.json").data
    confusing = attack("tokens: public keys as secrets, and tokens of another algorithm")
    for key in (public.encode(), public.strip().encode(), document, forger.key):
        for header in ({"alg": "HS256"}, {}, {"alg": "HS256", "kid": "none"}):
            confusing.tried(opened(app, forger.token(header, key=key)) != [])
    for token in (forger.unsigned(), forger.unsigned(alg="none"), sign_in(make_guarded())):
        confusing.tried(opened(app, token) != [])
    confusing.tried(opened(make_guarded(), forger.honest) != [])
    assert len(opened(app, forger.honest)) == len(DOORS)
    assert confusing.failed(tries=16)


def test_asvs_7_2_4_a_planted_session_gives_its_planter_nothing(
    app: Flask, customers: Customers, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 7.2.4 (session fixation): what was there before is worth nothing after.

    The attacker plants a cookie of his own in Ada's browser: a guest's, or that of his sign-in.
    """

    @app.post("/basket")
    def basket() -> str:
        session["basket"] = "the attacker's"
        return ""

    customers.add(BOB)
    fixing = attack("tokens: session cookies planted before a sign-in")
    for signs_in_first in (False, True):
        attacker, ada = app.test_client(), app.test_client()
        attacker.post("/basket")
        if signs_in_first:
            attacker.post("/auth/session", headers=bearer(sign_in(app, BOB)))
        planted = attacker.get_cookie("session")
        assert planted
        ada.set_cookie("session", planted.value)
        assert ada.post("/auth/session", headers=bearer(sign_in(app))).status_code == 200
        assert ada.get("/me").get_json() == {"id": "1"}
        with ada.session_transaction() as kept:
            fixing.tried("basket" in kept)
        fixing.tried(attacker.get("/me").status_code == 200)
    assert fixing.failed(tries=4)
