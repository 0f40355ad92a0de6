"""An identifier that has an account, however that was made, can't be registered again."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import jwt
import pytest
from accounts import EMAIL, PASSWORD, PASSWORD_HASH, PHONE, Browser, example, make_accounts
from conftest import Api, Ear, bearer
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from flask_otp_auth.testing import Outbox

__all__ = ["example", "make_accounts"]  # fixtures

DORA = "dora@example.com"


@pytest.fixture
def app(make_accounts: Callable[..., Flask]) -> Flask:
    """The app of docs/accounts_example.py."""
    return make_accounts()


@pytest.fixture
def api(app: Flask) -> Api:
    """The example's API."""
    return Api(app.test_client(), actor_type="user")


def count(app: Flask, example: ModuleType, email: str) -> int:
    """Return how many accounts have an e-mail address."""
    with app.app_context():
        statement = select(func.count()).where(example.User.email == email)
        number: int = example.db.session.scalar(statement)
        return number


class TestAnAccountWithAPassword:
    """Ada's account was made by the office, with a password and without any code."""

    @pytest.mark.parametrize("identifier", [EMAIL, "ADA@Example.com", PHONE, "030 12345678"])
    def test_pre_register_stays_silent_and_signals(
        self, app: Flask, api: Api, outbox: Outbox, identifier: str
    ) -> None:
        ear = Ear(app)
        stranger = api.pre_register(DORA)
        answer = api.pre_register(identifier)
        assert answer.status_code == stranger.status_code == 200
        assert answer.json.keys() == stranger.json.keys()
        assert [message.identifier for message in outbox.messages] == [DORA]
        assert ear.of("otp_suppressed") == [
            {
                "actor_type": "user",
                "identifier": EMAIL if "@" in identifier else PHONE,
                "purpose": "registration",
                "reason": "already_registered",
            }
        ]

    def test_its_owner_signs_in_with_a_code_and_with_the_password_still(
        self, app: Flask, api: Api, outbox: Outbox
    ) -> None:
        api.generate(EMAIL)
        assert "token" in api.verify(outbox.last.otp, EMAIL).json
        browser = Browser(app.test_client())
        browser.submit("/login/password", identifier=EMAIL, password=PASSWORD)
        assert browser.greeting == EMAIL

    def test_a_plain_back_office_is_told(self, make_accounts: Callable[..., Flask]) -> None:
        app = make_accounts(OTP_AUTH_ALWAYS_RETURN_SUCCESS=False)
        answer = Api(app.test_client(), actor_type="user").pre_register(EMAIL)
        assert (answer.status_code, answer.json["type"]) == (409, "duplicate_error")


class TestAnAccountMadeInBetween:
    """Dora asked for a code to join with, and then joined some other way."""

    @pytest.fixture
    def otp(self, app: Flask, api: Api, outbox: Outbox, example: ModuleType) -> str:
        """A code that was sent before the account was made."""
        api.pre_register(DORA)
        with app.app_context():
            assert example.add(email=DORA, password_hash=PASSWORD_HASH)
        return outbox.last.otp

    def test_register_says_so_to_who_has_the_right_code(
        self, app: Flask, api: Api, example: ModuleType, otp: str
    ) -> None:
        answer = api.register(otp, DORA)
        assert (answer.status_code, answer.json["type"]) == (409, "duplicate_error")
        assert count(app, example, DORA) == 1

    def test_and_to_nobody_else(self, api: Api, otp: str) -> None:
        wrong = f"{(int(otp) + 1) % 10**6:06}"
        assert api.register(wrong, DORA).json["type"] == "invalid_otp"

    def test_the_code_is_used_up_by_that_and_no_grace_begins(self, api: Api, otp: str) -> None:
        assert api.register(otp, DORA).status_code == 409
        for answer in (api.register(otp, DORA), api.authenticate(otp, DORA)):
            assert (answer.status_code, answer.json["type"]) == (400, "invalid_otp")


def at_once(function: Callable[[str], TestResponse], arguments: list[str]) -> list[TestResponse]:
    """Call a function with each argument, all at the same moment."""
    start = threading.Barrier(len(arguments))

    def call(argument: str) -> TestResponse:
        start.wait()
        return function(argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(call, arguments))


@pytest.mark.parametrize("parallel", [2, 4])
def test_parallel_registrations_end_in_one_account(
    make_accounts: Callable[..., Flask], example: ModuleType, parallel: int
) -> None:
    """Each came with a code of its own; the unique constraint decides."""
    app = make_accounts(OTP_AUTH_RESEND_INTERVAL=0)
    api = Api(app.test_client(), actor_type="user")
    for turn in range(5):
        dora, codes, tokens = f"dora{turn}@example.com", [], []
        with Outbox(app) as outbox:
            for _ in range(parallel):
                codes.append((api.pre_register(dora).json["challenge"], outbox.messages[-1].otp))
        for challenge, otp in codes:
            tokens.append(api.register(otp, dora, challenge=challenge).json["token"])
        answers = at_once(
            lambda token: app.test_client().post("/users", headers=bearer(token)), tokens
        )
        assert sorted(a.status_code for a in answers) == [201] + [409] * (parallel - 1)
        assert count(app, example, dora) == 1
        signed_in = {
            subject(api.authenticate(otp, dora, challenge=challenge).json["token"])
            for challenge, otp in codes
        }
        assert len(signed_in) == 1, "every code signs in to the same account"


def subject(token: str) -> str:
    """Return whose token it is."""
    found: str = jwt.decode(token, options={"verify_signature": False})["sub"]
    return found
