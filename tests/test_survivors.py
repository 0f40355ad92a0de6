"""What mutation testing found that no test would have noticed; see docs/mutation.md."""

from collections.abc import Callable

import pytest
from conftest import BOB, Api, Customers, wrong
from flask import Flask

from flask_otp_auth.errors import Unauthorized
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
