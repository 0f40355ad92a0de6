"""Test identities: no message, one code that stays good, and all else as for anybody."""

import json
import logging
from typing import Any

import pytest
from fakes import ADA, BOB, SECRET, bearer, wrong
from routes import DOOR_IN, LOGIN, REGISTRATION, MakeShop, Route, Shop, all_routes

from flask_otp_auth.core.crypto import Keys
from flask_otp_auth.core.test_identities import FixedCodes

#: By their identifiers.
Codes = dict[str, str]

KEYS = Keys.derive([SECRET.encode()], "shop")


@pytest.fixture
def codes() -> Codes:
    """The fixed codes by their identifiers."""
    return {}


@pytest.fixture
def config(clock: Any, codes: Codes) -> dict[str, Any]:
    """Ada and Bob are test identities for a week."""
    lines = []
    for who in (ADA, BOB):
        line, codes[who] = FixedCodes(KEYS, ()).new("customer", who, 7)
        lines.append(str(line))
    return {"OTP_AUTH_TEST_IDENTITIES": lines}


class TestAsking:
    @all_routes
    def test_is_answered_as_ever_and_no_message_is_sent(self, shop: Shop, route: Route) -> None:
        """Nor a notice: that there is no such account, or one already."""
        ordinary = "eve@example.com"
        for who in (ADA, BOB, ordinary):
            answer = getattr(shop.api, route.ask_by)(who)
            assert answer.status_code == 200
            assert answer.get_json().keys() == {
                "message", "challenge", "expires_in", "resend_after"
            }  # fmt: skip
        heard = [said["identifier"] for _, said in shop.recorder.heard]
        assert heard == [ordinary]

    def test_takes_its_turn_as_ever(self, make_shop: MakeShop, config: Any) -> None:
        shop = make_shop(**config, OTP_AUTH_ALWAYS_RETURN_SUCCESS=False)
        answers = [shop.api.generate(who).status_code for who in (ADA, ADA, BOB)]
        assert answers == [200, 429, 404]

    def test_leaves_room_in_the_queue(self, make_shop: MakeShop, config: Any) -> None:
        shop = make_shop(**config, OTP_AUTH_DELIVERY="background")
        DOOR_IN.ask(shop)
        assert shop.app.extensions["otp_auth"].delivery.pending == 0

    def test_for_a_purpose_of_the_app_s_own_sends_a_code(self, shop: Shop) -> None:
        with shop.app.app_context():
            shop.otp_auth.purpose("contact").send(ADA)
        assert shop.recorder.names == ["confirmation_otp_generated"]


class TestTheCode:
    @pytest.mark.parametrize("route", [LOGIN, DOOR_IN], ids=lambda route: route.name)
    def test_signs_in_any_number_of_times(self, shop: Shop, codes: Codes, route: Route) -> None:
        challenge = route.ask(shop)
        for given in (None, challenge, challenge):
            assert route.is_good(shop, codes[ADA], challenge=given)
        assert route.is_good(shop, "-".join(codes[ADA][n : n + 5] for n in (0, 5, 10, 15)))
        facts = {"actor_type": "customer", "identifier": ADA}
        assert shop.recorder.of("test_identity_used") == [facts] * 4
        assert shop.recorder.of("otp_verified") == [{**facts, "purpose": route.purpose}] * 4
        (method,) = {said["method"] for said in shop.recorder.of("actor_authenticated")}
        assert method == "otp"

    def test_joins_and_then_signs_in(self, shop: Shop, codes: Codes) -> None:
        """As an ordinary one: within its grace by the same code, which stays good after it."""
        for _ in range(2):
            assert shop.api.register(codes[BOB]).status_code == 200
        assert shop.api.authenticate(codes[BOB]).get_json()["type"] == "actor_not_created"
        shop.customers.add(BOB)
        assert shop.api.register(codes[BOB]).get_json()["type"] == "duplicate_error"
        for _ in range(3):
            assert shop.api.authenticate(codes[BOB]).status_code == 200
        methods = [said["method"] for said in shop.recorder.of("actor_authenticated")]
        assert methods == ["grace", "otp", "otp"]

    def test_joins_by_the_one_door(self, shop: Shop, codes: Codes) -> None:
        token = shop.api.finish(codes[BOB], BOB).get_json()
        assert token["registration"] is True
        shop.customers.add(BOB)
        assert shop.api.refresh(token["token"]).status_code == 200
        assert shop.api.finish(codes[BOB], BOB).get_json().keys() == {"token"}

    def test_joins_by_the_one_door_again_whatever_was_left_undone(
        self, shop: Shop, codes: Codes
    ) -> None:
        """An ordinary code would have to wait until its grace is over, or there is an account."""
        for _ in range(3):
            assert shop.api.finish(codes[BOB], BOB).get_json()["registration"] is True
        assert len(shop.recorder.of("test_identity_used")) == 3

    def test_signs_nobody_in_who_has_no_account(self, shop: Shop, codes: Codes) -> None:
        assert not LOGIN.is_good(shop, codes[BOB], BOB)
        shop.customers.accounts[0].is_active = False
        assert not LOGIN.is_good(shop, codes[ADA])
        assert shop.recorder.reasons() == ["unknown", "unknown"]
        assert shop.recorder.of("test_identity_used") == []

    def test_gives_an_ordinary_sign_in(self, shop: Shop, codes: Codes) -> None:
        token = shop.api.verify(codes[ADA]).get_json()["token"]
        listed = shop.api.client.get("/auth/sign-ins", headers=bearer(token)).get_json()
        assert len(listed["sign_ins"]) == 1
        assert shop.api.revoke(token).status_code == 200
        assert shop.api.refresh(token).status_code == 401

    @all_routes
    def test_is_good_for_nobody_else(self, shop: Shop, codes: Codes, route: Route) -> None:
        shop.otp_auth.add_actor_type("user", shop.customers)
        other = ADA if route.wanted == BOB else BOB
        assert not route.is_good(shop, codes[other])
        assert not route.is_good(shop, codes[ADA], "eve@example.com")
        shop.api.actor_type = "user"
        assert not route.is_good(shop, codes[route.wanted])

    def test_is_good_for_no_purpose_of_the_app_s_own(self, shop: Shop, codes: Codes) -> None:
        answer = pytest.raises(Exception, match="Invalid OTP")
        with shop.app.app_context(), answer:
            shop.otp_auth.purpose("contact").verify(ADA, codes[ADA])

    def test_ends_with_its_week(self, shop: Shop, codes: Codes) -> None:
        """Then the identifier is an ordinary one."""
        shop.clock.shift(7 * 86_400 - 1)
        assert LOGIN.is_good(shop, codes[ADA])
        shop.clock.shift(1)
        assert not LOGIN.is_good(shop, codes[ADA])
        LOGIN.ask(shop)
        assert LOGIN.is_good(shop, shop.otp)


class TestLimits:
    def test_it_takes_no_guess_and_is_good_when_none_is_left(
        self, make_shop: MakeShop, config: Any, codes: Codes
    ) -> None:
        shop = make_shop(**config, OTP_AUTH_VERIFY_LIMITS="3/day")
        for _ in range(5):
            assert LOGIN.is_good(shop, codes[ADA])
        for _ in range(4):  # of another shape, so they count as any
            assert not LOGIN.is_good(shop, "123456")
        assert shop.recorder.reasons() == ["unknown"] * 3 + ["budget"]
        assert LOGIN.is_good(shop, codes[ADA])

    def test_it_counts_against_the_address(
        self, make_shop: MakeShop, config: Any, codes: Codes
    ) -> None:
        shop = make_shop(**config, OTP_AUTH_IP_VERIFY_LIMITS="2/hour")
        answers = [shop.api.verify(code).status_code for code in (codes[ADA], wrong(codes[ADA]))]
        assert [*answers, shop.api.verify(codes[ADA]).status_code] == [200, 400, 429]

    def test_it_needs_a_challenge_where_others_do(
        self, make_shop: MakeShop, config: Any, codes: Codes
    ) -> None:
        shop = make_shop(**config, OTP_AUTH_REQUIRE_CHALLENGE=True)
        assert shop.api.verify(codes[ADA]).get_json()["type"] == "invalid_data"
        other = REGISTRATION.ask(shop, ADA)
        assert not LOGIN.is_good(shop, codes[ADA], challenge=other)
        assert shop.api.authenticate(codes[ADA], ADA, challenge=other).status_code == 400
        assert LOGIN.is_good(shop, codes[ADA], challenge=LOGIN.ask(shop))

    def test_a_guess_costs_an_ordinary_identifier_what_it_cost_before(
        self, shop: Shop, make_shop: MakeShop
    ) -> None:
        work = []
        for each in (shop, make_shop()):
            each.forget_calls()
            assert not LOGIN.is_good(each, "1" * 20, "eve@example.com")
            work.append((each.store.calls, each.limits.calls))
        assert work[0] == work[1]


def test_its_use_is_audited_without_the_identifier(
    shop: Shop, codes: Codes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "flask_otp_auth.audit"):
        LOGIN.is_good(shop, codes[ADA])
    lines = [json.loads(each.getMessage()) for each in caplog.records]
    assert [each["event"] for each in lines] == [
        "test_identity_used", "otp_verified", "actor_authenticated"
    ]  # fmt: skip
    assert ADA not in caplog.text
    assert codes[ADA] not in caplog.text


def test_each_start_warns_of_them_without_naming_them(
    make_shop: MakeShop, config: Any, clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    make_shop()
    assert "TEST_IDENTITIES" not in caplog.text
    make_shop(**config)
    assert "OTP_AUTH_TEST_IDENTITIES lets 2 identities sign in with a fixed code" in caplog.text
    clock.shift(7 * 86_400)
    make_shop(**config)
    assert "lets 0 identities sign in with a fixed code, and has 2 that have ended" in caplog.text
    assert "ada@" not in caplog.text
