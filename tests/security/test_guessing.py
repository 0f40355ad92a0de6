"""Guessing: whoever tries codes gets few tries, and soon nothing that could be guessed."""

from collections.abc import Callable

import time_machine
from attacks import MANY_ADDRESSES, Attack, Comparisons
from conftest import ADA, Api
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from flask_otp_auth import InvalidOTP, OTPAuth
from flask_otp_auth.testing import Outbox

DAY, MINUTE = 86_400, 60


def guesses(count: int, right: str) -> list[str]:
    """Return wrong guesses; no attacker may be lucky."""
    wrong = [f"{number:06}" for number in range(count + 1)]
    return [guess for guess in wrong if guess != right][:count]


def test_asvs_6_6_3_a_code_is_compared_five_times_at_most(
    make_app: Callable[..., Flask], attack: Callable[[str], Attack], comparisons: Comparisons
) -> None:
    """OWASP ASVS 5.0, 6.6.3: a code is protected against brute force by rate limiting."""
    app = make_app(**MANY_ADDRESSES)
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.generate()
    brute_force = attack("guessing: the right code after five wrong ones")
    for guess in guesses(5, outbox.last.otp):
        api.verify(guess)
    for _ in range(200):
        brute_force.tried(api.verify(outbox.last.otp).status_code == 200)
    assert brute_force.failed(tries=200)
    assert comparisons.count == 5


def test_nist_3_2_2_an_identifier_is_guessed_at_twenty_times_a_day(
    make_app: Callable[..., Flask],
    attack: Callable[[str], Attack],
    comparisons: Comparisons,
    clock: time_machine.Traveller,
) -> None:
    """NIST SP 800-63B-4, 3.2.2: at most 100 failures in a row; here 20 guesses in a day.

    For a whole day the attacker asks for a code as soon as he may, and tries it ten times.
    """
    app = make_app(**MANY_ADDRESSES)
    api = Api(app.test_client())
    steady = attack("guessing: a day of new codes, ten guesses at each")
    with Outbox(app) as outbox:
        for _ in range(DAY // (10 * MINUTE)):
            api.generate()
            for guess in guesses(10, outbox.last.otp):
                steady.tried(api.verify(guess).status_code == 200)
            clock.shift(10 * MINUTE - 0.01)  # the day must not be over when the last one comes
    assert steady.failed(tries=1_440)
    assert comparisons.count == 20


def test_nist_3_2_2_every_day_is_like_the_first(
    make_app: Callable[..., Flask],
    attack: Callable[[str], Attack],
    comparisons: Comparisons,
    clock: time_machine.Traveller,
) -> None:
    """NIST SP 800-63B-4, 3.2.2: in ten days of guessing there are 200 guesses, 2e-4 of all."""
    app = make_app(**MANY_ADDRESSES)
    api = Api(app.test_client())
    patient = attack("guessing: ten days of it")
    with Outbox(app) as outbox:
        for _ in range(10 * 24):
            api.generate()
            for guess in guesses(6, outbox.last.otp):
                patient.tried(api.verify(guess).status_code == 200)
            clock.shift(60 * MINUTE)
    assert patient.failed(tries=1_440)
    assert comparisons.count <= 10 * 20


def test_asvs_6_6_3_a_code_for_somebody_under_attack_has_65_bits(
    make_app: Callable[..., Flask],
    attack: Callable[[str], Attack],
    comparisons: Comparisons,
    clock: time_machine.Traveller,
) -> None:
    """OWASP ASVS 5.0, 6.6.3: consider a code with at least 64 bits of entropy."""
    app = make_app(OTP_AUTH_VERIFY_LIMITS="5/day", **MANY_ADDRESSES)
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.generate()
        for guess in guesses(5, outbox.last.otp):
            api.verify(guess)
        clock.shift(MINUTE)
        api.generate()
        before = comparisons.count
        short = attack("guessing: short codes where a long one was sent")
        for guess in guesses(1_000, outbox.last.otp):
            short.tried(api.verify(guess).status_code == 200)
        assert len(outbox.last.otp) == 13
        assert comparisons.count == before
        assert api.verify(outbox.last.otp).status_code == 200
    assert short.failed(tries=1_000)


def test_asvs_6_3_1_a_spray_over_all_identifiers_is_stopped(
    make_app: Callable[..., Flask],
    attack: Callable[[str], Attack],
    comparisons: Comparisons,
    clock: time_machine.Traveller,
) -> None:
    """OWASP ASVS 5.0, 6.3.1: one guess at each of many accounts runs into the breaker.

    All codes were sent before: it is not enough that new ones are long.
    """
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", Everybody())
    app = make_app(otp_auth, OTP_AUTH_WARN_ON_ERROR=False)
    spray = attack("guessing: one guess at each of 1,100 identifiers")
    with app.app_context(), Outbox(app) as outbox:
        for number in range(1_100):
            otp_auth.generate("customer", f"{number}@example.com")
        for message in outbox.messages:
            try:
                otp_auth.verify("customer", message.identifier, guesses(1, message.otp)[0])
            except InvalidOTP:
                spray.tried(False)
            else:
                spray.tried(True)
    assert spray.failed(tries=1_100)
    assert comparisons.count == 1_001  # the one over the limit opens the breaker


def test_asvs_6_6_2_without_its_challenge_a_code_is_not_compared(
    make_app: Callable[..., Flask], attack: Callable[[str], Attack], comparisons: Comparisons
) -> None:
    """OWASP ASVS 5.0, 6.6.2: codes are bound to the request that they were made for."""
    app = make_app(OTP_AUTH_REQUIRE_CHALLENGE=True, **MANY_ADDRESSES)
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        challenge = api.generate().get_json()["challenge"]
    right = outbox.last.otp
    elsewhere = attack("guessing: the right code, but no or another challenge")
    elsewhere.tried(api.verify(right).status_code == 200)
    for number in range(500):
        elsewhere.tried(api.verify(right, challenge=f"{number:032x}").status_code == 200)
    assert elsewhere.failed(tries=501)
    assert comparisons.count == 0
    assert api.verify(right, challenge=challenge).status_code == 200


def test_fixed_windows_let_twice_as_many_guesses_through_at_their_edge(
    comparisons: Comparisons, clock: time_machine.Traveller
) -> None:
    """Not prevented: an app's own limiter with fixed windows begins anew at each window's end.

    The windows of this extension's own limiter move, or on Memcached slide.
    """
    app = Flask("shop")
    app.config.update(TESTING=True, SECRET_KEY="s" * 32, OTP_AUTH_SEND_LIMITS="100/hour")
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://", strategy="fixed-window")
    otp_auth = OTPAuth(limiter=limiter)
    otp_auth.add_actor_type("customer", Everybody())
    otp_auth.init_app(app)
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        for wait in (0, DAY - 5 * MINUTE, *[MINUTE] * 9):
            clock.shift(wait)
            api.generate(ADA)
            for guess in guesses(1 if wait == 0 else 5, outbox.last.otp):
                api.verify(guess)
    assert comparisons.count == 1 + 19 + 20


class Everybody:
    """An actor store in which every address has an account."""

    def find_by_identifier(self, identifier: str) -> "Somebody":
        return Somebody(identifier)

    find_by_id = find_by_identifier


class Somebody:
    """An account."""

    def __init__(self, identifier: str) -> None:
        self.id = identifier
