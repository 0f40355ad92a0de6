"""Crossing: a code of one purpose, actor type, identifier or challenge fits no other."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from attacks import ASKING, GUESSING, NO_LIMITS, Begin, Comparisons
from fakes import ADA, BOB, Api, Customers, Everybody, MakeApp, bearer, sign_in
from flask import Flask, request
from time_machine import Traveller

from flask_otp_auth import OTPAuth, otp_required, token_required
from flask_otp_auth.testing import Outbox

TYPES = ("customer", "staff")

#: What each route takes.
TAKES = {"verify": "login", "authenticate": "login", "register": "registration", "finish": "door"}


def shop(make_app: MakeApp, everybody: Everybody, **config: Any) -> Flask:
    """Return a shop with two actor types whose accounts are the same people."""
    otp_auth = OTPAuth()
    for name in TYPES:
        otp_auth.add_actor_type(name, everybody)
    return make_app(otp_auth, **NO_LIMITS, **config)


def test_asvs_6_6_2_a_code_fits_only_what_it_was_sent_for(
    make_app: MakeApp, everybody: Everybody, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 6.6.2: each code is bound to the request that it was made for.

    A code is on its way for each purpose, actor type and person. Each is sent to every route of
    every actor type in everybody's name, without a challenge and with each of all challenges.
    """
    app = shop(make_app, everybody)
    codes = {}
    with Outbox(app) as outbox:
        for purpose, name, who in itertools.product(ASKING, TYPES, (ADA, BOB)):
            everybody.joined = purpose == "login"
            answer = getattr(Api(app.test_client(), actor_type=name), ASKING[purpose])(who)
            codes[purpose, name, who] = outbox.last.otp, answer.get_json()["challenge"]
    everybody.joined = True
    crossing = attack("crossing: codes of another purpose, type, identifier or challenge")
    challenges = [None, *(challenge for _, challenge in codes.values())]
    for (sent, (otp, own)), route, name, who in itertools.product(
        codes.items(), GUESSING, TYPES, (ADA, BOB)
    ):
        for challenge in challenges:
            if (TAKES[route], name, who) == sent and challenge in (None, own):
                continue  # that is what it is for
            api = Api(app.test_client(), actor_type=name)
            answer = getattr(api, route)(otp, who, challenge=challenge)
            crossing.tried(answer.status_code != 400)
    for (purpose, name, who), (otp, own) in codes.items():
        route = next(route for route in GUESSING if TAKES[route] == purpose)
        right = getattr(Api(app.test_client(), actor_type=name), route)(otp, who, challenge=own)
        assert right.status_code == (409 if purpose == "registration" else 200)
    assert crossing.failed(tries=2_400)


def test_asvs_6_6_2_a_grace_is_its_owners_alone(
    make_app: MakeApp, everybody: Everybody, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 6.6.2: the code of a registration signs in whom it registered, once."""
    app = shop(make_app, everybody)
    crossing = attack("crossing: the code of a registration in its grace")
    with Outbox(app) as outbox:
        for who in (ADA, BOB):
            everybody.joined = False
            api = Api(app.test_client())
            challenge = api.pre_register(who).get_json()["challenge"]
            elsewhere = api.generate(who).get_json()["challenge"]
            assert api.register(outbox.last.otp, who).status_code == 200
            everybody.joined = True
            held = (None, challenge, elsewhere)
            for route, name, other, given in itertools.product(GUESSING, TYPES, (ADA, BOB), held):
                is_right = route in ("authenticate", "finish") and given != elsewhere
                if is_right and (name, other) == ("customer", who):
                    continue  # that is what it is for
                there = Api(app.test_client(), actor_type=name)
                answer = getattr(there, route)(outbox.last.otp, other, challenge=given)
                crossing.tried(answer.status_code == 200)
            assert api.authenticate(outbox.last.otp, who).status_code == 200
            crossing.tried(api.authenticate(outbox.last.otp, who).status_code == 200)
    assert crossing.failed(tries=88)


def test_asvs_6_6_2_two_apps_with_one_storage_share_no_codes(
    make_app: MakeApp, tmp_path: object, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 6.6.2: keys of another ``SECRET_KEY`` open nothing, in one storage."""
    storage = {"OTP_AUTH_STORAGE_URI": f"sqlite:///{tmp_path}/codes.sqlite3"}
    ours = make_app(**storage)
    theirs = make_app(**storage, SECRET_KEY="the secret key of another shop, as long")
    with Outbox(ours) as outbox:
        challenge = Api(ours.test_client()).generate().get_json()["challenge"]
    crossing = attack("crossing: a code of another app on the same storage")
    other = Api(theirs.test_client())
    for given in (None, challenge):
        crossing.tried(other.verify(outbox.last.otp, challenge=given).status_code == 200)
    assert Api(ours.test_client()).verify(outbox.last.otp).status_code == 200
    assert crossing.failed(tries=2)


def test_asvs_7_4_two_apps_with_one_storage_share_no_sign_ins(
    make_app: MakeApp, tmp_path: object, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 7.4: the actor of another app with the same id neither sees nor ends them.

    The apps have one ``SECRET_KEY`` as well, and tell themselves apart by their issuers alone.
    """
    storage = {"OTP_AUTH_STORAGE_URI": f"sqlite:///{tmp_path}/codes.sqlite3"}
    ours = make_app(**storage, OTP_AUTH_TOKEN_ISSUER="https://shop.example")
    theirs = make_app(**storage, OTP_AUTH_TOKEN_ISSUER="https://office.example")
    token, other = sign_in(ours), bearer(sign_in(theirs))
    crossing = attack("crossing: sign-ins of another app on the same storage")
    client = theirs.test_client()
    seen = client.get("/auth/sign-ins", headers=other).get_json()["sign_ins"]
    crossing.tried(len(seen) != 1)
    client.delete("/auth/sign-ins", headers=other)
    crossing.tried(Api(ours.test_client()).refresh(token).status_code != 200)
    assert crossing.failed(tries=2)


def test_asvs_6_6_2_a_challenge_can_be_neither_forged_nor_borrowed(
    make_app: MakeApp,
    everybody: Everybody,
    attack: Begin,
    comparisons: Comparisons,
    clock: Traveller,
) -> None:
    """OWASP ASVS 5.0, 6.6.2: where it is required, nothing is compared without the right one.

    Tried are each character changed, dropped or doubled, challenges of other purposes, types,
    people and apps, and one whose time is over.
    """
    app = shop(make_app, everybody, OTP_AUTH_REQUIRE_CHALLENGE=True)
    other_app = shop(make_app, everybody, SECRET_KEY="the secret key of another shop, as long")
    api = Api(app.test_client())
    tries = ["", "A" * 44, "A" * 64]
    for there, name, who in itertools.product((app, other_app), TYPES, (ADA, BOB)):
        for purpose, verb in ASKING.items():
            if (there, name, who, purpose) != (app, "customer", ADA, "login"):
                elsewhere = getattr(Api(there.test_client(), actor_type=name), verb)(who)
                tries.append(elsewhere.get_json()["challenge"])
    old = api.generate().get_json()["challenge"]
    clock.shift(900)
    with Outbox(app) as outbox:
        right = api.generate().get_json()["challenge"]
    for place, character in enumerate(right):
        other = "A" if character != "A" else "B"
        tries += [right[:place] + new + right[place + 1 :] for new in (other, "", character * 2)]
    forging = attack("crossing: challenges forged, borrowed and expired")
    for challenge in (*tries, old, right.swapcase(), f"{right}="):
        answer = api.verify(outbox.last.otp, challenge=challenge)
        forging.tried(answer.status_code == 200)
        assert answer.status_code == 400
    assert comparisons.count == 0
    assert api.verify(outbox.last.otp).status_code == 400
    assert api.verify(outbox.last.otp, challenge=right).status_code == 200
    assert forging.failed(tries=150)


@pytest.fixture
def bank(make_app: MakeApp, customers: Customers) -> Flask:
    """A bank whose transfers, and whose closing of accounts, are confirmed by a code."""
    customers.add(BOB)
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    app = make_app(otp_auth, **NO_LIMITS)

    def confirmed(purpose: str) -> Callable[[], str]:
        def view() -> str:
            return "done"

        bound = otp_required(
            purpose,
            to=lambda actor: actor.email,
            binds=lambda: {name: request.get_json()[name] for name in ("amount", "iban")},
        )
        return token_required("customer")(bound(view))

    for purpose in ("transfer", "close-account"):
        app.add_url_rule(f"/{purpose}", purpose, confirmed(purpose), methods=["POST"])
    return app


def test_asvs_2_3_5_a_confirmation_is_for_one_action_of_one_person_once(
    bank: Flask, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 2.3.5; (EU) 2018/389, Article 5: what was shown is what is done.

    Ada confirms a transfer. Her code is tried for other amounts, payees, actions and people, as a
    code to sign in with, and a second time; and her codes to sign in with as confirmations.
    """
    api, tokens = Api(bank.test_client()), {who: sign_in(bank, who) for who in (ADA, BOB)}
    honest = {"amount": 10, "iban": "DE1"}

    def call(otp: str | None, who: str = ADA, path: str = "transfer", **change: Any) -> int:
        headers = bearer(tokens[who]) | ({} if otp is None else {"OTP": otp})
        body = {**honest, **change}
        return bank.test_client().post(f"/{path}", json=body, headers=headers).status_code

    crossing = attack("crossing: codes that confirm one action, for another")
    with Outbox(bank) as outbox:
        assert call(None) == 401
        otp = outbox.last.otp
        assert (outbox.last.purpose, outbox.last.binds) == ("transfer", honest)
        call(None, BOB)
        call(None, path="close-account")
        for verb in ASKING.values():
            getattr(api, verb)(ADA if verb != "pre_register" else "new@example.com")
        others = [message.otp for message in outbox][1:]
    for change in (
        *({"amount": amount} for amount in (11, 100, "10", True, None, [10], {"": 10})),
        *({"iban": iban} for iban in ("DE2", "DE1 ", "de1", ["DE1"], "DE1\u200b")),
        {"who": BOB},
        {"path": "close-account"},
    ):
        crossing.tried(call(otp, **change) != 400)
    for code in others:
        crossing.tried(call(code) != 400)
    for route, who in itertools.product(GUESSING, (ADA, BOB)):
        crossing.tried(getattr(api, route)(otp, who).status_code != 400)
    assert call(otp) == 200
    crossing.tried(call(otp) != 400)
    assert crossing.failed(tries=26)
