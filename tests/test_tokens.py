"""Tokens: of one kind, one issuer, one audience, one algorithm, and for a time (RFC 8725)."""

import base64
import hmac
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st
from pems import ALGORITHMS, pem

from flask_otp_auth.errors import Unauthorized
from flask_otp_auth.signing import SigningKey, asymmetric_key, symmetric_keys
from flask_otp_auth.tokens import (
    AUTHENTICATION,
    CLAIMS,
    REGISTRATION,
    RESERVED,
    SESSION,
    Claims,
    TokenIssuer,
)

OLD, NEW = b"o" * 32, b"n" * 32
NOW = 1_700_000_000
KINDS = (AUTHENTICATION, REGISTRATION)
TYPES = ("customer", "user")
NOT_TIMES = (True, "soon", str(NOW), -1, 2**53 + 1, 1e400, float("nan"), [NOW], {}, NOW + 0.5)


def issuer(*secrets: bytes, name: str = "shop", leeway: int = 10) -> TokenIssuer:
    """Return an issuer under HS256."""
    return TokenIssuer(symmetric_keys(secrets or (NEW,)), "HS256", name, leeway)


def issue(tokens: TokenIssuer, **given: Any) -> str:
    """Issue an authentication token of customer 7 for an hour, unless something else is given."""
    facts = {"kind": AUTHENTICATION, "actor_type": "customer", "subject": "7", "ttl": 3600}
    token, _ = tokens.issue(**{**facts, **given})
    return token


def lets_in(tokens: TokenIssuer, token: Any, kinds: Any = KINDS, types: Any = TYPES) -> bool:
    """Tell whether a token is valid."""
    try:
        return isinstance(tokens.verify(token, kinds, types), Claims)
    except Unauthorized as error:
        assert str(error) == "Unauthorized"  # noqa: PT017 - every refusal reads the same
        return False


def encode(part: object) -> str:
    text = part if isinstance(part, str) else json.dumps(part)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def sign(header: object, claims: object, key: bytes = NEW, digest: str = "sha256") -> str:
    """Sign what no issuer of ours would, with a key of ours."""
    signed = f"{encode(header)}.{encode(claims)}"
    signature = hmac.digest(key, signed.encode(), digest)
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a token's header and claims."""
    return jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})


@pytest.fixture
def now(clock: time_machine.Traveller) -> time_machine.Traveller:
    """The clock, at a whole second."""
    clock.move_to(NOW)
    return clock


class TestIssuing:
    def test_a_token_says_who_for_whom_and_until_when(self, now: time_machine.Traveller) -> None:
        token, jti = issuer().issue(AUTHENTICATION, "customer", "7", ttl=3600)
        header, claims = parts(token)
        assert header == {"alg": "HS256", "typ": "auth+jwt", "kid": symmetric_keys([NEW])[0].kid}
        assert claims == {
            "iss": "shop", "sub": "7", "aud": "customer", "iat": NOW, "exp": NOW + 3600,
            "jti": jti, "auth_time": NOW, "amr": ["otp"],
        }  # fmt: skip

    def test_verifying_returns_what_was_issued(self, now: time_machine.Traveller) -> None:
        token, jti = issuer().issue(REGISTRATION, "user", "ada@example.com", ttl=600)
        claims = issuer().verify(token, {REGISTRATION}, {"user"})
        assert claims == Claims(
            REGISTRATION, "user", "ada@example.com", jti, NOW, NOW + 600, NOW, parts(token)[1]
        )

    def test_a_refreshed_token_remembers_when_the_actor_signed_in(
        self, now: time_machine.Traveller
    ) -> None:
        token = issue(issuer(), auth_time=NOW - 500)
        assert issuer().verify(token, KINDS, TYPES).auth_time == NOW - 500

    def test_a_token_may_be_dated_back_to_when_it_was_decided(
        self, now: time_machine.Traveller
    ) -> None:
        claims = issuer().verify(issue(issuer(), issued_at=NOW - 5), KINDS, TYPES)
        assert (claims.issued_at, claims.expires_at) == (NOW - 5, NOW - 5 + 3600)

    @pytest.mark.parametrize(
        ("ends_at", "expires"), [(NOW + 60, NOW + 60), (NOW + 9999, NOW + 3600)]
    )
    def test_a_token_does_not_outlive_its_session(
        self, now: time_machine.Traveller, ends_at: int, expires: int
    ) -> None:
        assert parts(issue(issuer(), ends_at=ends_at))[1]["exp"] == expires

    def test_each_token_has_an_id_of_its_own(self) -> None:
        ids = {issuer().issue(AUTHENTICATION, "customer", "7", ttl=60)[1] for _ in range(50)}
        assert len(ids) == 50
        assert {len(bytes.fromhex(jti)) for jti in ids} == {16}

    def test_an_app_adds_claims_of_its_own(self) -> None:
        token = issue(issuer(), extra={"role": "admin"})
        assert issuer().verify(token, KINDS, TYPES).all["role"] == "admin"

    @pytest.mark.parametrize("name", sorted(RESERVED))
    def test_none_of_these_may_have_the_name_of_ours(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"must not set {name}"):
            issue(issuer(), extra={"role": "admin", name: "x"})

    def test_all_claims_of_ours_are_reserved(self) -> None:
        assert set(CLAIMS) < set(RESERVED)


class TestVerifying:
    def test_a_token_of_one_kind_is_none_of_the_other(self) -> None:
        for kind, other in (KINDS, KINDS[::-1]):
            token = issue(issuer(), kind=kind)
            assert lets_in(issuer(), token, {kind})
            assert not lets_in(issuer(), token, {other})

    def test_a_token_of_one_actor_type_is_none_of_another(self) -> None:
        token = issue(issuer(), actor_type="customer")
        assert lets_in(issuer(), token, types=["user", "customer"])
        assert not lets_in(issuer(), token, types=["user"])
        assert not lets_in(issuer(), token, types=[])

    def test_a_token_of_another_app_is_none_of_ours_even_under_one_key(self) -> None:
        assert not lets_in(issuer(name="blog"), issue(issuer(name="shop")))

    def test_a_token_under_another_key_is_none_of_ours(self) -> None:
        assert not lets_in(issuer(OLD), issue(issuer(NEW)))
        header, claims = parts(issue(issuer()))
        assert lets_in(issuer(), sign(header, claims, NEW))
        assert not lets_in(issuer(), sign(header, claims, OLD))

    def test_a_token_lasts_its_time_and_the_leeway(self, now: time_machine.Traveller) -> None:
        token = issue(issuer(), ttl=60)
        now.move_to(NOW + 69.999)
        assert lets_in(issuer(leeway=10), token)
        assert not lets_in(issuer(leeway=0), token)
        now.move_to(NOW + 70)
        assert not lets_in(issuer(leeway=10), token)

    def test_a_token_from_the_future_is_forgiven_within_the_leeway(
        self, now: time_machine.Traveller
    ) -> None:
        assert lets_in(issuer(leeway=10), issue(issuer(), issued_at=NOW + 10))
        assert not lets_in(issuer(leeway=10), issue(issuer(), issued_at=NOW + 11))

    @given(st.data())
    def test_a_token_that_was_changed_anywhere_does_not_let_in(self, data: st.DataObject) -> None:
        token = issue(issuer())
        place = data.draw(st.integers(0, len(token) - 2))  # the last character has spare bits
        character = data.draw(st.sampled_from("AZaz09-_.=").filter(lambda c: c != token[place]))
        assert not lets_in(issuer(), token[:place] + character + token[place + 1 :])

    @pytest.mark.parametrize(
        "garbage",
        ["", ".", "..", "a.b.c", "e30.e30.e30", None, 7, b"a.b.c", "\ud800", "ü.ü.ü",
         encode("[" * 5000) + ".e30.AA", encode("7") + ".e30.AA", encode({"kid": []}) + ".e30.AA"],
    )  # fmt: skip
    def test_what_is_no_token_does_not_let_in(self, garbage: object) -> None:
        assert not lets_in(issuer(), garbage)

    @pytest.mark.parametrize(
        "respell",
        [lambda t: t + "=", lambda t: t + " ", lambda t: " " + t, lambda t: t + "\n",
         lambda t: t.replace(".", "=.", 1), lambda t: t + ".", lambda t: t.upper()],
    )  # fmt: skip
    def test_a_token_has_one_spelling(self, respell: Callable[[str], str]) -> None:
        token = issue(issuer())
        assert not lets_in(issuer(), respell(token))
        assert lets_in(issuer(), token)

    @pytest.mark.parametrize(
        "change",
        [
            {"alg": "none"}, {"alg": "HS512"}, {"alg": "RS256"}, {"alg": None}, {"alg": ...},
            {"typ": "JWT"}, {"typ": "AUTH+JWT"}, {"typ": "application/auth+jwt"}, {"typ": SESSION},
            {"typ": None}, {"typ": ["auth+jwt"]}, {"typ": ...},
            {"kid": "another"}, {"kid": ""}, {"kid": None}, {"kid": 7}, {"kid": []}, {"kid": ...},
            {"crit": ["exp"]}, {"b64": False}, {"cty": "JWT"}, {"jku": "https://evil.example"},
            {"jwk": {"kty": "oct", "k": encode("k" * 32)}}, {"x5c": []}, {"zip": "DEF"},
        ],
        ids=str,
    )  # fmt: skip
    def test_a_header_is_as_we_write_it(self, change: dict[str, Any]) -> None:
        header, claims = parts(issue(issuer()))
        assert lets_in(issuer(), sign(header, claims))
        changed = {k: v for k, v in {**header, **change}.items() if v is not ...}
        assert not lets_in(issuer(), sign(changed, claims))

    @pytest.mark.parametrize("digest", ["sha384", "sha512"])
    def test_no_other_algorithm_is_taken_with_the_same_key(self, digest: str) -> None:
        header, claims = parts(issue(issuer()))
        header["alg"] = "HS" + digest[3:]
        assert not lets_in(issuer(), sign(header, claims, NEW, digest))

    def test_an_unsigned_token_does_not_let_in(self) -> None:
        header, claims = parts(issue(issuer()))
        for alg in ("none", "None", "NONE", "HS256"):
            unsigned = f"{encode({**header, 'alg': alg})}.{encode(claims)}."
            assert not lets_in(issuer(), unsigned)

    @pytest.mark.parametrize("name", CLAIMS)
    def test_every_claim_of_ours_is_required(self, name: str) -> None:
        header, claims = parts(issue(issuer()))
        assert not lets_in(issuer(), sign(header, {**claims, name: None}))
        del claims[name]
        assert not lets_in(issuer(), sign(header, claims))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *[(name, value) for name in ("iat", "exp", "auth_time") for value in NOT_TIMES],
            *[(name, value) for name in ("sub", "jti") for value in (7, True, ["7"], {})],
            *[("aud", value) for value in (7, ["customer"], [["customer"]], {"customer": 1}, "")],
            *[("iss", value) for value in (7, ["shop"], "", "SHOP", "shop ")],
            *[("nbf", value) for value in (2**52, "soon")],
        ],
    )
    def test_every_claim_is_what_it_must_be(self, name: str, value: object) -> None:
        header, claims = parts(issue(issuer()))
        assert not lets_in(issuer(), sign(header, {**claims, name: value}))

    def test_claims_are_an_object(self) -> None:
        header, _ = parts(issue(issuer()))
        for body in ([], "text", 7, None, "not json"):
            assert not lets_in(issuer(), sign(header, body))

    def test_a_key_under_the_size_of_its_algorithm_is_refused(self) -> None:
        (short,) = symmetric_keys([b"k" * 31])
        header, claims = parts(issue(issuer()))
        token = sign({**header, "kid": short.kid}, claims, b"k" * 31)
        assert not lets_in(TokenIssuer([short], "HS256", "shop", 10), token)


class TestKeyRotation:
    def test_a_token_of_the_old_key_lets_in_while_that_is_a_fallback(self) -> None:
        token = issue(issuer(OLD))
        assert lets_in(issuer(OLD, NEW), token)
        assert not lets_in(issuer(NEW), token)

    def test_the_newest_key_signs(self) -> None:
        token = issue(issuer(OLD, NEW))
        assert lets_in(issuer(NEW), token)
        assert not lets_in(issuer(OLD), token)

    def test_a_keys_name_is_the_same_everywhere_and_tells_nothing_of_the_key(self) -> None:
        (key,), (same,) = symmetric_keys([NEW]), symmetric_keys([NEW])
        assert key.kid == same.kid
        assert key.kid not in (NEW.hex(), NEW.decode())
        assert len(key.kid) == 16

    def test_a_log_shows_no_key(self) -> None:
        (key,) = symmetric_keys([NEW])
        assert NEW.decode() not in repr(key)

    def test_a_symmetric_key_is_published_nowhere(self) -> None:
        assert issuer(OLD, NEW).public_keys == []


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class TestAsymmetricKeys:
    def keys(self, algorithm: str, *names: str) -> list[SigningKey]:
        return [asymmetric_key(pem(algorithm, name)) for name in names]

    def test_the_newest_key_signs_and_all_verify(self, algorithm: str) -> None:
        old, new = self.keys(algorithm, "old", "new")
        before = TokenIssuer([old], algorithm, "shop", 10)
        after = TokenIssuer([old, new], algorithm, "shop", 10)
        assert lets_in(after, issue(before))
        assert lets_in(after, issue(after))
        assert not lets_in(before, issue(after))

    def test_the_public_halves_are_published(self, algorithm: str) -> None:
        keys = self.keys(algorithm, "old", "new")
        published = TokenIssuer(keys, algorithm, "shop", 10).public_keys
        assert [key["kid"] for key in published] == [key.kid for key in keys]
        assert not {"d", "p", "q", "k"}.intersection(*published)

    def test_a_symmetric_token_does_not_let_in(self, algorithm: str) -> None:
        (key,) = self.keys(algorithm, "old")
        header, claims = parts(issue(TokenIssuer([key], algorithm, "shop", 10)))
        forged = sign({**header, "alg": "HS256"}, claims, json.dumps(key.jwk).encode())
        assert not lets_in(TokenIssuer([key], algorithm, "shop", 10), forged)


class TestSessions:
    """What a session holds is read as strictly as a token; its signature is Flask's."""

    def facts(self, **given: Any) -> dict[str, Any]:
        return {**parts(issue(issuer()))[1], **given}

    def resumes(self, facts: object, types: tuple[str, ...] = TYPES) -> bool:
        try:
            return issuer().resume(facts, types).kind == SESSION
        except Unauthorized:
            return False

    def test_a_session_says_what_its_token_said(self) -> None:
        facts = self.facts()
        claims = issuer().resume(facts, TYPES)
        assert (claims.kind, claims.subject, claims.jti) == (SESSION, "7", facts["jti"])

    def test_a_session_ends_at_its_end_without_leeway(self, now: time_machine.Traveller) -> None:
        facts = self.facts()
        now.move_to(NOW + 3599.999)
        assert self.resumes(facts)
        now.move_to(NOW + 3600)
        assert not self.resumes(facts)

    def test_a_session_is_one_actor_types(self) -> None:
        assert self.resumes(self.facts(), ("customer",))
        assert not self.resumes(self.facts(), ("user",))

    @pytest.mark.parametrize(
        "change",
        [{"iss": "blog"}, {"iss": None}, {"aud": ["customer"]}, {"sub": 7}, {"jti": None},
         {"iat": True}, {"exp": "never"}, {"exp": float("inf")}, {"auth_time": float("nan")}],
        ids=str,
    )  # fmt: skip
    def test_a_session_of_another_app_or_shape_lets_no_one_in(self, change: dict[str, Any]) -> None:
        assert not self.resumes(self.facts(**change))

    @pytest.mark.parametrize("facts", [None, "text", [], {}, 7])
    def test_what_is_no_session_lets_no_one_in(self, facts: object) -> None:
        assert not self.resumes(facts)

    def test_no_token_passes_for_a_session_nor_a_session_for_a_token(self) -> None:
        token = issue(issuer())
        assert not self.resumes(token)
        assert not lets_in(issuer(), issue(issuer(), kind=SESSION))
