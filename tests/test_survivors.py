"""What mutation testing found that no test would have noticed; see docs/mutation.md."""

from collections.abc import Callable

import pytest
from attacks import OpenStore
from conftest import ADA, BOB, Api, Customers, Ear, wrong
from flask import Flask

from flask_otp_auth.errors import ConfigError, InvalidData, InvalidOTP, Unauthorized
from flask_otp_auth.store import probe
from flask_otp_auth.testing import Outbox
from flask_otp_auth.tokens import Claims


def test_a_registration_is_answered_by_the_challenge_that_is_named(
    make_app: Callable[..., Flask],
) -> None:
    """Not by the newest one."""
    app = make_app(OTP_AUTH_RESEND_INTERVAL=0)
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        older = api.pre_register().get_json()["challenge"]
        newer = api.pre_register().get_json()["challenge"]
    first, second = (message.otp for message in outbox.messages)
    assert api.register(first, challenge=newer).status_code == 400
    assert api.register(second, challenge=older).status_code == 400
    assert api.register(first, challenge=older).status_code == 200
    assert api.register(second, challenge=newer).status_code == 200


def test_a_long_registration_code_is_long_in_its_grace_as_well(
    make_app: Callable[..., Flask], customers: Customers
) -> None:
    """There, too, it has no tickets that a guesser could use up, and no budget."""
    app = make_app(OTP_AUTH_RESEND_INTERVAL=0, OTP_AUTH_VERIFY_LIMITS="1/day")
    api = Api(app.test_client())
    with Outbox(app) as outbox:
        api.pre_register()
        api.register(wrong(outbox.last.otp))
        api.pre_register()
        otp = outbox.last.otp
        assert len(otp) == 13
        assert api.register(otp).status_code == 200
        for _ in range(5):
            assert api.authenticate(wrong(otp)).status_code == 400
        customers.add(BOB)
        assert api.authenticate(otp).status_code == 200


def claims(**changes: object) -> Claims:
    honest = {"aud": "customer", "sub": "1", "jti": "x", "iat": 0, "exp": 2**53, "auth_time": 1}
    return Claims.read("auth+jwt", {**honest, **changes})


def test_times_reach_from_the_epoch_to_the_last_exact_number() -> None:
    assert (claims().issued_at, claims().expires_at) == (0, 2**53)
    for name in ("iat", "exp", "auth_time"):
        for value in (-1, 2**53 + 1):
            with pytest.raises(Unauthorized):
                claims(**{name: value})


def test_the_breaker_stops_short_codes_and_no_long_ones(make_app: Callable[..., Flask]) -> None:
    """What it stops is told to handlers as a matter of budget, and costs no ticket."""
    app = make_app(OTP_AUTH_GLOBAL_FAILURE_LIMIT="1/hour", OTP_AUTH_RESEND_INTERVAL=0)
    api, ear = Api(app.test_client()), Ear(app)
    with Outbox(app) as outbox:
        api.generate()
        short = outbox.last.otp
        for _ in range(2):
            api.verify(wrong(short))
        assert api.verify(short).status_code == 400
        assert ear.reasons() == ["wrong", "wrong", "budget"]
        api.generate()
        assert len(outbox.last.otp) == 13
        assert api.verify(outbox.last.otp).status_code == 200


def test_what_is_not_compared_is_no_failure_for_the_breaker(make_app: Callable[..., Flask]) -> None:
    """Neither a guess of another shape, nor one that is right."""
    app = make_app(OTP_AUTH_GLOBAL_FAILURE_LIMIT="1/hour", OTP_AUTH_RESEND_INTERVAL=0)
    api, ear = Api(app.test_client()), Ear(app)
    with Outbox(app) as outbox:
        for _ in range(4):
            api.generate()
            assert api.verify("12345").status_code == 400
            assert api.verify(outbox.last.otp).status_code == 200
    assert ear.of("breaker_opened") == []
    assert {len(message.otp) for message in outbox.messages} == {6}


def test_a_code_may_be_pasted_with_up_to_128_characters(app: Flask) -> None:
    otp_auth = app.extensions["otp_auth"].flows
    with app.app_context():
        with pytest.raises(InvalidOTP):
            otp_auth.verify("customer", ADA, "1" * 128)
        with pytest.raises(InvalidData, match=r"^otp must be a text of at most 128 characters\.$"):
            otp_auth.verify("customer", ADA, "1" * 129)
        with pytest.raises(InvalidData, match=r"^challenge must be valid Unicode\.$"):
            otp_auth.verify("customer", ADA, "1", "\ud800")


class Generous(OpenStore):
    """A store in which a key that was taken once can be taken again."""

    def take(self, key: str) -> bool:
        return key in self.items


def test_the_probe_takes_the_same_key_twice() -> None:
    probe(OpenStore())
    with pytest.raises(ConfigError, match="the cache doesn't tell the truth"):
        probe(Generous())
