"""The outbox, which an app's own tests read codes from."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import time_machine
from conftest import ADA, BOB, START, Api
from flask import Flask

from flask_otp_auth.testing import Message, Outbox

EXPIRY = datetime.fromtimestamp(START.timestamp() + 300, UTC)


def test_it_keeps_login_codes(clock: time_machine.Traveller, app: Flask, api: Api) -> None:
    with Outbox(app) as outbox:
        api.generate(ADA)
    assert outbox.messages == [
        Message("login", "customer", ADA, outbox.last.otp, EXPIRY, actor_id="1")
    ]


def test_it_keeps_registration_codes(clock: time_machine.Traveller, app: Flask, api: Api) -> None:
    with Outbox(app) as outbox:
        api.pre_register(BOB)
    assert outbox.messages == [
        Message("registration", "customer", BOB, outbox.last.otp, EXPIRY, actor_id=None)
    ]


def test_it_keeps_them_in_order(app: Flask, api: Api) -> None:
    with Outbox(app) as outbox:
        api.pre_register(BOB)
        api.generate(ADA)
    assert [message.purpose for message in outbox.messages] == ["registration", "login"]
    assert len(outbox) == 2
    assert outbox.last is outbox.messages[-1]


def test_the_codes_in_it_work(app: Flask, api: Api) -> None:
    with Outbox(app) as outbox:
        api.generate(ADA)
        assert api.verify(outbox.last.otp, ADA).status_code == 200


def test_an_empty_one_has_no_last_message(app: Flask, api: Api) -> None:
    with Outbox(app) as outbox:
        api.generate(BOB)
    assert len(outbox) == 0
    with pytest.raises(IndexError):
        outbox.last  # noqa: B018 - the access is what is tested


def test_it_keeps_nothing_before_and_after_its_block(app: Flask, api: Api) -> None:
    outbox = Outbox(app)
    api.generate(ADA)
    with outbox:
        pass
    api.pre_register(BOB)
    assert len(outbox) == 0


def test_it_keeps_the_codes_of_its_own_app_only(make_app: Callable[..., Flask]) -> None:
    app, other = make_app(), make_app()
    with Outbox(app) as outbox:
        Api(other.test_client()).generate(ADA)
    assert len(outbox) == 0


def test_two_can_stand_open_at_once(app: Flask, api: Api) -> None:
    with Outbox(app) as outer:
        with Outbox(app) as inner:
            api.generate(ADA)
        api.pre_register(BOB)
    assert (len(outer), len(inner)) == (2, 1)


def test_it_lets_errors_through(app: Flask) -> None:
    with pytest.raises(ZeroDivisionError), Outbox(app):
        1 / 0  # noqa: B018 - it raises


def test_the_repr_of_a_message_holds_no_code(app: Flask, api: Api) -> None:
    with Outbox(app) as outbox:
        api.generate(ADA)
    assert outbox.last.otp not in repr(outbox.last).replace(repr(outbox.last.expires_at), "")
