"""Every confusion of tokens: one kind, type, app, key or spelling taken for another, refused."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import ADA, Api, Customers, bearer
from cryptography.hazmat.primitives import serialization
from flask import Flask
from flask.testing import FlaskClient
from forging import Forger, decode, encode, parts, register, sign_in
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, RSAPSSAlgorithm
from pems import ALGORITHMS, pem, public_pem

from flask_otp_auth import OTPAuth, registration_required, token_required

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def guarded(app: Flask) -> Flask:
    """Give an app a view behind each guard."""
    for name in ("customer", "user"):
        view = token_required(name)(lambda: "in")
        app.add_url_rule(f"/{name}", name, view)
    app.add_url_rule("/any", "any", token_required()(lambda: "in"))
    app.add_url_rule("/join", "join", registration_required()(lambda: "in"))
    return app


@pytest.fixture
def app(make_app: Callable[..., Flask], customers: Customers) -> Flask:
    """The shop, whose customers and users are two actor types with the same ids."""
    users = Customers()
    users.add(ADA)
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("user", users)
    return guarded(make_app(otp_auth))


@pytest.fixture
def forger(app: Flask) -> Forger:
    """Forges on the model of Ada's own token."""
    return Forger(app, sign_in(app))


def assert_refused(client: FlaskClient, token: str, path: str = "/customer") -> None:
    """Assert that a token is refused, and that it is told to nobody why."""
    answer = client.get(path, headers=bearer(token))
    assert answer.status_code == 401
    assert answer.get_json() == {"type": "unauthorized", "message": "Unauthorized"}
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def assert_let_in(client: FlaskClient, token: str, path: str = "/customer") -> None:
    """Assert that a token lets in."""
    answer = client.get(path, headers=bearer(token))
    assert (answer.status_code, answer.text) == (200, "in")


def test_a_token_forged_with_the_key_and_nothing_changed_lets_in(
    client: FlaskClient, forger: Forger
) -> None:
    assert_let_in(client, forger.token())
    assert_let_in(client, forger.honest)


class TestKinds:
    """A token is of one kind, for one actor type, of one app."""

    @pytest.mark.parametrize("path", ["/customer", "/any"])
    def test_a_registration_token_is_no_sign_in(
        self, app: Flask, client: FlaskClient, path: str
    ) -> None:
        assert_refused(client, register(app), path)

    @pytest.mark.parametrize("route", ["token/revoke", "session"])
    def test_a_registration_token_neither_begins_a_session_nor_is_revoked(
        self, app: Flask, client: FlaskClient, route: str
    ) -> None:
        assert client.post(f"/auth/{route}", headers=bearer(register(app))).status_code == 401

    def test_a_sign_in_is_no_registration(self, client: FlaskClient, forger: Forger) -> None:
        assert_refused(client, forger.honest, "/join")

    def test_a_customer_is_no_user(self, client: FlaskClient, forger: Forger) -> None:
        assert_refused(client, forger.honest, "/user")
        assert_let_in(client, forger.honest, "/any")

    def test_a_user_is_no_customer(self, app: Flask, client: FlaskClient) -> None:
        token = sign_in(app, actor_type="user")
        assert_refused(client, token, "/customer")
        assert_let_in(client, token, "/user")

    def test_another_apps_token_is_not_ours_although_it_has_the_same_key(
        self, make_app: Callable[..., Flask], client: FlaskClient
    ) -> None:
        assert_refused(client, sign_in(make_app(OTP_AUTH_TOKEN_ISSUER="another shop")))

    def test_another_secret_makes_another_key(
        self, make_app: Callable[..., Flask], client: FlaskClient
    ) -> None:
        stranger = make_app(SECRET_KEY="another secret, of more than 32 bytes, too")
        assert_refused(client, sign_in(stranger))

    def test_an_actor_type_that_was_given_up_lets_nobody_in(
        self, make_app: Callable[..., Flask], customers: Customers, forger: Forger
    ) -> None:
        otp_auth = OTPAuth()
        otp_auth.add_actor_type("user", customers)
        assert_refused(guarded(make_app(otp_auth)).test_client(), forger.honest, "/any")


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, ...])
def test_a_token_needs_a_signature(client: FlaskClient, forger: Forger, name: object) -> None:
    assert_refused(client, forger.unsigned(alg=name))
    assert_refused(client, forger.token({"alg": name}))


def test_an_honest_token_does_not_let_in_without_its_signature(
    client: FlaskClient, forger: Forger
) -> None:
    assert_refused(client, forger.honest.rpartition(".")[0] + ".")


@pytest.mark.parametrize("bits", ["384", "512"])
def test_only_the_configured_algorithm_counts(
    client: FlaskClient, forger: Forger, bits: str
) -> None:
    assert_refused(client, forger.token({"alg": f"HS{bits}"}, hash_name=f"sha{bits}"))


HEADERS: dict[str, dict[str, Any]] = {
    "no type": {"typ": ...},
    "the type of any JWT": {"typ": "JWT"},
    "the type of an access token": {"typ": "at+jwt"},
    "another case": {"typ": "Auth+JWT"},
    "a media type": {"typ": "application/auth+jwt"},
    "the type of a session": {"typ": "session"},
    "a list of types": {"typ": ["auth+jwt"]},
    "no kid": {"kid": ...},
    "no kid, told so": {"kid": None},
    "an unknown kid": {"kid": "0123456789abcdef"},
    "an empty kid": {"kid": ""},
    "a kid that is a path": {"kid": "../../../../../../dev/null"},
    "a kid that is a file": {"kid": "/proc/sys/kernel/randomize_va_space"},
    "a kid that is SQL": {"kid": "' UNION SELECT 'key"},
    "a kid that is a URL": {"kid": "https://attacker.example/key"},
    "a kid that is a number": {"kid": 0},
    "a kid that is true": {"kid": True},
    "a list of kids": {"kid": ["one"]},
    "an object of a kid": {"kid": {"one": 1}},
    "a critical extension": {"crit": ["exp"], "exp": 1},
    "an empty list of critical extensions": {"crit": []},
    "a critical extension that PyJWT knows": {"crit": ["b64"], "b64": True},
    "an unencoded payload": {"crit": ["b64"], "b64": False},
    "an unencoded payload that nobody was told of": {"b64": False},
    "an encoded payload that is told of": {"b64": True},
    "a key of its own": {"jwk": {"kty": "oct", "k": "YXR0YWNrZXI"}},
    "the address of a key": {"jku": "https://attacker.example/jwks.json"},
    "the address of a certificate": {"x5u": "https://attacker.example/cert.pem"},
    "a certificate": {"x5c": ["MIIB"]},
    "a content type": {"cty": "JWT"},
    "a compression": {"zip": "DEF"},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_a_header_says_what_ours_say_and_no_more(
    client: FlaskClient, forger: Forger, header: dict[str, Any]
) -> None:
    assert_refused(client, forger.token(header))


def test_an_unencoded_payload_is_refused_in_its_own_form_too(
    client: FlaskClient, forger: Forger
) -> None:
    header, _, signature = forger.token({"crit": ["b64"], "b64": False}).split(".")
    assert_refused(client, f"{header}..{signature}")


@pytest.mark.parametrize("part", ["header", "claims"])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"text"', b"1", b"\xff", b"[" * 100_000, b"1" * 5000],
    ids=lambda content: ascii(content[:8]).replace("\\", ""),  # mutmut can't pass a backslash on
)
def test_what_is_no_json_object_is_refused(
    app: Flask, client: FlaskClient, forger: Forger, part: str, content: bytes
) -> None:
    assert_refused(client, forger.token(**{part: content}))


NOT_TEXTS = [None, 7, True, [], ["customer"], ["customer", "user"], {}, 1.5]
NOT_TIMES = [None, True, "1767323045", 1767323045.5, float("nan"), float("inf"), -float("inf"), [],
             {}, -1, 2**53 + 1, 10**400]  # fmt: skip

CLAIMS: dict[str, dict[str, Any]] = {
    **{
        f"no {name}": {name: ...}
        for name in ("iss", "sub", "aud", "iat", "exp", "jti", "auth_time", "amr")
    },
    **{
        f"{name} is {value!r}"[:40]: {name: value}
        for name in ("iss", "sub", "aud", "jti")
        for value in NOT_TEXTS
    },
    **{
        f"{name} is {value!r}"[:40]: {name: value}
        for name in ("iat", "exp", "auth_time")
        for value in NOT_TIMES
    },
    "another issuer": {"iss": "another shop"},
    "one issuer of several": {"iss": ["shop", "another shop"]},
    "another audience": {"aud": "user"},
    "an unknown audience": {"aud": "nobody"},
    "no audience in particular": {"aud": ""},
    "nobody": {"sub": "404"},
    "an empty subject": {"sub": ""},
    "expired long ago": {"exp": 1},
    "expired as the epoch began": {"exp": 0},
    "issued in the future": {"iat": 4102444800},
    "not yet valid": {"nbf": 4102444800},
    "signed in before the epoch of any session": {"auth_time": 0},
}


@pytest.mark.parametrize("claims", CLAIMS.values(), ids=CLAIMS)
def test_every_claim_is_what_it_must_be(
    client: FlaskClient, forger: Forger, claims: dict[str, Any]
) -> None:
    assert_refused(client, forger.token(claims=claims))


def spellings(token: str) -> dict[str, str]:
    """Return other spellings of a token, each of which some lenient parser takes for it."""
    header, claims, signature = token.split(".")
    last = ALPHABET.index(signature[-1])
    return {
        "padded signature": f"{token}=",
        "doubly padded signature": f"{token}==",
        "padded header": f"{header}=.{claims}.{signature}",
        "padded claims": f"{header}.{claims}=.{signature}",
        "a line break in it": f"{header}.{claims}.\t{signature}",
        "a space in it": f"{header}. {claims}.{signature}",
        "a dot before it": f".{token}",
        "a dot after it": f"{token}.",
        "a part too many": f"{token}.{signature}",
        "no claims": f"{header}..{signature}",
        "two parts": f"{header}.{claims}",
        "junk that base64 skips": f"{header}.{claims}.{signature[:5]}!{signature[5:]}",
        "spare bits set": token[:-1] + ALPHABET[last ^ 1],
        "quotes": f'"{token}"',
        "percent": token.replace(".", "%2E", 1),
        "commas": f"{token}, {token}",
        "full-width dots": token.replace(".", "\uff0e").encode().decode("latin-1"),
    }


@pytest.mark.parametrize("name", spellings("a.b.c"))
def test_a_token_has_one_spelling(client: FlaskClient, forger: Forger, name: str) -> None:
    assert_refused(client, spellings(forger.honest)[name])


def test_no_spelling_of_a_revoked_token_lets_in(
    app: Flask, client: FlaskClient, forger: Forger
) -> None:
    Api(client).revoke(forger.honest)
    for token in (forger.honest, f"  {forger.honest}  ", *spellings(forger.honest).values()):
        assert_refused(client, token)


def test_the_scheme_is_bearer_in_any_case(client: FlaskClient, forger: Forger) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {forger.honest}"}
        assert client.get("/customer", headers=headers).status_code == 200
    for value in (forger.honest, f"Token {forger.honest}", f"Basic {forger.honest}", "Bearer"):
        answer = client.get("/customer", headers={"Authorization": value})
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@dataclass
class Publisher:
    """An app that publishes its public key, and what an attacker makes of it."""

    app: Flask
    client: FlaskClient
    algorithm: str
    forger: Forger


@pytest.fixture(params=ALGORITHMS)
def publisher(request: pytest.FixtureRequest, make_app: Callable[..., Flask]) -> Publisher:
    """An app that signs with a PEM key, once for each algorithm."""
    algorithm = request.param
    app = guarded(
        make_app(OTP_AUTH_TOKEN_ALGORITHM=algorithm, OTP_AUTH_TOKEN_KEYS=[pem(algorithm)])
    )
    return Publisher(app, app.test_client(), algorithm, Forger(app, sign_in(app)))


def public_spellings(publisher: Publisher) -> list[bytes]:
    """Return every form in which somebody may take a published key for a secret."""
    text = public_pem(pem(publisher.algorithm))
    key = serialization.load_pem_public_key(text.encode())
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    document = publisher.client.get("/auth/.well-known/jwks.json")
    (jwk,) = document.get_json()["keys"]
    return [
        text.encode(),
        text.strip().encode(),
        text.replace("\n", "").encode(),
        text.replace("\n", "\r\n").encode(),
        der,
        document.data,
        json.dumps(jwk).encode(),
        json.dumps(jwk, separators=(",", ":"), sort_keys=True).encode(),
        jwk["kid"].encode(),
        *(decode(jwk[member]) for member in ("x", "y", "n") if member in jwk),
        b"",
    ]


class TestPublicKeys:
    """What is published verifies, and signs nothing."""

    def test_the_honest_token_lets_in(self, publisher: Publisher) -> None:
        assert_let_in(publisher.client, publisher.forger.honest)

    def test_a_public_key_is_no_secret_of_hs256(self, publisher: Publisher) -> None:
        for key in public_spellings(publisher):
            assert_refused(publisher.client, publisher.forger.token({"alg": "HS256"}, key=key))

    def test_a_public_key_is_no_secret_under_its_own_name(self, publisher: Publisher) -> None:
        for key in public_spellings(publisher):
            assert_refused(publisher.client, publisher.forger.token(key=key))

    def test_the_key_of_hs256_counts_for_nothing_here(self, publisher: Publisher) -> None:
        forger = publisher.forger
        assert_refused(publisher.client, forger.token({"alg": "HS256"}))
        old = Forger(publisher.app, forger.honest).token({"alg": "HS256", "kid": "none"})
        assert_refused(publisher.client, old)

    def test_a_token_of_before_the_change_of_algorithm_is_refused(
        self, publisher: Publisher, make_app: Callable[..., Flask]
    ) -> None:
        assert_refused(publisher.client, sign_in(make_app()))

    def test_our_token_says_nothing_to_an_app_under_hs256(
        self, publisher: Publisher, make_app: Callable[..., Flask]
    ) -> None:
        assert_refused(guarded(make_app()).test_client(), publisher.forger.honest)

    def test_an_unsigned_token_is_refused(self, publisher: Publisher) -> None:
        assert_refused(publisher.client, publisher.forger.unsigned(alg="none"))
        assert_refused(publisher.client, publisher.forger.unsigned())

    def test_a_signature_of_zeros_is_refused(self, publisher: Publisher) -> None:
        signed = publisher.forger.honest.rpartition(".")[0]
        assert_refused(publisher.client, f"{signed}.{encode(bytes(64))}")
        assert_refused(publisher.client, f"{signed}.{encode(bytes(256))}")

    def test_a_key_that_came_along_signs_nothing(self, publisher: Publisher) -> None:
        mine = pem(publisher.algorithm, "the attacker's")
        key = serialization.load_pem_private_key(mine.encode(), None)
        header, claims = parts(publisher.forger.honest)
        (published,) = publisher.client.get("/auth/.well-known/jwks.json").get_json()["keys"]
        own = _jwk(publisher.algorithm, key.public_key())
        for extra in ({}, {"jwk": own}, {"jwk": {**own, "kid": published["kid"]}}):
            token = _sign(publisher.algorithm, key, {**header, **extra}, claims)
            assert_refused(publisher.client, token)
            own_name = {**header, **extra, "kid": "the attacker's"}
            assert_refused(publisher.client, _sign(publisher.algorithm, key, own_name, claims))

    @pytest.mark.parametrize("other", ALGORITHMS)
    def test_the_header_does_not_choose_the_algorithm(
        self, publisher: Publisher, other: str
    ) -> None:
        key = serialization.load_pem_private_key(pem(other, "the attacker's").encode(), None)
        header, claims = parts(publisher.forger.honest)
        token = _sign(other, key, {**header, "alg": other}, claims)
        assert_refused(publisher.client, token)


def test_a_key_signs_with_one_algorithm_only(
    make_app: Callable[..., Flask],
) -> None:
    app = guarded(make_app(OTP_AUTH_TOKEN_ALGORITHM="RS256", OTP_AUTH_TOKEN_KEYS=[pem("RS256")]))
    key = serialization.load_pem_private_key(pem("RS256").encode(), None)
    header, claims = parts(sign_in(app))
    assert_let_in(app.test_client(), _sign("RS256", key, header, claims))
    for name in ("RS384", "RS512", "PS256"):
        assert_refused(app.test_client(), _sign(name, key, {**header, "alg": name}, claims))


SIGNERS: dict[str, Any] = {
    "ES256": ECAlgorithm(ECAlgorithm.SHA256),
    "EdDSA": OKPAlgorithm(),
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "RS384": RSAAlgorithm(RSAAlgorithm.SHA384),
    "RS512": RSAAlgorithm(RSAAlgorithm.SHA512),
    "PS256": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256),
}


def _sign(algorithm: str, key: Any, header: dict[str, Any], claims: dict[str, Any]) -> str:
    signed = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
    return f"{signed}.{encode(SIGNERS[algorithm].sign(signed.encode(), key))}"


def _jwk(algorithm: str, public: Any) -> dict[str, Any]:
    jwk: dict[str, Any] = SIGNERS[algorithm].to_jwk(public, as_dict=True)
    return jwk
