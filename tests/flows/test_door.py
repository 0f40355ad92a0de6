"""One door: who has an account signs in, who has none joins, by the same two calls."""

import pytest
from fakes import ADA, BOB, wrong
from routes import DOOR_IN, DOOR_JOIN, LOGIN, REGISTRATION, Shop


def test_a_member_signs_in(shop: Shop) -> None:
    DOOR_IN.ask(shop)
    answer = shop.api.finish(shop.otp).get_json()
    assert answer.keys() == {"token"}
    (said,) = shop.recorder.of("actor_authenticated")
    assert (said["actor_id"], said["method"], said["identifier"]) == ("1", "otp", ADA)


def test_a_newcomer_gets_a_registration(shop: Shop) -> None:
    DOOR_JOIN.ask(shop)
    answer = shop.api.finish(shop.otp, BOB).get_json()
    assert answer["registration"] is True
    assert shop.recorder.of("actor_authenticated") == []
    assert shop.recorder.of("otp_verified") == [
        {"actor_type": "customer", "identifier": BOB, "purpose": "door"}
    ]


@pytest.mark.parametrize("by", ["finish", "authenticate"])
def test_the_grace_of_a_newcomer_is_found_there_and_at_the_other_route(shop: Shop, by: str) -> None:
    challenge = DOOR_JOIN.ask(shop)
    otp = shop.otp
    assert DOOR_JOIN.is_good(shop, otp)
    redeem = getattr(shop.api, by)
    assert redeem(otp, BOB).get_json()["type"] == "actor_not_created"
    shop.customers.add(BOB)
    assert redeem(wrong(otp), BOB, challenge=challenge).status_code == 400
    assert redeem(otp, BOB, challenge=challenge).status_code == 200
    assert redeem(otp, BOB, challenge=challenge).status_code == 400


def test_whom_it_is_for_is_looked_up_when_the_code_was_right(shop: Shop) -> None:
    DOOR_JOIN.ask(shop)
    shop.forget_calls()
    shop.api.finish(wrong(shop.otp), BOB)
    assert shop.customers.calls == []
    shop.customers.add(BOB)
    assert shop.api.finish(shop.otp, BOB).get_json().keys() == {"token"}


def test_somebody_whose_account_was_switched_off_neither_signs_in_nor_joins(shop: Shop) -> None:
    DOOR_IN.ask(shop)
    shop.customers.accounts[0].is_active = False
    assert not DOOR_IN.is_good(shop, shop.otp)
    assert shop.recorder.reasons() == ["unknown"]


def test_its_codes_are_of_a_purpose_of_their_own(shop: Shop) -> None:
    DOOR_IN.ask(shop)
    assert not LOGIN.is_good(shop, shop.otp)
    DOOR_JOIN.ask(shop)
    assert not REGISTRATION.is_good(shop, shop.otp)
    LOGIN.ask(shop)
    assert not DOOR_IN.is_good(shop, shop.otp)


def test_whose_account_was_deleted_joins_again_only_if_invited(shop: Shop) -> None:
    shop.otp_auth.add_actor_type("guest", shop.customers, sign_up=lambda identifier: False)
    shop.api.actor_type = "guest"
    DOOR_IN.ask(shop)
    shop.customers.accounts.clear()
    assert not DOOR_IN.is_good(shop, shop.otp)


class TestClosed:
    """With ``sign_up="closed"`` start is generate, and finish is verify."""

    @pytest.fixture
    def shop(self, shop: Shop) -> Shop:
        shop.otp_auth.add_actor_type("staff", shop.customers, sign_up="closed")
        shop.api.actor_type = "staff"
        return shop

    def test_members_sign_in(self, shop: Shop) -> None:
        DOOR_IN.ask(shop)
        assert LOGIN.is_good(shop, shop.otp)
        LOGIN.ask(shop)
        assert DOOR_IN.is_good(shop, shop.otp)

    def test_nobody_joins(self, shop: Shop) -> None:
        DOOR_JOIN.ask(shop)
        REGISTRATION.ask(shop)
        assert len(shop.outbox) == 0
        assert [(each.purpose, each.reason) for each in shop.outbox.suppressed] == [
            ("login", "unknown_actor"),
            ("registration", "not_invited"),
        ]
