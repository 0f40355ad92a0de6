"""Tokens: one that is not exactly as we have written it lets nobody in.

What each single claim and header must be is told in ``tests/test_confusion.py``; here they are
attacked wholesale.
"""

import json
from collections.abc import Callable, Iterator

import pytest
from attacks import Attack
from conftest import ADA, bearer
from flask import Flask
from flask.testing import FlaskClient
from forging import Forger, encode, register, sign_in
from itsdangerous import URLSafeTimedSerializer

from flask_otp_auth import current_actor, token_required

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """A shop with a page of one's own."""
    app = make_app()

    @app.get("/me")
    @token_required("customer")
    def me() -> dict[str, str]:
        return {"email": current_actor.email}

    return app


def lets_in(client: FlaskClient, token: str) -> bool:
    """Tell whether a token opens anything at all."""
    headers = bearer(token)
    return 200 in (
        client.get("/me", headers=headers).status_code,
        client.post("/auth/token/refresh", headers=headers).status_code,
        client.post("/auth/session", headers=headers).status_code,
    )


def test_asvs_9_1_1_a_token_with_any_character_changed_is_refused(
    app: Flask, client: FlaskClient, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 9.1.1; RFC 7515, 5.2: the signature covers every character."""
    token = sign_in(app)
    assert lets_in(client, token)
    changing = attack("tokens: one character changed, dropped or doubled")
    for place, character in enumerate(token):
        position = ALPHABET.find(character)
        other = ALPHABET[(position + 16) % 64] if position >= 0 else "A"
        for forged in (other, "", character * 2):
            changing.tried(lets_in(client, token[:place] + forged + token[place + 1 :]))
    assert changing.failed(tries=900)


def headers(forger: Forger) -> Iterator[str]:
    """Yield tokens whose header asks to be verified in a way of the attacker's."""
    for alg in ("none", "None", "NONE", "nOnE", "", None, 0, ["HS256"], "HS384", "HS512", "RS256"):
        yield forger.unsigned(alg=alg)
        yield forger.token({"alg": alg})
        yield forger.token({"alg": alg}, key=b"secret")
    for name in ("jku", "x5u", "jwk", "x5c", "crit", "b64", "zip", "cty", "x"):
        yield forger.token({name: "https://evil.example/keys"})
        yield forger.token({name: {"kty": "oct", "k": encode(b"s" * 32)}}, key=b"s" * 32)
    for kid in ("", "0", "../../../../dev/null", "' OR 1=1 --", None, 0, [], {}, "\0"):
        yield forger.token({"kid": kid})
        yield forger.token({"kid": kid}, key=b"\0")
    for typ in (
        "JWT",
        "jwt",
        "at+jwt",
        "registration+jwt",
        "AUTH+JWT",
        "",
        None,
        ...,
        ["auth+jwt"],
    ):
        yield forger.token({"typ": typ})


def claims(forger: Forger) -> Iterator[str]:
    """Yield tokens, signed with the right key, whose claims are not ours."""
    odd: list[object] = [..., None, "", 0, -1, True, [], {}, "x", 1e400, 2**70]
    for name in ("iss", "sub", "aud", "iat", "exp", "jti", "auth_time"):
        for value in odd:
            if (name, value) == ("jti", "x") or (name, value) in (("sub", ""), ("jti", "")):
                continue  # texts like any other; "" is nobody's id
            if name in ("iat", "auth_time") and value in (0, True):
                continue
            yield forger.token(claims={name: value})
    for aud in (["customer", "user"], ["user"], "user", "Customer", "customer ", "cust\0omer"):
        yield forger.token(claims={"aud": aud})
    for nbf in (2**40, "tomorrow", 1e400):
        yield forger.token(claims={"nbf": nbf})
    for root in ([], "x", 7, None, [forger.claims]):
        yield forger.token(claims=json.dumps(root).encode())


@pytest.mark.parametrize("kind", [headers, claims])
def test_asvs_9_1_2_a_token_says_nothing_about_how_it_is_verified(
    app: Flask,
    client: FlaskClient,
    attack: Callable[[str], Attack],
    kind: Callable[[Forger], Iterator[str]],
) -> None:
    """OWASP ASVS 5.0, 9.1.2, 9.1.3, 9.2.1 to 9.2.4; RFC 8725, 3.1 to 3.12."""
    forger = Forger(app, sign_in(app))
    assert lets_in(client, forger.token())
    forging = attack(f"tokens: forged {kind.__name__}")
    for token in kind(forger):
        forging.tried(lets_in(client, token))
    assert forging.failed(tries=50)


def test_asvs_9_2_2_no_other_text_that_we_signed_is_a_token(
    app: Flask, client: FlaskClient, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 9.2.2: what was signed for one use is of no use for another."""
    registration = register(app)
    cookie = URLSafeTimedSerializer(app.config["SECRET_KEY"], salt="cookie-session")
    forger = Forger(app, sign_in(app))
    mixing = attack("tokens: other texts of ours in their place")
    for token in (
        registration,
        str(cookie.dumps(forger.claims)),
        forger.token({"typ": "session"}),
        forger.token(key=app.config["SECRET_KEY"].encode()),
        f"{forger.honest}.{forger.honest}",
        forger.honest.rsplit(".", 1)[0],
        ADA,
        "123456",
    ):
        mixing.tried(lets_in(client, token))
    assert mixing.failed(tries=8)


def test_asvs_7_2_1_a_session_cookie_can_not_be_written_by_its_owner(
    app: Flask, attack: Callable[[str], Attack]
) -> None:
    """OWASP ASVS 5.0, 7.2.1: a cookie that was changed is a cookie that is ignored."""
    visitor = app.test_client()
    visitor.post("/auth/session", headers=bearer(sign_in(app)))
    cookie = visitor.get_cookie("session")
    assert cookie
    thief = app.test_client()
    changing = attack("tokens: a session cookie with one character changed")
    for place, character in enumerate(cookie.value):
        # The last character has bits that mean nothing: those of A and B mean the same there.
        other = "A" if character != "A" else "Q"
        thief.set_cookie("session", cookie.value[:place] + other + cookie.value[place + 1 :])
        with thief.session_transaction() as session:
            changing.tried("otp_auth" in session)
    assert changing.failed(tries=100)
