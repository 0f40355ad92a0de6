"""Tokens: of one type, one issuer, one audience, one algorithm, and for a time (RFC 8725)."""

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import time_machine
from cryptography.hazmat.primitives import serialization
from fakes import NOW, claims_of
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, RSAPSSAlgorithm
from pems import ALGORITHMS, pem
from time_machine import Traveller

from flask_otp_auth.core.keyset import SigningKey, asymmetric_key, symmetric_keys
from flask_otp_auth.errors import Unauthorized
from flask_otp_auth.tokens.jwt import (
    AUTHENTICATION,
    CLAIMS,
    REGISTRATION,
    RESERVED,
    SESSION,
    Claims,
    TokenIssuer,
    check_extra,
)

OLD, NEW = b"o" * 32, b"n" * 32
TYPES = (AUTHENTICATION, REGISTRATION)
ACTOR_TYPES = ("customer", "user")
SIGN_IN: dict[str, Any] = {"sid": "0." + "5" * 32, "auth_time": NOW - 500, "amr": ("pwd", "otp")}
NOT_TIMES = (
    *(None, True, "soon", str(NOW), -1, 2**53 + 1, 1e400, float("nan"), [NOW], {}, NOW + 0.5),
    *(float("inf"), 10**400),
)
NOT_TEXTS = (None, 7, True, 1.5, ["customer"], [], {})


def issuer(*secrets: bytes, name: str = "shop", leeway: int = 10) -> TokenIssuer:
    """Return an issuer under HS256."""
    return TokenIssuer(symmetric_keys(secrets or (NEW,)), "HS256", name, leeway)


def issue(tokens: TokenIssuer, **given: Any) -> str:
    """Issue an authentication token of customer 7 for an hour, unless something else is given."""
    facts = {
        "typ": AUTHENTICATION,
        "actor_type": "customer",
        "subject": "7",
        **SIGN_IN,
        "expires_at": NOW + 3600,
    }
    return tokens.issue(**{**facts, **given})


def is_valid(
    tokens: TokenIssuer, token: Any, types: Any = TYPES, actors: Any = ACTOR_TYPES
) -> bool:
    """Tell whether a token is valid; every refusal reads the same."""
    try:
        return isinstance(tokens.verify(token, types, actors), Claims)
    except Unauthorized as error:
        assert (error.error, error.max_age) == ("invalid_token", None)  # noqa: PT017 - the error is what is looked at
        return False


def encode(part: object) -> str:
    """Return base64url without padding (RFC 7515, section 2)."""
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def sign(header: object, claims: object, key: bytes = NEW, digest: str = "sha256") -> str:
    """Sign what no issuer of ours would, with a key of ours."""
    signed = f"{encode(header)}.{encode(claims)}"
    return f"{signed}.{encode(hmac.digest(key, signed.encode(), digest))}"


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a token's header and claims."""
    return jwt.get_unverified_header(token), claims_of(token)


class TestIssuing:
    """What is in a token."""

    def test_a_token_says_who_for_whom_since_when_and_until_when(self) -> None:
        header, claims = parts(issue(issuer()))
        assert header == {"alg": "HS256", "typ": "auth+jwt", "kid": symmetric_keys([NEW])[0].kid}
        assert len(bytes.fromhex(claims.pop("jti"))) == 16
        assert claims == {
            "iss": "shop",
            "sub": "7",
            "aud": "customer",
            "iat": NOW,
            "exp": NOW + 3600,
            "sid": SIGN_IN["sid"],
            "auth_time": NOW - 500,
            "amr": ["pwd", "otp"],
        }

    def test_verifying_returns_what_was_issued(self) -> None:
        token = issue(issuer(), typ=REGISTRATION, actor_type="user", subject="ada@example.com")
        claims = issuer().verify(token, {REGISTRATION}, {"user"})
        payload = parts(token)[1]
        assert claims == Claims(
            *(REGISTRATION, "user", "ada@example.com", NOW + 3600),
            **SIGN_IN,
            all=payload,
        )

    def test_one_from_before_an_upgrade_is_valid_after_it(self) -> None:
        header = "eyJhbGciOiJIUzI1NiIsImtpZCI6IjE4ZWYwODdiNmI3YmFkM2QiLCJ0eXAiOiJhdXRoK2p3dCJ9"
        claims = (
            "eyJpc3MiOiJzaG9wIiwic3ViIjoiNyIsImF1ZCI6ImN1c3RvbWVyIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAi"
            "OjE3MDAwMDM2MDAsImp0aSI6Ijc1ZTA0ZGFjZDk3YzMyMWFlYTQ5ODMxNzI1NGJkMjQzIiwic2lkIjoiMC41"
            "NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NTU1NSIsImF1dGhfdGltZSI6MTY5OTk5OTUwMCwiYW1yIjpb"
            "InB3ZCIsIm90cCJdfQ"
        )
        token = f"{header}.{claims}.yWmMsySnoHw7JGSSSU4qNjfNAFHTXBMUa_S2mk2crfU"
        assert is_valid(issuer(), token)

    def test_each_token_has_an_id_of_its_own(self) -> None:
        ids = {parts(issue(issuer()))[1]["jti"] for _ in range(50)}
        assert len(ids) == 50

    def test_a_log_shows_nothing_of_its_claims(self) -> None:
        claims = issuer().verify(issue(issuer()), TYPES, ACTOR_TYPES)
        assert SIGN_IN["sid"] not in repr(claims)


class TestExtraClaims:
    """An app's own claims, before they are in a token."""

    def test_stand_in_the_token_beside_ours(self) -> None:
        token = issue(issuer(), extra=check_extra({"role": "admin"}))
        assert issuer().verify(token, TYPES, ACTOR_TYPES).all["role"] == "admin"

    @pytest.mark.parametrize("name", sorted(RESERVED))
    def test_have_none_of_our_names(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"^claims_loader must not set {name}$"):
            check_extra({"role": "admin", name: "x"})

    def test_all_claims_of_ours_are_reserved_and_nbf(self) -> None:
        assert set(CLAIMS) | {"nbf"} == set(RESERVED)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}, b"bytes"])
    def test_are_json_values(self, value: object) -> None:
        with pytest.raises(
            (TypeError, ValueError), match=r"^claims_loader must return JSON values: "
        ):
            check_extra({"value": value})

    @pytest.mark.parametrize("value", [None, [("a", 1)], "text"])
    def test_are_a_dictionary(self, value: Any) -> None:
        with pytest.raises(
            TypeError, match=f"^claims_loader must return a dict, not {type(value).__name__}$"
        ):
            check_extra(value)


class TestVerifying:
    """What is not exactly as we write it is refused."""

    def test_a_token_of_one_type_is_none_of_the_other(self) -> None:
        for typ, other in (TYPES, TYPES[::-1]):
            token = issue(issuer(), typ=typ)
            assert is_valid(issuer(), token, {typ})
            assert not is_valid(issuer(), token, {other})

    def test_a_token_of_one_actor_type_is_none_of_another(self) -> None:
        token = issue(issuer(), actor_type="customer")
        assert is_valid(issuer(), token, actors=["user", "customer"])
        assert not is_valid(issuer(), token, actors=["user"])
        assert not is_valid(issuer(), token, actors=[])

    def test_a_token_lasts_its_time_and_the_leeway(self, now: Traveller) -> None:
        token = issue(issuer(), expires_at=NOW + 60)
        now.move_to(NOW + 69.999)
        assert is_valid(issuer(leeway=10), token)
        assert not is_valid(issuer(leeway=0), token)
        now.move_to(NOW + 70)
        assert not is_valid(issuer(leeway=10), token)

    def test_a_token_from_the_future_is_accepted_within_the_leeway(self, now: Traveller) -> None:
        token = issue(issuer())
        now.move_to(NOW - 10)
        assert is_valid(issuer(leeway=10), token)
        now.move_to(NOW - 11)
        assert not is_valid(issuer(leeway=10), token)

    @given(st.data())
    def test_a_token_that_was_changed_anywhere_is_refused(self, data: st.DataObject) -> None:
        with time_machine.travel(NOW, tick=False):
            token = issue(issuer())
            place = data.draw(st.integers(0, len(token) - 2))  # the last one has spare bits
            other = st.sampled_from("AZaz09-_.=").filter(lambda c: c != token[place])
            changed = token[:place] + data.draw(other) + token[place + 1 :]
            assert not is_valid(issuer(), changed)

    @pytest.mark.parametrize(
        "garbage",
        ["", ".", "..", "a.b.c", "e30.e30.e30", None, 7, b"a.b.c", "\ud800", "ü.ü.ü",
         encode(b"[" * 5000) + ".e30.AA", encode(7) + ".e30.AA", encode({"kid": []}) + ".e30.AA"],
    )  # fmt: skip
    def test_what_is_no_token_is_refused(self, garbage: object) -> None:
        assert not is_valid(issuer(), garbage)

    @pytest.mark.parametrize("content", [b"", b"{", b"null", b'"text"', b"\xff", b"1" * 5000])
    def test_header_and_claims_are_json_objects(self, content: bytes) -> None:
        header, claims = parts(issue(issuer()))
        assert not is_valid(issuer(), sign(content, claims))
        assert not is_valid(issuer(), sign(header, content))

    @pytest.mark.parametrize(
        "respell",
        [
            *(lambda t: t + "=", lambda t: t + "==", lambda t: t + " ", lambda t: " " + t),
            *(lambda t: t + "\n", lambda t: t.replace(".", "=.", 1), lambda t: t + "."),
            *(lambda t: "." + t, lambda t: t.upper(), lambda t: t + t[t.rindex(".") :]),
            *(lambda t: t.replace(".", "..", 1), lambda t: t.rpartition(".")[0]),
            *(lambda t: t.replace(".", ".\t", 1), lambda t: t[:-5] + "!" + t[-5:]),
            *(lambda t: f'"{t}"', lambda t: t.replace(".", "%2E"), lambda t: f"{t}, {t}"),
            *(lambda t: t.replace(".", "\uff0e"), lambda t: t.rpartition(".")[0] + "."),
        ],
    )
    def test_a_token_has_one_spelling(self, respell: Callable[[str], str]) -> None:
        token = issue(issuer())
        assert not is_valid(issuer(), respell(token))
        assert is_valid(issuer(), token)

    @pytest.mark.parametrize(
        "change",
        [
            *(
                {"alg": alg}
                for alg in ("none", "None", "", "HS512", "RS256", None, ..., 0, ["HS256"])
            ),
            *(
                {"typ": typ}
                for typ in ("JWT", "at+jwt", "AUTH+JWT", "application/auth+jwt", SESSION)
            ),
            *({"typ": typ} for typ in (None, ["auth+jwt"], ...)),
            *(
                {"kid": kid}
                for kid in ("another", "", None, 7, [], {}, ..., "../../dev/null", "\0")
            ),
            *({"crit": crit} for crit in (["exp"], [], ["b64"])),
            *({"b64": False}, {"b64": True}, {"cty": "JWT"}, {"zip": "DEF"}, {"x5c": []}),
            *({name: "https://evil.example/keys"} for name in ("jku", "x5u")),
            {"jwk": {"kty": "oct", "k": encode(b"k" * 32)}},
        ],
        ids=lambda change: str(change).replace("\\x00", "NUL"),
    )
    def test_a_header_is_as_we_write_it(self, change: dict[str, Any]) -> None:
        header, claims = parts(issue(issuer()))
        assert is_valid(issuer(), sign(header, claims))
        changed = {k: v for k, v in {**header, **change}.items() if v is not ...}
        assert not is_valid(issuer(), sign(changed, claims))

    @pytest.mark.parametrize("name", CLAIMS)
    def test_every_claim_of_ours_is_required(self, name: str) -> None:
        header, claims = parts(issue(issuer()))
        assert not is_valid(issuer(), sign(header, {**claims, name: None}))
        del claims[name]
        assert not is_valid(issuer(), sign(header, claims))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *[(name, value) for name in ("iat", "exp", "auth_time") for value in NOT_TIMES],
            *[(name, value) for name in ("sub", "jti", "sid", "iss") for value in NOT_TEXTS],
            *[("aud", value) for value in (*NOT_TEXTS, ["customer", "user"], "", "Customer")],
            *[("amr", value) for value in (None, 7, "otp", {"otp": 1}, ["otp", 7])],
            *[("iss", value) for value in (["shop"], "", "SHOP", "shop ")],
            *[("nbf", value) for value in (2**52, "soon")],
        ],
    )
    def test_every_claim_is_what_it_must_be(self, name: str, value: object) -> None:
        header, claims = parts(issue(issuer()))
        assert not is_valid(issuer(), sign(header, {**claims, name: value}))

    @pytest.mark.parametrize("moment", [0, 2**53])
    def test_a_time_is_any_number_that_is_exact_everywhere(self, moment: int) -> None:
        header, claims = parts(issue(issuer()))
        assert is_valid(issuer(), sign(header, {**claims, "auth_time": moment}))

    def test_a_key_under_the_size_of_its_algorithm_is_refused(self) -> None:
        (short,) = symmetric_keys([b"k" * 31])
        header, claims = parts(issue(issuer()))
        token = sign({**header, "kid": short.kid}, claims, b"k" * 31)
        assert not is_valid(TokenIssuer([short], "HS256", "shop", 10), token)


def test_a_symmetric_key_is_published_nowhere() -> None:
    assert issuer(OLD, NEW).public_keys == []


SIGNERS: dict[str, Any] = {
    "ES256": ECAlgorithm(ECAlgorithm.SHA256),
    "EdDSA": OKPAlgorithm(),
    "RS256": RSAAlgorithm(RSAAlgorithm.SHA256),
    "RS384": RSAAlgorithm(RSAAlgorithm.SHA384),
    "PS256": RSAPSSAlgorithm(RSAPSSAlgorithm.SHA256),
}


def sign_as(algorithm: str, private: str, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Sign with a private key, whatever the header says of it."""
    key = serialization.load_pem_private_key(private.encode(), None)
    signed = f"{encode(header)}.{encode(claims)}"
    return f"{signed}.{encode(SIGNERS[algorithm].sign(signed.encode(), key))}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class TestAsymmetricKeys:
    """What is published verifies, and signs nothing."""

    def issuer(self, algorithm: str, *names: str) -> TokenIssuer:
        keys: list[SigningKey] = [asymmetric_key(pem(algorithm, name)) for name in names]
        return TokenIssuer(keys, algorithm, "shop", 10)

    def test_the_newest_key_signs_and_all_verify(self, algorithm: str) -> None:
        before, after = self.issuer(algorithm, "old"), self.issuer(algorithm, "old", "new")
        assert is_valid(after, issue(before))
        assert is_valid(after, issue(after))
        assert not is_valid(before, issue(after))

    def test_the_public_halves_are_published(self, algorithm: str) -> None:
        tokens = self.issuer(algorithm, "old", "new")
        published = tokens.public_keys
        assert parts(issue(tokens))[0]["kid"] == published[1]["kid"]
        assert not {"d", "p", "q", "k"}.intersection(*published)

    def test_a_key_that_came_along_signs_nothing(self, algorithm: str) -> None:
        tokens = self.issuer(algorithm, "old")
        header, claims = parts(issue(tokens))
        mine = asymmetric_key(pem(algorithm, "the attacker's"))
        for extra in ({}, {"kid": mine.kid}, {"jwk": mine.jwk}):
            forged = sign_as(
                algorithm, pem(algorithm, "the attacker's"), {**header, **extra}, claims
            )
            assert not is_valid(tokens, forged)

    @pytest.mark.parametrize("other", SIGNERS)
    def test_the_header_does_not_choose_the_algorithm(self, algorithm: str, other: str) -> None:
        tokens = self.issuer(algorithm, "old")
        header, claims = parts(issue(tokens))
        family = "RS256" if other in ("RS384", "PS256") else other
        token = sign_as(other, pem(family, "old"), {**header, "alg": other}, claims)
        assert is_valid(tokens, token) is (other == algorithm)

    def test_a_signature_of_zeros_is_refused(self, algorithm: str) -> None:
        tokens = self.issuer(algorithm, "old")
        signed = issue(tokens).rpartition(".")[0]
        for size in (0, 64, 256):
            assert not is_valid(tokens, f"{signed}.{encode(bytes(size))}")


class TestSessions:
    """What a session holds is checked as strictly as a token; its signature is Flask's."""

    def payload(self, **given: Any) -> dict[str, Any]:
        return {**parts(issue(issuer()))[1], **given}

    def is_valid(self, payload: object, actor_types: tuple[str, ...] = ACTOR_TYPES) -> bool:
        try:
            return issuer().verify_session(payload, actor_types).typ == SESSION
        except Unauthorized:
            return False

    def test_a_session_says_what_its_token_said(self) -> None:
        payload = self.payload()
        claims = issuer().verify_session(payload, ACTOR_TYPES)
        told = {name: getattr(claims, name) for name in SIGN_IN}
        assert (claims.subject, claims.all, told) == ("7", payload, SIGN_IN)

    def test_a_session_ends_at_its_end_without_leeway(self, now: Traveller) -> None:
        payload = self.payload()
        now.move_to(NOW + 3599.999)
        assert self.is_valid(payload)
        now.move_to(NOW + 3600)
        assert not self.is_valid(payload)

    def test_a_session_is_for_one_actor_type(self) -> None:
        assert self.is_valid(self.payload(), ("customer",))
        assert not self.is_valid(self.payload(), ("user",))

    @pytest.mark.parametrize(
        "change",
        [
            *({"iss": iss} for iss in ("blog", None)),
            *({name: None} for name in CLAIMS),
            *(
                {"aud": ["customer"]},
                {"aud": "nobody"},
                {"sub": 7},
                {"iat": True},
                {"exp": "never"},
            ),
            *({"exp": float("inf")}, {"auth_time": float("nan")}, {"exp": 1}),
        ],
        ids=str,
    )
    def test_a_session_of_another_app_or_shape_is_refused(self, change: dict[str, Any]) -> None:
        assert not self.is_valid(self.payload(**change))

    @pytest.mark.parametrize("payload", [None, "text", [], {}, 7])
    def test_what_is_no_session_is_refused(self, payload: object) -> None:
        assert not self.is_valid(payload)

    def test_no_token_passes_for_a_session_nor_a_session_for_a_token(self) -> None:
        assert not self.is_valid(issue(issuer()))
        assert not is_valid(issuer(), issue(issuer(), typ=SESSION))
