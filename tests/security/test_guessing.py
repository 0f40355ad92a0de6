"""Guessing: whoever tries codes gets few tries, and soon nothing that could be guessed."""

import logging
from pathlib import Path

import pytest
from attacks import GUESSING, MANY_ADDRESSES, NO_LIMITS, Begin, Comparisons, guesses
from fakes import ADA, Api, Customers, Everybody, MakeApp, SignalRecorder, wrong
from flask import Flask
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from time_machine import Traveller

from flask_otp_auth import OTPAuth
from flask_otp_auth.testing import Outbox

DAY, HOUR, MINUTE = 86_400, 3_600, 60


def compared(recorder: SignalRecorder) -> int:
    """Return how many guesses were compared with a code, all of them wrong."""
    return recorder.reasons().count("wrong")


@pytest.fixture
def app(make_app: MakeApp) -> Flask:
    """A shop whose attackers have many addresses."""
    return make_app(**MANY_ADDRESSES)


def test_nist_3_2_2_an_identifier_is_guessed_at_twenty_times_a_day(
    api: Api,
    outbox: Outbox,
    recorder: SignalRecorder,
    attack: Begin,
    comparisons: Comparisons,
    clock: Traveller,
) -> None:
    """NIST SP 800-63B-4, 3.2.2: at most 100 failures in a row; here 20 guesses in a day.

    For ten days the attacker asks for a code whenever he likes, and tries ten guesses each time.
    A guess is compared with two codes at most.
    """
    steady = attack("guessing: ten days of new codes, ten guesses at each")
    for day in range(1, 11):
        for _ in range(24):
            api.generate()
            for guess in guesses(10, *outbox.codes_to(ADA)):
                steady.tried(api.verify(guess).status_code == 200)
            clock.shift(HOUR)
        assert compared(recorder) <= 20 * day
        assert comparisons.count <= 40 * day
    assert compared(recorder) >= 20
    assert steady.failed(tries=2_400)


def test_asvs_6_6_3_a_code_for_somebody_under_attack_has_66_bits(
    api: Api, outbox: Outbox, attack: Begin, comparisons: Comparisons, clock: Traveller
) -> None:
    """OWASP ASVS 5.0, 6.6.3: consider a code with at least 64 bits of entropy.

    Guesses at short codes, and at long ones, come to nothing; its owner signs in all the while.
    """
    api.generate()
    for guess in guesses(20, outbox.last.otp):
        api.verify(guess)
    under_attack = attack("guessing: at codes of 20 digits")
    for _ in range(5):
        clock.shift(MINUTE)
        api.generate()
        right, before = outbox.last.otp, comparisons.count
        assert len(right) == 20
        for guess in guesses(200, right):
            under_attack.tried(api.verify(guess).status_code == 200)
        assert comparisons.count == before
        for cut in (right[:6], right[:-1], right + "0", "0" * 20, wrong(right)):
            under_attack.tried(api.verify(cut).status_code == 200)
        assert api.verify(right).status_code == 200
        under_attack.tried(api.verify(right).status_code == 200)
    assert under_attack.failed(tries=1_000)


def test_asvs_6_6_3_more_workers_and_restarts_give_no_more_guesses(
    make_app: MakeApp, tmp_path: Path, attack: Begin
) -> None:
    """OWASP ASVS 5.0, 6.6.3: eight workers of one machine count together, and so do later ones."""
    storage = {"OTP_AUTH_STORAGE_URI": f"sqlite:///{tmp_path}/codes.sqlite3", **MANY_ADDRESSES}
    apps = [make_app(**storage) for _ in range(8)]
    recorders = [SignalRecorder(app) for app in apps]
    with Outbox(apps[0]) as outbox:
        Api(apps[0].test_client()).generate()
    spread = attack("guessing: at eight workers")
    for guess in guesses(10, outbox.last.otp):
        for app in apps:
            spread.tried(Api(app.test_client()).verify(guess).status_code == 200)
    assert sum(map(compared, recorders)) == 20
    after_restart = Api(make_app(**storage).test_client())
    spread.tried(after_restart.verify(outbox.last.otp).status_code == 200)
    assert spread.failed(tries=81)


def test_asvs_6_3_1_a_spray_over_all_identifiers_runs_into_the_breaker(
    make_app: MakeApp,
    everybody: Everybody,
    attack: Begin,
    clock: Traveller,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """OWASP ASVS 5.0, 6.3.1: one guess at each of many accounts, and new codes are long.

    Codes that were sent before stay good, or else a spray would keep people out.
    """
    caplog.set_level(logging.CRITICAL, "flask_otp_auth")
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", everybody)
    app = make_app(otp_auth, OTP_AUTH_WARN_ON_ERROR=False, **MANY_ADDRESSES)
    recorder, api = SignalRecorder(app), Api(app.test_client())
    spray = attack("guessing: one guess at each of many identifiers")
    with Outbox(app) as outbox:
        for number in range(1_000):
            who = f"{number}@example.com"
            api.generate(who)
            spray.tried(api.verify(wrong(outbox.last.otp), who).status_code == 200)
        held = outbox.last
        assert recorder.of("breaker_opened") == [{"limit": "global_failure_limit"}]
        for seconds in (0, 300, 299):
            clock.shift(seconds)
            api.generate(f"{seconds}@example.org")
            spray.tried(len(outbox.last.otp) != 20)
            if seconds == 0:
                assert api.verify(held.otp, held.identifier).status_code == 200
    assert spray.failed(tries=1_003)


def test_asvs_6_3_1_four_addresses_cannot_open_the_breaker_without_a_mail(
    make_app: MakeApp, customers: Customers, everybody: Everybody, attack: Begin, clock: Traveller
) -> None:
    """OWASP ASVS 5.0, 6.3.1: guesses at people who have no code keep nobody out.

    Four addresses guess as often as they may, at strangers and at members who never asked. Ada
    holds a code meanwhile; staff sign in as ever, whatever happens to customers.
    """
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    otp_auth.add_actor_type("staff", everybody)
    app = make_app(otp_auth, OTP_AUTH_GLOBAL_FAILURE_LIMIT="100/hour")
    recorder = SignalRecorder(app)
    opening = attack("guessing: the breaker, with guesses at nothing")
    with Outbox(app) as outbox:
        ada = Api(app.test_client(), address="198.51.100.7")
        ada.generate()
        held = outbox.last.otp
        for number in range(4 * 300):
            attacker = Api(app.test_client(), address=f"203.0.113.{number % 4}")
            route = GUESSING[number % 3]
            answer = getattr(attacker, route)("123456", f"nobody{number}@example.org")
            assert answer.status_code == 400
            opening.tried("breaker_opened" in recorder.names)
        assert ada.verify(held).status_code == 200
        clock.shift(61)
        ada.generate()
        assert len(outbox.last.otp) == 6
        # Guesses at live codes do open it, for that actor type alone.
        for number in range(100):
            newcomer = f"new{number}@example.org"
            attacker = Api(app.test_client(), address=f"203.0.113.{9 + number}")
            attacker.pre_register(newcomer)
            attacker.register(wrong(outbox.last.otp), newcomer)
        assert "breaker_opened" in recorder.names
        assert ada.verify(outbox.codes_to(ADA)[-1]).status_code == 200
        Api(app.test_client(), actor_type="staff").generate("root@example.com")
        opening.tried(len(outbox.last.otp) != 6)
    assert opening.failed(tries=1_201)


def test_asvs_6_3_1_one_site_has_few_guesses_whatever_its_addresses(
    make_app: MakeApp, attack: Begin, clock: Traveller
) -> None:
    """OWASP ASVS 5.0, 6.3.1: a rented server has 65,536 networks of IPv6, and one site."""
    app = make_app(OTP_AUTH_IP_VERIFY_LIMITS="30/hour", OTP_AUTH_IP_GENERATE_LIMITS="10/hour")
    many = attack("guessing: from every network of one IPv6 site")
    for route, most in (("verify", 300), ("generate", 100)):
        answers = []
        for number in range(400):
            api = Api(app.test_client(), address=f"2001:db8:7:{number:x}::1")
            arguments = ["123456"] if route == "verify" else []
            answer = getattr(api, route)(*arguments, f"{number}@example.com")
            answers.append(answer.status_code)
            many.tried(number >= most and answer.status_code != 429)
        assert answers.count(429) == 400 - most
    assert many.failed(tries=800)


def test_fixed_windows_let_twice_as_many_guesses_through_at_their_edge(
    everybody: Everybody, clock: Traveller
) -> None:
    """Not prevented: an app's own limiter with fixed windows begins anew at each window's end.

    ``MAX_GUESS_CHANCE`` counts such windows twice.
    """
    app = Flask("shop")
    app.config.update({"TESTING": True, "SECRET_KEY": "k" * 8 + "0123456789" * 4, **NO_LIMITS})
    app.config.update(OTP_AUTH_VERIFY_LIMITS="20/day", OTP_AUTH_MAX_GUESS_CHANCE=1e-4)
    limiter = Limiter(get_remote_address, app=app, storage_uri="memory://", strategy="fixed-window")
    otp_auth = OTPAuth(limiter=limiter)
    otp_auth.add_actor_type("customer", everybody)
    otp_auth.init_app(app)
    api, recorder = Api(app.test_client()), SignalRecorder(app)
    with Outbox(app) as outbox:
        for wait in (0, DAY - 5 * MINUTE, *[MINUTE] * 9):
            clock.shift(wait)
            api.generate(ADA)
            for guess in guesses(1 if wait == 0 else 19, *outbox.codes_to(ADA)):
                api.verify(guess)
    assert compared(recorder) <= 40
    assert len(outbox.last.otp) == 20
