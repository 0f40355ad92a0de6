"""Keys in PEM: which can be used, how they are named and what is published of them."""

import sys
from base64 import urlsafe_b64decode
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa, x25519
from joserfc.jwk import KeySet, OKPKey, RSAKey
from pems import ALGORITHMS, pem, private_pem, public_pem

from flask_otp_auth.core.keyset import MIN_RSA_BITS, asymmetric_key, symmetric_keys, thumbprint


@pytest.fixture(params=ALGORITHMS)
def algorithm(request: pytest.FixtureRequest) -> str:
    """Each algorithm that has a public key."""
    return request.param


def traditional(text: str, password: bytes | None = None) -> str:
    """Return a private key in the form of before PKCS #8."""
    key = serialization.load_pem_private_key(text.encode(), None)
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL)
    return key.private_bytes(*form, encryption).decode()


def openssh(algorithm: str) -> str:
    """Return a private key in OpenSSH's own format."""
    key = serialization.load_pem_private_key(pem(algorithm).encode(), None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH)
    return key.private_bytes(*form, serialization.NoEncryption()).decode()


class TestSymmetricKeys:
    """HS256 takes its keys from ``SECRET_KEY``, the newest last."""

    def test_each_signs_and_verifies(self) -> None:
        (key,) = symmetric_keys([b"k" * 32])
        assert (key.algorithm, key.signing, key.verifying) == ("HS256", b"k" * 32, b"k" * 32)
        assert key.jwk is None

    def test_each_has_a_name_of_its_own_that_is_always_the_same(self) -> None:
        derived = [b"k" * 32, b"l" * 32]
        names = [key.kid for key in symmetric_keys(derived)]
        assert len(set(names)) == 2
        assert names == [key.kid for key in symmetric_keys(derived)]


class TestPublishedKey:
    """What every verifier needs, and no more."""

    def test_has_the_members_of_its_type(self, algorithm: str) -> None:
        key = asymmetric_key(pem(algorithm))
        members = {
            "ES256": {"kty", "crv", "x", "y"},
            "EdDSA": {"kty", "crv", "x"},
            "RS256": {"kty", "n", "e"},
        }
        assert set(key.jwk) == members[algorithm] | {"kid", "alg", "use"}
        assert (key.jwk["alg"], key.jwk["use"]) == (algorithm, "sig")
        assert (key.algorithm, key.jwk["kid"]) == (algorithm, key.kid)

    def test_is_read_by_joserfc_which_gives_it_the_same_name(self, algorithm: str) -> None:
        key = asymmetric_key(pem(algorithm))
        (read,) = KeySet.import_key_set({"keys": [dict(key.jwk)]}).keys
        assert read.thumbprint() == key.kid

    def test_holds_a_public_key_of_the_same_value(self, algorithm: str) -> None:
        jwk = asymmetric_key(pem(algorithm)).jwk
        spki = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        assert jwt.PyJWK(dict(jwk)).key.public_bytes(*spki).decode() == public_pem(pem(algorithm))

    def test_has_coordinates_with_their_leading_zeros(self) -> None:
        keys = (ec.derive_private_key(number, ec.SECP256R1()) for number in range(1, 2000))
        short = next(key for key in keys if key.public_key().public_numbers().x < 2**248)
        jwk = asymmetric_key(private_pem(short)).jwk
        assert [len(urlsafe_b64decode(jwk[name] + "=")) for name in "xy"] == [32, 32]


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


EC_PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "literal line ends": lambda text: text.replace("\n", "\\n"),
    "literal CRLF": lambda text: text.replace("\n", "\\r\\n"),
    "literal line ends, escaped twice": lambda text: text.replace("\n", "\\\\n"),
    "CRLF, converted twice": lambda text: text.replace("\n", "\r\r\n"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "indented": lambda text: "\n".join(f"    {line}  " for line in text.splitlines()),
    "empty lines around": lambda text: f"\n\n{text}\n\n",
    "no line end": lambda text: text.rstrip("\n"),
    "EC PARAMETERS first": lambda text: EC_PARAMETERS + text,
    "EC PARAMETERS, literal": lambda text: (EC_PARAMETERS + text).replace("\n", "\\n"),
}


class TestSpellings:
    """A PEM text is taken as it comes out of files and environment variables."""

    @pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
    @pytest.mark.parametrize("half", [str, public_pem])
    def test_line_ends_and_indentation_do_not_matter(
        self, algorithm: str, spell: Callable[[str], str], half: Callable[[str], str]
    ) -> None:
        spelt = asymmetric_key(spell(half(pem(algorithm))))
        assert spelt.kid == asymmetric_key(pem(algorithm)).kid
        assert (spelt.signing is None) == (half is public_pem)

    @pytest.mark.parametrize("algorithm", ["ES256", "RS256"])  # EdDSA has no traditional form
    @pytest.mark.parametrize("first", ["", EC_PARAMETERS])
    def test_the_traditional_form_is_taken_too(self, algorithm: str, first: str) -> None:
        text = first + traditional(pem(algorithm))
        assert asymmetric_key(text).kid == asymmetric_key(pem(algorithm)).kid


BAD: dict[str, Callable[[], str]] = {
    "nothing": lambda: "",
    "words": lambda: "hunter2",
    "a path": lambda: "/etc/ssl/private/key.pem",
    "a torn key": lambda: pem("ES256")[:-40],
    "a torn public key": lambda: public_pem(pem("ES256"))[:-60],
    "a certificate": lambda: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "OpenSSH's own format": lambda: openssh("EdDSA"),
    "no Unicode": lambda: pem("ES256") + "\ud800",
    "EC PARAMETERS alone": lambda: EC_PARAMETERS,
}
WRONG_TYPES: dict[str, Callable[[], Any]] = {
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()),
    "Ed448": ed448.Ed448PrivateKey.generate,
    "X25519": x25519.X25519PrivateKey.generate,
    "DSA": lambda: dsa.generate_private_key(2048),
}


class TestFaults:
    """A key that can't be used is told at start; its text is not."""

    @pytest.mark.parametrize("text", BAD.values(), ids=BAD)
    def test_what_is_no_key(self, text: Callable[[], str]) -> None:
        with pytest.raises(ValueError, match=r"^is not a key in PEM$"):
            asymmetric_key(text())

    @pytest.mark.parametrize("joint", ["", " "])
    @pytest.mark.parametrize("half", [str, public_pem])
    def test_a_key_that_has_lost_its_line_ends(
        self, algorithm: str, joint: str, half: Callable[[str], str]
    ) -> None:
        with pytest.raises(
            ValueError, match=r"^is all on one line; keep its line ends, or write them as \\n$"
        ):
            asymmetric_key(half(pem(algorithm)).replace("\n", joint))

    def test_an_old_key_that_has_lost_its_line_ends(self) -> None:
        with pytest.raises(ValueError, match=r"^is all on one line; "):
            asymmetric_key((EC_PARAMETERS + traditional(pem("ES256"))).replace("\n", ""))

    def test_two_keys_in_one_text(self, algorithm: str) -> None:
        with pytest.raises(
            ValueError, match=r"^holds several keys; write each as a text of its own$"
        ):
            asymmetric_key(pem(algorithm, "old") + pem(algorithm, "new"))

    @pytest.mark.parametrize("make", WRONG_TYPES.values(), ids=WRONG_TYPES)
    @pytest.mark.parametrize("half", [str, public_pem])
    def test_a_type_that_no_algorithm_takes(
        self, make: Callable[[], Any], half: Callable[[str], str]
    ) -> None:
        with pytest.raises(ValueError, match=r"^is not an RSA, a P-256 or an Ed25519 key$"):
            asymmetric_key(half(private_pem(make())))

    @pytest.mark.parametrize("bits", [1024, MIN_RSA_BITS - 1])
    def test_an_rsa_key_that_is_too_short(self, bits: int) -> None:
        with pytest.raises(ValueError, match=r"^is an RSA key of less than 2048 bits$"):
            asymmetric_key(private_pem(rsa.generate_private_key(65537, bits)))

    def test_an_encrypted_key(self, algorithm: str) -> None:
        key = serialization.load_pem_private_key(pem(algorithm).encode(), None)
        with pytest.raises(
            ValueError, match=r"^is encrypted; this extension has no password for it$"
        ):
            asymmetric_key(private_pem(key, b"hunter2"))

    def test_an_encrypted_key_in_the_traditional_form(self) -> None:
        with pytest.raises(
            ValueError, match=r"^is encrypted; this extension has no password for it$"
        ):
            asymmetric_key(traditional(pem("ES256"), b"hunter2"))

    def test_but_not_one_whose_comment_speaks_of_that(self) -> None:
        assert (
            asymmetric_key(f"# not ENCRYPTED, see the vault\n{pem('ES256')}").algorithm == "ES256"
        )

    def test_cryptography_is_an_extra(
        self, algorithm: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
        with pytest.raises(
            ValueError, match=r"^needs cryptography: pip install 'flask-otp-auth\[crypto\]'$"
        ):
            asymmetric_key(pem(algorithm))

    def test_a_key_shows_nothing_of_itself(self, algorithm: str) -> None:
        shown = repr(asymmetric_key(pem(algorithm)))
        lines = [line for line in pem(algorithm).splitlines() if "-" not in line]
        assert lines
        assert not any(line in shown for line in lines)
