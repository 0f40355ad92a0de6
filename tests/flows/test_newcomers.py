"""The one door under pressure: many answers at once, and what a right one looks up."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes import ADA, BOB, Api, Customers, MakeApp, Watched, bearer
from flask import Flask
from flask.typing import ResponseReturnValue
from werkzeug.test import TestResponse

from flask_otp_auth import OTPAuth, current_registration, registration_required
from flask_otp_auth.testing import Outbox

CROWD = 8


def at_once(call: Callable[[], TestResponse]) -> list[int]:
    """Return the statuses of a crowd's calls, which begin together."""
    barrier = threading.Barrier(CROWD)

    def one(_: int) -> int:
        barrier.wait(20)
        return call().status_code

    with ThreadPoolExecutor(CROWD) as pool:
        return sorted(pool.map(one, range(CROWD)))


@pytest.fixture
def app(make_app: MakeApp, customers: Customers) -> Iterator[Flask]:
    """A shop that signs a newcomer in as soon as the account is made."""
    otp_auth = OTPAuth()
    otp_auth.add_actor_type("customer", customers)
    app = make_app(otp_auth, OTP_AUTH_GRACE_TTL=1)

    @app.post("/join")
    @registration_required()
    def join() -> ResponseReturnValue:
        known = customers.find_by_identifier(current_registration.identifier)
        return {"token": otp_auth.complete(known or customers.add(current_registration.identifier))}

    return app


@pytest.mark.parametrize("who", [ADA, BOB])
def test_one_of_many_answers_gets_a_token(app: Flask, outbox: Outbox, who: str) -> None:
    Api(app.test_client()).start(who)
    statuses = at_once(lambda: Api(app.test_client()).finish(outbox.last.otp, who))
    # A newcomer's code is in its grace then, and there is no account yet.
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {400, 409}
    assert who == BOB or 409 not in statuses


def test_a_registration_is_completed_once(app: Flask, outbox: Outbox) -> None:
    api = Api(app.test_client())
    api.start(BOB)
    token = api.finish(outbox.last.otp, BOB).get_json()["token"]
    statuses = at_once(lambda: app.test_client().post("/join", headers=bearer(token)))
    # 401: the right was taken; 409: the account was there already.
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {401, 409}
    assert api.refresh(token).status_code == 401


@pytest.mark.parametrize("who", [ADA, BOB])
def test_a_right_answer_looks_the_same_up_for_members_and_newcomers(
    watched: Watched, who: str
) -> None:
    api = Api(watched.app.test_client())
    with Outbox(watched.app) as outbox:
        api.start(who)
    watched.forget_calls()
    assert api.finish(outbox.last.otp, who).status_code == 200
    assert watched.customers.calls == [("find_by_identifier", who)]
