"""One door: who has an account signs in, who has none joins, by the same two calls."""

import pytest
from fakes import ADA, BOB, bearer, wrong
from routes import DOOR_IN, DOOR_JOIN, LOGIN, REGISTRATION, Shop
from stores import at_once

from flask_otp_auth import registration_required


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


@pytest.mark.parametrize("who", [ADA, BOB])
def test_a_right_answer_looks_the_same_up_for_members_and_newcomers(shop: Shop, who: str) -> None:
    DOOR_IN.ask(shop, who)
    shop.forget_calls()
    assert DOOR_IN.is_good(shop, shop.otp, who)
    assert shop.customers.calls == [("find_by_identifier", who)]


def test_of_many_who_complete_a_registration_at_once_one_does(shop: Shop) -> None:
    @shop.app.post("/join")
    @registration_required()
    def join() -> dict[str, str]:
        bob = shop.customers.find_by_identifier(BOB) or shop.customers.add(BOB)
        return {"token": shop.otp_auth.complete(bob)}

    def complete() -> int:
        return shop.app.test_client().post("/join", headers=bearer(token)).status_code

    DOOR_JOIN.ask(shop)
    token = shop.api.finish(shop.otp, BOB).get_json()["token"]
    statuses = sorted(at_once(*[complete] * 8))
    # 401: the right was taken; 409: the account was there already.
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {401, 409}
    assert shop.api.refresh(token).status_code == 401


def test_somebody_whose_account_was_switched_off_neither_signs_in_nor_joins(shop: Shop) -> None:
    DOOR_IN.ask(shop)
    shop.customers.accounts[0].is_active = False
    assert not DOOR_IN.is_good(shop, shop.otp)
    assert shop.recorder.reasons() == ["unknown"]


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
