"""Lockout: whoever is attacked still gets in.

OWASP ASVS 5.0, 6.1.1: limits must not let anybody lock somebody else out.
"""

from collections.abc import Callable

import pytest
import time_machine
from attacks import MANY_ADDRESSES, Attack
from conftest import Api, wrong
from flask import Flask

from flask_otp_auth.testing import Outbox

MINUTE = 60


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """A shop whose attacker has as many addresses as he likes."""
    return make_app(OTP_AUTH_WARN_ON_ERROR=False, **MANY_ADDRESSES)


@pytest.fixture
def mailbox(outbox: Outbox, clock: time_machine.Traveller) -> Outbox:
    """Ada's mailbox, on a clock that stands still."""
    return outbox


def test_asvs_6_1_1_who_burns_every_guess_locks_nobody_out(
    api: Api,
    mailbox: Outbox,
    clock: time_machine.Traveller,
    attack: Callable[[str], Attack],
) -> None:
    """Each code of Ada's is guessed at a hundred times before she can type it.

    When the budget of the day is used up, her next code is a long one, which no guess can hurt.
    """
    burning = attack("lockout: a hundred guesses at each code before its owner's (5th code: in)")
    for code in range(1, 6):
        api.generate()
        for _ in range(100):
            api.verify(wrong(mailbox.last.otp))
        is_in = api.verify(mailbox.last.otp).status_code == 200
        burning.tried(code == 5 and not is_in)
        clock.shift(MINUTE)
    assert burning.failed(tries=5)


def test_asvs_6_1_1_the_day_after_it_is_the_same(
    api: Api, mailbox: Outbox, clock: time_machine.Traveller, attack: Callable[[str], Attack]
) -> None:
    """The attack goes on for a week; Ada comes back every day and gets in within five codes."""
    week = attack("lockout: the same for a week; on no day is she kept out")
    for _ in range(7):
        entered = False
        for _ in range(5):
            api.generate()
            for _ in range(6):
                api.verify(wrong(mailbox.last.otp))
            entered = entered or api.verify(mailbox.last.otp).status_code == 200
            clock.shift(MINUTE)
        week.tried(not entered)
        clock.shift(86_400 - 5 * MINUTE)
    assert week.failed(tries=7)


def test_asvs_6_1_1_who_asks_first_locks_nobody_out(
    api: Api, mailbox: Outbox, clock: time_machine.Traveller, attack: Callable[[str], Attack]
) -> None:
    """The attacker holds the resend window: his request is the one that sends Ada a code.

    It is her code all the same, and her own request changes nothing about it.
    """
    holding = attack("lockout: the attacker asks for every code, just before its owner")
    for _ in range(5):
        api.generate()
        api.generate()
        holding.tried(api.verify(mailbox.last.otp).status_code != 200)
        clock.shift(MINUTE)
    assert holding.failed(tries=5)


def test_asvs_6_1_1_an_open_breaker_locks_nobody_out(
    make_app: Callable[..., Flask], clock: time_machine.Traveller, attack: Callable[[str], Attack]
) -> None:
    """Failures by the attacker, all over, make codes long; who asks for one gets in."""
    app = make_app(OTP_AUTH_GLOBAL_FAILURE_LIMIT="10/hour", **MANY_ADDRESSES)
    api = Api(app.test_client())
    opening = attack("lockout: the breaker opened by the attacker")
    with Outbox(app) as outbox:
        for number in range(4):
            api.generate(f"{number}@example.com")
            for _ in range(5):
                api.verify("000000", f"{number}@example.com")
        for _ in range(5):
            api.generate()
            opening.tried(api.verify(outbox.last.otp).status_code != 200)
            clock.shift(MINUTE)
        assert {len(message.otp) for message in outbox.messages} == {13}
    assert opening.failed(tries=5)


def test_asvs_6_1_1_where_the_challenge_is_required_no_stranger_takes_a_ticket(
    make_app: Callable[..., Flask], attack: Callable[[str], Attack]
) -> None:
    """With ``REQUIRE_CHALLENGE`` a guess needs the id that only Ada's browser got."""
    app = make_app(OTP_AUTH_REQUIRE_CHALLENGE=True, **MANY_ADDRESSES)
    api = Api(app.test_client())
    taking = attack("lockout: guesses without the challenge, where it is required")
    with Outbox(app) as outbox:
        challenge = api.generate().get_json()["challenge"]
        for number in range(100):
            taking.tried(
                api.verify(wrong(outbox.last.otp), challenge=f"{number:032x}").status_code != 400
            )
        assert api.verify(outbox.last.otp, challenge=challenge).status_code == 200
    assert taking.failed(tries=100)


def test_asvs_6_1_1_one_address_over_its_limit_is_the_only_one(
    make_app: Callable[..., Flask], attack: Callable[[str], Attack]
) -> None:
    """429 is for the attacker's address; Ada's has a budget of its own."""
    app = make_app(OTP_AUTH_IP_GENERATE_LIMITS="3/hour", OTP_AUTH_IP_VERIFY_LIMITS="3/hour")
    attacker, ada = app.test_client(), app.test_client()
    ada.environ_base["REMOTE_ADDR"] = "2001:db8:ada::1"
    flooding = attack("lockout: an address that has used up its own limit")
    with Outbox(app) as outbox:
        for number in range(10):
            Api(attacker).generate(f"{number}@example.com")
            Api(attacker).verify("123456", f"{number}@example.com")
        assert Api(attacker).generate().status_code == 429
        flooding.tried(Api(ada).generate().status_code != 200)
        flooding.tried(Api(ada).verify(outbox.last.otp).status_code != 200)
    assert flooding.failed(tries=2)


def test_who_uses_up_the_codes_of_an_hour_makes_their_owner_wait(
    api: Api, mailbox: Outbox, clock: time_machine.Traveller
) -> None:
    """Not prevented: five codes an hour, whoever asks for them.

    All five reach Ada, and each is good for five minutes. If she finds them too late, she
    waits until the first one is an hour old. Without such a limit her mailbox would be flooded.
    """
    for _ in range(5):
        api.generate()
        clock.shift(MINUTE)
    assert api.verify(mailbox.last.otp).status_code == 200
    clock.shift(10 * MINUTE)
    api.generate()
    assert len(mailbox) == 5
    clock.shift(46 * MINUTE)
    api.generate()
    assert len(mailbox) == 6
    assert api.verify(mailbox.last.otp).status_code == 200


def test_who_holds_the_window_keeps_a_client_from_answering_by_challenge(
    api: Api, mailbox: Outbox
) -> None:
    """Not prevented: within the window Ada's client is told a decoy's id, not the attacker's.

    By that id her code is not found. Clients answer without it then; under
    ``REQUIRE_CHALLENGE`` they have to wait for a window of their own.
    """
    api.generate()
    challenge = api.generate().get_json()["challenge"]
    assert api.verify(mailbox.last.otp, challenge=challenge).status_code == 400
    assert api.verify(mailbox.last.otp).status_code == 200
