"""Keys in PEM: which can be used, how they are named, published and followed by new ones."""

import json
import sys
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from conftest import SECRET, Api
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from flask import Flask
from forging import decode, parts, register, sign_in
from joserfc.jwk import KeySet, OKPKey, RSAKey
from pems import ALGORITHMS, pem, private_pem, public_pem

from flask_otp_auth import ConfigError
from flask_otp_auth.config import Settings
from flask_otp_auth.signing import MIN_RSA_BITS, asymmetric_key, thumbprint

JWKS = "/auth/.well-known/jwks.json"


@pytest.fixture(params=ALGORITHMS)
def algorithm(request: pytest.FixtureRequest) -> str:
    """Each algorithm that has a public key."""
    name: str = request.param
    return name


@pytest.fixture
def make_publisher(make_app: Callable[..., Flask], algorithm: str) -> Callable[..., Flask]:
    """Make the shop with keys of the test's own; by default one."""

    def make(*keys: str) -> Flask:
        return make_app(
            OTP_AUTH_TOKEN_ALGORITHM=algorithm, OTP_AUTH_TOKEN_KEYS=keys or [pem(algorithm)]
        )

    return make


def published(app: Flask) -> dict[str, Any]:
    """Return the keys that an app publishes."""
    document: dict[str, Any] = app.test_client().get(JWKS).get_json()
    return document


def lets_in(app: Flask, token: str) -> bool:
    """Tell whether an app takes a token, by refreshing it."""
    return Api(app.test_client()).refresh(token).status_code == 200


def test_a_token_names_its_algorithm_and_its_key(
    make_publisher: Callable[..., Flask], algorithm: str
) -> None:
    app = make_publisher()
    for token, kind in ((sign_in(app), "auth+jwt"), (register(app), "registration+jwt")):
        header, _ = parts(token)
        (key,) = published(app)["keys"]
        assert header == {"typ": kind, "alg": algorithm, "kid": key["kid"]}


def test_the_public_key_verifies_it(make_publisher: Callable[..., Flask], algorithm: str) -> None:
    app = make_publisher()
    token = sign_in(app)
    key = serialization.load_pem_public_key(public_pem(pem(algorithm)).encode())
    claims = jwt.decode(token, key, [algorithm], audience="customer", issuer="shop")
    assert claims == parts(token)[1]
    assert lets_in(app, token)


class TestDocument:
    """``/.well-known/jwks.json`` tells every verifier the public keys, and no more."""

    def test_has_what_a_verifier_needs(
        self, make_publisher: Callable[..., Flask], algorithm: str
    ) -> None:
        (key,) = published(make_publisher())["keys"]
        members = {
            "ES256": {"kty", "crv", "x", "y"},
            "EdDSA": {"kty", "crv", "x"},
            "RS256": {"kty", "n", "e"},
        }
        assert set(key) == members[algorithm] | {"kid", "alg", "use"}
        assert (key["alg"], key["use"]) == (algorithm, "sig")

    def test_may_be_cached_for_a_while_unlike_every_other_answer(
        self, make_publisher: Callable[..., Flask]
    ) -> None:
        answer = make_publisher().test_client().get(JWKS)
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "public, max-age=300"
        assert answer.headers["Content-Type"] == "application/json"
        assert "Set-Cookie" not in answer.headers

    def test_is_read_by_joserfc_which_gives_the_keys_the_same_names(
        self, make_publisher: Callable[..., Flask], algorithm: str
    ) -> None:
        app = make_publisher(pem(algorithm, "old"), pem(algorithm))
        document = published(app)
        keys = KeySet.import_key_set(document)
        assert [key.thumbprint() for key in keys] == [key["kid"] for key in document["keys"]]

    def test_holds_a_public_key_of_the_same_value(
        self, make_publisher: Callable[..., Flask], algorithm: str
    ) -> None:
        (key,) = published(make_publisher())["keys"]
        spki = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        parsed = jwt.PyJWK(key).key.public_bytes(*spki).decode()
        assert parsed == public_pem(pem(algorithm))

    @pytest.mark.parametrize("config", [{}, {"OTP_AUTH_TOKEN_ALGORITHM": "HS256"}])
    def test_is_not_there_under_hs256(
        self, make_app: Callable[..., Flask], config: dict[str, str]
    ) -> None:
        answer = make_app(**config).test_client().get(JWKS)
        assert answer.status_code == 404
        assert answer.get_json() == {"type": "not_found", "message": "Not found"}
        assert answer.headers["Cache-Control"] == "no-store"


class TestRotation:
    """The last key signs; every key in the list verifies."""

    def test_a_new_key_signs_and_the_old_one_still_verifies(
        self, make_publisher: Callable[..., Flask], algorithm: str
    ) -> None:
        old, new = pem(algorithm, "old"), pem(algorithm, "new")
        before, after = make_publisher(old), make_publisher(old, new)
        token = sign_in(before)
        assert lets_in(after, token)
        fresh = sign_in(after)
        assert parts(fresh)[0]["kid"] == published(make_publisher(new))["keys"][0]["kid"]
        assert not lets_in(before, fresh)
        assert not lets_in(make_publisher(new), token)
        assert lets_in(make_publisher(new), fresh)

    def test_the_old_private_key_can_be_destroyed(
        self, make_publisher: Callable[..., Flask], algorithm: str
    ) -> None:
        old, new = pem(algorithm, "old"), pem(algorithm, "new")
        token = sign_in(make_publisher(old))
        after = make_publisher(public_pem(old), new)
        assert lets_in(after, token)
        assert published(after) == published(make_publisher(old, new))

    def test_a_key_is_announced_before_it_signs(
        self, make_publisher: Callable[..., Flask], algorithm: str
    ) -> None:
        new, current = pem(algorithm, "new"), pem(algorithm, "current")
        app = make_publisher(new, current)
        kids = [key["kid"] for key in published(app)["keys"]]
        assert len(set(kids)) == 2
        assert parts(sign_in(app))[0]["kid"] == kids[1]

    def test_keys_are_read_once_at_start(
        self, make_publisher: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        app = make_publisher()

        def load(*args: object) -> None:
            raise AssertionError("read again")

        for name in ("load_pem_private_key", "load_pem_public_key", "load_der_public_key"):
            monkeypatch.setattr(serialization, name, load)
        assert lets_in(app, sign_in(app))
        assert published(app)["keys"]


class TestThumbprint:
    """The name of a key is the same for everybody (RFC 7638)."""

    def test_the_example_of_rfc_7638(self) -> None:
        n = (
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc"
            "_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQ"
            "R0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bF"
            "TWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        )
        members = {"kty": "RSA", "n": n, "e": "AQAB"}
        assert thumbprint(members) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        assert RSAKey.import_key(members).thumbprint() == thumbprint(members)

    def test_the_example_of_rfc_8037(self) -> None:
        x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        members = {"crv": "Ed25519", "kty": "OKP", "x": x}
        assert thumbprint(members) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        assert OKPKey.import_key(members).thumbprint() == thumbprint(members)

    def test_is_not_changed_by_the_form_of_the_pem(self, algorithm: str) -> None:
        key = serialization.load_pem_private_key(pem(algorithm).encode(), None)
        kid = asymmetric_key(pem(algorithm)).kid
        assert asymmetric_key(public_pem(pem(algorithm))).kid == kid
        assert asymmetric_key(f"\n{pem(algorithm)}\n".replace("\n", "\r\n")).kid == kid
        if algorithm != "EdDSA":  # which has no traditional form
            traditional = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            ).decode()
            assert asymmetric_key(traditional).kid == kid

    def test_a_coordinate_keeps_its_leading_zeros(self) -> None:
        keys = (ec.derive_private_key(number, ec.SECP256R1()) for number in range(1, 2000))
        short = next(key for key in keys if key.public_key().public_numbers().x < 2**248)
        key = asymmetric_key(private_pem(short))
        assert key.jwk is not None
        assert len(decode(key.jwk["x"])) == len(decode(key.jwk["y"])) == 32
        assert KeySet.import_key_set({"keys": [dict(key.jwk)]}).keys[0].thumbprint() == key.kid


def faults(keys: object, algorithm: str = "ES256", **config: Any) -> tuple[str, ...]:
    """Return the faults of a configuration with these keys."""
    with pytest.raises(ConfigError) as caught:
        Settings.load(
            {
                "SECRET_KEY": SECRET,
                "OTP_AUTH_TOKEN_ALGORITHM": algorithm,
                "OTP_AUTH_TOKEN_KEYS": keys,
                **config,
            }
        )
    return caught.value.faults


def openssh(algorithm: str) -> str:
    """Return a private key in OpenSSH's own format."""
    key = serialization.load_pem_private_key(pem(algorithm).encode(), None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH)
    return key.private_bytes(*form, serialization.NoEncryption()).decode()


NOT_PEM = {
    "nothing": "",
    "words": "hunter2",
    "a path": "/etc/ssl/private/key.pem",
    "a torn key": pem("ES256")[:-40],
    "a torn public key": public_pem(pem("ES256"))[:-60],
    "a certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "OpenSSH's own format": openssh("EdDSA"),
    "no Unicode": pem("ES256") + "\ud800",
}
WRONG_KINDS: dict[str, Callable[[], Any]] = {
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "Ed448": ed448.Ed448PrivateKey.generate,
    "X25519": x25519.X25519PrivateKey.generate,
    "DSA": lambda: dsa.generate_private_key(2048),
}


class TestFaults:
    """A key that can't be used is told at start; its text is not."""

    @pytest.mark.parametrize("text", NOT_PEM.values(), ids=NOT_PEM)
    def test_what_is_no_key(self, text: str) -> None:
        (fault,) = faults([text])
        assert fault == (
            "OTP_AUTH_TOKEN_KEYS must be keys in PEM, the newest last: number 1 is not a key in PEM"
        )

    @pytest.mark.parametrize("make", WRONG_KINDS.values(), ids=WRONG_KINDS)
    @pytest.mark.parametrize("half", [private_pem, lambda key: public_pem(private_pem(key))])
    def test_a_kind_that_no_algorithm_takes(
        self, make: Callable[[], Any], half: Callable[[Any], str]
    ) -> None:
        (fault,) = faults([half(make()), pem("ES256")])
        assert fault.endswith("number 1 is not an RSA, a P-256 or an Ed25519 key")

    @pytest.mark.parametrize("bits", [1024, 2047])
    def test_an_rsa_key_that_is_too_short(self, bits: int) -> None:
        short = private_pem(rsa.generate_private_key(65537, bits))
        (fault,) = faults([short], "RS256")
        assert fault.endswith("number 1 is an RSA key of less than 2048 bits")

    def test_an_encrypted_key(self, algorithm: str) -> None:
        key = serialization.load_pem_private_key(pem(algorithm).encode(), None)
        (fault,) = faults([private_pem(key, b"hunter2")], algorithm)
        assert fault.endswith("number 1 is encrypted; this extension has no password for it")

    @pytest.mark.parametrize("other", ALGORITHMS)
    def test_a_key_for_another_algorithm(self, algorithm: str, other: str) -> None:
        for keys in ([pem(other)], [pem(algorithm), pem(other)], [pem(other), pem(algorithm)]):
            if other == algorithm:
                continue
            assert faults(keys, algorithm) == (
                f"OTP_AUTH_TOKEN_KEYS has keys for {other}, "
                f"but OTP_AUTH_TOKEN_ALGORITHM is {algorithm}",
            )

    def test_a_public_key_can_not_sign(self, algorithm: str) -> None:
        (fault,) = faults([pem(algorithm), public_pem(pem(algorithm, "new"))], algorithm)
        assert fault.endswith("the newest signs, so it can't be a public key")

    def test_a_key_under_hs256(self, algorithm: str) -> None:
        (fault,) = faults([pem(algorithm)], "HS256")
        assert fault.startswith("OTP_AUTH_TOKEN_KEYS goes with OTP_AUTH_TOKEN_ALGORITHM ES256")

    @pytest.mark.parametrize("keys", [[], ()])
    def test_no_key_at_all(self, algorithm: str, keys: object) -> None:
        (fault,) = faults(keys, algorithm)
        assert fault.startswith("OTP_AUTH_TOKEN_KEYS goes with OTP_AUTH_TOKEN_ALGORITHM ES256")

    def test_all_are_told_at_once_with_the_other_settings(self) -> None:
        encrypted = private_pem(ec.generate_private_key(ec.SECP256R1()), b"hunter2")
        found = faults(["hunter2", encrypted, pem("ES256")], OTP_AUTH_DIGITS=5, SECRET_KEY="short")
        assert found[0] == (
            "OTP_AUTH_TOKEN_KEYS must be keys in PEM, the newest last: number 1 is not a key in "
            "PEM, number 2 is encrypted; this extension has no password for it"
        )
        assert [fault.split()[0] for fault in found[1:]] == ["OTP_AUTH_DIGITS", "SECRET_KEY"]

    def test_cryptography_is_an_extra(
        self, algorithm: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
        (fault,) = faults([pem(algorithm)], algorithm)
        assert fault.endswith("number 1 needs cryptography: pip install 'flask-otp-auth[crypto]'")

    def test_a_fault_shows_nothing_of_a_key(self) -> None:
        short = private_pem(rsa.generate_private_key(65537, MIN_RSA_BITS // 2))
        keys = [short, pem("ES256")[:-40], pem("EdDSA"), public_pem(pem("ES256"))]
        shown = json.dumps(faults(keys)) + repr(asymmetric_key(pem("ES256")))
        lines = [line for key in keys for line in key.splitlines() if "-" not in line]
        assert lines
        assert not any(line in shown for line in lines)
